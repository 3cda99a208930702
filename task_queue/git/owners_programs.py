"""The programs and hooks that git may start in the owner's repository: what differs from them is overridden.

Implements ``program.Guard``. Reads what is configured now, and the hooks, and passes the earlier value with each call.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.programs import is_same, overriding, that_name_programs
from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git
from task_queue.platform import durable
from task_queue.platform.disk import starts_programs

WRAPPERS = "hooks"
"""Folder beside the records, for hooks that run although others were changed."""
_HOOKS_PATH = "hooks of"
_HOOK = "hook "
_NAMES = frozenset(
    {
        *(
            "applypatch-msg",
            "commit-msg",
            "fsmonitor-watchman",
            "post-applypatch",
            "post-checkout",
            "post-commit",
        ),
        *("post-index-change", "post-merge", "post-receive", "post-rewrite", "post-update", "pre-applypatch"),
        *("pre-auto-gc", "pre-commit", "pre-merge-commit", "pre-push", "pre-rebase", "pre-receive"),
        *("prepare-commit-msg", "push-to-checkout", "reference-transaction", "update"),
    }
)
_MOST_HOOK_FILES = 500
_HOOK_BYTES = 2**22
_WRAPPER = '#!/bin/sh\nexec {} "$@"\n'


@dataclass(frozen=True, slots=True)
class _Found:
    """What git needs in one working tree, and the state of the files that say so."""

    config: object = None
    origins: tuple[Path, ...] = ()
    overriding: tuple[tuple[str, str], ...] = ()
    hooks_at: Path = Path()
    hooks: object = None
    for_hooks: tuple[tuple[str, str], ...] = ()


class OwnersPrograms:
    """Implements ``program.Guard`` for one repository, in every working tree and scratch repository of it."""

    def __init__(self, owner: Git, record: Path, trusted: dict[str, list[str]]) -> None:
        self.owner = owner.unguarded()
        self.record = record
        """To be removed by an owner who accepts what is there."""
        self._trusted = trusted
        self._found: dict[object, _Found] = {}

    def settings(self, git: Git) -> tuple[tuple[str, str], ...]:
        context = (git.directory, git.git_dir, git.work_tree)
        found = self._found.get(context, _Found())
        config = (
            _identity(git.directory / ".git"),
            *_stamp((*found.origins, *_files_read(git), *_files_read(self.owner))),
        )
        if found.config != config:
            entries, origins = _entries(git)
            here = that_name_programs(entries)
            self._refuse_other_files(git, here)
            hooks_at = paths_of(self.owner).hooks
            found = _Found(config, origins, overriding(here, self._trusted), hooks_at)
        hooks = _stamp(_hook_files(found.hooks_at))
        if found.hooks != hooks:
            found = replace(found, hooks=hooks, for_hooks=self._for_hooks(found.hooks_at))
        self._found[context] = found
        return (*found.overriding, *found.for_hooks)

    def changed(self) -> tuple[str, ...]:
        """What differs in the owner's repository from what is trusted."""
        now = self.now()
        return tuple(
            key for key in dict.fromkeys((*now, *self._trusted)) if not is_same(key, now, self._trusted)
        )

    def now(self) -> dict[str, list[str]]:
        return programs_in(self.owner)

    def _refuse_other_files(self, git: Git, here: dict[str, list[str]]) -> None:
        at, own = git.directory, self.owner.directory
        is_owners = git.work_tree is None and ".git" not in at.parts
        if not is_owners or not (at.is_relative_to(own) or own.is_relative_to(at)):
            return
        if not is_same("core.worktree", here, self._trusted):
            raise GitError(
                f"{at}: core.worktree was changed while a task worked",
                hint=f"look at it, then: rm {self.record}",
            )
        if at.is_relative_to(own) and record_of(repository_of(git), self.record.parent) != self.record:
            raise GitError(
                f"{at}: another repository took the place of its own while a task worked",
                hint=f"look at {at / '.git'}, and put back what was there",
            )

    def _for_hooks(self, hooks_at: Path) -> tuple[tuple[str, str], ...]:
        """Nothing where they are as they were; else a folder with those that are."""
        now = _hooks_of(hooks_at)
        before = {
            key: values for key, values in self._trusted.items() if key.startswith((_HOOK, _HOOKS_PATH))
        }
        if now == before:
            return ()
        folder = Path(before[_HOOKS_PATH][0])
        there = now if hooks_at == folder else _hooks_of(folder)
        keys = {*there, *before} - {_HOOKS_PATH}
        same = [key.removeprefix(_HOOK) for key in before if _is_hook(key) and is_same(key, there, before)]
        if any(not _is_hook(key) and not is_same(key, there, before) for key in keys):
            same = []  # a hook may call it
        wrappers = self.record.parent / WRAPPERS / self.record.stem
        return (("core.hooksPath", str(_wrapped(wrappers, folder, same))),)


def programs_in(git: Git) -> dict[str, list[str]]:
    """What is configured now that names programs, and a digest of each hook. Raises GitError."""
    return {**that_name_programs(_entries(git)[0]), **_hooks_of(paths_of(git.unguarded()).hooks)}


def programs_elsewhere(git: Git) -> dict[str, list[str]]:
    """What the account and the machine name, and no hook: nothing of the repository. Raises GitError."""
    entries = _entries(git, but=("local", "worktree"))[0]
    return {**that_name_programs(entries), _HOOKS_PATH: [str(repository_of(git) / "hooks")]}


def _entries(git: Git, *, but: Collection[str] = ()) -> tuple[list[tuple[str, str]], tuple[Path, ...]]:
    """All that is configured, *but* in these scopes, and the files that say so."""
    fields = iter(
        git.unguarded().read("config", "--list", "--includes", "-z", "--show-scope", "--show-origin").fields
    )
    found: list[tuple[str, str]] = []
    origins: dict[Path, None] = {}
    for scope, origin, entry in zip(fields, fields, fields, strict=True):
        key, _, value = entry.partition("\n")
        if scope not in ("command", *but):
            found.append((key, value if "\n" in entry else "true"))
            origins[git.directory / origin.removeprefix("file:")] = None
    return found, tuple(origins)


def _files_read(git: Git) -> Iterable[Path]:
    """Where a configuration may appear."""
    home = git.environment.get("HOME")
    folders = [git.git_dir] if git.git_dir is not None else []
    yield Path("/etc/gitconfig")
    if home:
        yield Path(home) / ".gitconfig"
        yield Path(git.environment.get("XDG_CONFIG_HOME") or Path(home) / ".config") / "git/config"
    for folder in (*folders, git.directory / ".git"):
        yield folder / "config"
        yield folder / "config.worktree"
        yield folder / "commondir"
        yield folder / "HEAD"  # includes may depend on the branch


def _hook_files(folder: Path) -> list[Path]:
    """Hooks, and what they may call: beside them, and where husky has its own."""
    top = folder.parent if folder.name == "_" else folder
    found: list[Path] = []
    for directory, names, files in os.walk(top):
        names.sort()
        found += [Path(directory, name) for name in sorted(files) if not name.endswith(".sample")]
        if len(found) >= _MOST_HOOK_FILES:
            break
    return found[:_MOST_HOOK_FILES]


def _hooks_of(folder: Path) -> dict[str, list[str]]:
    found = {_HOOKS_PATH: [str(folder)]}
    for path in _hook_files(folder):
        with suppress(OSError):
            mode = path.stat().st_mode
            if stat.S_ISREG(mode):
                with path.open("rb") as file:
                    digest = hashlib.sha256(file.read(_HOOK_BYTES)).hexdigest()
                found[_HOOK + os.path.relpath(path, folder)] = [f"{mode & 0o111:o} {digest}"]
    return found


def _is_hook(key: str) -> bool:
    """Whether git starts it by itself; anything else may be what a hook calls."""
    return key.startswith(_HOOK) and key.removeprefix(_HOOK) in _NAMES


def _wrapped(place: Path, folder: Path, names: Iterable[str]) -> Path:
    """A folder in which only the hooks with *names* are, each of which starts the one in *folder*."""
    texts = {name: _WRAPPER.format(_quoted(folder / name)) for name in names}
    key = hashlib.sha256(repr(sorted(texts.items())).encode()).hexdigest()[:16]
    made = place / key
    try:
        durable.make_directory(made)
        for name, text in texts.items():
            if not (made / name).exists():
                durable.replace(made / name, text.encode())
                (made / name).chmod(0o700)
    except OSError as error:
        raise GitError(f"{made}: {error.strerror}", hint="make room, or the state folder writable") from error
    if texts and not starts_programs(made):  # git would leave the owner's hooks out, without an error
        raise GitError(
            f"{made} is on a disk that is mounted noexec, so that the repository's hooks could not run",
            hint="let XDG_STATE_HOME name a folder from which programs can be started",
        )
    return made


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def _stamp(paths: Iterable[Path]) -> tuple[object, ...]:
    found: list[object] = []
    for path in dict.fromkeys(paths):
        try:
            about = path.stat()
            found.append(
                (path, about.st_mtime_ns, about.st_ctime_ns, about.st_size, about.st_ino, about.st_mode)
            )
        except OSError:
            found.append((path, None))
    return tuple(found)


def repository_of(git: Git) -> Path:
    """Where its refs and configuration are, links followed. Raises GitError."""
    return Path(os.path.realpath(paths_of(git.unguarded()).common_dir))


def record_of(repository: Path, folder: Path) -> Path:
    """The file in *folder* with what is remembered of *repository*."""
    return folder / f"{key_of_path(repository)}.json"


def key_of_path(path: Path) -> str:
    """A name for *path*, the same through whichever link."""
    return hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Changes where something else takes the place of *path*, and not with what is in it."""
    try:
        about = path.lstat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mode
