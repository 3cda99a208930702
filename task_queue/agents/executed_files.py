"""The files of a project that can make an agent execute something, with their hashes.

They are looked for where the CLI looks (2.1.330): settings in the workspace; skills, agents and commands also in the
folders above it, up to the repository's root; skills also in those below it, where it finds them once it reads a file
beside them. Links are followed, as the CLI does.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from task_queue.domain.permission.called import (
    commands_in,
    commands_in_text,
    folders_in,
    programs_of,
    words_of,
)
from task_queue.domain.permission.consent import UNKNOWN
from task_queue.domain.permission.mcp_servers import command_of, environment_of_server, servers_in
from task_queue.domain.permission.project_env import environment_in
from task_queue.platform import durable

_MCP = ".mcp.json"
_FILES = (".claude/settings.json", ".claude/settings.local.json", _MCP)
# Agents, commands and skills name tools that they may use, and hooks; task-queue holds our own prompts.
_FOLDERS = ("hooks", "agents", "commands", "skills", "output-styles", "workflows", "plugins", "task-queue")
_OF_PARENTS = ("agents", "commands", "skills", "output-styles", "workflows")
_FILE_LIMIT = 16 * 2**20
_MOST_FILES = 5000
_DEEPEST = 16
_MOST_FOLDERS = 300_000
_OF_THE_SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib", "/etc/", "/opt/")
"""Folders whose programs are the owner's choice."""
_MOST_SHOWN = 60
_NOTHING = "nothing is there"


def hashes_of(workspace: Path, *, strict: bool = False) -> dict[str, str]:
    """By path from *workspace*: the hash of a file, or why it has none, which begins with ``UNKNOWN``.

    Also of the files that commands in the settings name. *strict*: a command that may execute others has no hash.
    """
    found = FileHashes(workspace)
    for name in _FILES:
        found.add(workspace / name)
    for folder, names in _folders(workspace):
        for name in names:
            found.add_tree(folder / ".claude" / name)
    for folder in found.folders_below():
        if folder.name == ".claude" and folder.parent != found.root:
            found.add_tree(folder / "skills")
    for settings in _FILES:
        content = _json(workspace / settings)
        for plugin in folders_in(content):
            if (workspace / plugin).is_dir():
                found.add_tree(workspace / plugin)
        if settings == _MCP:
            for server in servers_in(content).values():
                found.add_called(settings, filter(None, [command_of(server)]), strict=strict)
                found.add_named(settings, environment_of_server(server))
        else:
            found.add_called(settings, commands_in(content), strict=strict)
            found.add_named(settings, environment_in(content).values())
    for path in [path for path in found.hashes if path.endswith(".md")]:
        found.add_called(path, commands_in_text(text_of(workspace / path)), strict=strict)
    return found.hashes


class FileHashes:
    """Collects ``hashes``: by path from *workspace*, as ``hashes_of`` gives them."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self.root = Path(os.path.realpath(workspace))
        self.hashes: dict[str, str] = {}

    def add(self, path: Path) -> bool:
        """Whether *path* is there and was not added before."""
        name = os.path.relpath(path, self._workspace)
        is_new = name not in self.hashes and os.path.lexists(path)
        if is_new:
            self.hashes[name] = hash_of(path)
        return is_new

    def add_tree(self, folder: Path, above: tuple[tuple[int, int], ...] = ()) -> None:
        try:
            about = folder.stat()
            if not stat.S_ISDIR(about.st_mode):
                self.add(folder)
                return
            identity = (about.st_dev, about.st_ino)
            if identity in above:
                return  # a link to a folder that it is in
            if len(above) == _DEEPEST:
                self._give_up(folder, "it has too many folders in each other")
                return
            for path in sorted(folder.iterdir()):
                if len(self.hashes) > _MOST_FILES:
                    self._give_up(folder, f"there are more than {_MOST_FILES} files")
                    return
                self.add_tree(path, (*above, identity))
        except FileNotFoundError:
            self.add(folder)  # a link that leads nowhere
        except OSError as error:
            self._give_up(folder, error.strerror or str(error))

    def folders_below(self) -> Iterator[Path]:
        """Folders in the workspace, and in what its links lead to, but for those of git."""
        root = str(self.root)
        linked: set[str] = set()
        left = [root]
        looked_at = 0
        while left:
            looked_at += 1
            if looked_at > _MOST_FOLDERS:
                self._give_up(self._workspace, f"there are more than {_MOST_FOLDERS} folders in it")
                return
            folder = left.pop()
            for entry in _entries(folder):
                if entry.name == ".git":
                    continue
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if target in linked or Path(target).is_relative_to(root) or not Path(target).is_dir():
                        continue
                    linked.add(target)
                elif not entry.is_dir():
                    continue
                left.append(entry.path)
                yield Path(entry.path)

    def add_called(self, where: str, commands: Iterable[str], *, strict: bool) -> None:
        for command in commands:
            for word in words_of(command):
                path = self._workspace / word
                if path.is_file() and not str(path).startswith(_OF_THE_SYSTEM):
                    self.add(path)
            programs = programs_of(command) if strict else ()
            if programs is None or any(not (self._workspace / program).is_file() for program in programs):
                shown = command if len(command) <= _MOST_SHOWN else f"{command[:_MOST_SHOWN]}…"
                self.hashes[f"{where}: {shown}"] = (
                    f"{UNKNOWN}its words do not name every file that it executes"
                )

    def add_named(self, where: str, values: Iterable[str]) -> None:
        """Files that *values* of variables name, and the folders, as in a PATH of the project's."""
        for value in values:
            self.add_called(where, [value, *value.split(os.pathsep)], strict=False)
            for entry in filter(None, value.split(os.pathsep)):
                folder = self._workspace / entry
                if folder.is_dir() and Path(os.path.realpath(folder)).is_relative_to(self.root):
                    self.add_tree(folder)

    def _give_up(self, path: Path, why: str) -> None:
        self.hashes[os.path.relpath(path, self._workspace)] = f"{UNKNOWN}{why}"


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []  # nor can the CLI look into it


def _folders(workspace: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    yield workspace, _FOLDERS
    home = Path.home()
    inside = workspace
    while not os.path.lexists(inside / ".git") and inside.parent not in {inside, home}:
        inside = inside.parent
        yield inside, _OF_PARENTS


def hash_of(path: Path) -> str:
    """Of the content, through links: a settings file may well be one."""
    try:
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_FILE_LIMIT)
    except FileNotFoundError:
        return _NOTHING
    except OSError as error:
        return f"{UNKNOWN}{error.strerror or error}"
    if len(data) > _FILE_LIMIT:
        return f"{UNKNOWN}it is too large"
    return hashlib.sha256(data).hexdigest()


def _json(path: Path) -> object:
    with suppress(ValueError, RecursionError):
        return json.loads(text_of(path))
    return None


def text_of(path: Path) -> str:
    """Of a file, through links; empty where it cannot be read."""
    try:
        return durable.read_regular(Path(os.path.realpath(path)), limit=_FILE_LIMIT)[0].decode(
            errors="replace"
        )
    except OSError:
        return ""
