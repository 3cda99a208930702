"""``plan --rehearse``: what each waiting task would meet tonight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from task_queue.cli import render
from task_queue.cli.counting import counting_parts
from task_queue.cli.edge import FAILED
from task_queue.cli.render import Renderable, block, faint, item, line, strong, word

if TYPE_CHECKING:
    from task_queue.app.installation import Installation
    from task_queue.demo.rehearsal import RehearsalView, RehearsedTask

_ABOUT = 10


def show_rehearsal(installation: Installation, tasks: Sequence[str], *, as_json: bool) -> int:
    """The exit code."""
    from task_queue.demo.rehearsal import rehearse  # the queue and its agent, which no other question needs

    with counting_parts() as count:
        view = rehearse(installation, tasks, step=count)
    if as_json:
        render.say_json(view)
    else:
        render.show(*_shown(view))
    return 0 if view.finds_nothing else FAILED


def show_trial(installation: Installation, source: str) -> int:
    """Of the set-up and verify commands of *source*; the exit code."""
    from task_queue.demo.rehearsal import rehearse_source

    with counting_parts() as count:
        tried = rehearse_source(installation, source, step=count)
    if tried.problems:
        render.say("tried once, on a copy; a task would fail, before any work:")
        render.show(*_problems_of(tried))
    else:
        render.say(f"tried once, on a copy: the set-up and {_number(tried.checks, 'check')} pass")
    return FAILED if tried.problems else 0


def _shown(view: RehearsalView) -> Iterator[Renderable]:
    if not view.tasks:
        yield line("Nothing waits.")
        return
    failing = sum(bool(task.problems) for task in view.tasks)
    yield line(
        strong(
            f"{_number(len(view.tasks), 'task')} rehearsed; {failing:,} would fail, or be denied something, tonight"
        )
    )
    for task in view.tasks:
        yield from _about(task)
    for note in view.notes:
        yield item(faint("note"), faint(note), indent=2)


def _about(task: RehearsedTask) -> Iterator[Renderable]:
    done = f"{_number(task.checks, 'check')} run, {_number(task.calls, 'call')} asked for"
    yield item(word("failed" if task.problems else "ok"), f"{task.task_id} ({task.source}): {done}", indent=2)
    yield from _problems_of(task)


def _problems_of(task: RehearsedTask) -> Iterator[Renderable]:
    for problem in task.problems:
        yield item(problem.kind, problem.sentence, indent=4, column=_ABOUT)
        if problem.detail:
            yield block(problem.detail, indent=6 + _ABOUT)


def _number(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
