"""What ``doctor`` says of the targets of notifications: whether they can work, and whether they did."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec

from task_queue.app.delivering import APPRISE_MISSING
from task_queue.app.doctor.check import DoctorCheck
from task_queue.config.locations import Locations
from task_queue.config.schema import Config, NotificationTarget
from task_queue.daemon.notifications import NotificationState, read_state
from task_queue.domain.notification import Outbox
from task_queue.platform.records import UnreadableRecordError


def notifications(config: Config, locations: Locations) -> Iterator[DoctorCheck]:
    if not config.notifications:
        return
    try:
        state = read_state(locations.notifications) or NotificationState()
    except (OSError, UnreadableRecordError) as error:
        yield DoctorCheck("warning", f"the state of the notifications cannot be read: {error}")
        state = NotificationState()
    for name, target in config.notifications.items():
        outbox = state.targets.get(name, Outbox())
        test = f"task-queue notify test {name}"
        if (why := _why_not(target)) is not None:
            yield DoctorCheck("problem", f"notifications to '{name}' cannot be sent: {why[0]}", why[1])
        elif outbox.trouble is not None:
            lost = "" if outbox.lost < 2 else f" ({outbox.lost} in a row)"
            what = f"the last message to '{name}' was not delivered{lost}: {outbox.trouble}"
            yield DoctorCheck("problem", what, f"correct it, and try it with: {test}")
        else:
            yield DoctorCheck("ok", f"notifications go to '{name}'")


def _why_not(target: NotificationTarget) -> tuple[str, str] | None:
    """With the fix."""
    if target.url is not None and find_spec("apprise") is None:
        what, _, fix = APPRISE_MISSING.partition(": ")
        return what, fix
    if target.command and not os.access(target.command[0], os.X_OK):
        program = target.command[0]
        return f"{program} is missing or may not be executed", f"see: ls -l {program}"
    return None
