"""What a person is notified of, and when: the first thing at once, what follows together, nothing in quiet hours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from types import MappingProxyType
from typing import Any, cast

from task_queue.domain.attention import AttentionKind, is_of_a_result
from task_queue.domain.event_record import event_types
from task_queue.domain.local_time import next_time
from task_queue.domain.markdown import code, escaped
from task_queue.domain.text import printable

ATTENTION = "attention"
"""Everything that needs a person."""
_NEEDS_OF: Mapping[str, AttentionKind] = MappingProxyType(
    {
        "account_paused": AttentionKind.ACCOUNT,
        "source_unavailable": AttentionKind.SOURCE,
        "worker_crashed": AttentionKind.SOURCE,
        "queue_stopped": AttentionKind.STOPPED,
        "base_broken": AttentionKind.BROKEN_BASE,
    }
)
"""Events that need a person, besides ``settled`` and ``stuck``, which name their own kinds."""
_SETTLED = "settled"
_STUCK = "stuck"
_WAITS = (AttentionKind.BLOCKED, AttentionKind.NOT_CONFIGURED, AttentionKind.RETURNED)
_NAMED = 30
"""In one message; the others are counted."""
_KEPT = 200
"""For one target, while nothing may be sent; the others are counted."""
_LONGEST = 300
"""Characters of one sentence."""


def words() -> tuple[str, ...]:
    """What a target may ask for: all that needs a person, kinds of attention, types of events."""
    kinds = [kind for kind in AttentionKind if is_of_a_result(kind) or kind in {*_NEEDS_OF.values(), *_WAITS}]
    return (ATTENTION, *kinds, *event_types())


def types_for(wanted: Collection[str]) -> frozenset[str]:
    """The types of the events that may be notices for those who want *wanted*."""
    asked = set(event_types()).intersection(wanted)
    if asked.issuperset(wanted):
        return frozenset(asked)
    return frozenset({*asked, _SETTLED, _STUCK, *_NEEDS_OF})


@dataclass(frozen=True, slots=True)
class Notice:
    """One event, as a message names it. ``said`` may hold foreign text."""

    at: datetime
    type: str
    said: str
    source: str | None = None
    task_id: str | None = None
    needs: tuple[str, ...] = ()
    """The kinds of attention; empty where it needs no person."""

    def is_wanted(self, wanted: Collection[str]) -> bool:
        if self.needs and ATTENTION in wanted:
            return True
        return self.type in wanted or any(kind in wanted for kind in self.needs)


def notice_of(
    type_: str, data: Mapping[str, Any], *, at: datetime, source: str | None, task_id: str | None
) -> Notice:
    """The event of that type, with the fields that its record has."""
    kind = _NEEDS_OF.get(type_)
    needs: tuple[str, ...] = () if kind is None else (str(kind),)
    if type_ == _SETTLED:
        kinds: object = data.get("attention")
        needs = tuple(map(str, cast("list[object]", kinds))) if isinstance(kinds, list) else ()
    elif type_ == _STUCK:
        needs = (str(data.get("kind")),)
    return Notice(at, type_, _sentence(type_, data)[:_LONGEST], source, task_id, needs)


def _sentence(type_: str, data: Mapping[str, Any]) -> str:
    what = str(data.get("outcome") or "") if type_ == _SETTLED else type_.replace("_", " ")
    why = next((str(data[key]) for key in ("why", "reason", "said", "repair") if data.get(key)), "")
    lines = why.splitlines()
    return f"{what}: {lines[0]}" if lines else what


@dataclass(frozen=True, slots=True)
class Quiet:
    """Local hours in which nothing is sent; they may go over midnight."""

    begins: time
    ends: time

    def until(self, now: datetime) -> datetime | None:
        """When they end, if *now* is in them."""
        clock = now.astimezone().time()
        if self.begins <= self.ends:
            inside = self.begins <= clock < self.ends
        else:
            inside = clock >= self.begins or clock < self.ends
        return next_time(self.ends, now) if inside else None


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When a target gets messages."""

    window: timedelta
    """After a message, what follows is collected for so long."""
    quiet: Quiet | None = None
    report_at: time | None = None
    """Local time of the daily report, which quiet hours do not hold."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Of one target: what waits for its time, and what became of earlier messages."""

    notices: tuple[Notice, ...] = ()
    more: int = 0
    """How many others wait, without being named."""
    until: datetime | None = None
    """Nothing is sent before: the window after the last message."""
    reported_at: datetime | None = None
    """The last daily report, or since when one is wanted."""
    lost: int = 0
    """How many messages could not be delivered since the last one that was."""
    trouble: str | None = None
    """Why the last one could not be delivered."""

    def with_notices(self, notices: Iterable[Notice]) -> Outbox:
        known = [*self.notices, *notices]
        return replace(self, notices=tuple(known[:_KEPT]), more=self.more + max(0, len(known) - _KEPT))

    def after(self, *, delivered: bool, said: str) -> Outbox:
        """Once a message was tried."""
        if delivered:
            return replace(self, lost=0, trouble=None)
        return replace(self, lost=self.lost + 1, trouble=said)


@dataclass(frozen=True, slots=True)
class Due:
    """What is due, and what is left then."""

    outbox: Outbox
    notices: tuple[Notice, ...] = ()
    """To be sent now, with ``more`` that are not named."""
    more: int = 0
    report_since: datetime | None = None
    """A report is to be sent now, of what happened since."""
    next_at: datetime | None = None
    """Nothing more is due before, unless something happens."""


def due_of(outbox: Outbox, rhythm: Rhythm, now: datetime) -> Due:
    """What is due at *now*. What it gives out is no longer in the outbox, so that it goes out at most once."""
    notices: tuple[Notice, ...] = ()
    more, since = 0, None
    starts: list[datetime] = []
    if rhythm.report_at is None:
        outbox = replace(outbox, reported_at=None)
    else:
        # A clock that was set back must not keep the report away.
        last = min(outbox.reported_at or now, now)
        if next_time(rhythm.report_at, last) <= now:
            since, last = last, now
        outbox = replace(outbox, reported_at=last)
        starts.append(next_time(rhythm.report_at, last))
    if outbox.notices:
        quiet_until = None if rhythm.quiet is None else rhythm.quiet.until(now)
        window_until = outbox.until if outbox.until and now < outbox.until <= now + rhythm.window else None
        waits = [until for until in (quiet_until, window_until) if until is not None]
        if waits:
            starts.append(max(waits))
        else:
            notices, more = outbox.notices, outbox.more
            outbox = replace(outbox, notices=(), more=0, until=now + rhythm.window)
    return Due(outbox, notices, more, since, min(starts, default=None))


def title_of(notices: Sequence[Notice], more: int = 0) -> str:
    """One line of plain text."""
    number = len(notices) + more
    if number == 1:
        (only,) = notices
        return printable(": ".join(part for part in (only.task_id or only.source, only.said) if part))
    needing = sum(bool(notice.needs) for notice in notices)
    atleast = "at least " if more else ""
    need = "" if not needing else f", {atleast}{needing} {'needs' if needing == 1 else 'need'} you"
    return f"{number} things happened{need}"


def body_of(notices: Sequence[Notice], more: int = 0, *, lost: int = 0) -> str:
    """Markdown, one item for each; what needs a person first."""
    ranked = sorted(notices, key=lambda notice: not notice.needs)
    lines = [_item(notice) for notice in ranked[:_NAMED]]
    hidden = len(ranked) - len(lines) + more
    if hidden:
        lines.append(f"- and {hidden} more: {code('task-queue report')}")
    if lost:
        what = "1 earlier message" if lost == 1 else f"{lost} earlier messages"
        lines.append(f"- {what} could not be delivered: {code('task-queue doctor')}")
    return "\n".join(lines) + "\n"


def _item(notice: Notice) -> str:
    about = notice.task_id or notice.source
    name = f"{code(about)} " if about else ""
    need = f": {code('task-queue status')}" if notice.needs else ""
    if notice.needs and notice.task_id:
        need = f": {code(f'task-queue tasks show {notice.task_id}')}"
    return f"- {notice.at.astimezone():%a %H:%M} {name}{escaped(notice.said)}{need}"
