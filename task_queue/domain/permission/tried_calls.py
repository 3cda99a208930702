"""The calls that a rehearsal makes to see whether the rules in force let them pass. Pure.

A command is asked for and never run: behind ``true ||`` the shell skips it, while the CLI judges each part of the line
(2.1.332). What a rule names that cannot be tried without doing it is left out: the network, files elsewhere.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from task_queue.domain.permission.commands import simple_commands

UNDONE = "true || "
"""Before a command that is not to be run."""
_RULE = re.compile(r"([^()\s]+)(?:\((.*)\))?", re.DOTALL)
_WRITERS = frozenset({"Edit", "Write", "NotebookEdit"})
_SEARCHES: Mapping[str, Mapping[str, str]] = {
    "Glob": {"pattern": "*"},
    "Grep": {"pattern": "rehearsal"},
}
_TRIAL_FILE = "task-queue-rehearsal.txt"
_GLOB = re.compile(r"[*?\[\]!{}]")


@dataclass(frozen=True, slots=True)
class TriedCall:
    """One call of a tool, and what names it: a rule, or a command of ``verify``."""

    named_by: str
    tool: str
    input: Mapping[str, str] = field(hash=False)


def tried_calls(allow: Iterable[str], verify: Iterable[str]) -> tuple[TriedCall, ...]:
    """One call of the agent for each thing that *allow* and *verify* name; paths are relative to the workspace."""
    return tuple(dict.fromkeys((*_of_verify(verify), *_of_rules(allow))))


def shown(command: str) -> str:
    """*command* of a tried call as its rule has it."""
    return command.removeprefix(UNDONE)


def _of_verify(verify: Iterable[str]) -> Iterator[TriedCall]:
    for command in verify:
        for words in simple_commands(command):
            yield _command(f"verify: {command}", shlex.join(words))


def _of_rules(allow: Iterable[str]) -> Iterator[TriedCall]:
    for rule in allow:
        match = _RULE.fullmatch(rule.strip())
        if match is None:
            continue
        tool, spec = match[1], match[2] or ""
        if tool == "Bash":
            for words in simple_commands(re.sub(r"(:\*| \*)$", "", spec)) if _is_plain(spec) else ():
                yield _command(f"allow: {rule}", shlex.join(words))
        elif tool in _WRITERS:
            path = _inside(spec)
            if path is not None:
                given = {"file_path": path, "content": "Written by a rehearsal.\n"}
                yield TriedCall(f"allow: {rule}", "Write", given)
        elif tool in _SEARCHES and not spec:
            yield TriedCall(f"allow: {rule}", tool, _SEARCHES[tool])


def _command(named_by: str, command: str) -> TriedCall:
    asked = UNDONE + command
    return TriedCall(named_by, "Bash", {"command": asked, "description": f"Ask for {command}"})


def _is_plain(spec: str) -> bool:
    """Whether one command is named, not a pattern of many."""
    return bool(spec.strip(" :*")) and "*" not in re.sub(r"(:\*| \*)$", "", spec)


def _inside(spec: str) -> str | None:
    """A new file of the workspace that a rule for the paths *spec* is about; None where there is none."""
    if not spec:
        return _TRIAL_FILE
    if spec.startswith(("//", "~", "!")) or ".." in spec.split("/"):
        return None
    named = spec.lstrip("/").removeprefix("./")
    if named.endswith("/**"):
        folder = named.removesuffix("/**")
        return None if _GLOB.search(folder) else str(PurePosixPath(folder) / _TRIAL_FILE)
    return None
