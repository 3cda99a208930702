"""What became of each due time of a schedule, and what follows from that at the next look.

The key is the instant in UTC. Lines are added and never changed: a line stands before what it says is done, so that
whatever is killed and whenever, no due time leads to two tasks. Pure: lines and times are arguments.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, assert_never

from task_queue.domain.document import naming
from task_queue.domain.schedule.rule import NEWEST_KEPT, CatchUp, Overlap, Rule
from task_queue.domain.task import TaskId

ON_TIME = timedelta(minutes=5)
"""A due time that is noticed so much later is missed."""
MOST_WAITING = 100
"""Tasks of one schedule that have not ended; while there are so many, no more are added."""
FIRED_KEPT = 2 * MOST_WAITING
"""Of each schedule, so many of its newest tasks are remembered by their due times."""
HISTORY_KEPT = 50
"""Of each schedule, so many decisions are remembered for people."""


class LedgerError(Exception):
    """A line of the ledger cannot be understood; *number* counts from 1."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")


@dataclass(frozen=True, slots=True)
class Planned:
    """A task that a due time leads to."""

    due: datetime
    task_id: TaskId
    why: str = ""
    """Why it is late; empty if it is on time."""
    replaces: tuple[TaskId, ...] = ()
    """Waiting tasks that are cancelled for it."""


@dataclass(frozen=True, slots=True)
class Skipped:
    due: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Missed:
    """Due times for which there is no task and will be none."""

    first: datetime
    last: datetime
    count: int | None
    """None: too many to be counted."""
    why: str


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Tasks of a schedule that have not ended."""

    running: tuple[TaskId, ...] = ()
    waiting: tuple[TaskId, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What one look makes of the due times that have come."""

    upto: datetime
    """The last of them."""
    planned: tuple[Planned, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    missed: tuple[Missed, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a schedule's history, for people."""

    due: datetime
    what: str
    """``fired``, ``skipped``, ``missed`` or ``by_hand``."""
    why: str = ""
    task_id: TaskId | None = None
    count: int | None = 1


@dataclass(slots=True)
class Kept:
    """What the ledger knows of one schedule."""

    rule: str
    """Name of the rule by which times count, see ``Rule.name``."""
    upto: datetime
    """Later due times are still to be decided."""
    ended: bool = False
    """Its file is gone."""
    floor: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    """What was fired up to then may be forgotten: no time before it is ever decided again."""
    fired: dict[datetime, TaskId] = field(default_factory=dict[datetime, TaskId])
    by_hand: dict[TaskId, datetime] = field(default_factory=dict[TaskId, datetime])
    open: dict[datetime, Planned] = field(default_factory=dict[datetime, Planned])
    """Planned, and not known to be in the queue."""
    told: deque[Told] = field(default_factory=lambda: deque[Told](maxlen=HISTORY_KEPT))

    @property
    def tasks(self) -> tuple[TaskId, ...]:
        """Those that it led to, in no order."""
        return (*self.fired.values(), *self.by_hand, *(planned.task_id for planned in self.open.values()))


Line = dict[str, Any]


def begins(name: str, rule: Rule, *, since: datetime, why: str) -> Line:
    """From *since* on the times of *rule* count for the schedule called *name*."""
    return {"what": "begins", "name": name, "rule": rule.name, "since": _text(since), "why": why}


def ends(name: str) -> Line:
    return {"what": "ends", "name": name}


def decides(name: str, decision: Decision) -> Line:
    return {
        "what": "decides",
        "name": name,
        "upto": _text(decision.upto),
        "due": [
            {"at": _text(each.due), "task": each.task_id, "why": each.why, "replaces": list(each.replaces)}
            for each in decision.planned
        ],
        "skipped": [{"at": _text(each.due), "why": each.why} for each in decision.skipped],
        "missed": [
            {"first": _text(each.first), "last": _text(each.last), "count": each.count, "why": each.why}
            for each in decision.missed
        ],
    }


def fires(name: str, due: datetime, task_id: TaskId) -> Line:
    """The task is in the queue."""
    return {"what": "fires", "name": name, "due": _text(due), "task": task_id}


def renames(name: str, due: datetime, task_id: TaskId) -> Line:
    """The task of *due* gets another id, because the one that was planned was taken meanwhile."""
    return {"what": "renames", "name": name, "due": _text(due), "task": task_id}


def loses(name: str, due: datetime, why: str) -> Line:
    """The document of a planned task is nowhere."""
    return {"what": "loses", "name": name, "due": _text(due), "why": why}


def by_hand(name: str, task_id: TaskId, at: datetime) -> Line:
    return {"what": "by_hand", "name": name, "task": task_id, "at": _text(at)}


def kept_by(lines: Iterable[Mapping[str, Any]]) -> dict[str, Kept]:
    """What *lines* say of each schedule, by its name. Raises LedgerError."""
    kept: dict[str, Kept] = {}
    for number, line in enumerate(lines, start=1):
        try:
            apply(kept, line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise LedgerError(number, f"{type(error).__name__} {error}") from None
    return kept


def compacted(kept: Mapping[str, Kept]) -> list[Line]:
    """Lines that say of each schedule what matters from now on: the newest of what is known."""
    lines: list[Line] = []
    for name, each in kept.items():
        fired = sorted(each.fired)
        forgotten = fired[:-FIRED_KEPT]
        floor = max([each.floor, *forgotten])
        lines.append(
            {
                "what": "keeps",
                "name": name,
                "rule": each.rule,
                "upto": _text(max(each.upto, floor)),
                "ended": each.ended,
                "floor": _text(floor),
                "fired": {_text(due): each.fired[due] for due in fired[len(forgotten) :]},
                "by_hand": {task: _text(at) for task, at in list(each.by_hand.items())[-HISTORY_KEPT:]},
                "open": [
                    {"at": _text(p.due), "task": p.task_id, "why": p.why, "replaces": list(p.replaces)}
                    for p in each.open.values()
                ],
                "told": [
                    {
                        "due": _text(told.due),
                        "what": told.what,
                        "why": told.why,
                        "task": told.task_id,
                        "count": told.count,
                    }
                    for told in each.told
                ],
            }
        )
    return lines


class Taken:
    """Ids that no new task may get: those of tasks anywhere, and those that were given just now."""

    def __init__(self, is_taken: Callable[[str], bool]) -> None:
        self._is_taken = is_taken
        self._given: set[str] = set()

    def free_id(self, name: str, due: datetime) -> TaskId:
        """For the task that *name* leads to at *due*: with the local time; with a number where that is taken."""
        stem = f"task-{due.astimezone():%Y%m%d-%H%M%S}-{name}"
        number, found = 1, stem
        while found in self._given or self._is_taken(found):
            number += 1
            found = f"{stem}-{number}"
        self._given.add(found)
        return TaskId(found)


def decide(
    rule: Rule,
    kept: Kept,
    *,
    name: str,
    now: datetime,
    cause: str,
    unfinished: Callable[[], Unfinished],
    taken: Taken,
) -> Decision | None:
    """What becomes of the times of *rule* that have come; None if none has.

    *cause* is why times may have been missed; *unfinished* is asked only where a time has come.
    """
    come = rule.between(kept.upto, now)
    times = [due for due in come.times if due not in kept.fired and due not in kept.open]
    if not come.times:
        return None
    late = [due for due in times if now - due > ON_TIME]
    prompt = times[len(late) :]
    missed: list[Missed] = []
    made_up_for = _made_up_for(rule.catch_up, late, prompt)
    left = late[: len(late) - len(made_up_for)]
    if left or come.more:
        count = None if come.more else len(left)
        first = come.first if come.more and come.first is not None else left[0]
        missed.append(
            Missed(first, left[-1] if left else first, count, _reason(rule, cause, made_up_for, prompt))
        )
    now_there = unfinished()
    batch = _Batch(name, list(now_there.waiting), list(now_there.running), taken)
    _overlapping(rule.overlap, batch, made_up_for, prompt, cause=cause)
    return Decision(come.times[-1], tuple(batch.planned), tuple(batch.skipped), tuple(missed))


def _made_up_for(
    catch_up: CatchUp, late: Sequence[datetime], prompt: Sequence[datetime]
) -> Sequence[datetime]:
    match catch_up:
        case CatchUp.NONE:
            return ()
        case CatchUp.ONE:
            return () if prompt else late[-1:]
        case CatchUp.ALL:
            return late[-NEWEST_KEPT:]
        case _:
            assert_never(catch_up)


def _reason(rule: Rule, cause: str, made_up_for: Sequence[datetime], prompt: Sequence[datetime]) -> str:
    match rule.catch_up:
        case CatchUp.NONE:
            return f"{cause}; catch_up is none"
        case CatchUp.ONE:
            later = next(iter((*made_up_for, *prompt)), None)
            counts = "" if later is None else f": {later.astimezone():%Y-%m-%d %H:%M} counts for it"
            return f"{cause}; catch_up is one{counts}"
        case CatchUp.ALL:
            return f"{cause}; of so many, only the last {NEWEST_KEPT} are made up for"
        case _:
            assert_never(rule.catch_up)


@dataclass(slots=True)
class _Batch:
    """The tasks that one look plans, and what it skips."""

    name: str
    waiting: list[TaskId]
    running: list[TaskId]
    taken: Taken
    planned: list[Planned] = field(default_factory=list[Planned])
    skipped: list[Skipped] = field(default_factory=list[Skipped])

    def plan(self, due: datetime, why: str, *, replaces: Sequence[TaskId] = ()) -> None:
        if len(self.waiting) + len(self.running) >= MOST_WAITING:
            self.skipped.append(Skipped(due, f"{MOST_WAITING} tasks of this schedule have not ended"))
            return
        task_id = self.taken.free_id(self.name, due)
        self.planned.append(Planned(due, task_id, why, tuple(replaces)))
        self.waiting.append(task_id)


def _overlapping(
    overlap: Overlap,
    batch: _Batch,
    made_up_for: Sequence[datetime],
    prompt: Sequence[datetime],
    *,
    cause: str,
) -> None:
    """Times that are made up for together do not overlap each other."""
    late = f"late: {cause}"
    match overlap:
        case Overlap.QUEUE:
            for due in made_up_for:
                batch.plan(due, late)
            for due in prompt:
                batch.plan(due, "")
        case Overlap.SKIP:
            earlier = next(iter((*batch.running, *batch.waiting)), None)
            for due in (*made_up_for, *prompt):
                if earlier is not None:
                    batch.skipped.append(Skipped(due, f"{earlier} has not ended"))
                    continue
                batch.plan(due, late if due in made_up_for else "")
                if due not in made_up_for[:-1]:
                    earlier = batch.waiting[-1]
        case Overlap.REPLACE:
            times = (*made_up_for, *prompt)
            for due in times[:-1]:
                later = times[-1].astimezone()
                batch.skipped.append(Skipped(due, f"replaced by the one of {later:%Y-%m-%d %H:%M}"))
            for due in times[-1:]:
                replaces, batch.waiting = batch.waiting, []
                batch.plan(due, "" if due in prompt else late, replaces=replaces)
        case _:
            assert_never(overlap)


def apply(kept: dict[str, Kept], line: Mapping[str, Any]) -> None:
    """Let *kept* be what it is after *line*."""
    name = line["name"]
    if not isinstance(name, str):
        raise TypeError("the name is not a text")
    match line["what"]:
        case "keeps":
            kept[name] = _kept(line)
        case "begins":
            before = kept.get(name)
            since = _time(line["since"])
            if before is None:
                kept[name] = Kept(line["rule"], since)
            else:
                before.rule, before.upto, before.ended = line["rule"], max(since, before.floor), False
        case _:
            _apply_to(kept[name], line)


def _apply_to(each: Kept, line: Mapping[str, Any]) -> None:
    match line["what"]:
        case "ends":
            each.ended = True
        case "decides":
            _apply_decision(each, line)
        case "fires":
            due, task_id = _time(line["due"]), _id(line["task"])
            planned = each.open.pop(due, None)
            each.fired[due] = task_id
            each.told.append(Told(due, "fired", "" if planned is None else planned.why, task_id))
        case "renames":
            due = _time(line["due"])
            each.open[due] = replace(each.open[due], task_id=_id(line["task"]))
        case "loses":
            due = _time(line["due"])
            planned = each.open.pop(due)
            each.fired[due] = planned.task_id  # it may have been in the queue: never again
            each.told.append(Told(due, "missed", line["why"]))
        case "by_hand":
            at, task_id = _time(line["at"]), _id(line["task"])
            each.by_hand[task_id] = at
            each.told.append(Told(at, "by_hand", "", task_id))
        case other:
            raise ValueError(f"{other!r} is not known; a later release may have written it")


def _apply_decision(each: Kept, line: Mapping[str, Any]) -> None:
    for planned in map(_planned, line["due"]):
        each.open[planned.due] = planned
    for skipped in line["skipped"]:
        each.told.append(Told(_time(skipped["at"]), "skipped", skipped["why"]))
    for missed in line["missed"]:
        each.told.append(Told(_time(missed["last"]), "missed", missed["why"], None, missed["count"]))
    each.upto = max(each.upto, _time(line["upto"]))


def _kept(line: Mapping[str, Any]) -> Kept:
    told = (
        Told(_time(t["due"]), t["what"], t["why"], None if t["task"] is None else _id(t["task"]), t["count"])
        for t in line["told"]
    )
    return Kept(
        line["rule"],
        _time(line["upto"]),
        line["ended"],
        _time(line["floor"]),
        {_time(due): _id(task) for due, task in line["fired"].items()},
        {_id(task): _time(at) for task, at in line["by_hand"].items()},
        {planned.due: planned for planned in map(_planned, line["open"])},
        deque(told, maxlen=HISTORY_KEPT),
    )


def _planned(given: Mapping[str, Any]) -> Planned:
    return Planned(_time(given["at"]), _id(given["task"]), given["why"], tuple(map(_id, given["replaces"])))


def _id(given: Any) -> TaskId:
    if not isinstance(given, str) or not naming.is_task_id(given):
        raise ValueError(f"{given!r} is not a task id")
    return TaskId(given)


def _time(given: Any) -> datetime:
    moment = datetime.fromisoformat(given)
    if moment.tzinfo is None:
        raise ValueError(f"{given!r} has no offset")
    return moment.astimezone(UTC)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
