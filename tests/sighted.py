"""A machine that has joined a fleet, as its commands see it: with the file that its daemon keeps, and no database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from task_queue.domain.fleet_sight import LEASE, SIGHT, FleetSight, HostOfFleet, TaskOfFleet
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.records import encode

HERE = "back"
SETTINGS: dict[str, Any] = {
    "db": "postgresql://fleet@db.example.org/queue",
    "host": HERE,
    "credential_file": "/nowhere/credential",
}
"""``fleet`` of the configuration."""


def task_of(name: str, state: TaskState = TaskState.RUNNING, **more: Any) -> TaskOfFleet:
    """One that came in at ``front``, two hours ago."""
    known: dict[str, Any] = {
        "source": "app",
        "title": f"About {name}",
        "since": datetime.now(UTC) - timedelta(hours=2),
        "came_in_at": "front",
        "host": None if state is TaskState.PENDING else HERE,
        **more,
    }
    return TaskOfFleet(TaskId(name), state=state, **known)


def keep_sight(
    state_dir: Path, *tasks: TaskOfFleet, hosts: tuple[HostOfFleet, ...] = (), more: int = 0
) -> None:
    folder = state_dir / "fleet"
    folder.mkdir(exist_ok=True)
    (folder / SIGHT).write_bytes(encode(FleetSight(HERE, hosts=hosts, tasks=tasks, more=more)))
    (folder / LEASE).write_text("1.0")
