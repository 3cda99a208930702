"""What people asked of sources with ``pause``, ``drain`` and ``resume``: a file for each in the state folder.

The last request stands, over kills and restarts. ``resume`` leaves a file, too: so the daemon notices every one of
them, however soon it follows. Beside it the daemon notes for which request to drain nothing runs any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from task_queue.domain.source_pause import SourcePause, SourcePauseState
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, text_in

_REQUEST, _DRAINED = ".json", ".drained"
_RESUMED = "resumed"


class Pauses:
    """Every method may be called from any thread and process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, source: str) -> SourcePause | None:
        """Why *source* starts nothing new; a request that cannot be read counts as one to pause."""
        state, since = self._request(source)
        if state in {"", _RESUMED}:
            return None
        if state != SourcePauseState.DRAINING:
            return SourcePause(SourcePauseState.PAUSED, since)
        drained = since == self._noted(source)
        return SourcePause(SourcePauseState.DRAINED if drained else SourcePauseState.DRAINING, since)

    def resumed(self, source: str) -> str:
        """The time of the last request if it was to resume, else empty."""
        state, since = self._request(source)
        return since if state == _RESUMED else ""

    def pause(self, source: str, now: datetime) -> None:
        """Raises OSError, as the methods that follow."""
        self._ask(source, SourcePauseState.PAUSED, now)

    def drain(self, source: str, now: datetime) -> None:
        """One that drains already goes on with that: its end is reported once."""
        pause = self.of(source)
        if pause is None or pause.state is SourcePauseState.PAUSED:
            self._ask(source, SourcePauseState.DRAINING, now)

    def resume(self, source: str, now: datetime) -> bool:
        """Whether it was paused."""
        was_paused = self.of(source) is not None
        self._ask(source, _RESUMED, now)
        return was_paused

    def forget(self, source: str) -> None:
        """It is not served any more; another of its name starts without a pause."""
        durable.remove(self._file(source, _REQUEST))
        durable.remove(self._file(source, _DRAINED))

    def note_drained(self, source: str, pause: SourcePause) -> None:
        """Nothing of *source* runs any more. Another request may have followed *pause*: it is not touched."""
        durable.replace(self._file(source, _DRAINED), f"{pause.since}\n".encode())

    def _ask(self, source: str, state: str, now: datetime) -> None:
        durable.make_directory(self._folder)
        content: Mapping[str, object] = {"schema_version": 1, "state": state, "since": now.isoformat()}
        durable.replace(self._file(source, _REQUEST), json.dumps(content).encode() + b"\n")

    def _request(self, source: str) -> tuple[str, str]:
        """Its state and time; both empty where there is none."""
        content = json_object(self._file(source, _REQUEST), limit=4096)
        if content is None:
            return "", ""
        if isinstance(content, str):
            return SourcePauseState.PAUSED, ""
        return text_in(content, "state") or SourcePauseState.PAUSED, text_in(content, "since") or ""

    def _noted(self, source: str) -> str | None:
        try:
            return durable.read_regular(self._file(source, _DRAINED), limit=200)[0].decode().strip()
        except (OSError, UnicodeDecodeError):
            return None

    def _file(self, source: str, ending: str) -> Path:
        return self._folder / f"{source}{ending}"
