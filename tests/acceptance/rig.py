"""A person's machine in a folder: a home, a configuration, sources, and the real daemon as a process.

Every process gets a built environment, never an inherited one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from task_queue.platform.identity import MARKER_VARIABLE
from tests.processes import environments, kill
from tests.waiting import eventually
from tests.warm import PROGRAM, Process, run_cli, start_cli

ROOT = Path(__file__).parents[2]


def command_document(script: str, **keys: object) -> str:
    """A task for the executor ``sh``."""
    front = "".join(f"{key}: {value}\n" for key, value in {"executor": "sh", **keys}.items())
    return f"---\n{front}---\n{script}\n"


class Rig:
    """Sources ``a`` (and others asked for) with a command executor ``sh`` that runs the task's text."""

    def __init__(self, home: Path, *, sources: tuple[str, ...] = ("a",), **config: Any) -> None:
        self.home = home
        self.workspace = home / "workspace"
        self.workspace.mkdir(parents=True, exist_ok=True)
        self.config = home / "config.json"
        self.environment: dict[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "PYTHONPATH": str(ROOT),
        }
        self.daemons: list[Process] = []
        document = {
            "version": "2.1",
            "project_workspace": str(self.workspace),
            "task_source_directories": [
                {"id": name, "path": str(self.queue(name) / "pending")} for name in sources
            ],
            "executors": {"sh": {"kind": "command", "argv": ["sh", "-s"]}},
            "defaults": {"workflow": "single"},
            "settle_seconds": 0.05,
            "sweep_seconds": 2,
            "stop_grace_seconds": 10,
            **config,
        }
        self.config.write_text(json.dumps(document))
        self.config.chmod(0o600)
        for name in sources:
            (self.queue(name) / "pending").mkdir(parents=True, mode=0o700, exist_ok=True)

    def queue(self, source: str = "a") -> Path:
        return self.home / "tasks" / source

    def pending(self, source: str = "a") -> Path:
        return self.queue(source) / "pending"

    def drop(self, name: str, text: str, *, source: str = "a") -> str:
        """As a careful producer does: write elsewhere, rename into pending."""
        staging = self.queue(source) / "staging"
        staging.mkdir(mode=0o700, exist_ok=True)
        draft = staging / f"{name}.md"
        draft.write_text(text)
        draft.rename(self.pending(source) / f"{name}.md")
        return name

    def drop_command(self, name: str, script: str, *, source: str = "a", **keys: object) -> str:
        return self.drop(name, command_document(script, **keys), source=source)

    def start(
        self, *, environment: Mapping[str, str] | None = None, program: Sequence[str] | None = None
    ) -> Process:
        """The real daemon; returns when it serves."""
        with (self.home / "daemon.err").open("a") as errors:
            daemon = start_cli(
                ("--config", str(self.config), "daemon"),
                env={**self.environment, **(environment or {})},
                cwd=self.home,
                stderr=errors,
                program=PROGRAM if environment and program is None else program,
            )
        self.daemons.append(daemon)

        def serves() -> bool:
            assert daemon.poll() is None, (self.home / "daemon.err").read_text()
            return self.state().get("pid") == daemon.pid and not self.state()["stopped_at"]

        eventually(serves, what="the daemon serves")
        return daemon

    def cli(
        self, *arguments: str, check: bool = False, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        arguments = ("--config", str(self.config), *arguments)
        said = run_cli(arguments, env=self.environment, cwd=self.home, given=(stdin or "").encode())
        done = subprocess.CompletedProcess(
            said.args, said.returncode, said.stdout.decode(), said.stderr.decode()
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.cli(*arguments, "--json").stdout)

    def state(self) -> dict[str, Any]:
        """What the daemon publishes of itself, empty before its first word."""
        for path in self.home.glob(".local/state/task-queue/*/daemon.json"):
            with contextlib.suppress(ValueError, RecursionError, FileNotFoundError):
                found: object = json.loads(path.read_text())
                return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return {}

    def daemon_log(self) -> str:
        """All that the daemons have logged so far."""
        return "".join(path.read_text() for path in self.home.glob(".local/state/task-queue/*/daemon.log"))

    def result(self, task_id: str, *, source: str = "a", timeout: float = 60) -> dict[str, Any]:
        """The task's result, waited for until the task is settled altogether."""
        path = self.queue(source) / "results" / f"{task_id}.json"
        eventually(path.exists, timeout=timeout, what=f"{path} exists; {self.errors()}")
        result: dict[str, Any] = json.loads(path.read_text())
        eventually(
            (self.queue(source) / result["state"] / f"{task_id}.md").exists, what=f"{task_id} is in its place"
        )
        eventually(lambda: not self.locks(source, task_id), what=f"{task_id} is unlocked")
        return result

    def errors(self) -> str:
        log = self.home / "daemon.err"
        return log.read_text()[-2000:] if log.exists() else ""

    def locks(self, source: str = "a", task_id: str = "*") -> list[Path]:
        return list(self.pending(source).glob(f".{task_id}.lock"))

    def run_record(self, task_id: str, attempt: int = 1, *, source: str = "a") -> dict[str, Any]:
        path = self.queue(source) / "logs" / task_id / f"attempt-{attempt}" / "run.json"
        eventually(path.exists, what=f"{path} exists; {self.errors()}")
        record: dict[str, Any] = json.loads(path.read_text())
        return record

    def side_effects(self, name: str) -> list[str]:
        """Lines that tasks appended to a file of the workspace."""
        path = self.workspace / name
        return path.read_text().splitlines() if path.exists() else []

    def started(self, name: str) -> None:
        """Wait until a task has said in the workspace's file *name* that it runs."""
        eventually(lambda: self.side_effects(name), what=f"a task writes {name}; {self.errors()}")

    def stop(self, daemon: Process, number: signal.Signals = signal.SIGTERM) -> int:
        daemon.send_signal(number)
        return daemon.wait(timeout=60)

    def close(self) -> None:
        """End what this rig started, and whatever its tasks left."""
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        for pid in self.marked():
            kill(pid)

    def marked(self) -> list[int]:
        """Processes of attempts whose home this is, found by their environment."""
        home = f"HOME={self.home}".encode()
        return [
            pid
            for pid, lines in environments()
            if home in lines
            and any(line.startswith(MARKER_VARIABLE.encode() + b"=") and b":" in line for line in lines)
        ]
