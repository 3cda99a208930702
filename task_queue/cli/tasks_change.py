"""``tasks cancel`` and ``land``: what a person changes."""

from __future__ import annotations

import click

from task_queue.app import changing
from task_queue.app.changing import Cancelling
from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import FAILED
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.task import TaskState

_SCHEMA_VERSION = 1


@click.command()
@task_argument(TaskState.PENDING, TaskState.RUNNING)
@server_options
@pass_installation
def cancel(installation: Installation, *, task: str, server: QueueServer | None) -> int:
    """End the waiting or running TASK for good, its whole process tree included."""
    if server is not None:
        from task_queue.client import task_operations

        asked = server.ask(task_operations.cancel(server.task_id(task)))
        render.say(f"{'cancelled' if asked.status == 'cancelled' else 'requested'}: {asked.id}")
        return 0
    installation.demand_trust()
    cancelled = changing.cancel(installation, task_here(installation, task))
    task_id = cancelled.task_id
    match cancelled.how:
        case Cancelling.REQUESTED:
            render.say(f"requested: {task_id}")
            goes_on = "its agent goes on until the daemon starts, which ends it"
            later = goes_on if cancelled.agent_goes_on else "the task is cancelled when it starts"
            render.note(f"the daemon does not run: {later}")
        case Cancelling.STILL_RUNNING:
            render.note(f"task {task_id} has not ended yet; the request stands. See: task-queue status")
            return FAILED
        case Cancelling.COMPLETED_BEFORE:
            render.say(f"completed: {task_id} was done before the request arrived")
        case Cancelling.CANCELLED:
            render.say(f"cancelled: {task_id}{'; its processes are gone' if cancelled.ran else ''}")
    return 0


@click.command()
@task_argument(TaskState.COMPLETED)
@as_json_option
@pass_installation
def land(installation: Installation, *, task: str, as_json: bool) -> int:
    """Merge the branch of the completed TASK, if its checks pass on the merge; exit code 1 if it is not merged."""
    from task_queue.app.landing import (
        land as land_task,  # git and the runner's parts, which no other verb needs
    )

    landed = land_task(installation, task_here(installation, task))
    if as_json:
        render.say_json(
            {
                "task_id": landed.task_id,
                "source": landed.source,
                "landed": landed.is_in_target,
                "said": landed.said,
                "schema_version": _SCHEMA_VERSION,
            }
        )
    else:
        render.say(f"{'landed' if landed.is_in_target else 'not landed'}: {landed.said}")
    return 0 if landed.is_in_target else FAILED
