"""``tasks retry``: what another try of a task keeps, and what it does again; then the task is queued."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from task_queue.app.adding import bytes_of
from task_queue.app.answers import ListedSource
from task_queue.app.duplicates import demand_first
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.actions import Action, ActionUnavailableError, demand
from task_queue.domain.attempt.lifecycle import session_to_continue
from task_queue.domain.attempt.proof import sealed_by
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryFrom, RetryWish
from task_queue.domain.document import naming
from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.layers import task_under
from task_queue.domain.document.settings import MODEL, Settings
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.events import TaskRetried
from task_queue.domain.model import Attempt, Journal
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.step_lines import of_one_work, steps_in
from task_queue.domain.work.workflow import Step, last_round, steps_kept
from task_queue.store.folder.amending import read_result
from task_queue.store.folder.attempts import STEPS, step_lines
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.files import read_record
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.reading import read_history


@dataclass(frozen=True, slots=True)
class Retried:
    """The task is queued again."""

    task_id: TaskId
    source: str
    kept: str = ""
    """Of the earlier work, in a sentence."""
    again: str = ""
    """What is done again, in a sentence."""


def what_retry_does(installation: Installation, task_id: TaskId, wish: RetryWish = NO_WISH) -> Retried:
    """Nothing is queued. Raises as ``retry``."""
    return _plan(installation, task_id, wish)[0]


def retry(installation: Installation, task_id: TaskId, wish: RetryWish = NO_WISH) -> Retried:
    """Try *task_id* again, which failed or waits for a person, as *wish* says; the numbers of its attempts go on.

    Raises UnknownTaskError if it is not there or did not fail, ActionUnavailableError where it never came to the
    phase that is to be the first one, DuplicateTask, EngineUnavailable, ConfigError.
    """
    retried, listed = _plan(installation, task_id, wish)
    FolderEngine(listed.folders.pending).requests.requeue(task_id, wish)
    record_action(
        installation,
        "tasks retry",
        TaskRetried(listed.id, task_id),
        source=listed.id,
        task_id=task_id,
        fresh=wish.fresh or None,
        begin_at=wish.begin_at,
        model=wish.model,
    )
    return retried


def _plan(installation: Installation, task_id: TaskId, wish: RetryWish) -> tuple[Retried, ListedSource]:
    installation.demand_trust()
    listed, state = found(installation.sources(), task_id)
    history = read_history(listed.folders.journal(naming.document_of(task_id)))
    demand(Action.RETRY, task_id, state, needs_person=bool(history.needs_person))
    settings = _settings(installation, listed, task_id, state)
    problem = wish.problem or _problem_with_model(wish.model)
    if problem is not None:
        raise ActionUnavailableError(problem, action=Action.RETRY, state=state)
    if wish != RetryWish(fresh=wish.fresh):
        by_workers = installation.entry(listed.id).is_remote
        _demand_agent(listed, task_id, state, settings, by_workers=by_workers)
    attempts = _attempts(listed, task_id, state)
    kept, again = _sentences(listed.folders, task_id, state, attempts, wish)
    return Retried(task_id, listed.id, kept, again), listed


def _settings(
    installation: Installation, listed: ListedSource, task_id: TaskId, state: TaskState
) -> Settings | None:
    """None of a document that the daemon will reject, and say why."""
    path = (listed.folders.ended(state) if state.ended else listed.folders.pending) / naming.document_of(
        task_id
    )
    try:
        task, settings = task_under(listed.layers(), bytes_of(path), task_id)
    except TaskQueueError:
        return None
    if state.ended:
        demand_first(installation, task, settings, source=listed.id)
    return settings


def _problem_with_model(name: str | None) -> str | None:
    try:
        if name is not None:
            MODEL(name)
    except ValueError as error:
        return str(error)
    return None


def _demand_agent(
    listed: ListedSource, task_id: TaskId, state: TaskState, settings: Settings | None, *, by_workers: bool
) -> None:
    why = None
    if by_workers:
        why = f"source {listed.id} is served by workers elsewhere, which hear of neither"
    elif settings is not None and settings.executor != CLAUDE:
        why = f"task {task_id} is carried out by the command {settings.executor}, which hears of neither"
    if why is not None:
        hint = "edit its document, then: tasks retry"
        raise ActionUnavailableError(why, action=Action.RETRY, state=state, hint=hint)


def _attempts(listed: ListedSource, task_id: TaskId, state: TaskState) -> tuple[Attempt, ...]:
    if state.ended:
        result = read_result(listed.folders, task_id)
        return result.attempts if result is not None else ()
    journal = read_record(Journal, listed.folders.journal(naming.document_of(task_id)))
    return journal.attempts if isinstance(journal, Journal) else ()


def _sentences(
    layout: Layout, task_id: TaskId, state: TaskState, attempts: Sequence[Attempt], wish: RetryWish
) -> tuple[str, str]:
    """What is kept, and what is done again."""
    if wish.fresh:
        return (
            "what it did so far, on its branch and on refs",
            "all of it, in a new session, on what is checked out now",
        )
    if wish.begin_at is None:
        if session_to_continue(attempts) is not None:
            return "its session and its files", "what was not finished"
        return "the files that it left", "the work in a new session, then all checks"
    steps = _steps(layout, task_id, attempts)
    kept = steps_kept(steps, wish.begin_at)
    if not kept or session_to_continue(attempts, whatever_came=True) is None:
        raise ActionUnavailableError(
            f"task {task_id} did not come to {_BEFORE[wish.begin_at]}, so it cannot go on from {wish.begin_at}",
            action=Action.RETRY,
            state=state,
            hint=f"try all of it again with: task-queue tasks retry {task_id}",
        )
    files = f"the work of round {last_round(kept)}, if its files are still as they were"
    return f"{files}{_ALSO[wish.begin_at]}", _AGAIN[wish.begin_at]


_BEFORE = {
    RetryFrom.VERIFY: "the end of a round",
    RetryFrom.AUDIT: "checks that passed",
    RetryFrom.LAND: "a commit of its work",
}
_ALSO = {
    RetryFrom.VERIFY: "",
    RetryFrom.AUDIT: ", and its checks, which passed",
    RetryFrom.LAND: ", its checks, its audit and its commit",
}
_AGAIN = {
    RetryFrom.VERIFY: "the checks, and what follows them",
    RetryFrom.AUDIT: "the audit, and what follows it",
    RetryFrom.LAND: "the landing",
}


def _steps(layout: Layout, task_id: TaskId, attempts: Sequence[Attempt]) -> list[Step]:
    return of_one_work(
        steps_in(sealed_by(attempt.steps, step_lines(layout.attempt(task_id, attempt.number) / STEPS)))
        for attempt in attempts
        if attempt.steps
    )
