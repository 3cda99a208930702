"""The seam to the process that delivers a message to a target: one delivery in, its outcome out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from task_queue.domain.notification import Notice

_LONGEST = 20_000
"""Characters of one variable: Linux allows 128 KiB."""
NotificationKind = Literal["events", "report", "test"]


@dataclass(frozen=True, slots=True)
class Notification:
    """What a target gets; a command gets it as JSON."""

    target: str
    kind: NotificationKind
    title: str
    """One line of plain text."""
    body: str
    """Markdown."""
    events: tuple[Notice, ...] = ()
    more: int = 0
    """How many further events there are."""
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class Delivery:
    """Travels as JSON. Exactly one of ``command`` and ``url`` is given."""

    message: Notification
    command: tuple[str, ...]
    url: str | None
    timeout_s: float
    report_since: datetime | None = None
    """The message is the report since then: the process makes title and body."""
    config: str = ""
    """The configuration that the report is of."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of it; travels as JSON."""

    delivered: bool
    said: str


def variables_of(message: Notification) -> Mapping[str, str]:
    """What a command finds in its environment; those of an event only where there is one alone."""
    only = message.events[0] if len(message.events) == 1 and not message.more else None
    found = {
        "TARGET": message.target,
        "KIND": message.kind,
        "TITLE": message.title,
        "BODY": message.body,
        "COUNT": str(len(message.events) + message.more),
        "EVENT": only and only.type,
        "SOURCE": only and only.source,
        "TASK_ID": only and only.task_id,
    }
    return {
        f"TASK_QUEUE_{name}": value.replace("\0", "")[:_LONGEST] for name, value in found.items() if value
    }
