"""For how many sources there is room: each that is served keeps files open, and a process may have so many only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from task_queue.config.source_settings import Source
from task_queue.daemon.served_source import ServedSource
from task_queue.platform import descriptors

_OTHER_DESCRIPTORS = 150
"""Of the daemon itself, and of attempts and files that it works on at the moment."""
_DESCRIPTORS_OF_A_SOURCE = 2


class SourceRoom:
    """Sources without room are left out; at each sweep those with tasks change places with empty ones."""

    def __init__(self) -> None:
        self._places = max(1, (descriptors.allowed() - _OTHER_DESCRIPTORS) // _DESCRIPTORS_OF_A_SOURCE)
        self._left_out: tuple[str, ...] = ()

    def takes(self, missing: Iterable[Source], *, served: int) -> Sequence[Source]:
        """Those of *missing* that fit in beside *served* others, those with tasks first; the rest is left out."""
        sources = list(missing)
        room = max(0, self._places - served)
        if len(sources) > room:
            sources.sort(key=_is_bare)
        self._left_out = tuple(source.id for source in sources[room:])
        return sources[:room]

    def left_out_with_tasks(self, sources: Iterable[Source]) -> Sequence[Source]:
        """Those of *sources* that are left out although something waits there."""
        return [source for source in sources if source.id in self._left_out and not _is_bare(source)]

    def giving_way(self, served: Iterable[ServedSource], sources: Iterable[Source]) -> Sequence[ServedSource]:
        """Those of *served* in which nothing waits, as many as there are others of *sources* that need their room."""
        if not self._left_out:
            return ()
        waiting = self.left_out_with_tasks(sources)
        idle = [
            each
            for each in served
            if not each.retiring and each.worker.rest is not None and _is_bare(each.source)
        ]
        return idle[: len(waiting)]

    def warnings(self) -> tuple[str, ...]:
        if not self._left_out:
            return ()
        why = f"because only {descriptors.allowed()} open files are allowed"
        hint = "raise the hard limit (ulimit -Hn, or LimitNOFILE in the unit)"
        return (f"{len(self._left_out)} sources are served by the sweep only, {why}; {hint}",)


def _is_bare(source: Source) -> bool:
    """Whether nothing is in its folder for tasks, as far as can be seen."""
    try:
        with os.scandir(source.path) as entries:
            return next(entries, None) is None
    except OSError:
        return True
