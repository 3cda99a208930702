"""``tasks show``: all that is known about one task, what a person asks first on top."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from task_queue.app.answers import AttemptView, ShowView, WaitingView
from task_queue.app.finding import unknown_or_pruned
from task_queue.app.fleet_sight import how_old
from task_queue.app.installation import Installation
from task_queue.app.listing import show_of
from task_queue.app.result_view import ResultView, view_of
from task_queue.app.spelling import moment, money, span
from task_queue.app.task_elsewhere import TaskElsewhereError, task_here
from task_queue.app.task_elsewhere import view_of as elsewhere_view
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.render import Renderable, block, item, line, strong, word
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.status import doing, expected

_FIELD = 9
_FEW = 10


@click.command()
@task_argument()
@click.option("--detailed", is_flag=True, help="Raw evidence, every file, paths of the attempts.")
@server_options
@as_json_option
@pass_installation
def show(
    installation: Installation, *, task: str, detailed: bool, server: QueueServer | None, as_json: bool
) -> None:
    """Everything that is known about TASK: how it ended, where its work is, what was checked, what it cost."""
    if server is not None:
        from task_queue.client import view_operations

        view = server.ask(view_operations.details(server.task_id(task)))
        now = installation.now()
    else:
        try:
            view, now = _here(installation, task)
        except TaskElsewhereError as elsewhere:
            _show_elsewhere(elsewhere, as_json=as_json)
            return
    if as_json:
        render.say_json(view)
        return
    render.show(*_head(view, now, is_here=server is None))
    if view.running:
        render.show(*_fields(("now", doing(view.running, now))))
    if view.result is not None:
        render.show(*_about_result(view_of(view.result), detailed=detailed))
        if view.result.get("dead_letter") is True and not view.result.get("attention"):
            again = f"task-queue tasks retry {shlex.quote(view.task_id)}"
            render.show(*_fields(("note", f"its attempts are used up; try again with: {again}")))
    render.show(*_rest(view, detailed=detailed))


def _here(installation: Installation, task: str) -> tuple[ShowView, datetime]:
    task_id = task_here(installation, task)
    circumstances = installation.circumstances()
    view = show_of(circumstances, task_id, events=installation.locations.events)
    if view is None:
        raise unknown_or_pruned(installation.sources(), task_id)
    return view, circumstances.now


def _show_elsewhere(elsewhere: TaskElsewhereError, *, as_json: bool) -> None:
    if as_json:
        render.say_json(elsewhere_view(elsewhere))
        return
    task, sight = elsewhere.task, elsewhere.sight
    at = None if task.host is None else "this host" if task.host == sight.host else f"host {task.host}"
    begun = "ended" if task.state.ended else "since"
    cost = "" if task.cost_usd is None else money(task.cost_usd)
    render.show(
        line(strong(task.task_id), "  ", word(task.state.value)),
        *_fields(
            ("title", task.title),
            ("source", task.source),
            ("came in", "by an import" if task.came_in_at is None else f"at host {task.came_in_at}"),
            ("ran" if task.state.ended else "runs", f"on {at}" if at else ""),
            (begun, moment(task.since)),
            ("attempt", str(task.attempt or "")),
            ("outcome", task.outcome or ""),
            ("error", task.error),
            ("cost", cost),
            ("note", "; ".join(("all else is known at the host that it came in at", *how_old(sight)))),
        ),
    )


def files(document: Path, result: Path) -> Iterator[Renderable]:
    """Where a person finds what was asked and what came of it."""
    not_yet = "" if result.exists() else " (not written yet)"
    yield from _fields(("document", str(document)), ("result", f"{result}{not_yet}"))


def _head(view: ShowView, now: datetime, *, is_here: bool) -> Iterator[Renderable]:
    yield line(strong(view.task_id), "  ", word(view.state.value))
    yield from _fields(("title", view.title), ("source", view.source))
    if is_here:
        yield from files(view.document, view.result_path)
    if is_here and view.report_path.exists():
        yield from _fields(("report", str(view.report_path)))
    if view.waiting:
        yield from _fields(("waits", f"{view.waiting.why}{expected(view.waiting, now)}"))
        yield from _fields(("priority", str(view.waiting.priority)))
        yield from _fields(*_in_the_queue(view.waiting))
    if view.running:
        yield from _fields(("since", moment(view.running.since)), ("runner", view.running.runner))


def _in_the_queue(waiting: WaitingView) -> Iterator[tuple[str, str]]:
    if waiting.position is not None:
        more = waiting.position - 1 - len(waiting.ahead)
        names = [*waiting.ahead, *([f"{more:,} more"] if more else [])]
        yield "position", f"{waiting.position:,}" + (f", after {', '.join(names)}" if names else "")
    if waiting.attempts_left is not None:
        at = waiting.next_attempt_at
        later = "" if at is None else f", the next one not before {moment(at)}"
        yield "attempts", f"{waiting.attempts} made, {waiting.attempts_left} left{later}"


def _about_result(result: ResultView, *, detailed: bool) -> Iterator[Renderable]:
    ended = ", ".join(part for part in (result.ending.outcome, result.ending.landed) if part)
    yield from _fields(("outcome", ended), ("error", result.error))
    yield from _times(result)
    yield from _fields(("workspace", result.workspace), ("branch", result.branch), ("landing", result.landed))
    yield from _fields(*(("commit", f"{each.sha[:12]} {each.subject}".rstrip()) for each in result.commits))
    yield from _changes(result, detailed=detailed)
    for check in result.checks:
        after = f", {span(check.took_s)}" if check.took_s is not None else ""
        yield from _fields(("check", f"{check.command}: {check.verdict}{after}"))
    for audit in result.audit:
        yield from _fields(("audit", f"round {audit.number}: {audit.verdict}: {audit.summary}"))
        for finding in audit.findings:
            said = " ".join(part for part in (finding.place, finding.issue) if part)
            yield from _fields(("", f"{finding.severity}: {said}"))
        for run in audit.runs:
            yield from _fields(("", f"ran {run.command}: {run.verdict}"))
        for denial in audit.denials:
            yield from _fields(("", f"was denied {denial.call}"))
    for name, texts in (("judge", result.changed_judges), ("note", result.notes)):
        yield from _fields(*((name, each) for each in texts))
    for denial in result.denials:
        yield from _fields(("denied", "; ".join(part for part in (denial.call, denial.remedy) if part)))
    if detailed:
        yield from _fields(("session", result.session_id))


def _times(result: ResultView) -> Iterator[Renderable]:
    after = f", after {span(result.took_s)}" if result.took_s else ""
    cost = money(result.cost_usd, estimated=result.estimated_usd) if result.cost_usd is not None else ""
    yield from _fields(
        ("started", moment(result.started_at) if result.started_at else ""),
        ("ended", f"{moment(result.completed_at) if result.completed_at else ''}{after}"),
        ("turns", str(result.turns) if result.turns else ""),
        ("cost", cost),
        ("billed to", result.billed_to),
    )


def _changes(result: ResultView, *, detailed: bool) -> Iterator[Renderable]:
    """The first of the changed files, unless all are wanted; the result names at most so many itself."""
    shown = result.files if detailed else result.files[:_FEW]
    files = (("file", f"{each.path} {each.figures}") for each in shown)
    yield from _fields(("changed", result.stat), *files)
    if result.file_count > len(shown):
        yield from _fields(("file", f"and {result.file_count - len(shown):,} more"))
    yield from _fields(*(("left", f"{each} (not committed)") for each in result.uncommitted))


def _rest(view: ShowView, *, detailed: bool) -> Iterator[Renderable]:
    for need in view.attention:
        yield from _fields(("needs", f"{need.sentence}; next: {need.command}"))
    yield from _fields(*(("problem", problem) for problem in view.problems))
    if view.result is not None:
        yield from _texts(view_of(view.result), detailed=detailed)
    if view.attempts:
        yield line()
        yield line(strong("attempts"))
    for attempt in view.attempts:
        yield from _attempt(attempt, detailed=detailed)


def _texts(result: ResultView, *, detailed: bool) -> Iterator[Renderable]:
    """What keeps its lines."""
    evidence = result.evidence if detailed else ()
    for title, text in (("output", result.output), ("evidence", "\n".join(evidence))):
        if text:
            yield line()
            yield line(strong(title))
            yield block(text, indent=2)


def _attempt(attempt: AttemptView, *, detailed: bool) -> Iterator[Renderable]:
    uncounted = ", not counted" if attempt.counted is False else ""
    cost = ""
    if attempt.cost_usd is not None:
        cost = f", {money(attempt.cost_usd, estimated=attempt.estimated_usd)}"
    took = ""
    if attempt.started_at and attempt.ended_at:
        took = f", {span((attempt.ended_at - attempt.started_at).total_seconds())}"
    yield item(str(attempt.number), f"{attempt.outcome or 'not ended'}{uncounted}{took}{cost}", indent=2)
    if attempt.reason:
        yield item("", attempt.reason, indent=3)
    if detailed or attempt.outcome is None:
        yield item("", str(attempt.folder), indent=3)


def _fields(*fields: tuple[str, str]) -> Iterator[Renderable]:
    for name, value in fields:
        if value:
            yield item(name, value, indent=2, column=_FIELD)
