"""``schedules``: recurring tasks."""

from __future__ import annotations

from collections.abc import Iterator

import click

from task_queue.app import schedules as app
from task_queue.app.installation import Installation
from task_queue.app.schedules import DueView, ScheduleView
from task_queue.app.spelling import moment
from task_queue.cli import completing, render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.groups import CommandGroup
from task_queue.cli.render import Part, Renderable, item, line, strong, table, word
from task_queue.cli.session import as_json_option, pass_installation, source_option

_FIELD = 8
_NONE = "No schedules. Write one into schedules/ beside a pending/ folder; see docs/schedules.md."


@click.group(cls=CommandGroup, default="list")
def schedules() -> None:
    """Recurring tasks: when each is due, what became of its times, one run now."""


@schedules.command("list")
@source_option
@as_json_option
@pass_installation
def list_schedules(installation: Installation, *, source_id: str | None, as_json: bool) -> int:
    """Each schedule: when it runs, its next time, and what became of the last one.

    Exit code 3 if one cannot be used.
    """
    view = app.schedules(installation, source_id)
    if as_json:
        render.say_json(view)
    elif view.schedules:
        render.show(*(part for each in view.schedules for part in _about(each)))
    else:
        render.say(_NONE)
    return NEEDS_ATTENTION if any(each.trouble for each in view.schedules) else 0


@schedules.command("next")
@click.argument("name", required=False, shell_complete=completing.schedules)
@click.option("--count", type=click.IntRange(1, 10_000), default=10, show_default=True, help="So many times.")
@source_option
@as_json_option
@pass_installation
def next_times(
    installation: Installation, *, name: str | None, count: int, source_id: str | None, as_json: bool
) -> None:
    """The next due times of all schedules, or of NAME."""
    view = app.next_times(installation, name, source_id=source_id, count=count)
    if as_json:
        render.say_json(view)
    elif view.times:
        rows: list[tuple[Part, ...]] = [(moment(each.due), each.name, each.source) for each in view.times]
        render.show(table(rows, head=("DUE", "SCHEDULE", "SOURCE"), lead=3))
    else:
        render.say("No schedule is due any more." if name else _NONE)


@schedules.command()
@click.argument("name", shell_complete=completing.schedules)
@source_option
@as_json_option
@pass_installation
def run(installation: Installation, *, name: str, source_id: str | None, as_json: bool) -> None:
    """Put one task of the schedule NAME into the queue now, besides those that are due."""
    ran = app.run_by_hand(installation, name, source_id=source_id)
    if as_json:
        render.say_json(ran)
    else:
        render.say(ran.task_id)


def _about(view: ScheduleView) -> Iterator[Renderable]:
    title = f": {view.title}" if view.title else ""
    yield line(strong(view.name or "all schedules"), f" of source {view.source}{title}")
    if view.trouble:
        yield item(word("broken"), view.trouble, indent=2, column=_FIELD)
    if view.schedule:
        zone = view.timezone or "local time"
        until = f", until {moment(view.until)}" if view.until else ""
        rule = f"{view.schedule} ({zone}){until}; overlap {view.overlap}, catch_up {view.catch_up}"
        yield item("runs", rule, indent=2, column=_FIELD)
        yield item("next", moment(view.next_due) if view.next_due else "never", indent=2, column=_FIELD)
    for entry in view.history[:1]:
        yield item("last", _spelled_entry(entry), indent=2, column=_FIELD)


def _spelled_entry(entry: DueView) -> str:
    number = "" if entry.count == 1 else "very many" if entry.count is None else str(entry.count)
    several = f"{number} times, the last of them " if number else ""
    task = f" as {entry.task_id}" if entry.task_id else ""
    why = f" ({entry.why})" if entry.why else ""
    return f"{several}{moment(entry.due)}: {entry.what.replace('_', ' ')}{task}{why}"
