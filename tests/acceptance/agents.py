"""A rig whose tasks are carried out by the real agent; only the model behind it is scripted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from task_queue.demo.scripted_model import (
    Request,
    Script,
    ScriptedModel,
    UseTool,
    child_environment,
)
from tests.acceptance.rig import Rig
from tests.processes import look
from tests.waiting import eventually

WORK = "echo start >> log; while [ ! -e go ]; do sleep 0.05; done; echo end >> log"


def bash(command: str, *, timeout_s: int = 120) -> UseTool:
    """One call of the agent's Bash tool that may take its time."""
    return UseTool("Bash", {"command": command, "timeout": timeout_s * 1000})


class AgentRig(Rig):
    """``claude`` tasks through the real SDK and CLI. The agent can reach nothing but *script*'s model."""

    def __init__(
        self,
        home: Path,
        script: Script,
        *,
        sources: tuple[str, ...] = ("a",),
        login: str = "ANTHROPIC_API_KEY",
        agent: dict[str, Any] | None = None,
        **config: Any,
    ) -> None:
        self.model = ScriptedModel(script)
        self.model.__enter__()
        env = child_environment(home, self.model, path=os.environ["PATH"])
        assert urlsplit(env["ANTHROPIC_BASE_URL"]).hostname == "127.0.0.1"
        env[login] = env.pop("ANTHROPIC_API_KEY")
        config_dir = env.pop("CLAUDE_CONFIG_DIR")
        for given in ("PATH", "HOME"):
            del env[given]  # passed on from the daemon's own environment, as on a person's machine
        super().__init__(
            home, sources=sources, agent={"env": env, "config_dir": config_dir, **(agent or {})}, **config
        )

    def ask(self, name: str, text: str, *, source: str = "a", **keys: object) -> str:
        """Drop a task for the agent; *text* is what a script can tell it by."""
        front = "".join(f"{key}: {value}\n" for key, value in keys.items())
        return self.drop(name, f"---\n{front}---\n{text}\n" if front else text + "\n", source=source)

    def turns_asked(self, text: str = "") -> list[int]:
        """Which turn each model request of the task with *text* was, in the order they came."""
        return [request.turn for request in self._requests(text)]

    def tool_results(self, text: str = "") -> list[str]:
        return self._requests(text)[-1].tool_results

    def cli_of(self, runner: int) -> int:
        """The agent's own process below *runner*."""

        def child() -> int | None:
            for task in Path(f"/proc/{runner}/task").glob("*"):
                for pid in map(int, look(runner, f"task/{task.name}/children").split()):
                    if b"--output-format" in look(pid, "cmdline"):
                        return pid
            return None

        return eventually(child, what="the runner has a CLI") or 0

    def session_keeps(self, text: str) -> None:
        """Wait until the CLI has written *text* into its session file, which it does a while after it acted."""
        projects = self.home / ".claude" / "projects"

        def kept() -> bool:
            return any(text in path.read_text() for path in projects.rglob("*.jsonl"))

        eventually(kept, what=f"the session file has {text!r}")

    def close(self) -> None:
        super().close()
        self.model.__exit__(None, None, None)

    def _requests(self, text: str) -> list[Request]:
        return [request for request in self.model.requests if text in request.first_text]
