"""From a result to what a person should do about it. Pure; decides from the result alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from task_queue.domain.attention import Attention, AttentionKind
from task_queue.domain.model import LandingState, OutcomeKind, Result
from task_queue.domain.task import TaskState

_MOST_CHARS = 200
_MOST_NAMED = 3
_MAY_HAVE_ACTED = frozenset({OutcomeKind.INTERRUPTED, OutcomeKind.CRASHED})
"""A task only ends with one of these, attempts left, where it could not be continued and is not repeated."""


def attention_of(result: Result) -> tuple[Attention, ...]:
    """The most urgent first; none where nothing is left to do. A cancelled task needs no person."""
    return (*_of_failure(result), *_of_work(result))


def _of_failure(result: Result) -> Iterator[Attention]:
    if result.state is not TaskState.FAILED or result.outcome is OutcomeKind.CANCELLED:
        return
    retry = f"task-queue tasks retry {shlex.quote(result.task_id)}"
    why = f"{result.outcome}: {_line(result.error)}{_failed_before(result)}"
    if result.dead_letter:
        yield Attention(AttentionKind.DEAD_LETTER, f"its attempts are used up ({why})", retry)
    elif result.outcome in _MAY_HAVE_ACTED:
        sentence = f"it was interrupted and cannot be continued, look at what it did ({why})"
        yield Attention(AttentionKind.REVIEW, sentence, retry)
    else:
        yield Attention(AttentionKind.FAILED, f"it failed ({why})", retry)


def _of_work(result: Result) -> Iterator[Attention]:
    product, show = result.product, f"task-queue tasks show {shlex.quote(result.task_id)}"
    if result.success and product.keep:
        why = _line(product.landed) if product.landed else f"its commits are only on {product.branch}"
        yield Attention(
            AttentionKind.NOT_LANDED,
            f"its work is not on the target branch: {why}",
            f"task-queue tasks land {shlex.quote(result.task_id)}"
            if is_waiting_to_land(result)
            else product.keep[0],
        )
    if product.uncommitted:
        place = shlex.quote(product.workspace or ".")
        sentence = f"files were left uncommitted: {_named(product.uncommitted)}"
        yield Attention(AttentionKind.UNCOMMITTED, sentence, f"git -C {place} status")
    first = product.see[0] if product.see else show
    if product.unwanted:
        sentence = f"the agent committed what no commit should hold: {_named(product.unwanted)}"
        yield Attention(AttentionKind.UNWANTED, sentence, first)
    if product.repository_changes:
        sentences = [change.sentence for change in product.repository_changes]
        sentence = f"in your repository, by the agent or by you: {_named(sentences, '; ')}"
        yield Attention(AttentionKind.REPOSITORY_CHANGED, sentence, product.repository_changes[0].command)
    if product.too_many:
        yield Attention(AttentionKind.MUCH_CHANGED, _line(product.too_many), first)
    changed = product.commits or product.file_count
    was_compared = product.base_commit or product.stat
    if result.success and was_compared and product.changes_expected and not changed:
        yield Attention(AttentionKind.NOTHING_CHANGED, "it succeeded, and changed nothing", show)
    if result.permission_denials:
        tools = list(dict.fromkeys(str(denial.get("tool_name")) for denial in result.permission_denials))
        yield Attention(AttentionKind.DENIED, f"the agent was denied: {_named(tools)}", show)
    if product.changed_judges:
        sentence = f"it changed files that judge the work: {_named(product.changed_judges)}"
        yield Attention(
            AttentionKind.CHANGED_JUDGES, sentence, product.see[0] if len(product.see) == 1 else show
        )


def _failed_before(result: Result) -> str:
    """Which checks failed on the commit that the task began on."""
    failed: Sequence[str] = (result.product.baseline or {}).get("failed", ())
    failed_now = result.outcome is OutcomeKind.VERIFY_FAILED
    return f"; failed already before it began: {_named(failed)}" if failed and failed_now else ""


def is_waiting_to_land(result: Result) -> bool:
    """Whether the task is done but for its branch, which is to be merged once what is in the way is gone."""
    return result.success and result.product.landing_state == LandingState.WAITING


def is_landed(result: Result) -> bool:
    """Whether the commits of the task are in the branch that they were meant for."""
    return result.product.landing_state == LandingState.LANDED


def is_undone(result: Result) -> bool:
    """Whether the commits of the task were taken back."""
    return result.product.landing_state == LandingState.UNDONE


def _named(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return _line(between.join(names[:_MOST_NAMED])) + more


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MOST_CHARS else line[: _MOST_CHARS - 1] + "…"
