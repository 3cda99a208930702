"""``demo``: see it work, without an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.render import faint, money, safe, shortened, strong, width, word, wrapped

if TYPE_CHECKING:
    from task_queue.demo.show import Ended, Moment, Report

_NAME_WIDTH = 22


@click.command()
@click.option("--keep", is_flag=True, help="Leave the scratch folder for a look.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, with schema_version; nothing live.")
@click.pass_context
def demo(context: click.Context, *, keep: bool, as_json: bool) -> None:
    """The whole pipeline in a scratch folder, without an account: real daemon, real agent, scripted model.

    Exit code 1 if a task ends otherwise than it has to.
    """
    from task_queue.demo.show import run_demo

    if as_json:
        report = run_demo(lambda _: None, keep=keep)
        render.say(render.as_json(report.as_json()))
    else:
        for line in _introduction():
            render.say(line)
        report = run_demo(_tell, keep=keep)
        for line in _told(report):
            render.say(line)
    context.exit(0 if report.as_expected else FAILED)


def _introduction() -> Iterator[str]:
    from task_queue.demo.cast import PARTS

    yield from wrapped(
        "Two sources, four tasks. The daemon, the agent, its tools, the files and git are real; only the"
        " model is scripted and answers on this machine. No account is used, nothing is spent.",
        indent=0,
    )
    yield ""
    for part in PARTS:
        yield from wrapped(f"{part.task_id:<{_NAME_WIDTH}} {part.shows}", indent=2, hanging=_NAME_WIDTH + 3)
    yield ""
    yield strong("what happens")


def _tell(moment: Moment) -> None:
    state = moment.what.partition(",")[0]
    what = moment.what.replace(state, word(state), 1) if state in {"completed", "failed"} else moment.what
    head = f"{moment.at:5.1f} s  {moment.task_id:<{_NAME_WIDTH}} "
    render.say(head + (what if what != moment.what else shortened(safe(what), width() - len(head))))


def _told(report: Report) -> Iterator[str]:
    yield ""
    yield strong("what is left on disk")
    for task in report.tasks:
        yield from _task_lines(task)
    yield ""
    yield strong("what became of the workspace")
    for commit in report.commits:
        yield f"  commit {safe(commit)}"
    for change in report.changes:
        yield f" {safe(change)}"
    yield ""
    yield from _end(report)


def _task_lines(task: Ended) -> Iterator[str]:
    state = task.document.split("/")[-2]
    attempts = f"{task.attempts} attempt{'s' if task.attempts > 1 else ''}"
    yield f"  {word(state)}{' ' * (9 - len(state))}  {safe(task.document)}"
    yield f"             {task.outcome}, {attempts}, {task.turns} turns, {money(task.cost_usd)} that nobody pays"
    yield from wrapped(f"because: {safe(task.reason)}", indent=13, hanging=22)
    if state == "failed" and task.said:
        yield from wrapped(f'it said: "{safe(task.said)}"', indent=13, hanging=22)
    for number, audit in enumerate(task.audits, start=1):
        yield from wrapped(f"audit {number}: {safe(audit)}", indent=13, hanging=22)
    if task.landed is not None:
        yield from wrapped(f"landed:  {safe(task.landed)}", indent=13, hanging=22)
        yield f"             report:  {safe(task.report)}"
    telling = [fact for fact in task.evidence if not fact.startswith(("num_turns", "stop_reason", "result:"))]
    yield from (
        faint(line) for line in wrapped(f"evidence: {safe(', '.join(telling))}", indent=13, hanging=23)
    )
    if not task.as_expected:
        yield f"             {word('failed')}: it had to end as {task.expected}"


def _end(report: Report) -> Iterator[str]:
    verdict = "Every task ended as it had to" if report.as_expected else "NOT every task ended as it had to"
    yield f"{verdict}, in {report.seconds:.0f} s, with {report.requests} requests to the model."
    if report.kept:
        yield f"All of it lies in {safe(report.folder)}: tasks/, project/, config/."
    else:
        yield "The scratch folder is gone again; to look around in it: task-queue demo --keep"
    yield ""
    yield strong("with your own account")
    yield from (
        "  cd YOUR-PROJECT",
        "  task-queue init                     folders and configuration",
        "  task-queue doctor                   is everything there, who will pay",
        '  task-queue tasks add "what to do"   or put task-*.md in tasks/ad-hoc/pending',
        "  task-queue run --drain              work until nothing is left",
        "  task-queue service install          or for good, as a systemd user service",
    )
