"""The environment of the agent's process: built from a list of what may pass, never inherited."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from task_queue.config.schema import Agent
from task_queue.domain.search_path import absolute_entries

PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "TERM",
    "TZ",
    *(
        name
        for base in ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
        for name in (base, base.upper())
    ),
)
_GENERAL = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin")
_GENERAL_OF_A_HOME = (".local/bin", "bin")
_OF_A_DESKTOP = ("USER", "LOGNAME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY")
_OF_AN_ENVIRONMENT = ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME")
"""Each names the folder of a Python environment."""
_PROMPTS = {"VIRTUAL_ENV_PROMPT": "VIRTUAL_ENV", "CONDA_DEFAULT_ENV": "CONDA_PREFIX"}


def agent_environment(
    agent: Agent, environ: Mapping[str, str] | None = None, *, own: Path | None = None
) -> dict[str, str]:
    """The agent's variables, by the configuration's ``agent.env``, ``pass_env`` and ``config_dir``.

    A credential that happens to be in our own environment reaches the agent only if the owner named it
    in ``pass_env``: a stray key silently wins over a subscription's login. Nor does the Python environment *own* in
    which the queue is installed (without it: the one that this process runs in): what a task installs is not for it.
    """
    ours = os.environ if environ is None else environ
    passed = {name: ours[name] for name in (*PASSED, *agent.pass_env) if name in ours}
    own = own or own_environment()
    if own is not None:
        passed = _without_environment(passed, own, home=ours.get("HOME", ""))
    if agent.config_dir is not None:
        passed["CLAUDE_CONFIG_DIR"] = str(agent.config_dir)
    environment = {**passed, **agent.env}
    if "PATH" in environment:
        environment["PATH"] = absolute_entries(environment["PATH"])
    return environment


def own_environment() -> Path | None:
    """The folder of the virtual or conda environment that this process runs in; None if it runs in none."""
    prefix = Path(sys.prefix)
    is_conda = (prefix / "conda-meta").is_dir() and prefix.parent.name == "envs"
    return prefix if sys.prefix != sys.base_prefix or is_conda else None


def template_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the runner template needs to start: no variable that changes what Python imports."""
    ours = os.environ if environ is None else environ
    return {name: ours[name] for name in ("PATH", "HOME", "LANG") if name in ours}


def notifier_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a notifier or the API needs to reach network, desktop and the queue's files: no credential of an agent."""
    ours = os.environ if environ is None else environ
    return {
        name: value
        for name, value in ours.items()
        if name in (*PASSED, *_OF_A_DESKTOP) or name.startswith("XDG_")
    }


def _without_environment(passed: Mapping[str, str], own: Path, *, home: str) -> dict[str, str]:
    """*passed* without what leads into the Python environment *own*, but for folders that hold the owner's programs."""
    kept = dict(passed)
    for name in _OF_AN_ENVIRONMENT:
        if name in kept and _is_below(kept[name], own):
            del kept[name]
    for name, of in _PROMPTS.items():
        if of in passed and of not in kept:
            kept.pop(name, None)
    general = (*_GENERAL, *(os.path.join(home, name) for name in _GENERAL_OF_A_HOME if home))  # noqa: PTH118 - text
    programs = _folder_at(str(own / "bin"))
    if "PATH" in kept and programs not in map(_folder_at, general):
        entries = [
            entry
            for entry in kept["PATH"].split(os.pathsep)
            if not os.path.isabs(entry) or _folder_at(entry) != programs  # noqa: PTH117 - text
        ]
        kept["PATH"] = os.pathsep.join(entries) or os.defpath
    if "PYTHONPATH" in kept:
        modules = [entry for entry in kept["PYTHONPATH"].split(os.pathsep) if not _is_below(entry, own)]
        kept["PYTHONPATH"] = os.pathsep.join(modules)
    if kept.get("PYTHONPATH") == "":
        del kept["PYTHONPATH"]
    return kept


def _folder_at(path: str) -> tuple[int, int] | str:
    """Which folder that is, by whatever path. One call for what is there: each task has the entries of a PATH."""
    try:
        about = os.stat(path)  # noqa: PTH116 - text
    except OSError:
        return os.path.realpath(path)
    return about.st_dev, about.st_ino


def _is_below(entry: str, own: Path) -> bool:
    """Whether *entry* names the folder, or one in it, by whatever path."""
    return Path(entry).is_absolute() and Path(os.path.realpath(entry)).is_relative_to(os.path.realpath(own))
