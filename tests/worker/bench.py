"""A server whose tasks workers carry out, a web server with its repository, and a worker in another home.

Between worker and server is a network that can be cut.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from task_queue.demo.scripted_model import Script, ScriptedModel, child_environment
from tests.acceptance.rig import ROOT
from tests.api.bench import ApiBench
from tests.cut_network import CutNetwork
from tests.processes import environments, kill
from tests.users import as_user
from tests.waiting import eventually
from tests.warm import PROGRAM

_ENV = {
    "GIT_AUTHOR_NAME": "o",
    "GIT_AUTHOR_EMAIL": "o@example.org",
    "GIT_COMMITTER_NAME": "o",
    "GIT_COMMITTER_EMAIL": "o@example.org",
    "GIT_CONFIG_NOSYSTEM": "1",
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - names of the base class
        return


class WorkerBench:
    """Source ``a`` is for workers. *own*: the configuration of the worker's machine; *script*: its agent's model.

    *uid*: the user that the worker is, if it is another one; it can look into nothing of the server.
    """

    def __init__(
        self,
        home: Path,
        *,
        slots: int = 2,
        own: dict[str, Any] | None = None,
        script: Script | None = None,
        uid: int | None = None,
        **config: Any,
    ) -> None:
        home.mkdir(parents=True)
        self.home, self.uid = home, uid
        self.model = None if script is None else ScriptedModel(script)
        self.project = home / "server" / "workspace"
        self.web = ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(home / "web"))
        )
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.web.server_port}/shop/shop.git"
        self.api = ApiBench(home / "server", **config)
        document = json.loads(self.api.rig.config.read_text())
        document["task_source_directories"][0] |= {
            "served_by": "workers",
            "slots": slots,
            "repository": self.url,
        }
        self.api.rig.config.write_text(json.dumps(document))
        self._make_repository()
        self.api.start()
        self.network = CutNetwork(lambda: self.api.port)
        self.machine = home / "worker"
        self.machine.mkdir(mode=0o700)
        self.token = self.machine / "token"
        self.token.write_text(self.api.token("builder", "work") + "\n")
        (self.machine / ".gitconfig").write_text("[user]\nname = w\nemail = w@example.org\n")
        self.own_config = self.machine / "own.json"
        self.own_config.write_text(
            json.dumps(
                {
                    "version": "2.1",
                    "task_source_directories": [],
                    "executors": {"sh": {"kind": "command", "argv": ["sh", "-s"]}},
                    "settle_seconds": 0.05,
                    "stop_grace_seconds": 10,
                    **self._agent(),
                    **(own or {}),
                }
            )
        )
        self.own_config.chmod(0o600)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.machine),
            "PYTHONPATH": str(ROOT),
        }
        self.workers: list[subprocess.Popen[str]] = []
        if uid is not None:
            (home / "server").chmod(0o700)
            for path in (home.parent, home):
                path.chmod(0o711)
            for path in (self.machine, *self.machine.iterdir()):
                os.chown(path, uid, uid)

    def _agent(self) -> dict[str, Any]:
        """What lets the agent reach nothing but the model of the test."""
        if self.model is None:
            return {}
        self.model.__enter__()
        env = child_environment(self.machine, self.model, path=os.environ["PATH"])
        config_dir = env.pop("CLAUDE_CONFIG_DIR")
        for given in ("PATH", "HOME"):
            del env[given]
        return {"agent": {"env": env, "config_dir": config_dir}}

    def git(self, *words: str, directory: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=directory or self.project,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **_ENV},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def _make_repository(self) -> None:
        self.git("init", "-q", "-b", "main")
        (self.project / "shop.py").write_text("def total(prices):\n    return sum(prices[1:])\n")
        self.git("add", ".")
        self.git("commit", "-qm", "Begin")
        self.publish()

    def publish(self) -> None:
        """What is on the server's branch, for who clones it from the web."""
        bare = self.home / "web" / "shop" / "shop.git"
        if not bare.exists():
            bare.parent.mkdir(parents=True)
            self.git("clone", "-q", "--bare", str(self.project), str(bare))
        self.git("push", "-q", str(bare), "main")
        self.git("update-server-info", directory=bare)

    def start_worker(self, *arguments: str) -> subprocess.Popen[str]:
        """Through the network that can be cut; its words go to a file."""
        allowed = () if "--repositories" in arguments else ("--repositories", "127.0.0.1/shop/shop")
        command = [
            *(*PROGRAM, "--config", str(self.own_config), "worker"),
            *("--server", f"http://127.0.0.1:{self.network.port}", "--token-file", str(self.token)),
            *(*allowed, "--lease", "30", *arguments),
        ]
        with (self.home / "worker.err").open("a") as errors:
            worker = subprocess.Popen(
                command if self.uid is None else as_user(self.uid, *command),
                env=self.environment,
                cwd=self.machine,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                text=True,
            )
        self.workers.append(worker)
        return worker

    def said(self) -> str:
        return (self.home / "worker.err").read_text()

    def submit(self, script: str, **keys: Any) -> str:
        """A task for the shell; its id."""
        content = {"title": "Work", "instructions": script, "executor": "sh", "source": "a", **keys}
        reply = self.api.post("/v1/tasks", content)
        assert reply.status == 202, reply.data
        return str(reply.json["id"])

    def task(self, task_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api.get(f"/v1/tasks/{task_id}").json
        return found

    def ended(self, task_id: str, *, timeout: float = 60) -> dict[str, Any]:
        def probe() -> dict[str, Any] | None:
            task = self.task(task_id)
            return task if task["status"] in {"completed", "failed", "cancelled"} else None

        try:
            found = eventually(probe, timeout=timeout, what=f"{task_id} ended")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.said()}\n{self.api.errors()}") from None
        assert found is not None
        return found

    def stop_worker(self, worker: subprocess.Popen[str], *, number: int = signal.SIGTERM) -> int:
        worker.send_signal(number)
        return worker.wait(timeout=60)

    def processes(self) -> list[int]:
        """Everything that runs on the worker's machine."""
        home = f"HOME={self.machine}".encode()
        return [pid for pid, lines in environments() if home in lines]

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        while mine := self.processes():
            for pid in mine:
                kill(pid)
        if self.model is not None:
            self.model.__exit__(None, None, None)
        self.network.close()
        self.api.kill()
        self.api.rig.close()
        self.web.shutdown()
        self.web.server_close()
