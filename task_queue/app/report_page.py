"""A report as a page: the same sections in Markdown and HTML, short enough for a mail or a phone."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from task_queue.app.answers import RunningView
from task_queue.app.fleet_sight import described, how_old
from task_queue.app.history import EndedView
from task_queue.app.report import ReportView, SpentView
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.markdown import code, escaped
from task_queue.domain.text import printable

_MOST = 30
"""Of one section; the rest is counted."""
_BAR = 12
_STYLE = (
    "body{font:16px/1.4 system-ui,sans-serif;max-width:44rem;margin:1rem auto;padding:0 1rem}"
    "h1{font-size:1.3rem}h2{font-size:1.05rem;margin:1.2rem 0 .3rem}ul{padding-left:1.2rem;margin:0}"
    "li{margin:.25rem 0;overflow-wrap:anywhere}code{background:#8882;padding:0 .2em;border-radius:3px}"
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact. ``name`` is an id or a name, ``said`` a sentence, ``command`` what settles it; foreign text in all."""

    name: str
    said: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class PageSection:
    title: str
    rows: tuple[Fact, ...]

    @property
    def hidden(self) -> int:
        return max(0, len(self.rows) - _MOST)


def sections_of(report: ReportView) -> tuple[PageSection, ...]:
    """What there is to say; nothing of what did not happen, but for what needs a person and what was spent."""
    needs = tuple(
        Fact(
            each.task_id or each.source or "",
            each.sentence.removeprefix(f"task {each.task_id}: "),
            each.command,
        )
        for each in report.attention
    )
    found = (
        PageSection("Needs you", needs or (Fact("", "nothing"),)),
        PageSection("Result unknown", tuple(Fact(task.task_id, task.problem) for task in report.unclear)),
        PageSection("Done", tuple(map(_ended, report.done))),
        PageSection("Failed", tuple(map(_ended, report.failed))),
        PageSection("Running", tuple(map(_running, report.running))),
        PageSection("Elsewhere in the fleet", tuple(_of_fleet(report.fleet))),
        PageSection("Waiting", (Fact("", f"{report.waiting:,} tasks"),) if report.waiting else ()),
        PageSection("Spent", tuple(_spent(report.spent))),
        PageSection("Limits", tuple(Fact(_clock(each.at), each.said) for each in report.limits)),
    )
    return tuple(section for section in found if section.rows)


def headline(report: ReportView) -> str:
    """The whole in one line."""
    counts = ((report.failed, "failed"), (report.unclear, "unknown"), (report.running, "running"))
    parts = [f"{len(report.done)} done", *(f"{len(tasks)} {what}" for tasks, what in counts if tasks)]
    needs = len(report.attention)
    parts.append(f"{needs} {'needs' if needs == 1 else 'need'} you" if needs else "nothing needs you")
    return f"{', '.join(parts)}, ${report.spent.usd:.2f}"


def period(report: ReportView) -> str:
    older = "; there are more that ended" if report.more else ""
    return f"{_moment(report.since)} to {_moment(report.until)}{older}"


def as_markdown(report: ReportView) -> str:
    lines = [f"# {headline(report)}", "", period(report)]
    for section in sections_of(report):
        lines += ["", f"## {section.title}", ""]
        for row in section.rows[:_MOST]:
            name = f"{code(row.name)} " if row.name else ""
            command = f": {code(row.command)}" if row.command else ""
            lines.append(f"- {name}{escaped(row.said)}{command}")
        if section.hidden:
            lines.append(f"- and {section.hidden} more")
    return "\n".join(lines) + "\n"


def as_html(report: ReportView) -> str:
    """A page of its own: it loads nothing, and runs nothing."""
    title = _text(headline(report))
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{_text(period(report))}</p>",
    ]
    for section in sections_of(report):
        parts.append(f"<h2>{_text(section.title)}</h2><ul>")
        for row in section.rows[:_MOST]:
            name = f"<code>{_text(row.name)}</code> " if row.name else ""
            command = f"<br><code>{_text(row.command)}</code>" if row.command else ""
            parts.append(f"<li>{name}{_text(row.said)}{command}</li>")
        if section.hidden:
            parts.append(f"<li>and {section.hidden} more</li>")
        parts.append("</ul>")
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _of_fleet(sight: FleetSight | None) -> Iterator[Fact]:
    if sight is None or not sight.tasks:
        return
    yield from (Fact("", clause) for clause in how_old(sight))
    yield from (Fact(task.task_id, described(task, here=sight.host)) for task in sight.tasks)


def _ended(task: EndedView) -> Fact:
    figures = "" if task.cost_usd is None else f" (${task.cost_usd:.2f})"
    title = f"{task.title}: " if task.title else ""
    return Fact(task.task_id, f"{title}{task.ending}{figures}")


def _running(task: RunningView) -> Fact:
    title = f"{task.title}: " if task.title else ""
    since = f" since {_clock(task.since)}" if task.since else ""
    return Fact(task.task_id, f"{title}attempt {task.attempt}{since}")


def _spent(spent: SpentView) -> Iterator[Fact]:
    """The sum, then each source and model with a bar: the largest of its kind has the longest."""
    estimated = f", ${spent.estimated_usd:.2f} of it estimated" if spent.estimated_usd else ""
    yield Fact("", f"${spent.usd:.2f}{estimated}")
    for costs in (spent.by_source, spent.by_model):
        largest = max(costs.values(), default=0.0)
        for name, usd in costs.items():
            yield Fact(name, f"${usd:.2f} {bar(usd, largest)}")


def bar(number: float, largest: float, *, width: int = _BAR) -> str:
    """At least one block, for what is more than nothing."""
    return "" if largest <= 0 or number <= 0 else "█" * max(1, round(width * number / largest))


def _clock(at: datetime) -> str:
    return at.astimezone().strftime("%a %H:%M")


def _moment(at: datetime) -> str:
    return at.astimezone().strftime("%Y-%m-%d %H:%M")


def _text(text: str) -> str:
    return html.escape(printable(text))
