"""``status``: one screen that says what goes on, what waits and why, and what needs a person."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import click

from task_queue.app import status as app_status
from task_queue.app.answers import (
    AccountView,
    AttentionView,
    DaemonView,
    RunningView,
    SourceView,
    StatusView,
    TaskLine,
    needs_attention,
)
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import (
    Renderable,
    faint,
    item,
    line,
    paragraph,
    strong,
    table,
    word,
)
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.spelling import moment, money, span
from task_queue.domain.attention import is_of_a_result

_WATCH_EVERY_S = 1.0
_FEW = 5
_MANY = 500
"""Of more the order is not known, and a person does not read so many; ``--json`` has them all."""
_ALL = 1_000_000
_LABEL = 7
_LONG = 60
_HEAD = ("SOURCE", "STATE", "RUNNING", "PENDING", "COMPLETED", "FAILED")


@click.command()
@click.option(
    "--detailed",
    is_flag=True,
    help=f"More of what waits (at most {_MANY}), what ended last, all that is ignored, paths.",
)
@click.option("--watch", is_flag=True, help="Show it again every second.")
@as_json_option
@pass_installation
def status(installation: Installation, *, detailed: bool, watch: bool, as_json: bool) -> int:
    """One screen: daemon, sources, what runs, what waits and why. Exit code 3 if something needs attention."""
    while True:
        now = installation.now()
        view = app_status.status(
            installation,
            now=now,
            waiting_shown=_ALL if as_json else _MANY if detailed else _FEW,
            ended_shown=_FEW if detailed else 0,
        )
        if watch:
            render.clear()
        if as_json:
            render.say_json(view)
        else:
            render.show(*_screen(view, now, detailed=detailed))
        if not watch:
            return NEEDS_ATTENTION if needs_attention(view.attention) else 0
        time.sleep(_WATCH_EVERY_S)
        installation = installation.again()


def _screen(view: StatusView, now: datetime, *, detailed: bool) -> Iterator[Renderable]:
    yield from attention_notice(view.attention)
    yield item(strong("daemon"), _daemon(view.daemon), column=_LABEL)
    if view.account.stopped:
        yield item(word("stopped"), "by a person; go on with: task-queue resume", column=_LABEL)
    yield item(strong("account"), _account(view.account), column=_LABEL)
    for warning in view.daemon.warnings:
        yield item("note", warning, column=_LABEL)
    if detailed:
        yield item("config", line(str(view.config)), column=_LABEL)
    yield line()
    if view.sources:
        rows = [_counts(source) for source in view.sources]
        yield table(rows, head=_HEAD, lead=len(_HEAD), numbers=4)
    else:
        yield line("No sources. Make the usual ones with: task-queue init")
    for source in view.sources:
        about = list(_about(source, now, detailed=detailed))
        if about:
            yield line()
            yield line(strong(source.id))
            yield from about


def attention_notice(attention: tuple[AttentionView, ...]) -> Iterator[Renderable]:
    """Before everything else; nothing where nothing needs a person."""
    if attention:
        sentences = [f"{each.sentence}; next: {each.command}" for each in attention]
        yield render.notice("needs attention", sentences)
        if any(is_of_a_result(each.kind) for each in attention):
            yield paragraph(faint("what you have seen is hidden by: task-queue tasks ack TASK (or --all)"))
        yield line()


def _daemon(daemon: DaemonView) -> render.Part:
    if daemon.running:
        return line(word("running"), f", pid {daemon.pid}, since {moment(daemon.started_at)}")
    return line(word("stopped"), f" ({daemon.why})" if daemon.why else "")


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


def _about(source: SourceView, now: datetime, *, detailed: bool) -> Iterator[Renderable]:
    """What the line of counts does not say of *source*; nothing where all is quiet."""
    if source.why:
        yield paragraph(source.why, indent=2)
    if detailed:
        yield item("folder", str(source.path), indent=2, column=_LABEL)
        if source.description:
            yield item("about", source.description, indent=2, column=_LABEL)
        if source.watch and not source.watch_why:
            yield item("watched", f"by {source.watch}", indent=2, column=_LABEL)
    if source.watch_why:
        yield item("watched", f"by {source.watch}: {source.watch_why}", indent=2, column=_LABEL)
    for task in source.running:
        yield line("  ", word("running"), "  ", task.task_id)
        yield paragraph(doing(task, now), indent=11)
    if not source.order_known:
        yield paragraph(
            faint("too many wait to read each; they are shown in the order of their names"), indent=2
        )
    yield from _labelled("waiting", [(task.task_id, task.why) for task in source.waiting])
    hidden = source.pending.number - len(source.waiting)
    if hidden > 0:
        option = "--json" if detailed else "--detailed"
        yield line("  ", faint(f"and {hidden:,} more ({option} shows them)"))
    yield from _labelled("ended", [(task.task_id, _how_ended(task)) for task in source.ended])
    shown = source.ignored if detailed else source.ignored[:_FEW]
    yield from _labelled("ignored", [(file.name, file.why) for file in shown])
    if len(source.ignored) > len(shown):
        yield line("  ", faint(f"and {len(source.ignored) - len(shown)} more ignored files"))
    yield from _labelled("lock", [(lock.name, lock.why) for lock in source.locks])


def _labelled(label: str, rows: list[tuple[str, str]]) -> Iterator[Renderable]:
    if rows:
        yield table([(label.ljust(_LABEL), name, why) for name, why in rows], lead=2, indent=2)


def _how_ended(task: TaskLine) -> str:
    cost = f", {money(task.cost_usd)}" if task.cost_usd is not None else ""
    at = f", {moment(task.at)}" if task.at else ""
    return f"{task.state}: {task.note}{cost}{at}"


_RUNNER = {
    "starting": "starting",
    "elsewhere": "its runner works in another PID namespace (a container) or on another machine",
    "unknown": "whether its runner lives in another PID namespace (a container) cannot be known",
}


def doing(task: RunningView, now: datetime) -> str:
    """Attempt, phase, time, turn, tool, cost and silence of a running task, in one line."""
    of = {measure.name: measure for measure in task.measures}
    parts = [f"attempt {task.attempt}"]
    if task.phase:
        parts.append(_shortened(str(task.phase)))
    if "time" in of:
        parts.append(f"{span(of['time'].used)} of {span(of['time'].limit)}")
    elif task.since:
        parts.append(span((now - task.since).total_seconds()))
    if task.runner != "alive":
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


def _shortened(text: str) -> str:
    return text if len(text) <= _LONG else text[: _LONG - 1] + "…"
