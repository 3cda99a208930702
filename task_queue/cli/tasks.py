"""``tasks``: the commands that only read. Those that change something are in ``tasks_change``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.lazy import Entry, LazyGroup
from task_queue.cli.render import moment, money, safe, safe_block, shortened, span, strong, word
from task_queue.cli.session import (
    Session,
    as_json_option,
    given_id,
    pass_session,
    source_option,
    unknown_task,
)
from task_queue.domain.rules import call_of
from task_queue.domain.task import TaskId, TaskState
from task_queue.views.files import number_in, records_in, text_in
from task_queue.views.history import list_of, show_of, state_of
from task_queue.views.model import ListView, ShowView

_POLL_S = 0.2
_STATES = [state.value for state in TaskState]
_COMMANDS = {
    "add": Entry("tasks_change:add", "Hand in a task: text, stdin, a file, or your editor."),
    "list": Entry("tasks:list_tasks", "What runs, what waits, and what ended last."),
    "show": Entry("tasks:show", "All that is known of one task."),
    "logs": Entry("tasks:transcript", "What the agent did, as it happens with --follow."),
    "cancel": Entry("tasks_change:cancel", "End a waiting or running task for good."),
    "retry": Entry("tasks_change:retry", "Give a failed task another try."),
    "resume-account": Entry("stop:resume_account", "Try a paused account again now."),
    "wait": Entry("tasks:wait", "Wait until tasks have ended."),
}


@click.group(cls=LazyGroup, entries=_COMMANDS)
def tasks() -> None:
    """Add, list, show, follow, cancel, retry and wait for tasks."""


@click.command("list")
@source_option
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES), help="Only these (repeatable).")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Per source and state."
)
@as_json_option
@pass_session
def list_tasks(
    session: Session, *, source_id: str | None, states: tuple[str, ...], limit: int, as_json: bool
) -> None:
    """What runs, what waits and why, and what ended last."""
    wanted = [TaskState(state) for state in states or _STATES]
    view = list_of(session.sources(source_id), states=wanted, limit=limit, now=session.now())
    for line in (render.as_json(view),) if as_json else _list_lines(view):
        render.say(line)


@click.command()
@click.argument("task")
@as_json_option
@pass_session
def show(session: Session, *, task: str, as_json: bool) -> None:
    """All that is known of TASK."""
    task_id = given_id(task)
    view = show_of(session.sources(), task_id, now=session.now())
    if view is None:
        raise unknown_task(task_id)
    for line in (render.as_json(view),) if as_json else _show_lines(view):
        render.say(line)


@click.command("logs")
@click.argument("task")
@click.option("--follow", "-f", is_flag=True, help="Go on until the attempt has ended.")
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt, instead of the last.")
@click.option("--raw", is_flag=True, help="The transcript's JSON lines as they are.")
@pass_session
def transcript(session: Session, *, task: str, follow: bool, attempt: int | None, raw: bool) -> None:
    """What the agent did in TASK, as it happens with --follow."""
    from task_queue.cli.transcript import following, told

    task_id = given_id(task)
    found = state_of(session.sources(), task_id)
    if found is None:
        raise unknown_task(task_id)
    folder = found[0].folders.log(task_id)
    number = attempt or max(_attempts_in(folder), default=0)
    path = folder / f"attempt-{number}" / "transcript.jsonl"
    if not path.exists() and not follow:
        render.note(f"task {task_id} has no transcript yet")
        return
    ended = path.with_name("outcome.json")
    for line in following(path, more=lambda: follow and not ended.exists()):
        text = line if raw else told(line)
        if text:
            render.say(safe_block(text))


@click.command()
@click.argument("task", nargs=-1, required=True)
@click.option("--timeout", type=click.FloatRange(min=0), help="Seconds; then exit with 1.")
@pass_session
@click.pass_context
def wait(context: click.Context, session: Session, *, task: tuple[str, ...], timeout: float | None) -> None:
    """Wait until each TASK has ended; exit code 1 if one did not succeed."""
    context.exit(await_end(session, [given_id(text) for text in task], timeout_s=timeout))


def await_end(session: Session, task_ids: list[TaskId], *, timeout_s: float | None) -> int:
    """Tell how each ends, in the order in which they do; 0 if all succeeded."""
    sources = session.sources()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    left = list(dict.fromkeys(task_ids))
    code = 0
    while True:
        for task_id in list(left):
            found = state_of(sources, task_id)
            if found is None:
                raise unknown_task(task_id)
            if found[1] in {TaskState.COMPLETED, TaskState.FAILED}:
                left.remove(task_id)
                code = code if found[1] is TaskState.COMPLETED else FAILED
                render.say(_ending(session, task_id, found[1]))
        if not left:
            return code
        if deadline is not None and time.monotonic() >= deadline:
            render.note(f"not ended in time: {', '.join(left)}")
            return FAILED
        time.sleep(_POLL_S)


def _ending(session: Session, task_id: TaskId, state: TaskState) -> str:
    view = show_of(session.sources(), task_id, now=session.now())
    result = (view.result if view else None) or {}
    outcome, error = text_in(result, "outcome"), text_in(result, "error")
    told = ", ".join(safe(part) for part in (outcome, error) if part)
    return f"{word(state.value)}  {safe(task_id)}" + (f"  {told}" if told else "")


def _attempts_in(folder: Path) -> Iterator[int]:
    for path in folder.glob("attempt-*"):
        number = path.name.removeprefix("attempt-")
        if number.isdecimal():
            yield int(number)


def _list_lines(view: ListView) -> Iterator[str]:
    state = source = None
    for line in view.tasks:
        if (line.source, line.state) != (source, state):
            source, state = line.source, line.state
            yield strong(f"{safe(source)}, {state}")
        cost = f", {money(line.cost_usd)}" if line.cost_usd is not None else ""
        at = f", {moment(line.at)}" if line.at else ""
        yield f"  {safe(line.task_id)}"
        if line.title:
            yield f"    {shortened(safe(line.title), render.width() - 4)}"
        yield f"    {shortened(safe(line.note + cost + at), render.width() - 4)}"
    if not view.tasks:
        yield "No tasks."
    if view.more:
        yield "There are more: see --limit."


def _show_lines(view: ShowView) -> Iterator[str]:
    yield f"{strong(safe(view.task_id))}  {word(view.state.value)}"
    yield from _pairs(("title", view.title), ("source", view.source), ("document", str(view.document)))
    if view.waiting:
        yield from _pairs(("waits", view.waiting.why), ("priority", str(view.waiting.priority)))
    if view.running:
        yield from _pairs(("attempt", str(view.running.attempt)), ("runner", view.running.runner))
        yield from _pairs(("since", moment(view.running.since)), ("tool", view.running.tool or ""))
    if view.result is not None:
        yield from _result_lines(view.result)
    for problem in view.problems:
        yield from _pairs(("problem", problem))
    if view.attempts:
        yield ""
        yield strong("attempts")
    for attempt in view.attempts:
        outcome = attempt.outcome or "not ended"
        uncounted = ", not counted" if attempt.counted is False else ""
        spent = money(attempt.cost_usd, estimated=attempt.estimated_usd)
        cost = f", {spent}" if attempt.cost_usd is not None else ""
        took = ""
        if attempt.started_at and attempt.ended_at:
            took = f", {span((attempt.ended_at - attempt.started_at).total_seconds())}"
        yield f"  {attempt.number}  {safe(outcome)}{uncounted}{took}{cost}"
        if attempt.reason:
            yield f"     {safe(attempt.reason)}"
        yield f"     {safe(attempt.folder)}"


def _result_lines(result: dict[str, Any]) -> Iterator[str]:
    cost = number_in(result, "total_cost_usd")
    estimated = number_in(result, "estimated_cost_usd") or 0.0
    turns = result.get("num_turns")
    yield from _pairs(
        (
            "outcome",
            text_in(result, "outcome") or ("succeeded" if result.get("success") is True else "failed"),
        ),
        ("error", text_in(result, "error") or ""),
        ("started", text_in(result, "started_at") or ""),
        ("ended", text_in(result, "completed_at") or ""),
        ("turns", str(turns) if turns else ""),
        ("cost", money(cost, estimated=estimated) if cost is not None else ""),
        ("billed to", text_in(result, "billed_to") or ""),
        ("workspace", text_in(result, "workspace") or ""),
        ("session", text_in(result, "session_id") or ""),
    )
    if result.get("dead_letter") is True:
        yield from _pairs(("note", "its attempts are used up; try again with: task-queue tasks retry"))
    for key, name in (("evidence", "evidence"), ("changed_judges", "judge"), ("notes", "note")):
        listed: object = result.get(key)
        for item in listed if isinstance(listed, list) else ():  # pyright: ignore[reportUnknownVariableType] # a file's own JSON
            yield from _pairs((name, str(item)))  # pyright: ignore[reportUnknownArgumentType] # as above
    for denial in records_in(result, "permission_denials"):
        rule, why = text_in(denial, "rule"), text_in(denial, "why_no_rule")
        remedy = f"; allow it with: {rule}" if rule else f"; {why}" if why else ""
        yield from _pairs(("denied", f"{call_of(denial)}{remedy}"))
    output = text_in(result, "output")
    if output:
        yield ""
        yield strong("output")
        for line in safe_block(output).splitlines():
            yield f"  {line}"


def _pairs(*pairs: tuple[str, str]) -> Iterator[str]:
    for name, value in pairs:
        if value:
            yield f"  {name:<10}{safe(value)}"
