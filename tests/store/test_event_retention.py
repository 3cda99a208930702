"""The oldest complete segments of the event log go; readers are told, and statistics keep their sums."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from task_queue.domain.event_record import EventRecord
from task_queue.domain.work.worktrees import Keep
from task_queue.store.event_log import EventLog
from task_queue.store.event_reader import CURSOR_RESET, EventReader
from task_queue.store.event_retention import prune_events
from task_queue.store.event_summaries import EventSummaries
from task_queue.store.retention import Prunable
from tests.store.test_event_log import TINY, fill, ns, read, segments, unexpected
from tests.store.test_materialising_killed import killed_at

NOW = datetime.now(UTC)
WEEK = Keep(10**9, timedelta(days=7))


def aged(folder: Path, ages_in_days: list[float]) -> list[Path]:
    """The segments, the first of which get these ages."""
    found = segments(folder)
    for path, days in zip(found, ages_in_days, strict=False):
        at = (NOW - timedelta(days=days)).timestamp()
        os.utime(path, (at, at))
    return found


def prune(tmp_path: Path, keep: Keep = WEEK, *, dry_run: bool = False) -> tuple[Prunable, ...]:
    return prune_events(tmp_path / "events", tmp_path / "summaries", keep, now=NOW, dry_run=dry_run)


def test_whole_segments_beyond_the_age_go_and_never_the_newest(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    fill(folder, 20)
    found = aged(folder, [9, 8, 6, 9])

    would = prune(tmp_path, dry_run=True)
    assert [thing.name for thing in would] == [path.name for path in found[:2]]
    assert segments(folder) == found
    assert prune(tmp_path) == would
    assert segments(folder) == found[2:]
    prune(tmp_path, Keep(0))
    assert segments(folder) == found[-1:]


def test_a_reader_of_what_is_gone_is_told_and_gets_the_rest(tmp_path: Path) -> None:
    """One whose place is still there goes on without a word, and the writer goes on with its numbers."""
    folder = tmp_path / "events"
    fill(folder, 20)
    events = read(folder)
    aged(folder, [9, 9])
    prune(tmp_path)
    left = read(folder)

    assert ns(left) == ns(events)[-len(left) :]
    behind = read(folder, events[0].cursor)
    assert [event.type for event in behind[:1]] == [CURSOR_RESET]
    assert ns(behind[1:]) == ns(left)
    assert ns(read(folder, left[0].cursor)) == ns(left[1:])
    assert fill(folder, 1) == [len(events) + 1]
    assert len(read(folder, left[-1].cursor)) == 1


def test_statistics_count_what_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    log = EventLog(folder, warn=unexpected, segment_bytes=TINY)
    for number in range(12):
        data = {"state": "completed", "outcome": "succeeded", "took": 1.0, "figures": {}}
        log.append(EventRecord("settled", data, "web", f"task-{number}", 1))
    log.close()

    def counted() -> int:
        found = EventSummaries(folder, tmp_path / "summaries").since(None, "source")
        return sum(tally.number for summary in found for tally in summary.cells.values())

    before = counted()
    aged(folder, [9] * 100)
    assert prune(tmp_path, Keep(1))
    assert len(segments(folder)) == 2
    assert counted() == before > 0


def test_a_kill_at_any_call_leaves_no_gap_and_the_sums(tmp_path: Path) -> None:
    points = 0
    while True:
        place = tmp_path / str(points)
        fill(place / "events", 12)
        found = aged(place / "events", [9, 9])
        if not killed_at(points, partial(prune, place)):
            break

        left = segments(place / "events")
        assert left == found[len(found) - len(left) :], points
        gone = found[: len(found) - len(left)]
        epoch = found[0].parent.name
        sums = EventSummaries(place / "events", place / "summaries")
        assert all(sums.outlives(epoch, int(path.stem)) for path in gone)
        prune(place)
        assert segments(place / "events") == found[2:]
        points += 1
    assert points > 10


def test_a_reader_that_reads_what_goes_is_told_before_the_gap(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    fill(folder, 20)
    whole = ns(read(folder))
    reader = EventReader(folder, warn=unexpected)
    following = reader.events()
    first = next(following)
    aged(folder, [9, 9, 9])
    prune(tmp_path)
    rest = list(following)
    reader.close()

    assert ns([first])[0] == whole[0]
    reset = next(number for number, event in enumerate(rest) if event.type == CURSOR_RESET)
    assert ns(rest[:reset]) == whole[1 : 1 + reset]
    assert ns(rest[reset + 1 :]) == ns(read(folder))
