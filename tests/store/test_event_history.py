"""The newest events first: the same ones as a reader finds from the front, in the other order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from task_queue.domain.event_record import EventRecord
from task_queue.store.event_files import EventFolder
from task_queue.store.event_history import newest_first
from task_queue.store.event_log import EventLog
from task_queue.store.event_reader import EventReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some hundred events in many segments; some say in their data what looks like a type."""
    folder, chance = tmp_path / "events", random.Random(7)
    log = EventLog(folder, segment_bytes=2000)
    for n in range(400):
        type_ = chance.choice(["settled", "turn_taken", "landed", "turn_taken"])
        log.append(
            EventRecord(type_, {"n": n, "said": '"type":"settled"', "type": "settled"}, "web", f"task-{n}", 1)
        )
    log.close()
    return folder


@pytest.mark.parametrize("types", [("settled",), ("settled", "landed"), ("landed",), ("dropped",), ()])
def test_newest_first_is_the_reader_backwards(folder: Path, types: tuple[str, ...]) -> None:
    reader = EventReader(folder, types=types or ("none",))

    found = [(each.record.type, each.record.task_id) for each in newest_first(folder, types)]

    assert found == [(each.type, each.task_id) for each in reversed(list(reader.events()))]
    assert bool(found) == ("settled" in types or "landed" in types)
    reader.close()


@pytest.mark.parametrize("tail", [b'{"seq":9999,"at":"2026', b'rubbish "type":"settled" rubbish\n', b"\n\n"])
def test_a_line_that_cannot_be_read_is_left_out(folder: Path, tail: bytes) -> None:
    before = list(newest_first(folder, ["settled"]))
    log = EventFolder(folder)
    epoch = log.current_epoch()
    assert epoch is not None
    last = log.segment(epoch, log.firsts(epoch)[-1])
    with last.open("ab") as file:
        file.write(tail)

    assert list(newest_first(folder, ["settled"])) == before


def test_no_log_has_no_events(tmp_path: Path) -> None:
    assert list(newest_first(tmp_path / "events", ["settled"])) == []
