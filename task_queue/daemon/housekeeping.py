"""What the daemon does besides tasks.

Checkouts beyond what is to be kept go, and files that the killed left; the event log is summed up for statistics;
what is beyond ``retention`` goes.

In a thread of its own, because git may take its time. The end of a task removes those beyond the limits, too
(``runner/tidying.py``); time passes without one.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from datetime import timedelta

from task_queue.config.environment import agent_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.domain.document.layers import Layers
from task_queue.domain.document.naming import key_of_copy
from task_queue.domain.errors import GitError
from task_queue.git.folder_files import first_looks_in
from task_queue.git.kept_set_ups import KeptSetUps
from task_queue.git.merged_branches import MergedBranches
from task_queue.git.scratch_checkout import discard_unused_places
from task_queue.git.tidying import repositories_in, tidy
from task_queue.platform import temporary
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.clock import Clock
from task_queue.store.event_retention import prune_events
from task_queue.store.event_summaries import EventSummaries
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.unfinished import unfinished_in
from task_queue.store.retention import Prunable, SourceRetention, needed_by_waiting
from task_queue.store.snapshot import ReadSource

log = logging.getLogger(__name__)

_LONGEST_WAIT = timedelta(hours=1)
_SHORTEST_WAIT = timedelta(seconds=1)
_SUMMARIES_AT_ONCE = 20
"""Segments of the event log, of which each takes about a tenth of a second."""


class Housekeeping:
    """``serve`` is its thread; ``look_soon`` and ``stop`` are for others."""

    def __init__(self, locations: Locations, config_of: Callable[[], Config], *, clock: Clock) -> None:
        self._locations = locations
        self._config_of = config_of
        self._clock = clock
        self._wakeup = Wakeup()
        self._stopping = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self.serve, name="housekeeping", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing more; a removal that git has begun is its own to end."""
        self._stopping.set()
        self._wakeup.wake()

    def look_soon(self) -> None:
        """The configuration may have changed."""
        self._wakeup.wake()

    def serve(self) -> None:
        while not self._stopping.is_set():
            self.look()
            config = self._config_of()
            ages = (config.git.keep.period, config.retention.shortest_age)
            period = min((age for age in ages if age is not None), default=_LONGEST_WAIT)
            self._wakeup.wait(min(max(period, _SHORTEST_WAIT), _LONGEST_WAIT).total_seconds())

    def look(self) -> None:
        """Remove what is overdue now, in every source, and temporary files of runners that were killed."""
        try:
            swept = temporary.sweep(self._locations.temporary)
        except OSError as error:
            log.warning("temporary folders not removed error=%s", error)
        else:
            if swept:
                log.info("temporary folders of killed runners removed count=%d", swept)
        self._summarize()
        config = self._config_of()
        for source in config.sources:
            if self._stopping.is_set():
                return
            try:
                self._remove_copies(source)
                self._tidy(source, config)
            except (GitError, OSError, ValueError) as error:
                log.warning("working trees not looked through source=%s error=%s", source.id, error)

        self._remove_set_ups(config)
        self._prune(config)

    def _remove_set_ups(self, config: Config) -> None:
        """What set-up made, beyond the limits or of a source that is no longer there."""
        keep, folder = config.git.keep, self._locations.set_ups
        served = {source.id for source in config.sources}
        try:
            for each in list(folder.iterdir()) if folder.is_dir() else ():
                period = keep.period if each.name in served else timedelta(0)
                store = KeptSetUps(each)
                for old in store.prune(period=period, size_bytes=keep.size_bytes, now=self._clock.now()):
                    log.info("kept set-up removed source=%s commit=%s", each.name, old.commit)
        except OSError as error:
            log.warning("kept set-ups not looked through error=%s", error)

    def _prune(self, config: Config) -> None:
        """What is beyond ``retention``, in every source and in the event log."""
        retention, now = config.retention, self._clock.now()
        if not retention.is_on:
            return
        pruned: list[Prunable] = []
        try:
            pruned += prune_events(
                self._locations.events,
                self._locations.summaries,
                retention.events.keep,
                now=now,
                stopping=self._stopping.is_set,
            )
            sources = [ReadSource(each.id, Layout(each.path), Layers) for each in config.sources]
            needed = needed_by_waiting(sources)
            for source in sources:
                of_source = SourceRetention(
                    source.id,
                    source.layout,
                    needed=needed,
                    is_settled=MergedBranches().has_settled,
                    now=now,
                    stopping=self._stopping.is_set,
                )
                pruned += of_source.prune(results=retention.results.keep, logs=retention.logs.keep)
        except (OSError, ValueError) as error:
            log.warning("not pruned further error=%s", error)
        gone = [thing for thing in pruned if thing.why_kept is None]
        if gone:
            size_mb = sum(thing.size_bytes for thing in gone) / 2**20
            log.info("pruned by retention count=%d size_mb=%.1f", len(gone), size_mb)

    def _summarize(self) -> None:
        """So that the first question for statistics need not read all of a long event log."""
        summaries = EventSummaries(self._locations.events, self._locations.summaries)
        try:
            summaries.keep_up(most=_SUMMARIES_AT_ONCE, stopping=self._stopping.is_set)
        except OSError as error:
            log.warning("event log not summarized error=%s", error)

    def _remove_copies(self, source: Source) -> None:
        """Copies of documents, and lists of files, that killed runners left, of tasks that have ended.

        The lock comes before both.
        """
        looks = first_looks_in(self._locations.worktrees / source.id)
        copies = list((self._locations.documents / source.id).glob("*.md"))
        unfinished = unfinished_in(source.path)
        for copy in copies:
            if key_of_copy(copy.name) not in unfinished:
                copy.unlink(missing_ok=True)
        for key, look in looks.items():
            if key not in unfinished:
                look.unlink(missing_ok=True)

    def _tidy(self, source: Source, config: Config) -> None:
        folder = self._locations.worktrees / source.id
        discard_unused_places(folder)
        environment = agent_environment(config.agent, os.environ)
        for git in repositories_in(folder, environment, trusted=self._locations.trusted_programs):
            tidied = tidy(
                git,
                folder,
                keep=config.git.keep,
                unfinished=lambda: unfinished_in(source.path),
                now=self._clock.now(),
            )
            for gone in tidied.removed:
                log.info("working tree removed source=%s path=%s", source.id, gone)
            for kept, why in tidied.kept:
                log.info("working tree beyond the limits kept source=%s path=%s why=%s", source.id, kept, why)
