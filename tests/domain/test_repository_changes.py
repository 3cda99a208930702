"""Which differences in the owner's repository need a person, and which the queue made itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from task_queue.domain.work.commits import CommitFacts, doubts_about
from task_queue.domain.work.repository_changes import (
    RefMove,
    RepositoryChange,
    RepositoryState,
    changes_of,
    moved_refs,
    sentences,
)

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
MAIN = "refs/heads/main"
BEFORE = RepositoryState(
    refs={MAIN: A, "refs/tags/v1": A, "refs/remotes/origin/main": A},
    head="main",
    settings={"user.name": "1"},
    stash=(A,),
    hooks={"pre-commit": "1"},
    uncommitted={"mine.txt": "changed"},
    exclusions={"/o/.git/info/exclude": "1"},
)


def found(
    after: RepositoryState,
    *,
    back: tuple[str, ...] = (),
    in_place: bool = False,
    landings: tuple[RefMove, ...] = (),
) -> tuple[RepositoryChange, ...]:
    moves = moved_refs(BEFORE, after, landings)
    return changes_of(
        BEFORE, after, moves=moves, back=back, root="/o", hooks="/o/.git/hooks", work_in_place=in_place
    )


def at(**refs: str) -> RepositoryState:
    return replace(BEFORE, refs={**BEFORE.refs, MAIN: refs["main"]})


def test_nothing_differs() -> None:
    assert found(BEFORE) == ()
    assert sentences((), "/o") == ()


@pytest.mark.parametrize(
    ("after", "sentence", "command"),
    [
        (
            replace(BEFORE, refs={key: A for key in BEFORE.refs if key != "refs/tags/v1"}),
            "refs/tags/v1, which was at aaaaaaaaaaaa, is gone",
            f"git -C /o update-ref refs/tags/v1 {A} ''",
        ),
        (
            replace(BEFORE, settings={"user.name": "2", "core.bare": "1"}),
            "the configuration of git was changed: core.bare, user.name",
            "git -C /o config --show-origin --list",
        ),
        (replace(BEFORE, settings={}), "the configuration of git was changed: user.name", None),
        (replace(BEFORE, hooks={}), "hooks were changed: pre-commit", "ls -l /o/.git/hooks"),
        (replace(BEFORE, stash=(B, A)), "the stash was changed", "git -C /o stash list"),
        (replace(BEFORE, stash=()), "the stash was changed", "git -C /o stash list"),
        (
            replace(BEFORE, exclusions={"/o/.git/info/exclude": "2"}),
            "what hides files from git was changed, so that the diff may lack some: /o/.git/info/exclude",
            "git -C /o status --ignored",
        ),
    ],
)
@pytest.mark.parametrize("in_place", [False, True])
def test_what_needs_a_person(
    after: RepositoryState, sentence: str, command: str | None, in_place: bool
) -> None:
    (change,) = found(after, in_place=in_place)

    assert (change.sentence, change.is_urgent) == (sentence, True)
    assert command in (None, change.command)
    assert sentences((change,), "/o") == (f"in /o, {sentence}",)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_ref_that_went_back(in_place: bool) -> None:
    (change,) = found(at(main=B), back=(MAIN,), in_place=in_place)

    assert change.sentence == "refs/heads/main is no longer at or after aaaaaaaaaaaa, it is at bbbbbbbbbbbb"
    assert change.command == f"git -C /o update-ref refs/heads/main {A} {B}"


@pytest.mark.parametrize(
    ("after", "sentence"),
    [
        (at(main=B), "refs/heads/main went from aaaaaaaaaaaa to bbbbbbbbbbbb"),
        (replace(BEFORE, head="other"), "HEAD is at other, it was at main"),
        (replace(BEFORE, refs={**BEFORE.refs, "refs/tags/v2": A}), "refs are new: refs/tags/v2"),
        (replace(BEFORE, uncommitted={"b": "x", "mine.txt": "changed"}), "uncommitted files: b"),
        (replace(BEFORE, uncommitted={}), "uncommitted files: mine.txt"),
        (
            replace(BEFORE, refs={MAIN: A, "refs/tags/v1": A}),
            "refs are gone: refs/remotes/origin/main",
        ),
    ],
)
def test_what_is_named_and_needs_no_person(after: RepositoryState, sentence: str) -> None:
    (change,) = found(after)

    assert (change.sentence, change.is_urgent) == (sentence, False)
    assert sentences((change,), "/o") == (f"changed meanwhile in /o, by the agent or by you: {sentence}",)


def test_a_copy_of_another_repository_may_go_back() -> None:
    ref = "refs/remotes/origin/main"
    (change,) = found(replace(BEFORE, refs={**BEFORE.refs, ref: B}), back=(ref,))

    assert not change.is_urgent


def test_in_place_files_and_the_branch_are_the_work() -> None:
    assert found(replace(at(main=B), uncommitted={"new": "x"}), in_place=True) == ()


@pytest.mark.parametrize(
    ("landings", "is_named"),
    [
        ((RefMove(MAIN, A, B), RefMove(MAIN, B, C)), False),
        ((RefMove(MAIN, A, B), RefMove(MAIN, B, C), RefMove(MAIN, C, D)), False),  # announced, and not taken
        ((RefMove(MAIN, B, C),), True),  # from A to B is another's
        ((RefMove(MAIN, A, B),), True),
        ((RefMove("refs/heads/x", A, C),), True),
        ((RefMove(MAIN, C, C),), True),
        ((RefMove(MAIN, B, C), RefMove(MAIN, C, B)), True),
    ],
)
def test_landings_of_the_queue_are_left_out(landings: tuple[RefMove, ...], is_named: bool) -> None:
    """Only where they lead all the way from one commit to the other."""
    assert bool(found(at(main=C), landings=landings)) == is_named


def test_doubts_about_commits() -> None:
    name, forged = "Person <p@example.org>", "Forged <f@example.org>"
    clean = CommitFacts(A, name, name, "Subject\n\nTask-Id in the text\n")
    odd = CommitFacts(B, forged, name, "Subject\n\nTask-Id: task-b\n")

    assert doubts_about([clean], {name}) == ()
    assert doubts_about([clean, odd], {name}) == (
        f"the agent's commit {B[:12]} has another author than configured: {forged}",
        f"the agent's commit {B[:12]} carries what only the queue writes: Task-Id: task-b",
    )
