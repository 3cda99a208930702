"""Which commands prepare a project's checkout and prove its work, by its files' names and some small texts. Pure.

A text decides between the commands below, and never becomes a part of one: but the name of an extra, which is checked.
Languages add up; ``make`` is proposed only where nothing else proves the work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

from task_queue.domain.work.project_files import (
    MAKEFILES,
    ProjectFiles,
    ProposedCommand,
    ProposedCommands,
)
from task_queue.domain.work.python_proposal import python_commands

_TARGET = re.compile(r"^(test|check)[ \t]*:(?!=)", re.MULTILINE)
_NPM_INIT = "no test specified"
"""What ``npm init`` writes as the script: it fails."""


def proposed_for(files: ProjectFiles, *, in_own_checkout: bool) -> ProposedCommands:
    """Nothing where nothing is recognised. Set-up commands only if tasks work *in_own_checkout*: elsewhere none run."""
    found = [python_commands(files, in_own_checkout=in_own_checkout), _node(files), *_others(files)]
    setup = tuple(each for one in found for each in one.setup)
    verify = tuple(each for one in found for each in one.verify) or tuple(_make(files))
    return ProposedCommands(setup if in_own_checkout else (), verify)


def _node(files: ProjectFiles) -> ProposedCommands:
    if "package.json" not in files.names:
        return ProposedCommands()
    package = _object(_parsed(files.text("package.json")))
    manager, locked = _manager(files, package)
    setup: list[ProposedCommand] = []
    if locked is not None:
        setup.append(ProposedCommand(_locked_install(manager, files), f"there is {locked}"))
    elif _object(package.get("dependencies")) or _object(package.get("devDependencies")):
        setup.append(ProposedCommand(f"{manager} install", "package.json has dependencies, and no lockfile"))
    script = _object(package.get("scripts")).get("test")
    is_test = isinstance(script, str) and script.strip() and _NPM_INIT not in script
    verify = (ProposedCommand(f"{manager} test", "package.json has the script test"),) if is_test else ()
    return ProposedCommands(tuple(setup), verify)


_LOCKFILES = {
    "pnpm-lock.yaml": "pnpm",
    "yarn.lock": "yarn",
    "package-lock.json": "npm",
    "npm-shrinkwrap.json": "npm",
}


def _manager(files: ProjectFiles, package: Mapping[str, object]) -> tuple[str, str | None]:
    """Which program installs, and its lockfile: as ``packageManager`` says, else as the lockfile does."""
    named = str(package.get("packageManager") or "").partition("@")[0]
    there = {lockfile: manager for lockfile, manager in _LOCKFILES.items() if lockfile in files.names}
    if named in _LOCKFILES.values():
        return named, next((lockfile for lockfile, manager in there.items() if manager == named), None)
    return next(((manager, lockfile) for lockfile, manager in there.items()), ("npm", None))


def _locked_install(manager: str, files: ProjectFiles) -> str:
    if manager == "npm":
        return "npm ci"
    is_later_yarn = manager == "yarn" and ".yarnrc.yml" in files.names
    return f"{manager} install {'--immutable' if is_later_yarn else '--frozen-lockfile'}"


def _others(files: ProjectFiles) -> Iterator[ProposedCommands]:
    for name, command in (("Cargo.toml", "cargo test"), ("go.mod", "go test ./...")):
        if name in files.names:
            yield ProposedCommands(verify=(ProposedCommand(command, f"there is {name}"),))


def _make(files: ProjectFiles) -> Iterator[ProposedCommand]:
    makefile = next((name for name in MAKEFILES if name in files.names), None)
    if makefile is None:
        return
    targets = set(_TARGET.findall(files.text(makefile)))
    for target in ("test", "check"):
        if target in targets:
            yield ProposedCommand(f"make {target}", f"{makefile} has the target {target}")
            return


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
