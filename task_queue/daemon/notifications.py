"""Notifications: what happened goes to the targets of the configuration, in a thread of its own.

At most once, whatever is killed and whenever: a message is taken out of the state file before its delivery is
started, and so is never started again. One whose delivery fails, or is killed, is counted and not repeated: the
program may have sent it before it failed. What is held for later is in the file, too, with the cursor of the event
log up to which it was read.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from task_queue.config.locations import Locations
from task_queue.config.schema import Config, NotificationTarget
from task_queue.daemon.deliveries import DeliveryProcess
from task_queue.domain.notification import (
    Due,
    Notice,
    Outbox,
    body_of,
    due_of,
    notice_of,
    title_of,
    types_for,
)
from task_queue.platform import durable
from task_queue.platform.json_files import RECORD_LIMIT
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.clock import Clock
from task_queue.ports.notification import Delivered, Delivery, Notification
from task_queue.store.event_reader import CURSOR_RESET, END, EventReader, LoggedEvent

log = logging.getLogger(__name__)

_TO_END_S = 1.0
_AGAIN_AFTER_S = 60.0
"""After a state file that could not be written."""


@dataclass(frozen=True, slots=True)
class NotificationState:
    """As its file has it."""

    cursor: str = END
    """Of the event log; what follows was not looked at."""
    targets: Mapping[str, Outbox] = field(default_factory=dict[str, Outbox])
    schema_version: int = 1


class RunningDelivery(Protocol):
    """A try of one delivery."""

    def stop(self) -> None:
        """End it. Safe from another thread."""
        ...

    def outcome(self) -> Delivered:
        """What came of it, once it has ended."""
        ...


def delivery_to(target: NotificationTarget, message: Notification) -> Delivery:
    return Delivery(message, target.command, target.url, target.timeout_s)


def read_state(path: Path) -> NotificationState | None:
    """None where there is none. Raises OSError, UnreadableRecordError."""
    try:
        data, _ = durable.read_regular(path, limit=RECORD_LIMIT)
    except FileNotFoundError:
        return None
    return decode(NotificationState, data)


class Notifications:
    """``serve`` is its thread; the other methods are for others."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        *,
        clock: Clock,
        start: Callable[[Delivery], RunningDelivery] = DeliveryProcess,
    ) -> None:
        self._locations = locations
        self._config_of = config_of
        self._clock = clock
        self._start = start
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._running: tuple[RunningDelivery, ...] = ()
        self._state: NotificationState | None = None
        self._thread = threading.Thread(target=self.serve, name="notifications", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience_s: float) -> None:
        """Send what is due at once, and end; what has to wait stays in the file."""
        self._stopping.set()
        self._wakeup.wake()
        if self._thread.is_alive():
            self._thread.join(patience_s)
            for delivery in self._running:
                delivery.stop()
            self._thread.join(_TO_END_S)

    def look_soon(self) -> None:
        """Something happened, or the configuration changed."""
        self._wakeup.wake()

    def serve(self) -> None:
        while not self._stopping.is_set():
            self._wakeup.wait(self._look_safely())
        self._look_safely()  # what happened last

    def _look_safely(self) -> float | None:
        try:
            return self.look()
        except OSError as error:
            log.warning("no notification is sent: %s", error)
        except Exception:  # a defect here must not stop the queue
            log.exception("no notification is sent")
        self._state = None  # read anew: memory may be ahead of the file
        return _AGAIN_AFTER_S

    def look(self) -> float | None:
        """Send what is due; how many seconds later something may be due without a wake-up. Raises OSError."""
        config = self._config_of()
        targets = config.notifications or {}
        if not targets:
            self._forget()
            return None
        before = self._state or self._read_state()
        cursor, notices = self._new_notices(before.cursor, targets)
        now = self._clock.now()
        due = {
            name: due_of(
                before.targets.get(name, Outbox()).with_notices(
                    notice for notice in notices if notice.is_wanted(target.on)
                ),
                target.rhythm,
                now,
            )
            for name, target in targets.items()
        }
        outboxes = {name: each.outbox for name, each in due.items()}
        self._state = NotificationState(cursor, outboxes)
        if outboxes != before.targets or cursor == END or self._stopping.is_set():
            self._save()
        self._deliver(targets, due, before.targets)
        waits = [(each.next_at - now).total_seconds() for each in due.values() if each.next_at]
        return max(0.0, min([config.sweep_seconds, *waits]))

    def _deliver(
        self,
        targets: Mapping[str, NotificationTarget],
        due: Mapping[str, Due],
        before: Mapping[str, Outbox],
    ) -> None:
        """All at the same time: one that hangs must not delay the others."""
        started: list[tuple[str, RunningDelivery]] = []
        outcomes: list[tuple[str, Delivered]] = []
        for name, each in due.items():
            for delivery in self._deliveries(name, targets[name], each, before.get(name, Outbox()).lost):
                try:
                    started.append((name, self._start(delivery)))
                except OSError as error:
                    outcomes.append((name, Delivered(False, f"it cannot be started: {error}")))
        self._running = tuple(process for _, process in started)
        outcomes += [(name, process.outcome()) for name, process in started]
        self._running = ()
        for name, outcome in outcomes:
            self._note(name, outcome)
        if outcomes:
            self._save()

    def _deliveries(self, name: str, target: NotificationTarget, owed: Due, lost: int) -> list[Delivery]:
        found: list[Delivery] = []
        if owed.notices:
            title, body = title_of(owed.notices, owed.more), body_of(owed.notices, owed.more, lost=lost)
            message = Notification(name, "events", title, body, owed.notices, owed.more)
            found.append(delivery_to(target, message))
        if owed.report_since is not None:
            report = delivery_to(target, Notification(name, "report", "", ""))
            found.append(replace(report, report_since=owed.report_since, config=str(self._locations.config)))
        return found

    def _note(self, name: str, outcome: Delivered) -> None:
        if outcome.delivered:
            log.info("notified target=%s", name)
        else:
            log.error("not notified target=%s error=%s", name, outcome.said)
        assert self._state is not None
        outbox = self._state.targets[name].after(delivered=outcome.delivered, said=outcome.said)
        self._state = replace(self._state, targets={**self._state.targets, name: outbox})

    def _new_notices(
        self, cursor: str, targets: Mapping[str, NotificationTarget]
    ) -> tuple[str, list[Notice]]:
        """With the cursor after them."""
        types = types_for({word for target in targets.values() for word in target.on})
        notices: list[Notice] = []
        with closing(EventReader(self._locations.events, cursor, types=types)) as reader:
            for event in reader.events():
                if event.type == CURSOR_RESET:
                    # The log was restored or built anew: what is in it may have been sent before.
                    after, newest = self._new_notices(END, targets)
                    return after, [*notices, *newest]
                notices.append(_notice(event))
            return reader.cursor or END, notices

    def _read_state(self) -> NotificationState:
        path = self._locations.notifications
        try:
            return read_state(path) or NotificationState()
        except UnreadableRecordError as error:
            kept = durable.move_aside(path, path.with_suffix(".unreadable"))
            log.warning("notifications begin anew, their state cannot be read kept=%s error=%s", kept, error)
            return NotificationState()

    def _forget(self) -> None:
        """Without a target nothing is held, and a later one begins with what happens then."""
        self._state = None
        durable.remove(self._locations.notifications)

    def _save(self) -> None:
        durable.replace(self._locations.notifications, encode(self._state))


def _notice(event: LoggedEvent) -> Notice:
    return notice_of(event.type, event.data, at=event.at, source=event.source, task_id=event.task_id)
