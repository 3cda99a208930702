"""``tasks cancel``, ``retry`` and ``land``: what a person changes."""

from __future__ import annotations

from collections.abc import Sequence

import click

from task_queue.app import changing
from task_queue.app.changing import Cancelling, NotRetried, Retried
from task_queue.app.finding import task_named
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.asking import is_agreed
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import FAILED
from task_queue.cli.server import QueueServer, only_here, server_options
from task_queue.cli.session import as_json_option, pass_installation, source_option
from task_queue.domain.task import TaskId, TaskState

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
    cancelled = changing.cancel(installation, task_named(task, installation.sources()))
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
@task_argument(TaskState.FAILED, TaskState.PENDING, required=False)
@click.option(
    "--fresh", is_flag=True, help="Begin anew, in a new session and checkout; the earlier work is kept."
)
@click.option("--all-dead", is_flag=True, help="All tasks that failed and whose attempts are used up.")
@source_option
@click.option("--dry-run", is_flag=True, help="With --all-dead: only say which.")
@click.option("--yes", is_flag=True, help="With --all-dead: do not ask.")
@server_options
@as_json_option
@pass_installation
def retry(
    installation: Installation,
    *,
    task: str | None,
    fresh: bool,
    all_dead: bool,
    source_id: str | None,
    dry_run: bool,
    yes: bool,
    server: QueueServer | None,
    as_json: bool,
) -> int:
    """Try the failed TASK again; the numbers of its attempts go on."""
    only_here(server, all_dead=all_dead)
    if all_dead == (task is not None):
        raise click.UsageError("name one task, or give --all-dead")
    if not all_dead and (source_id is not None or dry_run or yes):
        raise click.UsageError("--source, --dry-run and --yes belong to --all-dead")
    if server is not None and task is not None:
        return _retry_there(server, task, fresh=fresh, as_json=as_json)
    installation.demand_trust()
    wanted = (
        changing.dead_letters(installation, source_id)
        if task is None
        else [task_named(task, installation.sources())]
    )
    if all_dead and not _is_agreed(wanted, dry_run=dry_run, yes=yes):
        return 0
    if task is not None:
        answers: list[Retried | NotRetried] = [changing.retry(installation, wanted[0], fresh=fresh)]
    else:
        answers = [] if dry_run else list(changing.retry_each(installation, wanted, fresh=fresh))
    refused = [each for each in answers if isinstance(each, NotRetried)]
    if as_json:
        retried = [each.task_id for each in answers if isinstance(each, Retried)]
        content = {"found": wanted, "retried": retried, "refused": refused, "dry_run": dry_run}
        render.say_json({**content, "schema_version": _SCHEMA_VERSION})
        return FAILED if refused else 0
    for each in answers:
        if isinstance(each, Retried):
            render.say(f"pending: {each.task_id}")
        else:
            render.note(f"not retried: {each.task_id}: {each.why}")
    for task_id in wanted if dry_run else ():
        render.say(task_id)
    return FAILED if refused else 0


def _retry_there(server: QueueServer, task: str, *, fresh: bool, as_json: bool) -> int:
    from task_queue.client import task_operations

    retried = server.ask(task_operations.retry(server.task_id(task), fresh=fresh))
    if as_json:
        content = {"found": [retried.id], "retried": [retried.id], "refused": [], "dry_run": False}
        render.say_json({**content, "schema_version": _SCHEMA_VERSION})
    else:
        render.say(f"pending: {retried.id}")
    return 0


def _is_agreed(wanted: Sequence[TaskId], *, dry_run: bool, yes: bool) -> bool:
    """Says how many there are, before anything is done; a program that is not asked has to give --yes."""
    if not wanted:
        render.note("no task has used up its attempts")
        return True
    plural = len(wanted) != 1
    render.note(
        f"{len(wanted):,} task{'s have' if plural else ' has'} used up {'their' if plural else 'its'} attempts"
    )
    if dry_run or yes:
        return True
    return is_agreed(f"try {'them' if plural else 'it'} again?")


@click.command()
@task_argument(TaskState.COMPLETED)
@as_json_option
@pass_installation
def land(installation: Installation, *, task: str, as_json: bool) -> int:
    """Merge the branch of the completed TASK, if its checks pass on the merge; exit code 1 if it is not merged."""
    from task_queue.app.landing import (
        land as land_task,  # git and the runner's parts, which no other verb needs
    )

    landed = land_task(installation, task_named(task, installation.sources()))
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
