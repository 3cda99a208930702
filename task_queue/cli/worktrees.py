"""``worktrees``: the checkouts of tasks that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import click

from task_queue.app import worktrees as app
from task_queue.app.installation import Installation
from task_queue.app.spelling import size, span
from task_queue.app.task_elsewhere import task_here
from task_queue.app.worktrees import SetUpLine, WorktreeLine
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.groups import CommandGroup
from task_queue.cli.render import table
from task_queue.cli.session import as_json_option, pass_installation, source_option

_SCHEMA_VERSION = 1
_HEAD = ("TASK", "SOURCE", "STATE", "BRANCH", "SIZE", "UNUSED FOR", "PATH", "KEPT BECAUSE")


_SET_UP_HEAD = ("SOURCE", "MADE OF", "AGE", "UNUSED FOR", "SIZE", "PATH, OR WHY NOT KEPT", "SET-UP")


@click.group(cls=CommandGroup)
def worktrees() -> None:
    """The checkouts of tasks that are kept: list them, go there, remove those that nothing needs."""


@worktrees.command("list")
@source_option
@as_json_option
@pass_installation
def list_worktrees(installation: Installation, *, source_id: str | None, as_json: bool) -> None:
    """Each checkout: task, source, state, branch, size, age, path, and why it is kept; what set-up made."""
    lines = app.worktrees(installation, source_id)
    set_ups = app.kept_set_ups(installation, source_id)
    if as_json:
        render.say_json({"worktrees": lines, "set_ups": set_ups, "schema_version": _SCHEMA_VERSION})
        return
    if lines:
        _show(lines, installation.now())
    else:
        render.say("No checkout is kept.")
    if set_ups:
        render.say()
        _show_set_ups(set_ups, installation.now())


@worktrees.command("open")
@task_argument()
@pass_installation
def open_worktree(installation: Installation, *, task: str) -> None:
    """Print the directory of TASK's checkout: cd "$(task-queue worktrees open TASK)"."""
    render.say(app.path_of_worktree(installation, task_here(installation, task)))


@worktrees.command()
@source_option
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
@as_json_option
@pass_installation
def prune(installation: Installation, *, source_id: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove what set-up made, and each checkout whose work is safe; say what was kept, and why."""
    pruned = app.prune(installation, source_id=source_id, dry_run=dry_run)
    if as_json:
        answer = {
            "removed": pruned.removed,
            "kept": pruned.kept,
            "set_ups": pruned.set_ups,
            "dry_run": dry_run,
        }
        render.say_json({**answer, "schema_version": _SCHEMA_VERSION})
        return
    for line in pruned.removed:
        render.say(f"{'would remove' if dry_run else 'removed'} {line.task_id}: {size(line.size_bytes)}")
    for set_up in pruned.set_ups:
        did = "would remove" if dry_run else "removed"
        render.say(f"{did} what set-up made for {set_up.source}: {size(set_up.size_bytes)}")
    for line in pruned.kept:
        render.say(f"kept {line.task_id}: {line.why_kept}")
    if not pruned.removed and not pruned.kept and not pruned.set_ups:
        render.say("No checkout is kept.")


def _show_set_ups(lines: Iterable[SetUpLine], now: datetime) -> None:
    rows = [
        (
            line.source,
            line.commit[:12],
            span((now - line.made_at).total_seconds()),
            span((now - line.last_used).total_seconds()),
            size(line.size_bytes),
            line.not_kept or str(line.path),
            "; ".join(line.commands),
        )
        for line in lines
    ]
    render.show(table(rows, head=_SET_UP_HEAD))


def _show(lines: Iterable[WorktreeLine], now: datetime) -> None:
    rows = [
        (
            line.task_id,
            line.source,
            line.state or "-",
            line.branch or "-",
            size(line.size_bytes),
            span((now - line.last_used).total_seconds()) if line.last_used else "-",
            str(line.path),
            line.why_kept or "within the limits; it may go",
        )
        for line in lines
    ]
    render.show(table(rows, head=_HEAD))
