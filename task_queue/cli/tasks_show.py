"""``tasks show``: all that is known about one task, what a person asks first on top."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import click

from task_queue.app.answers import AttemptView, ShowView, WaitingView
from task_queue.app.ended import ending_in
from task_queue.app.files import number_in, records_in, text_in, texts_in, time_in, whole_in
from task_queue.app.finding import task_named, unknown_or_pruned
from task_queue.app.installation import Installation
from task_queue.app.listing import show_of
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.render import Renderable, block, item, line, strong, word
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.cli.spelling import moment, money, span
from task_queue.cli.status import doing, expected
from task_queue.domain.permission.rules import call_of

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
        view, now = _here(installation, task)
    if as_json:
        render.say_json(view)
        return
    render.show(*_head(view, now, is_here=server is None))
    if view.running:
        render.show(*_fields(("now", doing(view.running, now))))
    if view.result is not None:
        render.show(*_about_result(view.result, detailed=detailed))
        if view.result.get("dead_letter") is True and not view.result.get("attention"):
            again = f"task-queue tasks retry {shlex.quote(view.task_id)}"
            render.show(*_fields(("note", f"its attempts are used up; try again with: {again}")))
    render.show(*_rest(view, detailed=detailed))


def _here(installation: Installation, task: str) -> tuple[ShowView, datetime]:
    task_id = task_named(task, installation.sources())
    circumstances = installation.circumstances()
    view = show_of(circumstances, task_id, events=installation.locations.events)
    if view is None:
        raise unknown_or_pruned(installation.sources(), task_id)
    return view, circumstances.now


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


def _about_result(result: Mapping[str, Any], *, detailed: bool) -> Iterator[Renderable]:
    ending = ending_in(result)
    yield from _fields(("outcome", ", ".join(part for part in (ending.outcome, ending.landed) if part)))
    if result.get("success") is not True:
        yield from _fields(("error", text_in(result, "error") or ""))
    yield from _times(result)
    yield from _fields(
        ("workspace", text_in(result, "workspace") or ""),
        ("branch", text_in(result, "branch") or ""),
        ("landing", text_in(result, "landed") or ""),
    )
    yield from _commits(result)
    yield from _changes(result, detailed=detailed)
    for check in records_in(result, "verification"):
        yield from _fields(("check", _check(check)))
    yield from _audit(result)
    for key, name in (("changed_judges", "judge"), ("notes", "note")):
        yield from _fields(*((name, each) for each in texts_in(result, key)))
    for denial in records_in(result, "permission_denials"):
        rule, why = text_in(denial, "rule"), text_in(denial, "why_no_rule")
        remedy = f"; allow it with: {rule}" if rule else f"; {why}" if why else ""
        yield from _fields(("denied", f"{call_of(denial)}{remedy}"))
    if detailed:
        yield from _fields(("session", text_in(result, "session_id") or ""))


def _times(result: Mapping[str, Any]) -> Iterator[Renderable]:
    took, cost = number_in(result, "duration_ms"), number_in(result, "total_cost_usd")
    estimated = number_in(result, "estimated_cost_usd") or 0.0
    turns = whole_in(result, "num_turns")
    yield from _fields(
        ("started", _moment_in(result, "started_at")),
        ("ended", _moment_in(result, "completed_at") + (f", after {span(took / 1000)}" if took else "")),
        ("turns", str(turns) if turns else ""),
        ("cost", money(cost, estimated=estimated) if cost is not None else ""),
        ("billed to", text_in(result, "billed_to") or ""),
    )


def _commits(result: Mapping[str, Any]) -> Iterator[Renderable]:
    subjects = texts_in(result, "subjects")
    for number, commit in enumerate(texts_in(result, "commits")):
        subject = subjects[number] if number < len(subjects) else ""
        yield from _fields(("commit", f"{commit[:12]} {subject}".rstrip()))


def _changes(result: Mapping[str, Any], *, detailed: bool) -> Iterator[Renderable]:
    """The first of the changed files, unless all are wanted; the result names at most so many itself."""
    changed = tuple(records_in(result, "files"))
    number = max(whole_in(result, "file_count") or 0, len(changed))
    shown = changed if detailed else changed[:_FEW]
    yield from _fields(("changed", text_in(result, "stat") or ""), *(("file", _file(each)) for each in shown))
    if number > len(shown):
        yield from _fields(("file", f"and {number - len(shown):,} more"))
    yield from _fields(*(("left", f"{each} (not committed)") for each in texts_in(result, "uncommitted")))


def _file(record: Mapping[str, Any]) -> str:
    added, deleted = whole_in(record, "added"), whole_in(record, "deleted")
    figures = "binary or very large" if added is None else f"+{added} -{deleted or 0}"
    return f"{text_in(record, 'path') or '?'} {figures}"


def _check(record: Mapping[str, Any]) -> str:
    code, took = whole_in(record, "exit_code"), number_in(record, "duration_ms")
    ends = {"interrupted": "stopped by the queue", "timed_out": "took too long", "not_found": "was not found"}
    how = next((words for key, words in ends.items() if record.get(key) is True), None)
    verdict = how or ("passed" if code == 0 else f"failed with exit code {code}")
    after = f", {span(took / 1000)}" if took is not None else ""
    return f"{text_in(record, 'command') or '?'}: {verdict}{after}"


def _audit(result: Mapping[str, Any]) -> Iterator[Renderable]:
    audit: object = result.get("audit")
    for each in records_in(cast("dict[str, Any]", audit), "rounds") if isinstance(audit, dict) else ():
        number, verdict = whole_in(each, "round"), text_in(each, "verdict")
        yield from _fields(("audit", f"round {number}: {verdict}: {text_in(each, 'summary') or ''}"))
        for finding in records_in(each, "findings"):
            at = whole_in(finding, "line")
            place = (text_in(finding, "file") or "") + (f":{at}" if at is not None else "")
            said = " ".join(part for part in (place, text_in(finding, "issue")) if part)
            yield from _fields(("", f"{text_in(finding, 'severity') or '?'}: {said}"))


def _rest(view: ShowView, *, detailed: bool) -> Iterator[Renderable]:
    for need in view.attention:
        yield from _fields(("needs", f"{need.sentence}; next: {need.command}"))
    yield from _fields(*(("problem", problem) for problem in view.problems))
    if view.result is not None:
        yield from _texts(view.result, detailed=detailed)
    if view.attempts:
        yield line()
        yield line(strong("attempts"))
    for attempt in view.attempts:
        yield from _attempt(attempt, detailed=detailed)


def _texts(result: Mapping[str, Any], *, detailed: bool) -> Iterator[Renderable]:
    """What keeps its lines."""
    output, evidence = text_in(result, "output"), texts_in(result, "evidence") if detailed else ()
    for title, text in (("output", output or ""), ("evidence", "\n".join(evidence))):
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


def _moment_in(result: Mapping[str, Any], key: str) -> str:
    """As lists show it; what cannot be read as a time is shown as it stands."""
    at = time_in(result, key)
    return moment(at) if at else text_in(result, key) or ""


def _fields(*fields: tuple[str, str]) -> Iterator[Renderable]:
    for name, value in fields:
        if value:
            yield item(name, value, indent=2, column=_FIELD)
