"""Tasks of schedules come into the queue: each due time once, and what becomes of every other one is said."""

from __future__ import annotations

import os
from collections.abc import Generator
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

import pytest

from task_queue.domain.task import TaskState
from task_queue.platform import durable
from task_queue.store.folder import materialising
from task_queue.store.folder.schedule_files import LEDGER
from tests.domain.test_local_time import local_zone
from tests.sampling import short_and_long
from tests.store.schedules import Lives, ScheduleBench

ZONES = ("America/New_York", "Australia/Lord_Howe", "Europe/London")


@pytest.fixture(autouse=True)
def _quickly_in_utc(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """No power is cut here, and syncing is what takes the time."""
    monkeypatch.setattr("os.fsync", lambda _: None)
    with local_zone("UTC"):
        yield


@pytest.fixture
def bench(tmp_path: Path) -> ScheduleBench:
    return ScheduleBench(tmp_path)


def test_a_due_time_leads_to_one_task(bench: ScheduleBench) -> None:
    """The document has the schedule's text and keys, without those of the schedule itself."""
    bench.write("nightly", "30 12 * * *", "priority: 8", "timezone: UTC", text="# Check\n\nAll of it.\n")
    looked = bench.look()
    assert (bench.pending, looked.next_due) == ([], datetime(2026, 2, 7, 12, 30, tzinfo=UTC))

    looked = bench.look(minutes=30)
    bench.look(seconds=1)
    bench.restart()
    bench.look(seconds=1)

    assert bench.pending == [f"{looked.arrived[0]}.md"] == ["task-20260207-123000-nightly.md"]
    document = bench.layout.pending / bench.pending[0]
    assert document.read_text() == "---\npriority: 8\n---\n# Check\n\nAll of it.\n"
    assert document.stat().st_mode & 0o777 == 0o600
    assert bench.told() == [("02-07 12:30", "task-20260207-123000-nightly")]
    assert looked.next_due == datetime(2026, 2, 8, 12, 30, tzinfo=UTC)


def test_it_is_in_the_ledger_before_it_is_in_the_queue(
    bench: ScheduleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("hourly", "0 * * * *")
    bench.look()
    seen: list[str] = []
    move = durable.move

    def moved(source: Path, target: Path) -> None:
        seen.extend(line["what"] for line in bench.ledger())
        move(source, target)

    monkeypatch.setattr(durable, "move", moved)
    bench.look(hours=1)

    assert seen == ["begins", "decides"]
    assert [line["what"] for line in bench.ledger()] == ["begins", "decides", "fires"]


def test_a_new_schedule_makes_up_for_nothing(bench: ScheduleBench) -> None:
    """Nor does one that was removed and came back, or whose times were changed."""
    path = bench.write("hourly", "0 * * * *")
    bench.look()
    path.unlink()
    bench.look(hours=3)
    bench.write("hourly", "0 * * * *")
    bench.look(hours=3)
    bench.write("hourly", "30 * * * *")
    bench.look(hours=3)

    assert bench.told() == []
    assert bench.look(minutes=30).arrived == ("task-20260207-213000-hourly",)


@pytest.mark.parametrize(
    ("catch_up", "fired", "missed"),
    [
        (
            "one",
            ["task-20260210-120000-x"],
            "missed 2: no daemon ran; catch_up is one: 2026-02-10 12:00 counts for it",
        ),
        (
            "all",
            ["task-20260208-120000-x", "task-20260209-120000-x", "task-20260210-120000-x"],
            None,
        ),
        ("none", [], "missed 3: no daemon ran; catch_up is none"),
    ],
)
def test_missed_times_are_made_up_for_as_asked(
    bench: ScheduleBench, catch_up: str, fired: list[str], missed: str | None
) -> None:
    with local_zone("UTC"):
        bench.write("x", "0 12 * * *", f"catch_up: {catch_up}")
        bench.look()
        bench.restart()
        bench.look(days=3, hours=1)

    assert [name.removesuffix(".md") for name in bench.pending] == fired
    said = [what for _, what in bench.told() if what.startswith("missed")]
    assert said == ([] if missed is None else [missed])


def test_a_file_that_is_being_written_when_a_daemon_begins_was_without_one(bench: ScheduleBench) -> None:
    """It is looked at later; the cause of what it missed is the same."""
    settle_s = [600.0]
    with local_zone("UTC"):
        bench.write("x", "0 12 * * *")
        bench.look()
        bench.restart(settle_s=lambda: settle_s[0])
        bench.look(days=3)
        settle_s[0] = 0
        bench.look(seconds=1)

    assert bench.told()[0][1].startswith("missed 2: no daemon ran")


def test_a_missed_time_is_not_made_up_for_beside_one_that_is_on_time(bench: ScheduleBench) -> None:
    bench.write("x", "0 12 * * *")
    bench.look()
    bench.look(days=3)

    assert [what.partition(":")[0] for _, what in bench.told()] == ["missed 2", "task-20260210-120000-x"]


def test_a_week_of_missed_times_is_bounded(bench: ScheduleBench) -> None:
    """The last hundred are made up for; how many were not is said."""
    bench.write("often", "*/5 * * * *", "catch_up: all")
    bench.look()
    bench.restart()
    bench.look(days=7, minutes=3)

    assert len(bench.pending) == 100
    assert [what for _, what in bench.told() if "missed" in what] == [
        "missed 1915: no daemon ran; of so many, only the last 100 are made up for"
    ]


def test_ten_years_of_missed_minutes_take_no_time(bench: ScheduleBench) -> None:
    bench.write("often", "* * * * *")
    bench.look()
    bench.look(days=3650)

    assert len(bench.pending) == 1
    assert bench.told()[0][1].startswith("missed None: the machine was suspended, or its clock was set")


@pytest.mark.parametrize("runs", [False, True], ids=["waits", "runs"])
def test_an_earlier_task_that_has_not_ended_skips_the_next(bench: ScheduleBench, runs: bool) -> None:
    bench.write("hourly", "0 * * * *")
    bench.look()
    bench.look(hours=1)
    if runs:
        bench.claim(bench.pending[0])
    bench.look(hours=1)
    bench.end(bench.pending[0], TaskState.FAILED)
    for lock in bench.layout.pending.glob(".task-*"):
        lock.unlink()
    bench.look(hours=1)

    assert bench.told() == [
        ("02-07 13:00", "task-20260207-130000-hourly"),
        ("02-07 14:00", "skipped: task-20260207-130000-hourly has not ended"),
        ("02-07 15:00", "task-20260207-150000-hourly"),
    ]


def test_queued_tasks_of_a_schedule_are_bounded(bench: ScheduleBench) -> None:
    bench.write("hourly", "0 * * * *", "overlap: queue")
    bench.look()
    for _ in range(102):
        bench.look(hours=1)

    assert len(bench.pending) == 100
    assert [what for _, what in bench.told() if "skipped" in what] == [
        "skipped: 100 tasks of this schedule have not ended"
    ] * 2


def test_a_waiting_task_is_replaced_and_a_running_one_goes_on(bench: ScheduleBench) -> None:
    """The worker cancels what is replaced: its document comes into failed/, so nothing is lost."""
    bench.write("hourly", "0 * * * *", "overlap: replace")
    bench.look()
    bench.look(hours=1)
    bench.look(hours=1)
    cancels = {path.name for path in bench.layout.pending.glob(".*.cancel")}
    bench.claim("task-20260207-140000-hourly.md")
    bench.look(hours=1)

    assert cancels == {".task-20260207-130000-hourly.cancel"}
    assert {path.name for path in bench.layout.pending.glob(".*.cancel")} == cancels
    assert len(bench.pending) == 3


def test_a_repeated_hour_has_two_names(bench: ScheduleBench) -> None:
    """Of an expression with a wildcard both times count; of another one only the first."""
    with local_zone("America/New_York"):
        bench.now = datetime(2027, 11, 7, 5, 0, tzinfo=UTC)  # 01:00, for the first time
        bench.write("half", "30 * * * *", "overlap: queue")
        bench.write("once", "30 1 * * *", "overlap: queue")
        bench.look()
        for _ in range(4):
            bench.look(minutes=30)

    assert bench.pending == [
        "task-20271107-013000-half-2.md",
        "task-20271107-013000-half.md",
        "task-20271107-013000-once.md",
    ]


def test_ids_of_other_tasks_are_never_used(bench: ScheduleBench) -> None:
    """Not those of tasks that wait, ended or have a result, nor those of other sources."""
    stem = "task-20260207-130000-hourly"
    (bench.layout.pending / f"{stem}.md").write_text("a person's")
    (bench.layout.ended(TaskState.FAILED) / f"{stem}-2.md").write_text("ended")
    (bench.layout.results / f"{stem}-3.json").write_text("{}")
    bench.taken.add(f"{stem}-4")
    bench.write("hourly", "0 * * * *")
    bench.look()

    assert bench.look(hours=1).arrived == (f"{stem}-5",)
    assert (bench.layout.pending / f"{stem}.md").read_text() == "a person's"


def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(
    bench: ScheduleBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write("hourly", "0 * * * *")
    bench.look()
    other = bench.layout.pending / "task-20260207-130000-hourly.md"
    move = durable.move

    def late(source: Path, target: Path) -> None:
        if not other.exists():
            other.write_text("a person's")
        move(source, target)

    monkeypatch.setattr(durable, "move", late)

    assert bench.look(hours=1).arrived == ("task-20260207-130000-hourly-2",)
    assert other.read_text() == "a person's"


def test_until_is_the_last_time(bench: ScheduleBench) -> None:
    with local_zone("UTC"):
        bench.write("x", "0 12 * * *", "until: 2026-02-08")
        bench.look()
        first = bench.look(days=1)
        bench.end(bench.pending[0])
        second = bench.look(days=1)

    assert (len(first.arrived), second.arrived, second.next_due) == (1, (), None)


def test_broken_schedules_harm_no_other(bench: ScheduleBench) -> None:
    """Each is named with its reason; and when it is mended, what it missed is said."""
    schedules = bench.layout.schedules
    bench.write("good", "0 * * * *")
    broken = bench.write("broken", "0 * * * *", "catch_up: none")
    bench.look()
    bench.write("broken", "61 * * * *")
    (schedules / "bad name.md").write_text("---\nschedule: '0 * * * *'\n---\nx\n")
    (schedules / "link.md").symlink_to(broken)
    (schedules / "folder.md").mkdir()
    os.mkfifo(schedules / "fifo.md")
    os.link(schedules / "good.md", schedules / "hard.md")
    (schedules / "notes.txt").write_text("not looked at")
    (schedules / "hard.md").unlink()
    looked = bench.look(hours=1)

    assert looked.arrived == ("task-20260207-130000-good",)
    assert {name: why.partition(",")[0] for name, why in looked.trouble.items()} == {
        "bad name": "the name may have letters",
        "broken": "line 2: schedule: bad minute in '61 * * * *'",
        "fifo": "is a FIFO",
        "folder": "is a directory",
        "link": "is a symbolic link",
    }
    bench.write("broken", "0 * * * *", "catch_up: none")
    bench.look(minutes=10)
    assert bench.told()[-1] == (
        "02-07 13:00",
        "missed 1: the schedule could not be used; catch_up is none",
    )


@pytest.mark.parametrize(
    "line", [b"{}\n", b"not JSON\n", b"[]\n", b'{"what": "later", "name": "x"}\n', b"\0\0\0\n"]
)
def test_a_ledger_that_cannot_be_read_stops_all_schedules(bench: ScheduleBench, line: bytes) -> None:
    """It is never known otherwise which times fired; it is left as it is, and moving it away begins anew."""
    bench.write("x", "0 * * * *")
    bench.look()
    ledger = bench.layout.schedules / LEDGER
    with ledger.open("ab") as file:
        file.write(line)
    before = ledger.read_bytes()
    looked = bench.look(hours=1)

    assert bench.pending == []
    assert "line 2: " in looked.trouble[""] or "line 2 is" in looked.trouble[""]
    assert ledger.read_bytes() == before
    ledger.rename(ledger.with_suffix(".old"))
    assert bench.look().arrived == ()
    assert bench.look(hours=1).arrived == ("task-20260207-140000-x",)


def test_a_torn_line_was_never_acted_on(bench: ScheduleBench) -> None:
    bench.write("x", "0 * * * *")
    bench.look()
    ledger = bench.layout.schedules / LEDGER
    whole = ledger.read_bytes()
    ledger.write_bytes(whole + b'{"what": "decides", "name": "x", "up')

    assert bench.look(hours=1).arrived == ("task-20260207-130000-x",)
    assert ledger.read_bytes().startswith(whole)
    assert (bench.layout.schedules / f"{LEDGER}.torn").read_bytes() == b'{"what": "decides", "name": "x", "up'


def test_a_full_disk_loses_no_time(bench: ScheduleBench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.write("x", "0 * * * *")
    bench.look()

    def full(path: Path, line: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(durable, "append", full)
        with pytest.raises(OSError, match="No space left"):
            bench.look(hours=1)
        assert bench.pending == []

    assert bench.look().arrived == ("task-20260207-130000-x",)


def test_the_ledger_does_not_grow_for_ever(bench: ScheduleBench) -> None:
    """And what it forgot is never fired again, however far back the clock is set."""
    bench.write("x", "* * * * *")
    bench.look()
    for _ in range(1500):
        bench.look(minutes=1)
        for document in bench.pending:
            (bench.layout.pending / document).unlink()
    fired = {event for event in bench.told() if event[1].startswith("task-")}
    looked = bench.look(hours=-20)
    for _ in range(1300):
        bench.look(minutes=1)
        for document in bench.pending:
            (bench.layout.pending / document).unlink()
    again = [event for event in bench.told() if event[1].startswith("task-")]

    assert (bench.layout.schedules / LEDGER).stat().st_size < 2**19
    assert len(fired) == 1500
    assert len(again) == len(set(again))
    assert "the clock was set back" in looked.trouble["x"]


def test_a_clock_that_went_too_far_ahead_and_back_silences_nothing(bench: ScheduleBench) -> None:
    bench.write("x", "0 * * * *")
    bench.look()
    bench.look(days=4000)
    bench.end(bench.pending[0])
    bench.look(days=-4000)

    assert bench.look(hours=1).arrived == ("task-20260207-130000-x",)


@pytest.mark.parametrize("folder", ["a link", "a file", "open to all"])
def test_a_folder_that_is_not_trusted_is_not_used(bench: ScheduleBench, folder: str) -> None:
    bench.write("x", "0 * * * *")
    bench.look()
    schedules = bench.layout.schedules
    if folder == "open to all":
        schedules.chmod(0o777)
    else:
        elsewhere = schedules.rename(schedules.with_name("elsewhere"))
        if folder == "a link":
            schedules.symlink_to(elsewhere)
        else:
            schedules.write_text("")
    looked = bench.look(hours=1)

    assert bench.pending == []
    assert str(schedules) in looked.trouble[""]


@pytest.mark.parametrize("zone", short_and_long(ZONES[:1], ZONES[1:]))
def test_each_due_time_is_materialised_once_forward(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at random steps, suspended for days, restarted, through a whole year: every time once, none left out."""
    monkeypatch.setattr(materialising, "_COMPACT_ABOVE", 2**30)  # all that was decided is looked at
    with local_zone(zone):
        lives = _lives(tmp_path, monkeypatch, zone, start=datetime(2027, 3, 1, tzinfo=UTC))
        for _ in range(350):
            lives.step(clock_may_go_back=False)
        lives.finish()

        assert lives.kills > 40
        assert max(lives.moved.values()) == max(lives.documents.values()) == 1
        for name, rule in lives.rules.items():
            due = list(takewhile(lambda at: at <= lives.bench.now, rule.times(lives.start)))
            assert {at for schedule, at in lives.moved if schedule == name} <= {
                f"{at:%Y%m%dT%H%M%S}" for at in due
            }
            assert _decided(lives, name, due) == due


@pytest.mark.parametrize("zone", ZONES)
def test_no_due_time_is_materialised_twice_however_the_clock_is_set(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with local_zone(zone):
        lives = _lives(tmp_path, monkeypatch, zone, start=datetime(2027, 10, 1, tzinfo=UTC))
        for _ in range(350):
            lives.step(clock_may_go_back=True)
        lives.finish()

        assert lives.kills > 40
        assert max(lives.moved.values()) == max(lives.documents.values()) == 1


def _lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str, *, start: datetime) -> Lives:
    return Lives(
        tmp_path,
        lambda name, function: monkeypatch.setattr(durable, name, function),
        seed=len(zone),
        start=start,
        zone=zone,
        rules={"daily": "30 2 * * *", "often": "20,50 * * * *", "weekly": "0 1 * * 0"},
    )


def _decided(lives: Lives, name: str, due: list[datetime]) -> list[datetime]:
    """Every due time of which the ledger says what became of it, as often as it does."""
    found: list[datetime] = []
    for line in lives.bench.ledger():
        if line["what"] == "decides" and line["name"] == name:
            found += [datetime.fromisoformat(each["at"]) for each in (*line["due"], *line["skipped"])]
            for each in line["missed"]:
                first, last = (datetime.fromisoformat(each[key]) for key in ("first", "last"))
                found += [at for at in due if first <= at <= last]
    return sorted(found)
