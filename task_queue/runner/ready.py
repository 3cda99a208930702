"""Makes checkouts ready without running the same set-up commands again.

What they made is kept once, from a commit of the owner's branch in a checkout in which nothing else ever ran, and
copied from there. So neither an agent nor the project's tests ever write what verification, or another task, starts
with.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.secrets import without_secrets
from task_queue.domain.work.kept_set_up import KeptPart, TrackedFiles, kept_part, programs_of
from task_queue.domain.work.verification import Check
from task_queue.git.kept_set_ups import KeptSetUp, KeptSetUps, UnusableError
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, is_ancestor
from task_queue.git.scratch_checkout import fixed_place, scratch_checkout
from task_queue.git.worktree_include import include_ignored, wanted_files
from task_queue.ports.executor import Order
from task_queue.runner.checkout import Checkout

_KEY_VERSION = "1"
_SMALL_BYTES = 2**20
_VARIES = ("TASK_QUEUE_", "CLAUDE", "ANTHROPIC_", "TERM", "TMPDIR", "PWD", "SHLVL", "COLUMNS", "LINES")
"""Variables that differ from attempt to attempt, and decide nothing of what is installed."""
_PASSED_OVER = frozenset({".git", "__pycache__"})


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """Where commands run."""

    root: Path
    """Of the checkout; the workspace itself for a task in place."""
    directory: Path
    """The folder that the workspace is there."""
    is_owners: bool = False
    """No agent wrote what is in it."""


RunSetUp = Callable[[Sequence[str], CommandPlace], tuple[Check, ...]]
SetUpNote = Callable[[str], None]


class SetUpFailedError(Exception):
    """A set-up command failed on the owner's own files."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        super().__init__()
        self.checks = checks


def set_up_of(checkout: Checkout) -> tuple[str, ...]:
    """What makes a fresh tree ready; the workspace itself is its owner's to set up."""
    return checkout.order.git.setup if checkout.branch else ()


@dataclass(frozen=True, slots=True)
class Readiness:
    """Of the checkouts of one attempt."""

    checkout: Checkout
    run: RunSetUp
    say: SetUpNote
    """Gets what a person may want to know of it."""

    def commands_left(self, commit: str, root: Path) -> tuple[str, ...]:
        """Those that have to run in the task's new checkout *root* of *commit*, once it got what was kept.

        Raises SetUpFailedError, GitError.
        """
        part, key = self._kept_part(commit)
        if part is None or self._store is None:
            return set_up_of(self.checkout)
        kept = self._store.find(key)
        if kept is None:
            with fixed_place(self.checkout.order.git.worktrees) as place:
                kept = self._prepared(part, key, place)
        if kept is None or kept.stays or not self._given(kept, root):
            return set_up_of(self.checkout)
        return part.rest

    def with_owners_files(self, commit: str, root: Path) -> tuple[str, ...]:
        """The same, once *root* has the owner's ignored files, too. Raises SetUpFailedError, GitError."""
        include_ignored(_owner(self.checkout), root, there=None, closed=self.checkout.order.queue_dirs)
        return self.commands_left(commit, root)

    @contextmanager
    def for_verification(self, commit: str) -> Generator[tuple[CommandPlace, tuple[str, ...]], None, None]:
        """A checkout of *commit* that goes afterwards, and the set-up commands to run in it. Raises GitError."""
        part, key = self._kept_part(commit)
        if part is None or self._store is None:
            with self._scratch(commit, self.checkout.beside("verify")) as place:
                yield place, set_up_of(self.checkout)
            return
        with fixed_place(self.checkout.order.git.worktrees) as directory:
            kept = self._store.find(key, directory)
            if kept is None:
                try:
                    kept = self._prepared(part, key, directory)
                except SetUpFailedError:  # what the task made may be what mends it
                    kept = None
            with self._scratch(commit, directory) as place:
                is_given = kept is not None and self._given(kept, place.root)
                yield place, part.rest if is_given else set_up_of(self.checkout)

    @property
    def _store(self) -> KeptSetUps | None:
        folder = self.checkout.order.git.set_ups
        return None if folder is None else KeptSetUps(folder)

    @contextmanager
    def _scratch(self, commit: str, directory: Path) -> Generator[CommandPlace, None, None]:
        owner = _owner(self.checkout)
        with scratch_checkout(owner, commit, directory=directory) as root:
            include_ignored(owner, root, there=None, closed=self.checkout.order.queue_dirs)
            yield CommandPlace(root, root / _below(self.checkout))

    def _given(self, kept: KeptSetUp, root: Path) -> bool:
        assert self._store is not None
        try:
            self._store.give(kept, root)
        except UnusableError as error:
            if not kept.refused:
                self.say(f"set-up was run again: {error}")
            return False
        return True

    def _kept_part(self, commit: str) -> tuple[KeptPart | None, str]:
        """What may be kept of the set-up of *commit*, and a name for what decides what it makes."""
        order = self.checkout.order
        commands = set_up_of(self.checkout)
        if not commands or order.git.set_ups is None or self.checkout.owner is None:
            return None, ""
        owner = _owner(self.checkout)
        files = _tracked_files(owner, commit, below=_below(self.checkout))
        part = kept_part(commands, files, reads=order.git.set_up_reads)
        if part is None:
            return None, ""
        decides = [
            *(_KEY_VERSION, str(owner.directory), files.below, *part.commands, *part.facts),
            *_environment(order),
            *_programs(part.commands, order.env_of_checks.get("PATH", "")),
            *(f"{path} {state}" for path, state in _included(owner).items()),
        ]
        return part, hashlib.sha256(json.dumps(decides).encode()).hexdigest()

    def _prepared(self, part: KeptPart, key: str, place: Path) -> KeptSetUp | None:
        """Run the commands on a commit of the target branch that has the same *key*, and keep what they make.

        None where there is no such commit: what an agent wrote would run before what it makes is kept.
        Raises SetUpFailedError, GitError.
        """
        commit = self._owners_commit(key)
        if commit is None or self._store is None:
            return None
        owner = _owner(self.checkout)
        with self._scratch(commit, place) as made_in:
            tracked = owner.read("ls-tree", "-r", "-z", "--name-only", "--full-tree", commit).fields
            before = {path: _state(made_in.root / path) for path in tracked}
            checks = self.run(part.commands, CommandPlace(made_in.root, made_in.directory, is_owners=True))
            if not all(check.passed for check in checks):
                raise SetUpFailedError(checks)
            changed = next((path for path, was in before.items() if _state(made_in.root / path) != was), None)
            kept = KeptSetUp(
                key=key,
                place=place,
                repository=owner.directory,
                commit=commit,
                commands=part.commands,
                made_at=datetime.now(UTC),
                paths=tuple(_new_paths(made_in.root, {*tracked, *_included(owner)})),
                seal="",
                count=0,
                size_bytes=0,
            )
            keep = self.checkout.order.git.keep
            try:
                if changed is not None:
                    return self._store.refuse(kept, f"set-up changes {changed}")
                kept = self._store.keep(kept, most_bytes=keep.size_bytes)
                self._store.prune(period=keep.period, size_bytes=keep.size_bytes, now=datetime.now(UTC))
            except OSError as error:
                self.say(f"what set-up made could not be kept: {error}")
                return None
            return kept

    def _owners_commit(self, key: str) -> str | None:
        """A commit of the target branch on which set-up makes what *key* names."""
        checkout, owner = self.checkout, _owner(self.checkout)
        target = commit_of(owner, f"refs/heads/{checkout.target}") if checkout.target else None
        base = checkout.checkpoint.base if checkout.checkpoint is not None else checkout.began_at
        for commit in dict.fromkeys(filter(None, (base, target))):
            is_on_target = target is not None and is_ancestor(owner, commit, of=target)
            if is_on_target and self._kept_part(commit)[1] == key:
                return commit
        return None


def _owner(checkout: Checkout) -> Git:
    assert checkout.owner is not None
    return checkout.owner


def _below(checkout: Checkout) -> str:
    assert checkout.repository is not None
    found = checkout.directory.relative_to(checkout.repository.root).as_posix()
    return "" if found == "." else found


def _tracked_files(owner: Git, commit: str, *, below: str) -> TrackedFiles:
    hashes: dict[str, str] = {}
    for line in owner.read("ls-tree", "-r", "-z", "--full-tree", commit).fields:
        about, _, path = line.partition("\t")
        mode, _, oid = about.split(" ")
        hashes[path] = f"{mode} {oid}"

    def text(path: str) -> str:
        if not hashes.get(path, "").startswith("100"):
            return ""  # a link, or nothing
        answer = owner.ask("cat-file", "blob", hashes[path].partition(" ")[2], limit=_SMALL_BYTES)
        return "" if answer.cut else answer.out.decode(errors="replace")

    return TrackedFiles(hashes, text, below)


def _environment(order: Order) -> list[str]:
    plain = without_secrets(order.env_of_checks, order.secret_names)
    return sorted(f"{name}={value}" for name, value in plain.items() if not name.startswith(_VARIES))


def _programs(commands: Sequence[str], path: str) -> list[str]:
    found: list[str] = []
    for name in programs_of(commands):
        program = os.path.realpath(shutil.which(name, path=path) or name)
        found.append(f"{name} {program} {_state(Path(program))}")
    return found


def _included(owner: Git) -> dict[str, str]:
    """The owner's ignored files that come into each checkout, and their state."""
    try:
        return {path: _state(owner.directory / path) for path in wanted_files(owner)}
    except OSError:
        return {}  # then none of them comes along


def _state(path: Path) -> str:
    """Differs once the file was written or replaced; empty where there is none."""
    try:
        about = path.lstat()
    except OSError:
        return ""
    return f"{about.st_mode} {about.st_size} {about.st_mtime_ns} {about.st_ino}"


def _new_paths(root: Path, tracked: Iterable[str]) -> Generator[str, None, None]:
    """What is in *root* besides the files *tracked*: a whole folder where none of them is in it."""
    files = set(tracked)
    folders = {parent.as_posix() for path in files for parent in Path(path).parents} | {"."}

    def below(folder: str) -> Generator[str, None, None]:
        with os.scandir(root / folder) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            path = name if folder == "." else f"{folder}/{name}"
            if name in _PASSED_OVER or path in files:
                continue
            if path in folders:
                yield from below(path)
            else:
                yield path

    yield from below(".")
