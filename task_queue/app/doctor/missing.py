"""What a new queue still lacks before a night. Only files and variables are looked at: no program is started."""

from __future__ import annotations

import os
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


def missing(installation: Installation) -> tuple[DoctorCheck, ...]:
    """Of a login, a verify command and the service those that are not there, each with what to type."""
    return tuple(_found(installation))


def _found(installation: Installation) -> Iterator[DoctorCheck]:
    if not _has_login(installation.section("agent")):
        yield DoctorCheck(
            "warning", "no login of the agent was found", "claude auth login, then: task-queue doctor"
        )
    sources = document.sources_of(installation.content)
    layers = [installation.content.get("defaults"), *(source.defaults for source in sources)]
    if not any(isinstance(layer, dict) and cast("dict[str, Any]", layer).get("verify") for layer in layers):
        yield DoctorCheck(
            "warning",
            "no command proves the work (verify)",
            """task-queue config set defaults.verify '["pytest -q"]'""",
        )
    unit = service.user_units() / service.UNIT
    if not unit.exists() and not daemon_from(installation.locations.daemon_state)[0].running:
        yield DoctorCheck(
            "warning",
            "no service starts the tasks",
            "task-queue service install, or run it yourself: task-queue daemon",
        )


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
