"""The process with all workers: signals, configuration, the state file, and when it is over.

``serve`` is what ``task-queue daemon`` and ``task-queue run`` call. The main thread only looks after
the others: it has sources opened and closed as the configuration changes (``daemon/sources.py``), has the
watches healed, reports to the service manager that all is well, and never touches a task.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from task_queue import __version__
from task_queue.config import document, schema
from task_queue.config.environment import template_environment
from task_queue.config.locations import Locations, demand_trust
from task_queue.config.schema import Config
from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.admission.account_file import AccountFile
from task_queue.daemon.admission.bounds import bounds_of
from task_queue.daemon.admission.configured import limits_for
from task_queue.daemon.admission.running import RunningPlaces, RunningTasks
from task_queue.daemon.api import ApiProcess
from task_queue.daemon.host_daemon import HostDaemon
from task_queue.daemon.housekeeping import Housekeeping
from task_queue.daemon.instance import only_daemon
from task_queue.daemon.landings import InForce, LandingTries
from task_queue.daemon.metrics import MetricsFile
from task_queue.daemon.notifications import Notifications
from task_queue.daemon.quota import Quota
from task_queue.daemon.runners import ProcessRunners
from task_queue.daemon.schedules import DueTasks
from task_queue.daemon.source_assembly import Shared
from task_queue.daemon.sources import ServedSources
from task_queue.domain.document.choices import Isolation
from task_queue.domain.document.settings import parse_defaults, resolve
from task_queue.domain.errors import ConfigError
from task_queue.domain.events import (
    ConfigurationChanged,
    DaemonStarted,
    DaemonStopped,
    Event,
    QueueResumed,
    QueueStopped,
    TaskSettled,
)
from task_queue.domain.standstill import Standstill
from task_queue.platform import descriptors, durable, identity
from task_queue.platform.clock import SystemClock
from task_queue.platform.notify import Notifier
from task_queue.platform.wakeup import Wakeup, readable
from task_queue.ports.emit import Emit
from task_queue.ports.fleet import Fleet
from task_queue.store.event_log import EventLog

log = logging.getLogger(__name__)

_LOOK_AFTER_S = 1.0
_BETWEEN_LOOKS_S = 0.1
"""At least. Workers wake the main thread several times a task: without it, it works as much as they do."""
_CHECK_EVERY_S = 2.0
_CHECK_WORKERS_AND_DISKS_EVERY_S = 5.0
_STOP_SLACK_S = 15.0
_SECRET = frozenset(("agent", "notifications"))
"""Sections of the configuration that may hold secrets."""


@dataclass(slots=True)
class _Every:
    """Something that is done now and then."""

    last: float = -math.inf

    def is_due(self, now: float, period_s: float) -> bool:
        if now < self.last + period_s:
            return False
        self.last = now
        return True


@dataclass(frozen=True, slots=True)
class Until:
    """When ``serve`` ends by itself; by default never."""

    drained: bool = False
    """Once nothing runs and nothing will start by itself: what is left waits for a person, or for other tasks."""
    tasks: int | None = None
    """Once that many tasks have ended, or nothing is left; no more than that are begun."""
    patience: timedelta | None = None
    """Once nothing can start for longer than that; None: any time that is known is waited for."""
    waits: Callable[[datetime, str], None] = lambda _until, _why: None
    """Hears that nothing can start before a time, and why."""


@dataclass(frozen=True, slots=True)
class End:
    """How ``serve`` ended."""

    stuck: Mapping[str, str]
    """Why nothing more of a source could start, by source: of those for which a person must act."""
    enough: bool = False
    """As many tasks have ended as were to."""
    stopped: bool = False
    """A person, or a signal, ended it before."""
    next_start: datetime | None = None
    """Nothing can start before, and that was too long."""


def serve(
    locations: Locations,
    emit: Emit,
    *,
    notifier: Notifier,
    until: Until = Until(),
    log_place: str = "file",
    ready: Callable[[Sequence[str]], None] = lambda _sources: None,
    fleet_of: Callable[[Config], Fleet | None] = lambda _config: None,
) -> End:
    """Run the queue until stopped. Raises ConfigError, or TaskQueueError if another daemon serves it.

    *log_place*, ``journal`` or ``file``, is shown to those who want to read the log. *ready* is called with the ids
    of the sources once they are served. *fleet_of*: the fleet that a configuration joins.
    """
    descriptors.raised_from()
    with only_daemon(locations) as is_still_the_only_one:
        config = _take_over(locations)
        daemon = Daemon(
            locations,
            config,
            emit,
            notifier=notifier,
            until=until,
            log_place=log_place,
            ready=ready,
            fleet=fleet_of(config),
        )
        return daemon.run(is_still_the_only_one)


class Daemon:
    def __init__(
        self,
        locations: Locations,
        config: Config,
        emit: Emit,
        *,
        notifier: Notifier,
        until: Until,
        log_place: str,
        ready: Callable[[Sequence[str]], None],
        fleet: Fleet | None,
    ) -> None:
        self._ready = ready
        self._fleet = fleet
        self._log_place = log_place
        self._locations = locations
        self._config = config
        self._config_seen = _stamp(locations.config)
        self._config_error: str | None = None
        self._events = EventLog(locations.events)
        self._subscribers: tuple[Emit, ...] = (emit, self._events.emit)
        self._notifier = notifier
        self._clock = SystemClock()
        self._started_at = self._clock.now()
        self._me = identity.own_identity()
        self._wakeup = Wakeup()
        self._until = until
        self._quota = Quota(until.tasks, changed=self._wakeup.wake)
        self._still: Standstill | None = None
        """As ``run`` saw it last."""
        self._announced: Standstill | None = None
        self._stop_asked = False
        self._reload_asked = False
        places = RunningPlaces(locations.running, locations.leased_running, locations.running_lock)
        self._limits = limits_for(
            locations,
            lambda: self._config,
            clock=self._clock,
            running=RunningTasks(places),
            emit=self._emit,
        )
        self._admission = SharedAdmission(self._limits, AccountFile(locations.accounts), emit=self._emit)
        self._halted = False
        self._runners = ProcessRunners(template_environment())
        self._sources = ServedSources(
            locations,
            lambda: self._config,
            Shared(
                admission=self._admission,
                runners=self._runners,
                quota=self._quota,
                clock=self._clock,
                fleet=fleet,
            ),
            self._emit,
        )
        self._due_tasks = DueTasks(
            lambda: self._config, arrived=self._sources.look, clock=self._clock, emit=self._emit
        )
        self._housekeeping = Housekeeping(locations, lambda: self._config, clock=self._clock)
        self._landings = LandingTries(lambda: InForce(locations, self._config, os.environ), self._emit)
        self._api = ApiProcess(locations, lambda: self._config)
        self._notifications = Notifications(locations, lambda: self._config, clock=self._clock)
        self._metrics = MetricsFile(
            lambda: self._config,
            clock=self._clock,
            account_of=lambda: self._admission.account,
            is_stopped=lambda: self._halted,
        )
        self._subscribers = (*self._subscribers, self._metrics.emit)
        self._warnings: list[str] = []
        self._state: dict[str, Any] = {}

    def run(self, is_still_the_only_one: Callable[[], bool]) -> End:
        with _signals(self._on_signal):
            try:
                self._emit(DaemonStarted(os.getpid(), __version__))
                self._runners.preload()
                self._halt_if_asked()
                self._due_tasks.start()  # before the workers, or a run that ends once nothing is left would miss them
                if self._fleet is not None:
                    self._fleet.start(
                        HostDaemon(
                            self._sources, self._admission, self._locations.ledger, lambda: self._halted
                        )
                    )
                self._apply(self._config)
                self._housekeeping.start()
                self._landings.start()
                self._notifications.start()
                self._metrics.start()
                self._notifier.ready()
                self._ready([source.id for source in self._config.own_sources])
                log.info("serving sources=%d pid=%d version=%s", len(self._sources), os.getpid(), __version__)
                self._look_after(is_still_the_only_one)
                return End(
                    self._sources.stuck(),
                    enough=self._quota.is_filled,
                    stopped=self._stop_asked,
                    next_start=self._still.until if self._still else None,
                )
            finally:
                self._notifier.stopping()
                self._api.stop()
                self._due_tasks.stop()
                self._housekeeping.stop()
                self._landings.stop(patience_s=self._config.stop_grace_seconds)
                self._stop_serving()
                if self._fleet is not None:
                    self._fleet.stop()
                self._notifier.extend_timeout(2 * _STOP_SLACK_S)
                self._notifications.stop(patience_s=_STOP_SLACK_S)
                self._metrics.stop()
                self._runners.close()
                self._write_state(stopped=True)
                self._emit(DaemonStopped(os.getpid()))
                self._events.close()
                log.info("stopped pid=%d", os.getpid())

    def _look_after(self, is_still_the_only_one: Callable[[], bool]) -> None:
        check, slow_check, sweep = _Every(), _Every(), _Every(time.monotonic())
        while not self._stop_asked and not self._is_over():  # before the sweep, which wakes workers
            now = time.monotonic()
            if sweep.is_due(now, self._config.sweep_seconds):
                self._sources.sweep()
                self._due_tasks.look_soon()
            if check.is_due(now, _CHECK_EVERY_S):
                if not is_still_the_only_one():
                    log.error("stopping: the locks were removed, and another daemon has them now")
                    return
                self._sources.check_watches()
            if slow_check.is_due(now, _CHECK_WORKERS_AND_DISKS_EVERY_S):
                if self._sources.all_turning(now):
                    self._notifier.watchdog()
                self._sources.look_at_disks()
                self._limits.look_at_unreviewed()
            self._reload_if_changed()
            self._halt_if_asked()
            self._admission.look_at_account_file()
            self._limits.look_at_broken_bases()
            self._limits.look_at_hours()
            self._limits.look_at_start_gap()
            self._limits.look_at_others()
            self._sources.look_at_pauses()
            self._sources.close_retired()
            if self._until == Until():
                self._api.look()
            self._write_state()
            self._wakeup.wait(min(_LOOK_AFTER_S, self._config.sweep_seconds))
            readable(timeout_s=now + _BETWEEN_LOOKS_S - time.monotonic())

    def _is_over(self) -> bool:
        if not self._until.drained and self._until.tasks is None:
            return False
        over = self._sources.has_recovered and self._quota.close(self._is_at_its_end)
        if not over and self._still != self._announced:
            self._announced = self._still
            if self._still is not None and self._still.until is not None:
                self._until.waits(self._still.until, self._still.why)
        return over

    def _is_at_its_end(self) -> bool:
        """Nothing starts any more, or not before it is too late for who waits."""
        self._still = self._sources.standstill()
        if self._still is None:
            return False
        until, patience = self._still.until, self._until.patience
        return until is None or (patience is not None and until - self._clock.now() > patience)

    def _emit(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber(event)
        self._notifications.look_soon()
        if isinstance(event, TaskSettled):
            self._landings.look_soon()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload_asked = True
        else:
            self._stop_asked = True
        self._wakeup.wake()

    def _reload_if_changed(self) -> None:
        stamp = _stamp(self._locations.config)
        if stamp == self._config_seen and not self._reload_asked:
            return
        self._config_seen, self._reload_asked = stamp, False
        try:
            config = _take_over(self._locations)
        except ConfigError as error:
            self._config_error = str(error)
            log.error(  # noqa: TRY400 - a person's mistake; the message says all
                "configuration not reloaded, the earlier one stays in force error=%s", error
            )
            return
        self._config_error = None
        self._notifier.reloading()
        self._apply(config)
        self._notifier.ready()
        self._emit(ConfigurationChanged(tuple(source.id for source in config.sources)))
        log.info("configuration reloaded sources=%d", len(self._sources))

    def _apply(self, config: Config) -> None:
        self._config = config
        self._warnings = [*_warnings(), *_shared_workspaces(config)]
        self._limits.configure(bounds_of(config), serves=[each.id for each in config.own_sources])
        self._sources.apply()
        self._due_tasks.look_soon()
        self._housekeeping.look_soon()
        self._landings.look_soon()
        self._notifications.look_soon()
        self._metrics.look_soon()

    def _halt_if_asked(self) -> None:
        """``task-queue stop`` leaves a file, ``resume`` removes it: so a stop holds across restarts."""
        asked = self._locations.stopped.exists()
        if asked == self._halted:
            return
        self._halted = asked
        self._limits.set_stopped(asked)
        if asked:
            at_once = _says_now(self._locations.stopped)
            self._sources.halt(at_once=at_once)
            self._emit(QueueStopped(at_once))
        else:
            self._sources.go_on()
            self._emit(QueueResumed())
        log.warning("everything stopped by a person" if asked else "going on after a stop")

    def _stop_serving(self) -> None:
        patience_s = self._config.stop_grace_seconds + _STOP_SLACK_S
        self._notifier.extend_timeout(patience_s)
        self._sources.stop(patience_s=patience_s)

    def _write_state(self, *, stopped: bool = False) -> None:
        """Publish what ``status`` shows of this process, when it changed."""
        me = self._me
        state: dict[str, Any] = {
            "schema_version": 1,
            "pid": me.pid,
            "pid_start_ticks": me.pid_start_ticks,
            "boot_id": me.boot_id,
            "pid_namespace": me.pid_namespace,
            "started_at": self._started_at.isoformat(),
            "stopped_at": self._clock.now().isoformat() if stopped else None,
            "version": __version__,
            "config": str(self._locations.config),
            "log": self._log_place,
            "config_error": self._config_error,
            "warnings": [*self._warnings, *self._sources.warnings()],
            "stopped": self._halted,
            "sources": self._sources.describe(stopped=stopped),
        }
        if state == self._state and self._locations.daemon_state.exists():
            return
        try:
            durable.replace(self._locations.daemon_state, json.dumps(state, indent=1).encode() + b"\n")
        except OSError as error:
            log.warning("state file not written path=%s error=%s", self._locations.daemon_state, error)
            return
        self._state = state


def _shared_workspaces(config: Config) -> list[str]:
    """Sources whose agents would work in one tree at the same time."""
    if 1 in (config.limits.per_workspace, config.limits.per_repository):
        return []
    in_place: dict[Path, list[str]] = {}
    for source in config.own_sources:
        defaults = {**parse_defaults(config.defaults), **parse_defaults(source.defaults)}
        workspace = config.workspace_of(source)
        if resolve(defaults).isolation is Isolation.NONE and workspace is not None:
            in_place.setdefault(workspace.resolve(), []).append(source.id)
    return [
        f"agents of {', '.join(ids)} may edit {workspace} at the same time; isolation: worktree in the"
        " configuration's defaults keeps them apart (it needs a git repository), or limits.per_workspace: 1"
        for workspace, ids in in_place.items()
        if len(ids) > 1
    ]


def _warnings() -> list[str]:
    if os.geteuid() == 0:
        return ["running as root: agents can change everything on this machine"]
    return []


def _take_over(locations: Locations) -> Config:
    """The configuration, if no other user could have written it, nor what is kept beside it.

    Kept without what may be secret, for commands that look while a later one is unreadable.
    """
    demand_trust(locations)
    content = document.read(locations.config)
    config = schema.validate(content, locations.config)
    shown = {key: value for key, value in content.items() if key not in _SECRET}
    shown["executors"] = dict.fromkeys(config.executors)  # their names
    with suppress(OSError):  # a full disk stops no reload
        durable.replace(locations.in_force, json.dumps(shown).encode())
    return config


def _says_now(stopped: Path) -> bool:
    try:
        return b"now" in durable.read_regular(stopped, limit=100)[0]
    except OSError:
        return False


def _stamp(path: Path) -> tuple[int, int, int, int] | None:
    """Changes whenever the file does."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_dev, about.st_ino, about.st_mtime_ns, about.st_size


@contextmanager
def _signals(handler: Callable[[int, FrameType | None], None]) -> Generator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
