"""The process that serves the Model Context Protocol on standard input and output."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from task_queue.app.installation import Installation
from task_queue.app.source_here import source_here
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import isolated


def give_way(installation: Installation, *, here: Path, source_id: str | None, read_only: bool) -> NoReturn:
    """Let this process go on as that server. Without *source_id*, tasks go to the source that works in *here*, if any.

    Raises ConfigError, TaskQueueError where there is no such source, OSError.
    """
    installation.demand_trust()
    options = ["--read-only"] if read_only else []
    if source_id is not None:
        options += ["--source", installation.entry(source_id).id]
    else:
        with suppress(TaskQueueError):  # then each task has to name one
            options += ["--source", source_here(installation, here).id]
    isolated.give_way_to("task_queue.mcp", "--config", str(installation.locations.config), *options)
