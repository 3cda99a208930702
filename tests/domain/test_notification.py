"""What goes out when: tables of a fake clock, in the local time of a zone that changes its clocks."""

from __future__ import annotations

import time as system_time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta

import pytest

from task_queue.domain.attention import AttentionKind
from task_queue.domain.notification import (
    Notice,
    Outbox,
    Quiet,
    Rhythm,
    body_of,
    due_of,
    notice_of,
    title_of,
    types_for,
    words,
)

TEN = timedelta(minutes=10)
NIGHT = Quiet(time(22), time(7))


@pytest.fixture(autouse=True)
def _in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    system_time.tzset()
    yield
    monkeypatch.undo()
    system_time.tzset()


def local(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-02-{text}").astimezone(UTC)


def a_notice(task_id: str = "task-a", *, needs: tuple[str, ...] = ("failed",)) -> Notice:
    return Notice(local("01T12:00"), "settled", "failed: it broke", "a", task_id, needs)


@dataclass
class Target:
    """One target over time: what it gets at each look, and when the next look is."""

    rhythm: Rhythm
    outbox: Outbox = field(default_factory=Outbox)
    next_at: datetime | None = None

    def look(self, at: str, *tasks: str) -> str:
        """Ids of the notices that go out, ``report`` where one does."""
        done = due_of(self.outbox.with_notices(a_notice(task) for task in tasks), self.rhythm, local(at))
        self.outbox, self.next_at = done.outbox, done.next_at
        parts = [notice.task_id or "" for notice in done.notices]
        parts += [f"and {done.more}"] if done.more else []
        return " ".join(parts + (["report"] if done.report_since else []))


def test_the_first_goes_out_at_once_and_what_follows_together() -> None:
    target = Target(Rhythm(TEN))

    assert target.look("01T12:00") == ""
    assert target.look("01T12:00", "t1") == "t1"
    assert target.look("01T12:01", "t2") == ""
    assert target.next_at == local("01T12:10")
    assert target.look("01T12:09:59", "t3") == ""
    assert target.look("01T12:10") == "t2 t3"
    assert target.look("01T12:15", "t4") == ""
    assert target.look("01T12:20") == "t4"
    assert target.next_at is None
    assert target.look("01T12:30") == ""
    assert target.look("01T12:31", "t5") == "t5"


def test_a_night_is_one_message_when_it_is_over() -> None:
    target = Target(Rhythm(TEN, NIGHT))

    said = [target.look(f"0{1 + hour // 24}T{hour % 24:02}:30", f"t{hour}") for hour in range(22, 31)]

    assert set(said) == {""}
    assert target.next_at == local("02T07:00")
    assert target.look("02T07:00") == " ".join(f"t{hour}" for hour in range(22, 31))


@pytest.mark.parametrize(
    ("quiet", "at", "until"),
    [
        (NIGHT, "01T21:59", None),
        (NIGHT, "01T22:00", "02T07:00"),
        (NIGHT, "02T00:00", "02T07:00"),
        (NIGHT, "02T06:59", "02T07:00"),
        (NIGHT, "02T07:00", None),
        (Quiet(time(12), time(13, 30)), "01T12:00", "01T13:30"),
        (Quiet(time(12), time(13, 30)), "01T13:30", None),
        (Quiet(time(12), time(13, 30)), "01T11:59", None),
    ],
)
def test_quiet_hours_are_local_and_may_go_over_midnight(quiet: Quiet, at: str, until: str | None) -> None:
    assert quiet.until(local(at)) == (None if until is None else local(until))


def test_quiet_hours_end_by_the_clock_on_the_wall() -> None:
    """In the night of 28 March 2026 an hour is missing: it is 8 hours long, not 9."""
    begins = datetime(2026, 3, 28, 22).astimezone(UTC)

    until = NIGHT.until(begins)

    assert until == datetime(2026, 3, 29, 7).astimezone(UTC)
    assert until is not None
    assert until - begins == timedelta(hours=8)


def test_the_daily_report_comes_once_a_day_and_not_for_the_day_before_it_was_asked_for() -> None:
    target = Target(Rhythm(TEN, NIGHT, report_at=time(6)))

    said = [target.look(f"0{1 + hour // 24}T{hour % 24:02}:00") for hour in range(8, 80)]

    assert [8 + number for number, what in enumerate(said) if what == "report"] == [24 + 6, 48 + 6, 72 + 6]


def test_reports_that_were_missed_come_as_one() -> None:
    target = Target(Rhythm(TEN, report_at=time(8)))
    target.look("01T12:00")

    done = due_of(target.outbox, target.rhythm, local("06T15:00"))

    assert done.report_since == local("01T12:00")
    assert due_of(done.outbox, target.rhythm, local("06T15:01")).report_since is None
    assert done.next_at == local("07T08:00")


def test_a_clock_that_is_set_back_delays_nothing_for_longer_than_a_window() -> None:
    target = Target(Rhythm(TEN, report_at=time(8)))
    target.look("09T12:00", "t1")

    assert target.look("01T12:00", "t2") == "t2"
    assert target.look("02T08:00") == "report"


def test_of_very_many_only_some_are_named() -> None:
    target = Target(Rhythm(TEN, NIGHT))
    target.look("01T23:00", *(f"t{number}" for number in range(1000)))
    target.look("01T23:30", "last")

    done = due_of(target.outbox, target.rhythm, local("02T07:00"))

    assert (len(done.notices), done.more) == (200, 801)
    assert title_of(done.notices, done.more) == "1001 things happened, at least 200 need you"
    assert "- and 971 more: `task-queue report`" in body_of(done.notices, done.more)
    assert (done.outbox.notices, done.outbox.more) == ((), 0)


def test_what_could_not_be_delivered_is_counted_and_named_in_the_next_message() -> None:
    outbox = Outbox().after(delivered=False, said="no network").after(delivered=False, said="no route")

    assert (outbox.lost, outbox.trouble) == (2, "no route")
    assert "2 earlier messages could not be delivered: `task-queue doctor`" in body_of(
        [a_notice()], lost=outbox.lost
    )
    assert outbox.after(delivered=True, said="") == Outbox()


SETTLED = {"outcome": "failed", "reason": "it broke\nbadly", "attention": ["failed", "dead_letter"]}


@pytest.mark.parametrize(
    ("type_", "data", "wanted", "is_wanted"),
    [
        ("settled", SETTLED, ("attention",), True),
        ("settled", SETTLED, ("dead_letter",), True),
        ("settled", SETTLED, ("not_landed",), False),
        ("settled", SETTLED, ("settled",), True),
        ("settled", {"outcome": "succeeded", "attention": []}, ("attention",), False),
        ("settled", {"outcome": "succeeded", "attention": "all"}, ("attention",), False),
        ("account_paused", {"why": "limit"}, ("attention",), True),
        ("account_paused", {"why": "limit"}, ("account",), True),
        ("account_resumed", {"why": "time"}, ("attention",), False),
        ("landed", {"said": "it is in main"}, ("landed",), True),
        ("source_unavailable", {"why": "read-only"}, ("source",), True),
        ("base_broken", {"why": "main is broken"}, ("broken_base",), True),
        ("stuck", {"kind": "blocked", "why": "blocked by task-b (failed)"}, ("attention",), True),
        ("stuck", {"kind": "blocked", "why": "blocked by task-b (failed)"}, ("blocked",), True),
        ("stuck", {"kind": "not_configured", "why": "no executor"}, ("blocked",), False),
    ],
)
def test_events_and_kinds_of_attention_are_asked_for_in_one_list(
    type_: str, data: dict[str, object], wanted: tuple[str, ...], is_wanted: bool
) -> None:
    """A type that may be wanted is also read."""
    notice = notice_of(type_, data, at=local("01T12:00"), source="a", task_id=None)

    assert notice.is_wanted(wanted) is is_wanted
    assert not is_wanted or type_ in types_for(wanted)


def test_kinds_that_no_event_names_cannot_be_asked_for() -> None:
    assert {AttentionKind.FAILED, AttentionKind.ACCOUNT, "settled", "attention"} <= set(words())
    assert not {AttentionKind.DAEMON, AttentionKind.LOCK, AttentionKind.CONFIGURATION} & set(words())
    assert len(words()) == len(set(words()))


def test_foreign_text_is_one_harmless_line() -> None:
    hostile = {
        "outcome": "failed",
        "reason": "\x1b[2J<b>[x](http://evil)\nsecond line",
        "attention": ["failed"],
    }
    notice = notice_of("settled", hostile, at=local("01T12:00"), source="a", task_id="task-a")

    assert title_of([notice]) == "task-a: failed: \\x1b[2J<b>[x](http://evil)"
    assert body_of([notice]) == (
        "- Sun 12:00 `task-a` failed: \\\\x1b\\[2J\\<b\\>\\[x\\](http\\://evil): `task-queue tasks show task-a`\n"
    )
