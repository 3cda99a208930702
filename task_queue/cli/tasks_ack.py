"""``tasks ack``: what a person has seen."""

from __future__ import annotations

from collections.abc import Sequence

import click

from task_queue.app.acknowledging import Acknowledged, acknowledge, acknowledge_all
from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation, source_option
from task_queue.domain.task import TaskState

_MOST = 500


@click.command()
@task_argument(TaskState.COMPLETED, TaskState.FAILED, nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every result that needs attention now.")
@source_option
@server_options
@as_json_option
@pass_installation
def ack(
    installation: Installation,
    *,
    task: tuple[str, ...],
    everything: bool,
    source_id: str | None,
    server: QueueServer | None,
    as_json: bool,
) -> None:
    """You have seen what the results of each TASK say: they need no attention any more.

    What a result says later, or that of a retry, is shown again.
    """
    if bool(task) == everything:
        raise click.UsageError("name tasks, or give --all")
    if source_id is not None and not everything:
        raise click.UsageError("--source goes with --all")
    if server is not None:
        done = _acknowledged_there(server, task, source_id)
    elif everything:
        done = acknowledge_all(installation, source_id)
    else:
        sources = installation.sources()
        done = acknowledge(
            installation, dict.fromkeys(task_here(installation, text, sources) for text in task)
        )
    if as_json:
        render.say_json(done)
        return
    for task_id in done.task_ids:
        render.say(f"acknowledged: {task_id}")
    if not done.task_ids:
        render.note("no result needs attention")


def _acknowledged_there(server: QueueServer, named: Sequence[str], source_id: str | None) -> Acknowledged:
    """Those *named*, or all that need a person and that the credential may change."""
    from task_queue.client import task_operations

    ids = [server.task_id(text) for text in named]
    if not named:
        sources = () if source_id is None else (source_id,)
        page = server.ask(task_operations.tasks(attention=True, source=sources, limit=_MOST))
        ids = [task.id for task in page.tasks if task.completed_at is not None]
    done = [server.ask(task_operations.acknowledge(task_id)).id for task_id in dict.fromkeys(ids)]
    return Acknowledged(tuple(done))
