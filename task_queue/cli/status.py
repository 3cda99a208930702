"""``status``: one screen that says what goes on, what waits and why, and what needs a person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime
from enum import IntEnum
from typing import NoReturn

import click

from task_queue.app import status as app_status
from task_queue.app.answers import (
    AccountView,
    ApiView,
    AttentionView,
    DaemonView,
    RunningView,
    SourceView,
    StatusView,
    TaskLine,
    WaitingView,
    needs_attention,
)
from task_queue.app.installation import Installation
from task_queue.app.spelling import estimated_span, moment, money, span
from task_queue.cli import render, screen
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.fleet_sight import fleet_line, fleet_listings
from task_queue.cli.live_screen import LiveScreen
from task_queue.cli.render import (
    Renderable,
    faint,
    item,
    line,
    paragraph,
    stacked,
    strong,
    table_rows,
    word,
)
from task_queue.cli.screen import Listing
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.attention import is_of_a_result

_WATCH_EVERY_S = 1.0
_FEW = 5
_MANY = 500
"""Of more the order is not known, and a person does not read so many; ``--json`` has them all."""
_ALL = 1_000_000
_LABEL = 7
_BELOW = 11
_LONG = 60
_HEAD = ("SOURCE", "STATE", "RUNNING", "PENDING", "COMPLETED", "FAILED")


@click.command()
@click.option(
    "--detailed",
    is_flag=True,
    help=f"More of what waits (at most {_MANY}) and when it starts, what ended last, all that is ignored, paths.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Show it again every second until Ctrl-C, cut to the window; with --json a document a line.",
)
@server_options
@as_json_option
@pass_installation
def status(
    installation: Installation, *, detailed: bool, watch: bool, server: QueueServer | None, as_json: bool
) -> int:
    """One screen: daemon, sources, what runs, what waits and why. Exit code 3 if something needs attention."""

    def look(installation: Installation) -> tuple[StatusView, datetime]:
        now = installation.now()
        waiting = _ALL if as_json else _MANY if detailed else _FEW
        ended = _FEW if detailed else 0
        outlook = (detailed or as_json) and not watch
        if server is not None:
            from task_queue.client import view_operations

            asked = view_operations.status(waiting=waiting, ended=ended, outlook=outlook)
            return server.ask(asked), now
        view = app_status.status(
            installation, now=now, waiting_shown=waiting, ended_shown=ended, with_outlook=outlook
        )
        return view, now

    if watch:
        _watch(installation, look, detailed=detailed, as_json=as_json)
    view, now = look(installation)
    if as_json:
        render.say_json(view)
    else:
        screen.show(_screen(view, now, detailed=detailed), whole=detailed, command="task-queue status")
    return NEEDS_ATTENTION if needs_attention(view.attention) else 0


def _watch(
    installation: Installation,
    look: Callable[[Installation], tuple[StatusView, datetime]],
    *,
    detailed: bool,
    as_json: bool,
) -> NoReturn:
    """Until Ctrl-C, or until the reader has gone."""
    on_screen = not as_json and render.on_terminal()
    with LiveScreen() if on_screen else nullcontext() as live:
        while True:
            view, now = look(installation)
            if as_json:
                render.say_json(view, on_one_line=True)
            elif live is None:
                screen.show(_screen(view, now, detailed=detailed), whole=True, command="")
                render.say()
            else:
                columns, rows = render.size()
                lines = screen.lines_for(_screen(view, now, detailed=detailed), rows=rows)
                live.draw(lines, columns=columns, rows=rows)
            time.sleep(_WATCH_EVERY_S)
            installation = installation.again()


class _Rank(IntEnum):
    """What is cut last comes first."""

    ATTENTION = 0
    RUNNING = 1
    DAEMON = 2
    TROUBLE = 3
    COUNTS = 4
    WAITING = 5
    REST = 6


def _screen(view: StatusView, now: datetime, *, detailed: bool) -> Iterator[Listing]:
    yield from attention_notice(view.attention)
    yield Listing(list(_about_all(view, detailed=detailed)), _Rank.DAEMON, foot=[line()])
    if view.sources:
        head, *rows = table_rows(
            [_counts(source) for source in view.sources], head=_HEAD, lead=len(_HEAD), numbers=4
        )
        yield Listing(rows, _Rank.COUNTS, head=[head], more="and {} more sources")
    else:
        yield Listing([line("No sources. Make the usual ones with: task-queue init")], _Rank.DAEMON)
    for source in view.sources:
        yield from _about(source, now, detailed=detailed)
    if view.fleet is not None:
        option = "--json" if detailed else "--detailed"
        yield from fleet_listings(
            view.fleet if detailed else view.fleet.limited(_FEW),
            running=_Rank.RUNNING,
            rest=_Rank.REST,
            more=f"and {{}} more ({option} shows them)",
        )


def attention_notice(attention: tuple[AttentionView, ...]) -> Iterator[Listing]:
    """Before everything else; nothing where nothing needs a person."""
    if not attention:
        return
    above, below = render.notice("needs attention")
    foot = [] if below is None else [below]
    if any(is_of_a_result(each.kind) for each in attention):
        foot.append(paragraph(faint("what you have seen is hidden by: task-queue tasks ack TASK (or --all)")))
    entries = [render.bullet(f"{each.sentence}; next: {each.command}") for each in attention]
    yield Listing(entries, _Rank.ATTENTION, head=[above], foot=[*foot, line()], indent=3)


def _about_all(view: StatusView, *, detailed: bool) -> Iterator[Renderable]:
    yield item(strong("daemon"), _daemon(view.daemon), column=_LABEL)
    if view.account.stopped:
        yield item(word("stopped"), "by a person; go on with: task-queue resume", column=_LABEL)
    yield item(strong("account"), _account(view.account), column=_LABEL)
    if view.api is not None:
        yield item(strong("api"), _api(view.api), column=_LABEL)
    if view.fleet is not None:
        yield fleet_line(view.fleet, detailed=detailed)
    for warning in view.daemon.warnings:
        yield item("note", warning, column=_LABEL)
    if detailed:
        yield item("config", line(str(view.config)), column=_LABEL)


def _daemon(daemon: DaemonView) -> render.Part:
    if daemon.running:
        return line(word("running"), f", pid {daemon.pid}, since {moment(daemon.started_at)}")
    return line(word("stopped"), f" ({daemon.why})" if daemon.why else "")


def _api(api: ApiView) -> render.Part:
    if api.running:
        return line(word("running"), f" at {', '.join(api.listen)}")
    return line(word("stopped"), "; the daemon starts it; see why with: task-queue doctor")


def _account(account: AccountView) -> render.Part:
    spent = f"{money(account.spent_today_usd, estimated=account.estimated_today_usd)} today"
    if account.daily_budget_usd is not None:
        spent += f" of {money(account.daily_budget_usd)}"
    used = f", {account.utilization:.0%} of the usage limit used" if account.utilization is not None else ""
    rest = f", expected payer: {account.expected}, spent {spent}{used}"
    if account.paused_until is not None:
        return line(word("paused"), f" until {moment(account.paused_until)}{rest}")
    models = (f"{name} until {moment(each.paused_until)}" for name, each in account.paused_models.items())
    held = f", but paused: {'; '.join(models)}" if account.paused_models else ""
    return f"open{held}{rest}"


def _counts(source: SourceView) -> tuple[render.Part, ...]:
    numbers = (len(source.running), source.pending, source.completed, source.failed)
    return source.id, word(source.state), *map(str, numbers)


def _about(source: SourceView, now: datetime, *, detailed: bool) -> Iterator[Listing]:
    """What the line of counts does not say of *source*; nothing where all is quiet."""

    def listing(entries: Sequence[Renderable], rank: _Rank, *, hidden: int = 0, more: str = "") -> Listing:
        more = f"and {{}} more{more}"
        return Listing(entries, rank, hidden=hidden, more=more, indent=2, group=source.id)

    yield listing(list(_served(source, now, detailed=detailed)), _Rank.TROUBLE)
    yield listing([_running(task, now) for task in source.running], _Rank.RUNNING, more=" that run")
    if not source.order_known:
        remark = "too many wait to read each; they are shown in the order of their names"
        yield listing([paragraph(faint(remark), indent=2)], _Rank.WAITING)
    option = "--json" if detailed else "--detailed"
    hidden = max(0, source.pending.number - len(source.waiting)) if source.waiting else 0
    waiting = _labelled(
        "waiting", [(task.task_id, f"{task.why}{expected(task, now)}") for task in source.waiting]
    )
    yield listing(waiting, _Rank.WAITING, hidden=hidden, more=f" ({option} shows them)")
    yield listing(_labelled("ended", [(task.task_id, _how_ended(task)) for task in source.ended]), _Rank.REST)
    ignored = source.ignored if detailed else source.ignored[:_FEW]
    rows = _labelled("ignored", [(file.name, file.why) for file in ignored])
    yield listing(rows, _Rank.REST, hidden=len(source.ignored) - len(ignored), more=" ignored files")
    yield listing(_labelled("lock", [(lock.name, lock.why) for lock in source.locks]), _Rank.REST)


def _served(source: SourceView, now: datetime, *, detailed: bool) -> Iterator[Renderable]:
    if source.why:
        yield paragraph(source.why, indent=2)
    if source.max_pending is not None and source.pending.number >= source.max_pending:
        full = f"full: {source.pending} wait, and tasks add takes no more than {source.max_pending:,}"
        yield paragraph(full, indent=2)
    if source.next_due is not None:
        yield item("due", f"{source.next_schedule} at {moment(source.next_due)}", indent=2, column=_LABEL)
    if detailed:
        yield item("folder", str(source.path), indent=2, column=_LABEL)
        if source.description:
            yield item("about", source.description, indent=2, column=_LABEL)
        if source.empty_at:
            yield item("empty", f"in {_left(source.empty_at, now)}", indent=2, column=_LABEL)
        if source.watch and not source.watch_why:
            yield item("watched", f"by {source.watch}", indent=2, column=_LABEL)
    if source.watch_why:
        yield item("watched", f"by {source.watch}: {source.watch_why}", indent=2, column=_LABEL)


def _running(task: RunningView, now: datetime) -> Renderable:
    lines = [line("  ", word("running"), "  ", task.task_id), paragraph(doing(task, now), indent=_BELOW)]
    if task.measures and render.on_terminal():
        lines.append(
            render.bars({each.name: each.used / each.limit for each in task.measures}, indent=_BELOW)
        )
    return stacked(lines)


def _labelled(label: str, rows: list[tuple[str, str]]) -> Sequence[Renderable]:
    if not rows:
        return ()
    return table_rows([(label.ljust(_LABEL), name, why) for name, why in rows], lead=2, indent=2)


def _how_ended(task: TaskLine) -> str:
    cost = f", {money(task.cost_usd)}" if task.cost_usd is not None else ""
    at = f", {moment(task.at)}" if task.at else ""
    return f"{task.state}: {task.note}{cost}{at}"


_RUNNER = {
    "starting": "starting",
    "elsewhere": "its runner works in another PID namespace (a container) or on another machine",
    "unknown": "whether its runner lives in another PID namespace (a container) cannot be known",
}


def expected(task: WaitingView, now: datetime) -> str:
    """When a waiting task starts, and how long it takes; empty where that was not asked for or is not known."""
    if task.estimate is None or task.estimate.starts_at is None:
        return ""
    starts = f"starts in {_left(task.estimate.starts_at, now)}, " if task.estimate.starts_at > now else ""
    return f"; {starts}takes {estimated_span(task.estimate)}"


def doing(task: RunningView, now: datetime) -> str:
    """Attempt, phase, time, turn, tool, cost and silence of a running task, in one line."""
    of = {measure.name: measure for measure in task.measures}
    parts = [f"attempt {task.attempt}", *_progress(task, now)]
    if "time" in of:
        parts.append(f"{span(of['time'].used)} of {span(of['time'].limit)}")
    elif task.since:
        parts.append(span((now - task.since).total_seconds()))
    if task.runner == "remote":
        parts.append(f"with worker {task.worker}")
    elif task.runner != "alive":
        parts.append(_RUNNER.get(task.runner, "its runner is gone; the daemon will recover it"))
    if task.cancelling:
        parts.append("being cancelled")
    if "turns" in of and of["turns"].used:
        parts.append(f"turn {of['turns'].used:.0f} of {of['turns'].limit:.0f}")
    elif task.turn:
        parts.append(f"turn {task.turn}{'' if task.turns_counted else '+'}")
    if task.tool:
        parts.append(_shortened(task.tool))
    if task.retrying:
        parts.append(task.retrying)
    if "cost" in of:
        parts.append(f"about {money(of['cost'].used)} of {money(of['cost'].limit)}")
    elif task.cost_usd is not None:
        parts.append(f"about {money(task.cost_usd)}")
    if task.silent_s is not None and task.silent_s >= 1:
        parts.append(f"silent {span(task.silent_s)}")
    return ", ".join(parts)


def _left(at: datetime, now: datetime) -> str:
    return f"about {span((at - now).total_seconds())}"


def _progress(task: RunningView, now: datetime) -> Iterator[str]:
    if task.percent is not None:
        yield f"{task.percent}%"
    if task.ends_at is not None:
        yield f"ends in {_left(task.ends_at, now)}"
    if task.step:
        yield _shortened(task.step)


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
