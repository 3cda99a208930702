"""What ended: the line of one task, and the last few of a source."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypedDict, cast

from task_queue.app.answers import EndingView, ListedSource, TaskLine
from task_queue.app.documents import title_of
from task_queue.app.files import Record, number_in, record, text_in, texts_in, time_in
from task_queue.domain.actions import available_actions
from task_queue.domain.document import naming
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.git.merged_branches import MergedBranches

_LOOK_AT = 10_000
"""Of more documents in one folder it is not asked when each was moved there: then names decide."""


def last_ended(
    listed: ListedSource,
    limit: int,
    states: Iterable[TaskState] = ENDED,
    *,
    wanted: Callable[[TaskLine], bool] | None = None,
) -> tuple[list[TaskLine], bool]:
    """The *limit* tasks of the source in *states* that ended last, the newest first; and whether there are more.

    With *wanted* only such tasks, for which the result of one after another is read.
    """
    landings = MergedBranches()
    moved = [found for state in states for found in _moved(listed, state)]
    if wanted is None:
        newest = heapq.nlargest(limit, moved)
        lines = [ended_line(listed, state, naming.task_id_of(name), landings) for _, name, state in newest]
        return lines, len(moved) > limit
    all_lines = (
        ended_line(listed, state, naming.task_id_of(name), landings)
        for _, name, state in sorted(moved, reverse=True)
    )
    lines = list(islice(filter(wanted, all_lines), limit + 1))
    return lines[:limit], len(lines) > limit


def _moved(listed: ListedSource, state: TaskState) -> Iterator[tuple[float, str, TaskState]]:
    """When each document got its place (a move changes ctime), its name, and *state*."""
    with contextlib.suppress(OSError), os.scandir(listed.folders.ended(state)) as entries:
        documents = [entry for entry in entries if naming.why_not_a_task(entry.name) is None]
        for entry in documents:
            moved_at = 0.0
            if len(documents) <= _LOOK_AT:
                with contextlib.suppress(OSError):
                    moved_at = entry.stat(follow_symlinks=False).st_ctime
            yield moved_at, entry.name, state


def ended_line(listed: ListedSource, state: TaskState, task_id: TaskId, landings: MergedBranches) -> TaskLine:
    title = title_of(listed.folders.ended(state) / naming.document_of(task_id))
    result = record(listed.folders.result(task_id))
    if result is None or isinstance(result, str):
        note = "no result" if result is None else f"its result {result}"
        return TaskLine(task_id, listed.id, state, title, note)
    ending = ending_in(result)
    line = TaskLine(
        task_id,
        listed.id,
        state,
        title,
        str(ending),
        time_in(result, "completed_at"),
        number_in(result, "total_cost_usd"),
        dead_letter=result.get("dead_letter") is True,
        ending=ending,
    )
    needs_look = _needs_look(listed, task_id, landings)
    line.available_actions = available_actions(state, needs_look=needs_look, **landing_actions(result))
    return line


def _needs_look(listed: ListedSource, task_id: TaskId, landings: MergedBranches) -> bool:
    if not os.path.lexists(listed.folders.needs(task_id)):
        return False
    from task_queue.store.folder.unreviewed import open_needs  # few results are in the index

    return any(open_needs(listed.folders, listed.folders.result(task_id), landings.has_settled))


class LandingActions(TypedDict):
    """As ``available_actions`` takes them."""

    can_land: bool
    can_undo: bool


def landing_actions(result: Record) -> LandingActions:
    """Whether the *result* says that it left a branch which ``tasks land`` takes, or what ``tasks undo`` takes back."""
    from task_queue.domain.model import LandingState  # only where something ended
    from task_queue.domain.work.undoing import UndoWay

    landing: object = result.get("landing")
    about: Record = cast("Record", landing) if isinstance(landing, dict) else {}
    state = text_in(about, "state")
    moved_back = state == LandingState.UNDONE and text_in(about, "way") == UndoWay.MOVE_BACK
    return {
        "can_land": state in {LandingState.WAITING, LandingState.LEFT} or moved_back,
        "can_undo": state == LandingState.LANDED or (state is None and bool(texts_in(result, "commits"))),
    }


def ending_in(result: Record) -> EndingView:
    succeeded = result.get("success") is True
    outcome = text_in(result, "outcome") or ("succeeded" if succeeded else "failed")
    cause = "" if succeeded else one_line(text_in(result, "error") or "")
    return EndingView(outcome, cause, _where_landed(result))


def one_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _where_landed(result: Record) -> str:
    from task_queue.domain.work.whereabouts import where_commits_are  # only where something ended

    landing, commits = result.get("landing"), result.get("commits")
    about: Record = cast("Record", landing) if isinstance(landing, dict) else {}
    return where_commits_are(
        state=(text_in(about, "state") or "") if isinstance(landing, dict) else None,
        target=text_in(about, "target") or "",
        branch=text_in(result, "branch"),
        commits=len(cast("list[object]", commits)) if isinstance(commits, list) else 0,
    )
