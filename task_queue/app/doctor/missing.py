"""What a new queue still lacks before a night. Only files and variables are looked at: no program is started."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from task_queue.app import service
from task_queue.app.daemon_state import daemon_from
from task_queue.app.doctor.check import DoctorCheck
from task_queue.app.installation import Installation
from task_queue.config import document
from task_queue.domain.secrets import is_secret

_CLOUD = "CLAUDE_CODE_USE_"
_AN_EXAMPLE = """task-queue config set defaults.verify '["pytest -q"]'"""


def missing(installation: Installation, *, to_prove: str = _AN_EXAMPLE) -> tuple[DoctorCheck, ...]:
    """Of a login, a verify command and the service those that are not there, each with what to type.

    *to_prove* is what to type for a verify command.
    """
    return tuple(_found(installation, to_prove))


def _found(installation: Installation, to_prove: str) -> Iterator[DoctorCheck]:
    agent = installation.section("agent")
    if not _has_login(agent):
        log_in = f"{_program(agent)} auth login, then: task-queue doctor"
        yield DoctorCheck("warning", "no login of the agent was found", log_in)
    sources = document.sources_of(installation.content)
    layers = [installation.content.get("defaults"), *(source.defaults for source in sources)]
    if not any(isinstance(layer, dict) and cast("dict[str, Any]", layer).get("verify") for layer in layers):
        yield DoctorCheck("warning", "no command proves the work (verify)", to_prove)
    unit = service.user_units() / service.UNIT
    if not unit.exists() and not daemon_from(installation.locations.daemon_state)[0].running:
        yield DoctorCheck(
            "warning",
            "no service starts the tasks",
            "task-queue service install, or run it yourself: task-queue daemon",
        )


def _program(agent: Mapping[str, object]) -> str:
    """What the agent's program is called in a shell: the one that is bundled is not on PATH."""
    named = agent.get("cli_path")
    if isinstance(named, str) and named:
        return shlex.quote(named)
    if shutil.which("claude") is not None:
        return "claude"
    from task_queue.app.doctor.login import found_cli  # pydantic

    return shlex.quote(str(found_cli() or "claude"))


def _has_login(agent: Mapping[str, object]) -> bool:
    """Whether anything may be one; whether it is good, ``doctor`` asks the agent's CLI."""
    if (
        agent.get("env_file") or agent.get("key_command") or sys.platform == "darwin"
    ):  # there it is in the keychain
        return True
    own, passed = agent.get("env"), agent.get("pass_env")
    env = (
        {str(name): str(value) for name, value in cast("dict[object, object]", own).items()}
        if (isinstance(own, dict))
        else {}
    )
    for name in cast("list[object]", passed) if isinstance(passed, list) else ():
        if isinstance(name, str) and name in os.environ:
            env[name] = os.environ[name]
    if any(is_secret(name, value) or name.startswith(_CLOUD) for name, value in env.items()):
        return True
    named = agent.get("config_dir") or env.get("CLAUDE_CONFIG_DIR") or Path("~/.claude").expanduser()
    return (Path(str(named)) / ".credentials.json").exists()
