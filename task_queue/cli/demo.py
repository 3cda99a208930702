"""``demo``: see it work, without an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from task_queue.app.spelling import money
from task_queue.cli import render
from task_queue.cli.edge import FAILED
from task_queue.cli.render import (
    Renderable,
    block,
    faint,
    glance,
    item,
    line,
    paragraph,
    strong,
    word,
)

if TYPE_CHECKING:
    from task_queue.demo.show import DemoResult, Report, Scene

_NAME = 22
_STATE = len("completed")
_INDENT = 13
_FACT = len("evidence")
_NEXT_STEPS = """\
cd YOUR-PROJECT
task-queue init                     folders and configuration
task-queue doctor                   is everything there, who will pay
task-queue tasks add "what to do"   or put task-*.md in tasks/ad-hoc/pending
task-queue run --drain              work until nothing is left
task-queue service install          or for good, as a systemd user service"""


@click.command()
@click.option("--keep", is_flag=True, help="Keep the scratch folder, so that you can look into it.")
@click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version; printed at the end."
)
@click.pass_context
def demo(context: click.Context, *, keep: bool, as_json: bool) -> None:
    """The whole pipeline in a scratch folder, without an account: real daemon, real agent, scripted model.

    Exit code 1 if a task does not end as expected.
    """
    from task_queue.demo.show import run_demo

    if as_json:
        report = run_demo(lambda _: None, keep=keep)
        render.say_json(report.as_json())
    else:
        render.show(*_introduction())
        report = run_demo(_show_scene, keep=keep)
        render.show(*_summary(report))
    context.exit(0 if report.as_expected else FAILED)


def _introduction() -> Iterator[Renderable]:
    from task_queue.demo.cast import DEMO_TASKS

    yield paragraph(
        "Two sources, four tasks. The daemon, the agent, its tools, the files and git are real; only the"
        " model is scripted and answers on this machine. No account is used, nothing is spent."
    )
    yield line()
    for part in DEMO_TASKS:
        yield item(part.task_id, part.shows, indent=2, column=_NAME)
    yield line()
    yield line(strong("what happens"))


def _show_scene(moment: Scene) -> None:
    state, comma, rest = moment.what.partition(",")
    what = line(word(state), comma, rest) if state in {"completed", "failed"} else moment.what
    render.show(glance(f"{moment.at:5.1f} s  {moment.task_id:<{_NAME}}  ", what))


def _summary(report: Report) -> Iterator[Renderable]:
    yield line()
    yield line(strong("what is left on disk"))
    for task in report.tasks:
        yield from _about(task)
    yield line()
    yield line(strong("what became of the workspace"))
    for commit in report.commits:
        yield line(f"  commit {commit}")
    for change in report.changes:
        yield line(f" {change}")
    yield line()
    yield from _end(report)


def _about(task: DemoResult) -> Iterator[Renderable]:
    state = task.document.split("/")[-2]
    attempts = f"{task.attempts} attempt{'s' if task.attempts > 1 else ''}"
    yield item(word(state), line(task.document), indent=2, column=_STATE)
    yield line(
        " " * _INDENT,
        f"{task.outcome}, {attempts}, {task.turns} turns, {money(task.cost_usd)} that is not charged",
    )
    telling = [fact for fact in task.evidence if not fact.startswith(("num_turns", "stop_reason", "result:"))]
    yield from _facts(("because", task.reason))
    if state == "failed" and task.said:
        yield from _facts(("it said", f'"{task.said}"'))
    yield from _facts(*((f"audit {number}", audit) for number, audit in enumerate(task.audits, start=1)))
    if task.landed is not None:
        yield from _facts(("landed", task.landed), ("report", str(task.report)))
    yield item(faint("evidence"), faint(", ".join(telling)), indent=_INDENT, column=_FACT)
    if not task.as_expected:
        yield line(" " * _INDENT, word("failed"), f": it had to end as {task.expected}")


def _facts(*facts: tuple[str, str]) -> Iterator[Renderable]:
    for name, value in facts:
        yield item(name, value, indent=_INDENT, column=_FACT)


def _end(report: Report) -> Iterator[Renderable]:
    verdict = "Every task ended as it had to" if report.as_expected else "NOT every task ended as it had to"
    yield paragraph(f"{verdict}, in {report.seconds:.0f} s, with {report.requests} requests to the model.")
    if report.kept:
        yield paragraph(f"All of it is in {report.folder}: tasks/, project/, config/.")
    else:
        yield paragraph("The scratch folder is gone again; to look around in it: task-queue demo --keep")
    yield line()
    yield line(strong("with your own account"))
    yield block(_NEXT_STEPS, indent=2)
