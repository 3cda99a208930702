"""The section ``fleet`` of the configuration: written by ``task-queue fleet join``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from task_queue.config.section import AbsolutePath, Section


class FleetSettings(Section):
    """The fleet that this host has joined. A daemon reads it when it starts."""

    db: str
    """URL of its database; without the password, which libpq takes from ~/.pgpass."""
    tables: str = "task_queue"
    """The schema of its tables."""
    host: str
    """The name of this machine in the fleet."""
    credential_file: AbsolutePath
    """What ``task-queue fleet host add`` printed for that name."""
    account: str = "shared"
    """The account of its agents: hosts with the same name share its limits and the budget of a day."""
    slots: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How many tasks run here at once; None: as ``limits.running`` says, 0: none, they only come in here."""
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    """Ended tasks, replaced texts and events that are older go from its tables, about once a day; 0: nothing does."""
