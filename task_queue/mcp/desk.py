"""What stands behind the tools: each parses nothing and decides nothing, it makes one call and shortens the answer."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from task_queue.app import changing
from task_queue.app.changing import Cancelling
from task_queue.app.duplicates import DuplicateTask
from task_queue.app.event_feed import open_events
from task_queue.app.event_sight import EventSight, events_of
from task_queue.app.installation import Installation
from task_queue.app.retrying import retry
from task_queue.app.statistics import StatsView, statistics
from task_queue.app.submitting import Submission, Submitted, submit
from task_queue.app.task_files import file_of, transcript_end
from task_queue.app.tracked_task import TaskFilter
from task_queue.app.tracking import KeptDocuments, demand_change, tasks_page, tracked
from task_queue.domain.attempt.retry_wish import RetryWish
from task_queue.domain.document.duplicates import CONTENT
from task_queue.domain.policy import AccessRole, Caller
from task_queue.mcp.answers import (
    AddedAnswer,
    ChangedAnswer,
    EventsAnswer,
    ListAnswer,
    TaskAnswer,
    line_of,
    page_of,
    summary_of,
    whole_of,
)
from task_queue.mcp.arguments import (
    AddArguments,
    EventArguments,
    ListArguments,
    OneTask,
    RetryArguments,
    StatsArguments,
)

log = logging.getLogger(__name__)
_CANCEL_WAITS_S = 5.0
_LONGEST_PART = 2**17
_SAID = {
    Cancelling.CANCELLED: "cancelled; no process of it is left",
    Cancelling.COMPLETED_BEFORE: "it was completed before the request arrived",
    Cancelling.REQUESTED: "requested; the daemon does not run, and ends the task when it starts",
    Cancelling.STILL_RUNNING: "requested; it still ends: ask with get until its status is cancelled",
}
_OWN_WORDS = frozenset({"title", "instructions", "document", "source", "labels", "idempotency_key"})


@dataclass(slots=True)
class Desk:
    """One caller's. *source*: the one that gets tasks for which none is named, if there is a usual one."""

    fixed: Installation
    caller: Caller
    source: str | None = None
    kept: KeptDocuments = field(default_factory=KeptDocuments)

    @property
    def _now(self) -> Installation:
        return self.fixed.again()

    def add(self, given: AddArguments) -> AddedAnswer:
        """A task that is there already is the answer, too: a refusal would make an agent try again."""
        self.caller.demand(AccessRole.SUBMIT)
        installation = self._now
        keys = given.model_dump(mode="json", exclude_none=True, exclude=set(_OWN_WORDS))
        if given.document is None:
            keys.setdefault("dedupe_key", CONTENT)
        submission = Submission(
            given.source or self.source,
            given.document,
            given.title,
            None,
            given.instructions,
            given.labels,
            keys,
        )
        try:
            submitted = submit(installation, submission, self.caller, self.kept, key=given.idempotency_key)
        except DuplicateTask as duplicate:
            first = tracked(installation, duplicate.first.id, self.caller, self.kept)
            submitted = Submitted(first, is_new=False)
        return AddedAnswer(summary_of(submitted.task), deduplicated=not submitted.is_new)

    def list(self, given: ListArguments) -> ListAnswer:
        self.caller.demand(AccessRole.READ)
        wanted = TaskFilter(
            tuple(given.status or ()),
            tuple(given.source or ()),
            tuple(given.type or ()),
            submitted_by=given.submitted_by,
            attention=given.attention,
            text=given.text,
        )
        page = tasks_page(
            self._now,
            wanted,
            self.caller,
            self.kept,
            sort=given.sort,
            cursor=given.cursor,
            limit=given.limit,
        )
        return page_of(page)

    def get(self, given: OneTask) -> TaskAnswer:
        return whole_of(tracked(self._now, given.id, self.caller, self.kept))

    def cancel(self, given: OneTask) -> ChangedAnswer:
        installation = self._now
        task = demand_change(installation, given.id, self.caller, self.kept)
        done = changing.cancel(installation, task.id, timeout_s=_CANCEL_WAITS_S)
        after = tracked(self._now, given.id, self.caller, self.kept)
        return ChangedAnswer(summary_of(after), _SAID[done.how])

    def retry(self, given: RetryArguments) -> ChangedAnswer:
        installation = self._now
        task = demand_change(installation, given.id, self.caller, self.kept)
        retry(installation, task.id, RetryWish(fresh=given.fresh))
        after = tracked(self._now, given.id, self.caller, self.kept)
        return ChangedAnswer(summary_of(after), "it is queued again")

    def events(self, given: EventArguments) -> EventsAnswer:
        self.caller.demand(AccessRole.READ)
        installation = self._now
        task_id = None
        if given.id is not None:
            task_id = tracked(installation, given.id, self.caller, self.kept).id
        reader = open_events(
            installation, after=given.after, types=given.types or (), task=task_id, warn=log.warning
        )
        try:
            sight = EventSight(installation, self.caller, self.kept)
            events, more = events_of(reader, sight, given.limit)
            return EventsAnswer(tuple(map(line_of, events)), reader.cursor, more)
        finally:
            reader.close()

    def stats(self, given: StatsArguments) -> StatsView:
        self.caller.demand_everything("statistics")
        return statistics(self._now, since=given.since, by=given.by)

    def file(self, task_id: str, name: str) -> str:
        """Of what ``get`` names in ``files``; the end of a transcript, the beginning of the others, if it is long."""
        installation = self._now
        task = tracked(installation, task_id, self.caller, self.kept)
        if name == "transcript":
            return transcript_end(installation, task.id, limit=_LONGEST_PART).decode(errors="replace")
        data = file_of(installation, task.id, name).data
        rest = len(data) - _LONGEST_PART
        text = data[:_LONGEST_PART].decode(errors="replace")
        return text if rest <= 0 else f"{text}\n[{rest:,} bytes more]"
