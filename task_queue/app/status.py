"""Everything at a glance, of one installation."""

from __future__ import annotations

from datetime import datetime

from task_queue.app.answers import StatusView
from task_queue.app.api_process import api_of
from task_queue.app.fleet_sight import fleet_sight
from task_queue.app.installation import Installation
from task_queue.app.overview import status_of


def status(
    installation: Installation,
    *,
    now: datetime,
    waiting_shown: int,
    ended_shown: int = 0,
    with_outlook: bool = False,
) -> StatusView:
    """At most so many waiting and ended tasks of each source; *with_outlook*: when they start and end.

    Raises ConfigError if there is no configuration.
    """
    circumstances = installation.circumstances(now)
    view = status_of(
        circumstances,
        config=installation.locations.config,
        problems=installation.problems,
        waiting_shown=waiting_shown,
        ended_shown=ended_shown,
    )
    view.api = api_of(installation)
    view.fleet = fleet_sight(installation)
    if with_outlook or any(source.running for source in view.sources):
        from task_queue.app.estimating import (  # where nothing runs, it is not needed
            add_outlook,
            add_progress,
        )

        add_progress(circumstances, installation.locations.events, view.sources)
        if with_outlook:
            add_outlook(circumstances, installation.locations.events, view.sources)
    return view
