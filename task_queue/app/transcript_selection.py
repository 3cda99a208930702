"""Which entries of a transcript are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from task_queue.app.transcript_text import TOOLS, EntryKind, TranscriptEntry
from task_queue.domain.errors import TaskQueueError


@dataclass(slots=True)
class Selection:
    """Of one *phase* only (``verify 2``; ``verify``: of every round), from *since* on, without calls of *tools*."""

    phase: str | None = None
    since: datetime | None = None
    tools: bool = True
    _phases: list[str] = field(default_factory=list[str], init=False)

    def of(self, entries: Iterable[TranscriptEntry]) -> Iterator[TranscriptEntry]:
        """Those of *entries* that are wanted, below the phases that they belong to.

        Raises TaskQueueError at the end if none of the phases was the wanted one.
        """
        at: datetime | None = None
        is_in_phase = self.phase is None
        heading: TranscriptEntry | None = None
        for entry in entries:
            at = entry.at or at
            if entry.kind is EntryKind.PHASE:
                self._phases.append(entry.text)
                is_in_phase = self._is_wanted(entry.text)
                heading = entry
            is_late = self.since is None or (at is not None and at >= self.since)
            if not (is_in_phase and is_late) or (entry.kind in TOOLS and not self.tools):
                continue
            if heading is not None:
                yield heading
                heading = None
            if entry.kind is not EntryKind.PHASE:
                yield entry
        if not any(map(self._is_wanted, self._phases)) and self.phase is not None:
            known = ", ".join(dict.fromkeys(self._phases))
            raise TaskQueueError(
                f"the attempt has no phase '{self.phase}'",
                hint=f"phases: {known}" if known else "it has no phases",
            )

    def _is_wanted(self, phase: str) -> bool:
        return self.phase is None or self.phase.lower() in {phase, phase.partition(" ")[0]}
