"""``reindex``: the settled events of all results in a new epoch, beside writers and readers that go on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attempt.figures import TaskFigures
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.event_record import EventRecord, record_of
from task_queue.domain.events import TaskSettled
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.lockfile import FileLock
from task_queue.store.event_files import EventFolder
from task_queue.store.event_log import EventLog
from task_queue.store.event_reader import CURSOR_RESET, EventReader, LoggedEvent
from task_queue.store.event_rebuild import reindex
from tests.disks import memory_disk
from tests.proof import tracer
from tests.store.test_event_log import (
    TINY,
    fill,
    ns,
    read,
    segments,
    seq_of,
    unexpected,
)
from tests.store.writer import ROOT
from tests.waiting import eventually

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    made = tmp_path / "results"
    made.mkdir()
    return made


def a_result(folder: Path, task_id: str, *, minutes: float = 0, **content: Any) -> Path:
    path = folder / f"{task_id}.json"
    whole = {
        "task_id": task_id,
        "success": True,
        "completed_at": (NOON + timedelta(minutes=minutes)).isoformat(),
        "attempts": [{"number": 1}],
        **content,
    }
    path.write_text(json.dumps(whole))
    return path


def settled(task_id: str, attempt: int = 1) -> EventRecord:
    return EventRecord("settled", {}, "web", task_id, attempt)


def task_ids(events: list[LoggedEvent]) -> list[str | None]:
    return [event.task_id for event in events]


def test_results_of_all_sources_become_settled_events_by_their_time(folder: Path, tmp_path: Path) -> None:
    """Over several segments; what does not exist is empty."""
    sources = {name: tmp_path / name for name in ("web", "docs", "gone")}
    for name in ("web", "docs"):
        sources[name].mkdir()
    for minute in range(10):
        a_result(sources["web" if minute % 3 else "docs"], f"task-{9 - minute}", minutes=minute)

    assert reindex(folder, sources, segment_bytes=TINY, warn=unexpected) == 10

    events = read(folder)
    assert task_ids(events) == [f"task-{9 - minute}" for minute in range(10)]
    assert [event.source for event in events[:3]] == ["docs", "web", "web"]
    assert [event.at for event in events[:2]] == [NOON, NOON + timedelta(minutes=1)]
    assert [seq_of(event) for event in events] == list(range(1, 11))
    assert len(segments(folder)) > 2
    assert fill(folder, 1) == [11]


def test_a_settled_event_has_the_figures_of_its_result(folder: Path, results: Path) -> None:
    """As the daemon writes it; the attempt is the last one."""
    a_result(
        results,
        "task-a",
        success=False,
        state="failed",
        outcome="timed_out",
        error="no end in sight",
        attempts=[
            {
                "number": number,
                "outcome": outcome,
                "started_at": NOON.isoformat(),
                "ended_at": minute.isoformat(),
            }
            for number, outcome, minute in (
                (1, "limited", NOON),
                (2, "timed_out", NOON + timedelta(minutes=1)),
            )
        ],
        task_type="coding",
        executor="claude",
        waited_ms=2000,
        model_usage={
            "haiku": {"inputTokens": 5, "costUSD": 0.01},
            "opus": {"inputTokens": 15, "cacheReadInputTokens": 10, "outputTokens": 5, "costUSD": 0.2},
        },
        duration_ms=90_000,
        num_turns=7,
        total_cost_usd=0.25,
        dead_letter=True,
    )
    reindex(folder, {"web": results})
    (event,) = read(folder)

    assert EventRecord(event.type, event.data, event.source, event.task_id, event.attempt) == record_of(TaskSettled(
        "web", TaskId("task-a"), 2, TaskState.FAILED, OutcomeKind.TIMED_OUT, "no end in sight",
        took=timedelta(seconds=90), turns=7, cost_usd=0.25, dead_letter=True,
        figures=TaskFigures("coding", "claude", "opus", timedelta(seconds=2), timedelta(seconds=60), 2, 1, 30, 5),
    ))  # fmt: skip


def test_a_result_of_the_original_system_is_told_of(folder: Path, results: Path) -> None:
    """It has neither state nor outcome, attempts or an offset in its time; without a time the file's counts."""
    path = a_result(results, "task-a", completed_at=None, attempts=None)
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    reindex(folder, {"web": results})
    (event,) = read(folder)

    assert (event.attempt, event.at) == (1, NOON)
    assert (event.data["state"], event.data["outcome"]) == ("completed", "succeeded")


def test_what_is_not_a_result_is_left_out_and_named(folder: Path, results: Path, tmp_path: Path) -> None:
    """Rubbish, another document, a link, a folder; another program's temporary file is not even read."""
    a_result(results, "task-a")
    (results / "task-b.json").write_text("{")
    (results / "task-c.json").write_text("[]")
    (results / "task-d.json").symlink_to(tmp_path / "elsewhere")
    (results / "task-e.json").mkdir()
    (results / "task-f.json").write_text(json.dumps({"task_id": "../x", "success": True}))
    (results / ".tq-1-0.json").write_text("{")
    warnings: list[str] = []

    assert reindex(folder, {"web": results}, warn=warnings.append) == 1
    assert {Path(warning.partition(":")[0]).stem for warning in warnings} == {f"task-{x}" for x in "bcdef"}


def test_a_reader_is_told_of_the_new_epoch_after_the_rest_of_the_old_one(folder: Path, results: Path) -> None:
    """A follower, and one that comes back with a cursor of the old epoch."""
    a_result(results, "task-a")
    fill(folder, 4)
    reader = EventReader(folder, warn=unexpected)
    first = next(reader.events())
    reindex(folder, {"web": results})

    rest = list(reader.events())
    assert ns(rest[:3]) == [1, 2, 3]
    assert [event.type for event in rest[3:]] == [CURSOR_RESET, "settled"]
    assert [event.type for event in read(folder, first.cursor)] == [CURSOR_RESET, "settled"]
    assert read(folder, rest[3].cursor) == rest[4:]
    assert list(reader.events()) == []
    reader.close()


def test_what_is_written_meanwhile_is_in_the_new_epoch(folder: Path, tmp_path: Path) -> None:
    """Also where it is the event of a result that was found, which is there once; a second settling is another one."""
    fill(folder, 2)
    log = EventLog(folder)
    results = tmp_path / "results"
    results.mkdir()
    a_result(results, "task-a")
    a_result(results, "task-b", attempts=[{"number": 2}])

    class Meanwhile(Mapping[str, Path]):
        """The sources; while they are walked through, events are written."""

        def __getitem__(self, key: str) -> Path:
            return results

        def __len__(self) -> int:
            return 1

        def __iter__(self) -> Any:
            log.append(settled("task-a"))
            log.append(settled("task-b"))
            yield "web"
            log.append(EventRecord("written", {"n": 5}))

    reindex(folder, Meanwhile(), warn=unexpected)

    events = read(folder)
    assert sorted((event.task_id or "", event.attempt) for event in events) == [
        ("", None),
        ("task-a", 1),
        ("task-b", 1),
        ("task-b", 2),
    ]
    assert log.append(EventRecord("written", {"n": 6})) == 5
    assert ns(read(folder)[-1:]) == [6]
    log.close()


def test_a_log_that_begins_meanwhile_is_taken_over_whole(folder: Path, results: Path) -> None:
    """There was none when ``reindex`` began."""

    class Meanwhile(dict[str, Path]):
        def items(self) -> Any:
            fill(folder, 2)
            return super().items()

    reindex(folder, Meanwhile(web=results), warn=unexpected)

    assert ns(read(folder)) == [0, 1]


def test_writers_go_on_through_many_rebuildings(folder: Path, results: Path) -> None:
    """None of their events is lost or given twice in an epoch, and a follower sees each."""
    for number in range(50):
        a_result(results, f"task-{number}", minutes=number)
    log = EventLog(folder, segment_bytes=2000, patience_s=20)
    done = threading.Event()
    confirmed: list[int | None] = []

    def write() -> None:
        number = 0
        while not done.wait(0.0005):  # slower than a reader, or that one would never come to an end
            confirmed.append(log.append(EventRecord("written", {"n": number})))
            number += 1

    reader = EventReader(folder, warn=unexpected)
    thread = threading.Thread(target=write)
    thread.start()
    eventually(lambda: confirmed, what="the log has begun")
    seen = list(
        reader.events()
    )  # of a log that was never read, what was there before is made anew, not copied
    for _ in range(8):
        reindex(folder, {"web": results}, segment_bytes=2000, warn=unexpected)
        seen += reader.events()
    done.set()
    thread.join()
    seen += reader.events()

    assert None not in confirmed
    epochs: list[list[int]] = [[]]
    for event in seen:
        if event.type == CURSOR_RESET:
            epochs.append([])
        elif event.type == "written":
            epochs[-1].append(event.data["n"])
    assert all(numbers == sorted(set(numbers)) for numbers in epochs)
    assert {n for numbers in epochs for n in numbers} == set(range(len(confirmed)))
    reader.close()
    log.close()


def test_only_one_rebuilds_at_a_time(folder: Path, results: Path) -> None:
    folder.mkdir(parents=True)
    other = FileLock(folder / "reindex.lock")
    assert other.acquire("pid 7")

    with pytest.raises(TaskQueueError, match="another reindex is at work"):
        reindex(folder, {"web": results})
    other.release()
    assert reindex(folder, {"web": results}) == 0


@pytest.mark.skipif(tracer.why_not_here() is not None, reason=tracer.why_not_here() or "")
def test_it_may_be_killed_before_any_call(folder: Path, results: Path, tmp_path: Path) -> None:
    """The log is the old one or the new one, whole; what it left behind is gone after the next one."""
    for number in range(3):
        a_result(results, f"task-{number}", minutes=number)
    fill(folder, 4)
    old = ns(read(folder))
    script = (
        "import sys, pathlib; from task_queue.store.event_rebuild import reindex;"
        f"reindex(pathlib.Path(sys.argv[1]), {{'web': pathlib.Path(sys.argv[2])}}, segment_bytes={TINY})"
    )
    lives = 0
    while True:
        lives += 1
        spec = {"watch": [str(folder)], "log": str(tmp_path / "calls"), "kill": ["daemon", lives]}
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.proof.tracer", json.dumps(spec),
                sys.executable, "-c", script, str(folder), str(results),
            ],
            cwd=ROOT, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        events = read(folder)
        if done.returncode == 0:
            break
        if events[0].type != "settled":
            assert ns(events) == old
        else:
            assert task_ids(events) == ["task-0", "task-1", "task-2"]

    assert lives > 10
    assert task_ids(read(folder)) == ["task-0", "task-1", "task-2"]
    assert [path.name for path in folder.glob(".*")] == []


KINDS: dict[str, Callable[[Path], object]] = {
    "folder": Path.mkdir,
    "pipe": os.mkfifo,
    "link": lambda path: path.symlink_to("/nowhere/at/all"),
    "file": lambda path: path.write_text("in the way"),
}


@pytest.mark.parametrize("place", ["the folder", "lock", "epoch", "segment"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_in_the_place_of_the_log_is_kept_aside(
    folder: Path, results: Path, place: str, kind: str
) -> None:
    """It costs the events until then, no call raises or waits, and the next log is whole."""
    a_result(results, "task-a")
    fill(folder, 2, segment_bytes=10**6)
    (segment,) = segments(folder)
    path = {"the folder": folder, "segment": segment}.get(place, folder / place)
    path.rename(path.with_name("earlier"))
    KINDS[kind](path)
    log = EventLog(folder, segment_bytes=10**6, warn=lambda _: None)
    log.append(settled("task-z"))

    warnings: list[str] = []
    reindex(folder, {"web": results}, warn=warnings.append)

    assert log.append(settled("task-b")) is not None
    assert {"task-a", "task-b"} <= set(task_ids(read(folder)))
    assert os.path.lexists(path) or list(path.parent.glob(f"{path.name}.aside-*"))
    log.close()


def test_a_disk_that_fills_up_leaves_the_log_as_it_was(folder: Path, results: Path) -> None:
    """Nothing of the new one is left, and writers go on with the old one."""
    for number in range(2000):
        a_result(results, f"task-{number}", success=False, error="x" * 300)
    folder.mkdir(parents=True)
    with memory_disk(folder, "size=256k"):
        log = EventLog(folder)
        for number in range(3):
            log.append(EventRecord("written", {"n": number}))
        names = sorted(path.name for path in folder.iterdir())
        with pytest.raises(OSError, match="No space left"):
            reindex(folder, {"web": results}, warn=unexpected)

        assert sorted(path.name for path in folder.iterdir() if path.name != "reindex.lock") == names
        assert log.append(EventRecord("written", {"n": 3})) == 4
        assert ns(read(folder)) == [0, 1, 2, 3]
        log.close()


def test_an_epoch_that_is_begun_meanwhile_is_copied_from_its_first_event(
    folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that appears just after it was looked for."""
    look = EventFolder.current_epoch
    first = iter([True])

    def look_and_begin(self: EventFolder) -> str | None:
        found = look(self)
        if next(first, False):
            log = EventLog(folder)
            log.append(EventRecord("written", {"n": 0}))
            log.close()
        return found

    monkeypatch.setattr(EventFolder, "current_epoch", look_and_begin)
    reindex(folder, {"web": results}, warn=unexpected)

    reader = EventReader(folder, types=["written"], warn=unexpected)
    assert [event.data for event in reader.events()] == [{"n": 0}]
    reader.close()
