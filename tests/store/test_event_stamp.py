"""The stamp of a reader changes whenever something follows."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.events import PersonActed
from task_queue.store.event_log import EventLog
from task_queue.store.event_reader import EventReader


def test_the_stamp_changes_with_every_event(tmp_path: Path) -> None:
    log = EventLog(tmp_path, warn=lambda _: None)
    reader = EventReader(tmp_path)
    assert reader.stamp() is None
    log.emit(PersonActed("first", None, None, {}))
    assert len(list(reader.events())) == 1
    for number in range(20):
        before = reader.stamp()
        assert before is not None
        assert reader.stamp() == before
        log.emit(PersonActed(f"next {number}", None, None, {}))
        assert reader.stamp() != before
        assert len(list(reader.events())) == 1
    log.close()
    reader.close()
    assert reader.stamp() is None
