"""Sources that start nothing new: pause, drain and resume them. The configuration is read, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from task_queue.app import broken_bases
from task_queue.app.daemon_state import daemon_from
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config.document import SourceEntry
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.source_pause import SourcePauseState, go_on_command
from task_queue.store.folder.layout import Layout
from task_queue.store.pauses import Pauses

_POLL_S = 0.2


class Draining(StrEnum):
    """How far a source has come that is drained; the request stands in every case."""

    DRAINED = "drained"
    """Nothing of it runs."""
    STILL_RUNNING = "still running"
    NO_DAEMON = "no daemon"
    """What runs ends by itself, and is concluded once the daemon runs."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """``still_paused``: the configuration pauses it; the command that changes this."""

    source: str
    still_paused: str | None = None


def sources_named(installation: Installation, source_id: str | None) -> tuple[SourceEntry, ...]:
    """The source *source_id*, or all that the configuration lists now. Raises TaskQueueError, ConfigError."""
    installation.demand_trust()
    if source_id is not None:
        return (installation.entry(source_id),)
    if not installation.entries():
        raise TaskQueueError("there is no source yet", hint="make the usual ones with: task-queue init")
    return installation.entries()


def pause(installation: Installation, entries: Iterable[SourceEntry]) -> None:
    """Start nothing new of them; what runs goes on. Raises OSError."""
    for entry in entries:
        Pauses(installation.locations.pauses).pause(entry.id, installation.now())
        record_action(installation, "sources pause", source=entry.id)


def resume(installation: Installation, entries: Iterable[SourceEntry]) -> list[Resumed]:
    """Let sources go on that are paused, or held by the breaker or because their target is broken. Raises OSError."""
    answers: list[Resumed] = []
    for entry in entries:
        Pauses(installation.locations.pauses).resume(entry.id, installation.now())
        broken_bases.let_go_on(installation.locations.broken_bases, entry.id)
        record_action(installation, "sources resume", source=entry.id)
        command = go_on_command(entry.id, by_configuration=True) if entry.paused else None
        answers.append(Resumed(entry.id, command))
    return answers


def drain(installation: Installation, entries: Iterable[SourceEntry]) -> None:
    """Start nothing new of them, and have the daemon report when nothing of one runs any more. Raises OSError."""
    for entry in entries:
        Pauses(installation.locations.pauses).drain(entry.id, installation.now())
        record_action(installation, "sources drain", source=entry.id)


def wait_until_drained(
    installation: Installation, entries: Sequence[SourceEntry], *, timeout_s: float | None = None
) -> dict[str, Draining]:
    """How far each of *entries* is once all are drained, or resumed, the daemon is gone, or the time is over."""
    deadline = None if timeout_s is None else installation.clock.monotonic() + timeout_s
    while True:
        stand = {entry.id: _stand(installation, entry) for entry in entries}
        over = deadline is not None and installation.clock.monotonic() >= deadline
        if over or Draining.STILL_RUNNING not in stand.values():
            return stand
        installation.sleep(_POLL_S)


def _stand(installation: Installation, entry: SourceEntry) -> Draining:
    pause = Pauses(installation.locations.pauses).of(entry.id)
    if pause is None:
        raise TaskQueueError(f"source '{entry.id}' was resumed meanwhile, so it is not drained")
    if pause.state is SourcePauseState.DRAINED:
        return Draining.DRAINED
    if daemon_from(installation.locations.daemon_state)[0].running:
        return Draining.STILL_RUNNING
    claimed = any(Layout(entry.path).pending.glob(".task-*.lock"))
    return Draining.NO_DAEMON if claimed else Draining.DRAINED
