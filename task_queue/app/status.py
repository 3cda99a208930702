"""Everything at a glance, of one installation."""

from __future__ import annotations

from datetime import datetime

from task_queue.app.answers import StatusView
from task_queue.app.installation import Installation
from task_queue.app.overview import status_of


def status(
    installation: Installation, *, now: datetime, waiting_shown: int, ended_shown: int = 0
) -> StatusView:
    """At most so many waiting and ended tasks of each source. Raises ConfigError if there is no configuration."""
    return status_of(
        installation.circumstances(now),
        config=installation.locations.config,
        problems=installation.problems,
        waiting_shown=waiting_shown,
        ended_shown=ended_shown,
    )
