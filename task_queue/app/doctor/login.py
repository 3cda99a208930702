"""What ``doctor`` asks the agent's own CLI: is there one, and who is logged in."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from task_queue.app.doctor.check import DoctorCheck
from task_queue.config.credentials import credentials
from task_queue.config.environment import agent_environment
from task_queue.config.schema import Agent, Config
from task_queue.domain.errors import ExecutorError

_ANSWER_S = 30.0
_QUIETLY = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def agent_cli(config: Config | None) -> Iterator[DoctorCheck]:
    """The program that the tasks would start, and, in the environment that they have, its login."""
    named = config.agent.cli_path if config else None
    cli = named or found_cli()
    if named is not None and not os.access(named, os.X_OK):
        yield DoctorCheck(
            "problem", f"agent.cli_path {named} is not a program", "correct or remove agent.cli_path"
        )
    elif cli is None:
        yield DoctorCheck(
            "problem", "there is no agent CLI", "pip install --force-reinstall claude-agent-sdk"
        )
    else:
        yield DoctorCheck("ok", f"the agent's CLI is {cli}")
        if config is not None:
            yield _login(config.agent, cli)


def found_cli() -> Path | None:
    """The agent's program where the configuration names none."""
    return _bundled() or _on_path()


def _login(agent: Agent, cli: Path) -> DoctorCheck:
    """*cli* answers from its files and variables; nothing is sent anywhere."""
    env = {**agent_environment(agent), **_QUIETLY}
    try:
        env |= credentials(agent, os.environ)
    except ExecutorError:
        return DoctorCheck("warning", "whether the agent is logged in cannot be asked without its key")
    try:
        done = subprocess.run(
            [cli, "auth", "status"],
            env=env,
            cwd="/",  # in a project the CLI would load its settings
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
        answer: Any = json.loads(done.stdout)
        is_logged_in, how = bool(answer["loggedIn"]), str(answer.get("authMethod"))
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError, AttributeError):
        return DoctorCheck("warning", f"{cli} did not answer whether the agent is logged in")
    if is_logged_in:
        return DoctorCheck("ok", f"the agent is logged in ({how})")
    where = (
        f"CLAUDE_CONFIG_DIR={shlex.quote(env['CLAUDE_CONFIG_DIR'])} " if "CLAUDE_CONFIG_DIR" in env else ""
    )
    return DoctorCheck(
        "problem",
        "the agent is not logged in: its tasks would wait",
        f"{where}{shlex.quote(str(cli))} auth login; or let a key pay: docs/configuration.md, 'Who pays'",
    )


def _bundled() -> Path | None:
    sdk = importlib.util.find_spec("claude_agent_sdk")
    cli = Path(sdk.origin).parent / "_bundled" / "claude" if sdk and sdk.origin else None
    return cli if cli and os.access(cli, os.X_OK) else None


def _on_path() -> Path | None:
    found = shutil.which("claude")
    return Path(found) if found else None
