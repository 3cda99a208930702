"""``tasks retry``: another try."""

from __future__ import annotations

from collections.abc import Sequence

import click

from task_queue.app.changing import NotRetried, dead_letters, retry_each
from task_queue.app.installation import Installation
from task_queue.app.retrying import Retried, what_retry_does
from task_queue.app.retrying import retry as retry_task
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.asking import is_agreed
from task_queue.cli.completing import task_argument
from task_queue.cli.edge import FAILED
from task_queue.cli.server import QueueServer, only_here, server_options
from task_queue.cli.session import as_json_option, pass_installation, source_option
from task_queue.domain.attempt.retry_wish import RetryFrom, RetryWish
from task_queue.domain.task import TaskId, TaskState

_SCHEMA_VERSION = 1


@click.command()
@task_argument(TaskState.FAILED, TaskState.PENDING, required=False)
@click.option(
    "--fresh", is_flag=True, help="Begin anew, in a new session and checkout; the earlier work is kept."
)
@click.option(
    "--from",
    "begin_at",
    type=click.Choice([each.value for each in RetryFrom]),
    help="The first phase that is done again; what came before it counts as it is.",
)
@click.option(
    "--note", default="", metavar="TEXT", help="A sentence for the agent, kept in the task's history."
)
@click.option("--model", metavar="MODEL", help="In place of the one that the settings name.")
@click.option("--all-dead", is_flag=True, help="All tasks that failed and whose attempts are used up.")
@source_option
@click.option("--dry-run", is_flag=True, help="Only say what would be tried again, and what it would keep.")
@click.option("--yes", is_flag=True, help="With --all-dead: do not ask.")
@server_options
@as_json_option
@pass_installation
def retry(
    installation: Installation,
    *,
    task: str | None,
    fresh: bool,
    begin_at: str | None,
    note: str,
    model: str | None,
    all_dead: bool,
    source_id: str | None,
    dry_run: bool,
    yes: bool,
    server: QueueServer | None,
    as_json: bool,
) -> int:
    """Try the failed TASK again; the numbers of its attempts go on."""
    only_here(server, all_dead=all_dead, dry_run=dry_run)
    if all_dead == (task is not None):
        raise click.UsageError("name one task, or give --all-dead")
    if not all_dead and (source_id is not None or yes):
        raise click.UsageError("--source and --yes belong to --all-dead")
    wish = RetryWish(fresh, note, model, RetryFrom(begin_at) if begin_at else None)
    if server is not None and task is not None:
        return _retry_there(server, task, wish, as_json=as_json)
    installation.demand_trust()
    if task is not None:
        wanted = [task_here(installation, task)]
        plan = what_retry_does(installation, wanted[0], wish)
        render.note(f"kept: {plan.kept}; done again: {plan.again}")
        answers: list[Retried | NotRetried] = [] if dry_run else [retry_task(installation, wanted[0], wish)]
    else:
        wanted = dead_letters(installation, source_id)
        if not _is_agreed(wanted, dry_run=dry_run, yes=yes):
            return 0
        answers = [] if dry_run else list(retry_each(installation, wanted, wish))
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


def _retry_there(server: QueueServer, task: str, wish: RetryWish, *, as_json: bool) -> int:
    from task_queue.client import task_operations

    retried = server.ask(
        task_operations.retry(
            server.task_id(task), fresh=wish.fresh, begin_at=wish.begin_at, note=wish.note, model=wish.model
        )
    )
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
