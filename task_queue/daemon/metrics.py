"""The file with figures for Prometheus, written now and then by a thread of its own, where it is configured."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from task_queue import __version__
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.domain import metrics
from task_queue.domain.attempt.account import Account, pause_ends_at
from task_queue.domain.document import naming
from task_queue.domain.events import Event, TaskSettled
from task_queue.domain.metrics import Metric, Sample, exposition
from task_queue.platform import durable
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.clock import Clock
from task_queue.store.folder.layout import Layout

log = logging.getLogger(__name__)

_READABLE = 0o644
"""Prometheus' node exporter is another user."""
_TO_STOP_S = 5.0


class MetricsFile:
    """``serve`` is its thread; the other methods are for others."""

    def __init__(
        self,
        config_of: Callable[[], Config],
        *,
        clock: Clock,
        account_of: Callable[[], Account],
        is_stopped: Callable[[], bool],
    ) -> None:
        self._config_of = config_of
        self._clock = clock
        self._account_of = account_of
        self._is_stopped = is_stopped
        self._started_at = clock.now()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._cost_usd: dict[str, float] = {}
        self._counting = threading.Lock()
        self._file: Path | None = None
        """Which was written last."""
        self._trouble: str | None = None
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.serve, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Say in the file that the daemon is down."""
        self._stopping.set()
        self._wakeup.wake()
        if self._thread.is_alive():
            self._thread.join(_TO_STOP_S)

    def look_soon(self) -> None:
        """The configuration changed."""
        self._wakeup.wake()

    def emit(self, event: Event) -> None:
        """Implements ports.emit.Emit."""
        if not isinstance(event, TaskSettled):
            return
        with self._counting:
            self._ended[event.source, event.outcome] += 1
            self._cost_usd[event.source] = self._cost_usd.get(event.source, 0.0) + (event.cost_usd or 0.0)

    def serve(self) -> None:
        while not self._stopping.is_set():
            self.write()
            settings = self._config_of().metrics
            self._wakeup.wait(settings.every_s if settings.file else None)
        self.close()

    def write(self) -> None:
        """The figures of now, where they are wanted; what cannot be written is logged, once for each cause."""
        config = self._config_of()
        if self._file != config.metrics.file:
            self.close()
        if config.metrics.file is not None:
            self._file = config.metrics.file
            self._replace(self._file, exposition(self._samples(config)))

    def close(self) -> None:
        """Leave the file with the news that the daemon is down."""
        if self._file is not None:
            self._replace(self._file, exposition([Sample(metrics.UP, 0)]))
        self._file = None

    def _replace(self, path: Path, text: str) -> None:
        try:
            durable.replace(path, text.encode(errors="replace"), mode=_READABLE)
        except OSError as error:
            why = error.strerror or str(error)
            if why != self._trouble:
                log.warning("metrics are not written path=%s error=%s", path, why)
            self._trouble = why
        else:
            self._trouble = None

    def _samples(self, config: Config) -> Iterator[Sample]:
        now = self._clock.now()
        yield Sample(metrics.UP, 1)
        yield Sample(metrics.INFO, 1, {"version": __version__})
        yield Sample(metrics.STARTED, _seconds(self._started_at))
        yield Sample(metrics.WRITTEN, _seconds(now))
        yield Sample(metrics.STOPPED, int(self._is_stopped()))
        yield Sample(metrics.ACCOUNT_PAUSED, int(pause_ends_at(self._account_of(), now) is not None))
        for source in config.sources:
            yield from _of_source(source)
        with self._counting:
            ended, costs = dict(self._ended), dict(self._cost_usd)
        for (name, outcome), number in ended.items():
            yield Sample(metrics.ENDED, number, {"source": name, "outcome": outcome})
        for name in {source.id: None for source in config.sources} | dict.fromkeys(costs):
            yield Sample(metrics.COST, costs.get(name, 0.0), {"source": name})


def _of_source(source: Source) -> Iterator[Sample]:
    layout = Layout(source.path)

    def sample(metric: Metric, value: int) -> Sample:
        return Sample(metric, value, {"source": source.id})

    try:
        names = {path.name for path in layout.pending.iterdir()}
        needing = _names_in(layout.needing) - _names_in(layout.acknowledged)
    except OSError:
        yield sample(metrics.SOURCE_UP, 0)
        return
    tasks = [name for name in names if naming.why_not_a_task(name) is None]
    running = sum(naming.lock_of(name) in names for name in tasks)
    yield sample(metrics.SOURCE_UP, 1)
    yield sample(metrics.WAITING, len(tasks) - running)
    yield sample(metrics.RUNNING, running)
    yield sample(metrics.ATTENTION, len(needing))


def _names_in(folder: Path) -> set[str]:
    """Of results; empty before the first. Raises OSError."""
    try:
        return {path.name for path in folder.iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return set()


def _seconds(moment: datetime) -> float:
    return round(moment.timestamp(), 3)
