"""The instructions that a project gives to every agent that works in it, with their hashes.

They are looked for where the CLI looks (2.1.332): in the workspace, in all folders above it and in those below, with
the files that they import. An agent may change them, but not for its own auditor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from task_queue.agents.executed_files import FileHashes, text_of

_NAMES = ("CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", ".claude/CLAUDE.md", ".claude/AGENTS.md")
_RULES = ".claude/rules"
_IMPORT = re.compile(r"(?:^|\s)@((?:[^\s\\]|\\ )+)")
_DEEPEST_IMPORT = 5
"""Where the CLI stops."""


def instructions_of(workspace: Path) -> dict[str, str]:
    """By path from *workspace*: the hash of each file, or why it has none."""
    found = FileHashes(workspace)
    for folder in (workspace, *workspace.parents):
        _add(found, folder)
    for folder in found.folders_below():
        if folder.name != ".claude":
            _add(found, folder)
    texts = [workspace / path for path in found.hashes]
    for _ in range(_DEEPEST_IMPORT):
        texts = [path for text in texts for path in _imported_by(text) if found.add(path)]
    return found.hashes


def changed_between(before: dict[str, str], now: dict[str, str], paths: Iterable[str]) -> tuple[str, ...]:
    """Which instructions differ, and which of the changed *paths* are instructions."""
    differing = {path for path in {*before, *now} if before.get(path) != now.get(path)}
    return tuple(sorted({*differing, *filter(_is_instruction, paths)}))


def _is_instruction(path: str) -> bool:
    return path.endswith(_NAMES) or f"/{_RULES}/" in f"/{path}"


def _add(found: FileHashes, folder: Path) -> None:
    for name in _NAMES:
        found.add(folder / name)
    found.add_tree(folder / _RULES)


def _imported_by(path: Path) -> list[Path]:
    named = (match.replace("\\ ", " ").rstrip(".,;:)") for match in _IMPORT.findall(text_of(path)))
    files = (Path(os.path.normpath(path.parent / Path(name).expanduser())) for name in named)
    return [file for file in files if file.is_file()]
