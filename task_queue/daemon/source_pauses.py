"""Sources that a person or the configuration pauses, drains and resumes, as the daemon acts on it and reports it."""

from __future__ import annotations

import logging

from task_queue.daemon.admission.limits import SharedLimits
from task_queue.daemon.served_source import ServedSource
from task_queue.domain.events import SourceDrained, SourcePaused, SourceResumed
from task_queue.domain.source_pause import SourcePause, SourcePauseState
from task_queue.ports.emit import Emit
from task_queue.store.pauses import Pauses

log = logging.getLogger(__name__)


class SourcePauses:
    """What ``ServedSource`` holds of its pause is written here only."""

    def __init__(self, pauses: Pauses, limits: SharedLimits, emit: Emit) -> None:
        self._pauses = pauses
        self._limits = limits
        self._emit = emit

    def as_reported(self, served: ServedSource) -> ServedSource:
        """With the pause that an earlier daemon has reported already."""
        served.pause = _state_of(served, self._pauses.of(served.source.id))
        served.resumed = self._pauses.resumed(served.source.id)
        return served

    def look_at(self, served: ServedSource) -> bool:
        """Whether it is paused, drains or was resumed otherwise than before; reports that, and the end of draining."""
        source_id, before = served.source.id, served.pause
        pause, resumed = self._pauses.of(source_id), self._pauses.resumed(source_id)
        if pause is not None and pause.state is SourcePauseState.DRAINING and self._is_drained(served):
            pause = self._report_drained(served, pause)
        if resumed != served.resumed:
            served.resumed = resumed
            self._limits.resumed(source_id)
        served.pause = _state_of(served, pause)
        if served.pause is before:
            return False
        if (served.pause is None) is not (before is None):
            self._emit(SourceResumed(source_id) if served.pause is None else SourcePaused(source_id))
        return True

    def _is_drained(self, served: ServedSource) -> bool:
        return served.worker.has_concluded and self._limits.is_drained(served.source.id)

    def _report_drained(self, served: ServedSource, pause: SourcePause) -> SourcePause | None:
        """Reported first: a kill in between reports it twice rather than never."""
        source_id = served.source.id
        if served.drained != pause:
            self._emit(SourceDrained(source_id))
            served.drained = pause
        try:
            self._pauses.note_drained(source_id, pause)
        except OSError as error:  # tried again at the next look
            log.warning("end of draining not noted source=%s error=%s", source_id, error)
        return self._pauses.of(source_id)


def _state_of(served: ServedSource, pause: SourcePause | None) -> SourcePauseState | None:
    if pause is not None:
        return pause.state
    return SourcePauseState.PAUSED if served.source.paused else None
