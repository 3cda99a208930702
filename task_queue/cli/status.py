"""``status``: one screen that says what goes on, what waits and why, and what needs a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import click

from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import (
    cells,
    faint,
    moment,
    money,
    safe,
    shortened,
    span,
    strong,
    width,
    word,
    wrapped,
)
from task_queue.cli.session import Session, as_json_option, pass_session
from task_queue.views.model import AccountView, DaemonView, RunningView, SourceView, StatusView

_WATCH_EVERY_S = 1.0
_FEW = 5
_ALL = 1_000_000


@click.command()
@click.option("--detailed", is_flag=True, help="Everything that waits and is ignored, paths, threads.")
@click.option("--watch", is_flag=True, help="Show it again every second.")
@as_json_option
@pass_session
@click.pass_context
def status(context: click.Context, session: Session, *, detailed: bool, watch: bool, as_json: bool) -> None:
    """One screen: daemon, sources, what runs, what waits and why. Exit code 3 if something needs attention."""
    while True:
        now = session.now()
        view = session.status(now, waiting_shown=_ALL if detailed or as_json else _FEW)
        if watch:
            click.clear()
        for line in (render.as_json(view),) if as_json else status_lines(view, now, detailed=detailed):
            render.say(line)
        if not watch:
            context.exit(NEEDS_ATTENTION if view.attention else 0)
        time.sleep(_WATCH_EVERY_S)
        session = Session(str(session.locations.config), debug=session.debug)


def status_lines(view: StatusView, now: datetime, *, detailed: bool) -> Iterator[str]:
    """The screen, line by line."""
    daemon = view.daemon
    if daemon.running:
        yield f"{strong('daemon')}  {word('running')}, pid {daemon.pid}, since {moment(daemon.started_at)}"
    else:
        yield f"{strong('daemon')}  {word('stopped')}" + (f" ({safe(daemon.why)})" if daemon.why else "")
    yield from _account_lines(view.account, view.daemon)
    if detailed:
        yield f"config  {safe(view.config)}"
    for source in view.sources:
        yield ""
        yield from _source_lines(source, now, detailed=detailed)
    if not view.sources:
        yield ""
        yield "No sources. Make the usual ones with: task-queue init"
    if view.attention:
        yield ""
        yield strong("needs attention")
        for text in view.attention:
            yield from wrapped(safe(text), indent=2, hanging=4)


def _account_lines(account: AccountView, daemon: DaemonView) -> Iterator[str]:
    if account.stopped:
        yield f"{word('stopped')} by a person; go on with: task-queue resume"
    spent = f"{money(account.spent_today_usd, estimated=account.estimated_today_usd)} today"
    if account.daily_budget_usd is not None:
        spent += f" of {money(account.daily_budget_usd)}"
    state = "open"
    if account.paused_until is not None:
        state = f"{word('paused')} until {moment(account.paused_until)}"
    used = f", {account.utilization:.0%} of the usage limit used" if account.utilization is not None else ""
    yield f"{strong('account')} {state}, expected payer: {safe(account.expected)}, spent {spent}{used}"
    for warning in daemon.warnings:
        yield from wrapped(faint(f"note: {safe(warning)}"), indent=0)


def _source_lines(source: SourceView, now: datetime, *, detailed: bool) -> Iterator[str]:
    counts = (
        f"{len(source.running)} running, {source.pending} pending, "
        f"{source.completed} completed, {source.failed} failed"
    )
    yield f"{strong(safe(source.id))}  {word(safe(source.state))}  {counts}"
    if source.why:
        yield from wrapped(safe(source.why), indent=2)
    if detailed:
        yield f"  {safe(source.path)}"
        if source.description:
            yield f"  {safe(source.description)}"
        if source.watch:
            yield f"  watched by {safe(source.watch)}"
    for task in source.running:
        yield f"  {word('running')}  {safe(task.task_id)}"
        yield f"           {_doing(task, now)}"
    yield from _waiting_lines(source)
    hidden = source.pending.number - len(source.waiting)
    if hidden > 0:
        yield faint(f"  and {hidden:,} more (--detailed shows them)")
    shown = source.ignored if detailed else source.ignored[:_FEW]
    for file in shown:
        yield from wrapped(f"ignored  {safe(file.name)}, {safe(file.why)}", indent=2, hanging=11)
    if len(source.ignored) > len(shown):
        yield faint(f"  and {len(source.ignored) - len(shown)} more ignored files")
    for lock in source.locks:
        yield from wrapped(f"lock     {safe(lock.name)}, {safe(lock.why)}", indent=2, hanging=11)


def _waiting_lines(source: SourceView) -> Iterator[str]:
    """Reasons in a column where they fit, else below: what a task waits for is never cut."""
    column = max((cells(safe(task.task_id)) for task in source.waiting), default=0)
    if not source.order_known:
        yield faint("  too many wait to read each; they are shown in the order of their names")
    for task in source.waiting:
        name, why = safe(task.task_id), safe(task.why)
        line = f"  waiting  {name}{' ' * (column - cells(name))}  {why}"
        if cells(line) <= width():
            yield line
        else:
            yield f"  waiting  {name}"
            yield from wrapped(why, indent=11)


def _doing(task: RunningView, now: datetime) -> str:
    parts = [f"attempt {task.attempt}"]
    if task.since:
        parts.append(span((now - task.since).total_seconds()))
    if task.runner != "alive":
        parts.append(
            {"starting": "starting"}.get(task.runner, "its runner is gone; the daemon will recover it")
        )
    if task.cancelling:
        parts.append("being cancelled")
    if task.turn:
        parts.append(f"turn {task.turn}{'' if task.turns_counted else '+'}")
    if task.tool:
        parts.append(shortened(safe(task.tool), 40))
    if task.retrying:
        parts.append(safe(task.retrying))
    if task.cost_usd is not None:
        parts.append(f"about {money(task.cost_usd)}")
    if task.silent_s is not None and task.silent_s >= 1:
        parts.append(f"silent {span(task.silent_s)}")
    return ", ".join(parts)
