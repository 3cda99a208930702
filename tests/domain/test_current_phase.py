"""Which phase a running attempt is in, read from the notes of its transcript."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from task_queue.domain.attempt.current_phase import CurrentPhase

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)


def phase(name: str, **more: object) -> dict[str, Any]:
    return {"type": "phase", "phase": name, **more}


def check(purpose: str, command: str) -> dict[str, Any]:
    return {"type": "check_started", "purpose": purpose, "command": command}


def after(*notes: dict[str, Any], direction: str = "note") -> CurrentPhase:
    current = CurrentPhase()
    for number, note in enumerate(notes):
        current.add(direction, note, NOW + timedelta(seconds=number))
    return current


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        ((), ""),
        ((phase("prepare"),), "setup"),
        ((phase("prepare"), check("setup", "npm ci")), "setup `npm ci`"),
        ((phase("implement 2", rounds=3),), "implement 2/3"),
        ((phase("implement 4", rounds=3),), "implement 4/4"),
        ((phase("implement 1"),), "implement"),
        ((phase("verify 1", rounds=3),), "verify"),
        ((phase("verify 1", rounds=3), check("verify", "pytest -q")), "verify `pytest -q`"),
        ((phase("verify 1"), check("setup", "npm ci")), "verify: setup `npm ci`"),
        ((phase("verify 1"), check("verify", "a"), check("verify", "b")), "verify `b`"),
        ((phase("verify 1"), check("verify", "a"), {"type": "check", "command": "a"}), "verify"),
        ((phase("verify 1"), check("verify", "a"), phase("audit 1", rounds=3)), "audit"),
        ((phase("commit"),), "commit"),
        ((phase("land"), check("verify", "pytest -q")), "landing: verify `pytest -q`"),
        ((check("setup", "npm ci"),), "setup `npm ci`"),
        (({"type": "command", "argv": ["make"]},), "command"),
        (({"type": "command", "argv": ["make"]}, check("verify", "make test")), "verify `make test`"),
    ],
)
def test_the_phase_is_said_in_words(notes: tuple[dict[str, Any], ...], said: str) -> None:
    assert str(after(*notes)) == said


def test_a_phase_has_its_beginning() -> None:
    """A command of it does not begin it anew."""
    current = after(phase("prepare"), phase("verify 1"), check("verify", "pytest"))

    assert current.since == NOW + timedelta(seconds=1)


def test_what_the_agent_says_is_no_phase() -> None:
    """Frames that come from the agent can look like notes."""
    assert after(phase("landing"), direction="in").name is None
