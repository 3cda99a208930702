"""What people asked of sources: the last request stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.domain.source_pause import SourcePause, SourcePauseState
from task_queue.store.pauses import Pauses

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)


@pytest.fixture
def pauses(tmp_path: Path) -> Pauses:
    return Pauses(tmp_path / "pauses")


def state_of(pauses: Pauses, source: str = "a") -> str | None:
    pause = pauses.of(source)
    return None if pause is None else pause.state


def test_the_last_request_stands(pauses: Pauses) -> None:
    """Of each source by itself."""
    before = state_of(pauses)
    pauses.pause("a", NOW)
    paused = state_of(pauses), state_of(pauses, "b")
    was_paused = pauses.resume("a", LATER)

    assert (before, paused, was_paused, state_of(pauses)) == (None, ("paused", None), True, None)


def test_each_resume_can_be_told_from_the_one_before(pauses: Pauses) -> None:
    """Also of a source that is not paused: the breaker may have stopped it."""
    never = pauses.resumed("a")
    was_paused = pauses.resume("a", NOW)
    first = pauses.resumed("a")
    pauses.pause("a", NOW)
    pauses.resume("a", LATER)

    assert (never, was_paused) == ("", False)
    assert len({never, first, pauses.resumed("a")}) == 3


def test_a_drained_source_is_drained_until_another_request(pauses: Pauses) -> None:
    """Another request to drain changes nothing; after one to pause it drains anew."""
    pauses.drain("a", NOW)
    asked = pauses.of("a")
    assert asked is not None
    assert asked == SourcePause(SourcePauseState.DRAINING, NOW.isoformat())
    pauses.note_drained("a", asked)
    pauses.drain("a", LATER)
    again = state_of(pauses)
    pauses.pause("a", LATER)
    pauses.drain("a", LATER)

    assert (again, state_of(pauses)) == ("drained", "draining")


def test_a_late_note_does_not_undo_a_resume(pauses: Pauses) -> None:
    """The daemon notes the end of what a person has taken back meanwhile."""
    pauses.drain("a", NOW)
    asked = pauses.of("a")
    assert asked is not None
    pauses.resume("a", LATER)
    pauses.note_drained("a", asked)

    assert state_of(pauses) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": "later"}', '{"state": 7}'])
def test_a_request_that_cannot_be_read_pauses(pauses: Pauses, tmp_path: Path, content: str) -> None:
    """Rather than to start what a person wanted not to."""
    pauses.pause("a", NOW)
    (tmp_path / "pauses" / "a.json").write_text(content)

    assert state_of(pauses) == "paused"


def test_a_source_that_is_forgotten_starts_without_a_pause(pauses: Pauses) -> None:
    pauses.drain("a", NOW)
    pauses.forget("a")
    pauses.forget("never")

    assert state_of(pauses) is None
