"""What differs in the owner's repository after an agent ran beside it, and which of that needs a person. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

_MOST_NAMED = 10
_OF_THE_QUEUE = ("refs/task-queue/", "refs/heads/task-queue/")
_COPIES = "refs/remotes/"
"""What another repository has. Every fetch may rewind or prune them, so they need no person."""


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref went from one commit to another."""

    ref: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RepositoryState:
    """A repository and its main checkout at one moment. Values of settings and hooks are hashes."""

    refs: dict[str, str] = field(default_factory=dict[str, str])
    """Each ref but those of the queue and the stash: the object that it names."""
    head: str = ""
    """The branch that is checked out; the commit where HEAD is detached."""
    settings: dict[str, str] = field(default_factory=dict[str, str])
    """Each key of the configuration, with its scope in parentheses unless that is the repository's own."""
    stash: tuple[str, ...] = ()
    hooks: dict[str, str] = field(default_factory=dict[str, str])
    uncommitted: dict[str, str] = field(default_factory=dict[str, str])
    """The path of each uncommitted file: what is staged and what is not, as git-status(1) has it."""
    exclusions: dict[str, str] | None = None
    """Each file outside of the working tree that hides files from git; None in the record of an earlier release."""


@dataclass(frozen=True, slots=True)
class RepositoryChange:
    """One difference."""

    sentence: str
    """Foreign text may be in it."""
    command: str = ""
    """What takes it back or shows it; empty where no person is needed."""

    @property
    def is_urgent(self) -> bool:
        return bool(self.command)


def is_of_the_queue(ref: str) -> bool:
    return ref.startswith(_OF_THE_QUEUE)


def moved_refs(
    before: RepositoryState, after: RepositoryState, landings: Sequence[RefMove]
) -> tuple[RefMove, ...]:
    """Refs that name another object now, without those that only the queue's *landings* moved."""
    moves = (
        RefMove(ref, old, after.refs[ref])
        for ref, old in before.refs.items()
        if ref in after.refs and after.refs[ref] != old
    )
    return tuple(move for move in moves if not _landed(move, landings))


def changes_of(
    before: RepositoryState,
    after: RepositoryState,
    *,
    moves: Sequence[RefMove],
    back: Collection[str],
    root: str,
    hooks: str,
    work_in_place: bool,
) -> tuple[RepositoryChange, ...]:
    """The urgent ones first.

    *moves* are those of ``moved_refs``, *back* names the refs whose present object does not descend from
    the earlier one. *work_in_place*: the agent was to work in the main checkout, whose files and branch are its work.
    """
    git = f"git -C {shlex.quote(root)}"
    return (
        *_refs_lost(before, after, moves, back, git),
        *_of_settings(before, after, git, hooks),
        *_meanwhile(before, after, moves, back, work_in_place=work_in_place),
    )


def sentences(changes: Sequence[RepositoryChange], root: str) -> tuple[str, ...]:
    """For notes, and for the auditor."""
    others = [change.sentence for change in changes if not change.is_urgent]
    return (
        *(f"in {root}, {change.sentence}" for change in changes if change.is_urgent),
        *([f"changed meanwhile in {root}, by the agent or by you: {'; '.join(others)}"] if others else []),
    )


def _landed(move: RefMove, landings: Sequence[RefMove]) -> bool:
    """Whether steps of the queue lead all the way, forth or back."""
    reached, found = {move.old}, True
    while found:
        news = {step.new for step in landings if step.ref == move.ref and step.old in reached}
        found = not news <= reached
        reached |= news
    return move.new in reached


def _refs_lost(
    before: RepositoryState,
    after: RepositoryState,
    moves: Sequence[RefMove],
    back: Collection[str],
    git: str,
) -> Iterator[RepositoryChange]:
    for move in moves:
        if move.ref in back and not move.ref.startswith(_COPIES):
            yield RepositoryChange(
                f"{move.ref} is no longer at or after {move.old[:12]}, it is at {move.new[:12]}",
                f"{git} update-ref {shlex.quote(move.ref)} {move.old} {move.new}",
            )
    for ref, old in before.refs.items():
        if ref not in after.refs and not ref.startswith(_COPIES):
            yield RepositoryChange(
                f"{ref}, which was at {old[:12]}, is gone", f"{git} update-ref {shlex.quote(ref)} {old} ''"
            )


def _of_settings(
    before: RepositoryState, after: RepositoryState, git: str, hooks: str
) -> Iterator[RepositoryChange]:
    if settings := _differing(before.settings, after.settings):
        yield RepositoryChange(
            f"the configuration of git was changed: {_named(settings)}", f"{git} config --show-origin --list"
        )
    if names := _differing(before.hooks, after.hooks):
        yield RepositoryChange(f"hooks were changed: {_named(names)}", f"ls -l {shlex.quote(hooks)}")
    if before.exclusions is not None and (
        names := _differing(before.exclusions, after.exclusions or dict[str, str]())
    ):
        yield RepositoryChange(
            f"what hides files from git was changed, so that the diff may lack some: {_named(names)}",
            f"{git} status --ignored",
        )
    if before.stash != after.stash:
        yield RepositoryChange("the stash was changed", f"{git} stash list")


def _meanwhile(
    before: RepositoryState,
    after: RepositoryState,
    moves: Sequence[RefMove],
    back: Collection[str],
    *,
    work_in_place: bool,
) -> Iterator[RepositoryChange]:
    own = f"refs/heads/{before.head}" if work_in_place else None
    for move in moves:
        if move.ref != own and (move.ref not in back or move.ref.startswith(_COPIES)):
            yield RepositoryChange(f"{move.ref} went from {move.old[:12]} to {move.new[:12]}")
    if gone := [ref for ref in before.refs if ref not in after.refs and ref.startswith(_COPIES)]:
        yield RepositoryChange(f"refs are gone: {_named(gone)}")
    if new := [ref for ref in after.refs if ref not in before.refs and ref != own]:
        yield RepositoryChange(f"refs are new: {_named(new)}")
    was_on_branch = f"refs/heads/{before.head}" in before.refs
    if before.head != after.head and (was_on_branch or not work_in_place):
        yield RepositoryChange(f"HEAD is at {after.head}, it was at {before.head}")
    if not work_in_place and (files := _differing(before.uncommitted, after.uncommitted)):
        yield RepositoryChange(f"uncommitted files: {_named(files)}")


def _differing(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more
