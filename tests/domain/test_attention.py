"""What of a result needs a person, and by which command it is settled."""

from __future__ import annotations

import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from task_queue.domain.attempt.needs import attention_of
from task_queue.domain.attention import Attention, AttentionKind
from task_queue.domain.model import OutcomeKind, Result, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.repository_changes import RepositoryChange
from task_queue.platform.records import decode, encode

AT = datetime(2026, 2, 7, 12, tzinfo=UTC)
RETRY = "task-queue tasks retry task-a"
SHOW = "task-queue tasks show task-a"


def a_result(outcome: OutcomeKind = OutcomeKind.SUCCEEDED, *, error: str = "", **others: Any) -> Result:
    """*others* are fields of the result, or of its product."""
    of_result = {key: others.pop(key) for key in ("dead_letter", "permission_denials") if key in others}
    success = outcome is OutcomeKind.SUCCEEDED
    return Result(
        success=success,
        output="",
        error=error,
        task_id=TaskId("task-a"),
        started_at=AT,
        completed_at=AT + timedelta(seconds=1),
        duration_ms=1000,
        duration_api_ms=0,
        total_cost_usd=None,
        usage={},
        session_id=None,
        num_turns=1,
        state=TaskState.COMPLETED if success else TaskState.FAILED,
        outcome=outcome,
        evidence=(),
        attempts=(),
        source="ad-hoc",
        worker="ad-hoc",
        product=WorkProduct("/w s", **others),
        **of_result,
    )


LANDED: dict[str, Any] = {
    "base_commit": "a" * 40,
    "commits": ("b" * 40,),
    "file_count": 1,
    "landed": "task-a is in main (fast-forward)",
    "see": ("git -C /w show bbb",),
}
MERGE = "git -C /w merge task-a"


@pytest.mark.parametrize(
    ("result", "kind", "sentence", "command"),
    [
        (
            a_result(OutcomeKind.VERIFY_FAILED, error="1 round\nfailed"),
            AttentionKind.FAILED,
            "it failed (verify_failed: 1 round failed)",
            RETRY,
        ),
        (
            a_result(OutcomeKind.FAILED, error="exit code 1", dead_letter=True),
            AttentionKind.DEAD_LETTER,
            "its attempts are used up (failed: exit code 1)",
            RETRY,
        ),
        (
            a_result(OutcomeKind.INTERRUPTED, error="stopped"),
            AttentionKind.REVIEW,
            "it was interrupted and cannot be continued, look at what it did (interrupted: stopped)",
            RETRY,
        ),
        (
            a_result(OutcomeKind.CRASHED, error="died"),
            AttentionKind.REVIEW,
            "it was interrupted and cannot be continued, look at what it did (crashed: died)",
            RETRY,
        ),
        (
            a_result(**LANDED | {"landed": "task-a was not merged: it conflicts", "keep": (MERGE,)}),
            AttentionKind.NOT_LANDED,
            "its work is not on the target branch: task-a was not merged: it conflicts",
            MERGE,
        ),
        (
            a_result(**LANDED | {"landed": None, "branch": "task-a", "keep": (MERGE,)}),
            AttentionKind.NOT_LANDED,
            "its work is not on the target branch: its commits are only on task-a",
            MERGE,
        ),
        (
            a_result(**LANDED, uncommitted=("a", "b", "c", "d", "e")),
            AttentionKind.UNCOMMITTED,
            "files were left uncommitted: a, b, c and 2 more",
            "git -C '/w s' status",
        ),
        (
            a_result(**LANDED, unwanted=(".env (git.never_commit names it)",)),
            AttentionKind.UNWANTED,
            "the agent committed what no commit should hold: .env (git.never_commit names it)",
            "git -C /w show bbb",
        ),
        (
            a_result(
                **LANDED,
                repository_changes=(RepositoryChange("x is gone", "git x"), RepositoryChange("y", "git y")),
            ),
            AttentionKind.REPOSITORY_CHANGED,
            "in your repository, by the agent or by you: x is gone; y",
            "git x",
        ),
        (
            a_result(**LANDED, too_many="it adds 150 files, more than git.max_new_files (100)"),
            AttentionKind.MUCH_CHANGED,
            "it adds 150 files, more than git.max_new_files (100)",
            "git -C /w show bbb",
        ),
        (
            a_result(base_commit="a" * 40),
            AttentionKind.NOTHING_CHANGED,
            "it succeeded, and changed nothing",
            SHOW,
        ),
        (
            a_result(permission_denials=({"tool_name": "Bash"}, {"tool_name": "Bash"})),
            AttentionKind.DENIED,
            "the agent was denied: Bash",
            SHOW,
        ),
        (
            a_result(**LANDED, changed_judges=("tests/test_a.py (changed)",)),
            AttentionKind.CHANGED_JUDGES,
            "it changed files that judge the work: tests/test_a.py (changed)",
            "git -C /w show bbb",
        ),
    ],
)
def test_each_kind_has_a_sentence_and_a_command(
    result: Result, kind: AttentionKind, sentence: str, command: str
) -> None:
    """Exactly one thing is wrong with each of these."""
    assert attention_of(result) == (Attention(kind, sentence, command),)


@pytest.mark.parametrize(
    "result",
    [
        a_result(),
        a_result(**LANDED),
        a_result(base_commit="a" * 40, file_count=2),
        a_result(base_commit="a" * 40, changes_expected=False),
        a_result(OutcomeKind.CANCELLED, error="cancelled"),
    ],
    ids=["a command", "landed", "changed and not to be committed", "a question", "a person cancelled it"],
)
def test_nothing_is_left_to_do(result: Result) -> None:
    """Where a person has nothing to decide."""
    assert attention_of(result) == ()


def test_a_command_can_be_given_to_a_shell() -> None:
    """Whatever the document was called."""
    task_id = TaskId("task-a b'; touch x")
    failed = replace(a_result(OutcomeKind.FAILED, error="x"), task_id=task_id)
    denied = replace(a_result(permission_denials=({"tool_name": "Bash"},)), task_id=task_id)

    commands = [need.command for result in (failed, denied) for need in attention_of(result)]
    assert [shlex.split(command) for command in commands] == [
        ["task-queue", "tasks", "retry", task_id],
        ["task-queue", "tasks", "show", task_id],
    ]


def test_checks_that_failed_before_the_task_began_are_named() -> None:
    """Where they are why it failed; a task that mended them has no such sentence."""
    baseline = {"commit": "abc", "target": "main", "failed": ["pytest (failed with exit code 1)"]}
    result = a_result(OutcomeKind.VERIFY_FAILED, error="it failed", baseline=baseline)

    (attention,) = attention_of(result)
    assert attention.sentence.endswith("; failed already before it began: pytest (failed with exit code 1))")
    assert attention_of(a_result(**LANDED, baseline=baseline)) == ()


def test_a_long_error_stays_one_short_line() -> None:
    """It is read in a list."""
    (need,) = attention_of(a_result(OutcomeKind.FAILED, error="x\n" * 1000))

    assert "\n" not in need.sentence
    assert len(need.sentence) < 250


def test_it_is_kept_in_the_result_and_a_file_without_it_has_none() -> None:
    """Results of earlier releases need nobody."""
    result = a_result(OutcomeKind.FAILED, error="no")
    kept = replace(result, attention=attention_of(result))

    assert decode(Result, encode(kept)) == kept
    older = encode(kept).replace(b'"attention"', b'"something"')
    assert b'"something"' in older
    assert decode(Result, older) == result
