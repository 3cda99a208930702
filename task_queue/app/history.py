"""``history``: what ended, the newest first, however much there is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import cast

from task_queue.app.answers import SCHEMA_VERSION, EndingView, ListedSource
from task_queue.app.documents import title_of
from task_queue.app.ended import ending_in, one_line
from task_queue.app.files import Record, number_in, record, text_in, texts_in
from task_queue.app.installation import Installation
from task_queue.domain.document import naming
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.store.event_files import NumberedRecord
from task_queue.store.event_history import SearchBound, newest_first

_SETTLED = "settled"
_NO_LIMIT = 10**9
_SEGMENTS_AT_ONCE = 48
"""Of the event log, 192 MB of it."""
_ENDS_AT_ONCE = 10_000


@dataclass(eq=False, repr=False, slots=True)
class EndedView:
    """One end of a task, as the event log has it; what only the result says is there for the last end alone."""

    task_id: TaskId
    source: str
    state: str
    title: str
    ending: EndingView
    problem: str
    """Why it is not known what came of it: the last end of a task whose result is missing or cannot be read."""
    at: datetime
    attempt: int | None
    took_s: float | None
    cost_usd: float | None
    attention: tuple[str, ...] = ()
    """The kinds of what needed a person when it ended."""
    models: Mapping[str, float] = field(default_factory=dict[str, float])
    """USD by model, as far as the result says."""


@dataclass(eq=False, repr=False, slots=True)
class HistoryView:
    """What ended, the newest first; ``more`` says that there may be more, which follow ``before`` that number."""

    tasks: tuple[EndedView, ...]
    more: bool
    before: int | None = None
    searched_to: datetime | None = None
    """Of a search that stopped before it found as many as the limit: what ended before that was not looked at yet."""
    schema_version: int = SCHEMA_VERSION


def history(
    installation: Installation,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    source_id: str | None = None,
    outcomes: Collection[str] = (),
    text: str | None = None,
    limit: int | None = None,
    before: int | None = None,
    at_once: bool = False,
    sees: Callable[[str, str], bool] = lambda _source, _task: True,
) -> HistoryView:
    """Ends of tasks, from the event log; a task that was tried again has several.

    *outcomes*: only these, or these states. *text*: only where an id or a cause contains it, in whatever case.
    *before*: only what follows the answer that named it. *at_once*: read a part of the log only, however few of them
    match; what is older comes with the next answer. *sees*: only of such tasks, by source and id.
    Raises TaskQueueError for an unknown source or outcome, OSError.
    """
    _demand_known(outcomes)
    listed = {source.id: source for source in installation.sources()}
    if source_id is not None:
        installation.entry(source_id)
    wanted = _may_be_wanted(source_id, outcomes, text)
    bound = SearchBound(_SEGMENTS_AT_ONCE, _ENDS_AT_ONCE) if at_once else None
    events = installation.locations.events
    newest = newest_first(events, [_SETTLED], may_be_wanted=wanted, bound=bound, before=before)
    ends = _ends(newest, since=since, until=until, source_id=source_id, outcomes=outcomes, text=text)
    ends = (end for end in ends if sees(end.record.source or "", end.record.task_id or ""))
    most = _NO_LIMIT if limit is None else limit
    shown = list(islice(ends, most))
    seen: set[tuple[str, str]] = set()
    tasks: list[EndedView] = []
    for event in shown:
        task = (event.record.source or "", event.record.task_id or "")
        tasks.append(_view(event, None if task in seen else listed.get(task[0])))
        seen.add(task)
    more = next(ends, None) is not None
    if len(shown) == most:
        more = more or _may_go_on(bound, since)
        return HistoryView(tuple(tasks), more=more, before=shown[-1].seq if more else None)
    if bound is None or not _may_go_on(bound, since):
        return HistoryView(tuple(tasks), more=False)
    return HistoryView(tuple(tasks), more=True, before=bound.before, searched_to=bound.reached)


def _may_go_on(bound: SearchBound | None, since: datetime | None) -> bool:
    """Whether what a search has not looked at may be wanted."""
    if bound is None or bound.before is None:
        return False
    return since is None or bound.reached is None or bound.reached >= since


def _demand_known(outcomes: Collection[str]) -> None:
    from task_queue.domain.model import OutcomeKind

    known = (*(kind.value for kind in OutcomeKind), *(state.value for state in ENDED))
    for outcome in outcomes:
        if outcome not in known:
            raise TaskQueueError(f"there is no outcome '{outcome}'", hint=f"outcomes: {', '.join(known)}")


def _ends(
    newest: Iterable[NumberedRecord],
    *,
    since: datetime | None,
    until: datetime | None,
    source_id: str | None,
    outcomes: Collection[str],
    text: str | None,
) -> Iterator[NumberedRecord]:
    told: set[tuple[str | None, str | None, int | None]] = set()
    for event in newest:
        if since is not None and event.at < since:
            return
        if until is not None and event.at >= until:
            continue
        about = event.record
        end = (about.source, about.task_id, about.attempt)
        if end in told or (source_id is not None and about.source != source_id):
            continue  # a daemon that was killed while it settled says it twice
        if outcomes and not {text_in(about.data, "outcome"), text_in(about.data, "state")} & set(outcomes):
            continue
        if text is not None and text.casefold() not in _searched(event):
            continue
        told.add(end)
        yield event


def _searched(event: NumberedRecord) -> str:
    return f"{event.record.task_id}\n{text_in(event.record.data, 'reason')}".casefold()


def _may_be_wanted(
    source_id: str | None, outcomes: Collection[str], text: str | None
) -> Callable[[bytes], bool]:
    """By the bytes of a line: to decode one takes twenty times as long."""
    source = b"" if source_id is None else json.dumps(source_id, ensure_ascii=False).encode()
    words = [json.dumps(outcome).encode() for outcome in outcomes]
    plain = text is not None and text.isascii() and json.dumps(text)[1:-1] == text
    needle = text.lower().encode() if text is not None and plain else b""

    def may_be(line: bytes) -> bool:
        return (
            source in line
            and (not words or any(word in line for word in words))
            and (not needle or needle in line.lower())
        )

    return may_be


def _view(event: NumberedRecord, listed: ListedSource | None) -> EndedView:
    """*listed*: of the source whose result is that of this end."""
    data, task_id = event.record.data, TaskId(event.record.task_id or "")
    state = text_in(data, "state") or ""
    cause = "" if state == TaskState.COMPLETED else one_line(text_in(data, "reason") or "")
    view = EndedView(
        task_id=task_id,
        source=event.record.source or "",
        state=state,
        title="",
        ending=EndingView(text_in(data, "outcome") or "", cause),
        problem="",
        at=event.at,
        attempt=event.record.attempt,
        took_s=number_in(data, "took"),
        cost_usd=number_in(data, "cost_usd"),
        attention=texts_in(data, "attention"),
    )
    if listed is not None and naming.is_task_id(task_id) and state in ENDED:
        _complete(view, listed)
    return view


def _complete(view: EndedView, listed: ListedSource) -> None:
    """With what document and result say, while the document is where this end left it."""
    document = listed.folders.ended(TaskState(view.state)) / naming.document_of(view.task_id)
    if not os.path.lexists(document):
        return
    view.title = title_of(document)
    result = record(listed.folders.result(view.task_id))
    if isinstance(result, dict) and text_in(result, "outcome") == view.ending.outcome:
        view.ending = ending_in(result)
        view.models = costs_by_model(result)
    else:
        view.problem = "there is no result" if result is None else f"its result {result}"
        if isinstance(result, dict):
            view.problem = "its result is of another end"


def costs_by_model(result: Record) -> dict[str, float]:
    usage: object = result.get("model_usage")
    found: dict[str, float] = {}
    for model, counts in (cast("dict[str, object]", usage) if isinstance(usage, dict) else {}).items():
        usd = number_in(cast("Record", counts), "costUSD") if isinstance(counts, dict) else None
        if usd:
            found[model] = usd
    return found
