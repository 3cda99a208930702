"""``notify test``: a message to the targets, sent now, by the very process that the daemon would use."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.daemon.deliveries import DeliveryProcess
from task_queue.daemon.notifications import delivery_to
from task_queue.domain.errors import TaskQueueError
from task_queue.ports.notification import Notification


@dataclass(frozen=True, slots=True)
class TestedTarget:
    target: str
    delivered: bool
    said: str


@dataclass(frozen=True, slots=True)
class NotifyTest:
    """What came of a test message to each target."""

    targets: tuple[TestedTarget, ...]
    schema_version: int = 1


def send_test(installation: Installation, name: str | None) -> NotifyTest:
    """To *name*, or to every target; takes as long as they may. Raises TaskQueueError, ConfigError, OSError."""
    targets = installation.config.notifications or {}
    if not targets:
        raise TaskQueueError(
            "no target is configured", hint="see 'notifications' in docs/notifications.md for what to write"
        )
    if name is not None and name not in targets:
        raise TaskQueueError(f"there is no target '{name}'", hint=f"targets: {', '.join(targets)}")
    chosen = targets if name is None else {name: targets[name]}
    started = {
        each: DeliveryProcess(
            delivery_to(
                target,
                Notification(each, "test", "A test of task-queue", "Messages of task-queue arrive here.\n"),
            )
        )
        for each, target in chosen.items()
    }
    outcomes = {each: process.outcome() for each, process in started.items()}
    record_action(installation, "notify test")
    return NotifyTest(tuple(TestedTarget(each, it.delivered, it.said) for each, it in outcomes.items()))
