"""``stats``: counts, times, costs and success of what ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

from task_queue.app.installation import Installation
from task_queue.app.spelling import amount, moment, money, span
from task_queue.app.statistics import CHOICES, GroupView, SpanView, StatsView, statistics
from task_queue.cli import render, screen
from task_queue.cli.counting import counting
from task_queue.cli.render import Part, Renderable, faint, item, line, strong, table_rows
from task_queue.cli.screen import Listing
from task_queue.cli.session import as_json_option, pass_installation, past_moment_in
from task_queue.domain.past_time import FORM

_COLUMN = 10
_HEAD = ("", "ended", "success", "waited", "ran", "cost", "tokens", "retries")


@click.command()
@click.option("--since", metavar="WHEN", help=f"Only what ended since: {FORM}.")
@click.option("--by", type=click.Choice(CHOICES), help="A line for each of these.")
@as_json_option
@pass_installation
def stats(installation: Installation, *, since: str | None, by: str | None, as_json: bool) -> None:
    """How many tasks ended and how, how long they waited and ran, and what they cost, by the event log."""
    moment_since = past_moment_in(installation, since)
    with counting("reading the event log") as count:
        view = statistics(installation, since=moment_since, by=by, step=count)
    if as_json:
        render.say_json(view)
    else:
        screen.show(_shown(view), whole=False, command="task-queue stats")


def _shown(view: StatsView) -> Iterator[Listing]:
    if not view.all.ended:
        yield Listing([line("Nothing ended, as far as the event log says.")], 0)
        return
    begins = f"since {moment(view.begins)}" if view.begins else ""
    yield Listing(list(_whole(view)), 0, head=[line(strong(f"{view.all.ended:,} ended "), faint(begins))])
    if view.groups:
        rows = [_row(group) for group in view.groups]
        table = table_rows(rows, head=_HEAD, lead=len(_HEAD), numbers=len(_HEAD) - 1, indent=2)
        head = [line(), line(strong(f"By {view.by}"), faint("  waited and ran: median, 90% within"))]
        yield Listing(table[1:], 1, head=[*head, table[0]], indent=2)


def _whole(view: StatsView) -> Iterator[Renderable]:
    whole = view.all
    rows: list[tuple[str, str]] = [
        ("states", _counts(whole.states)),
        ("outcomes", _counts(whole.outcomes)),
        ("success", f"{_share(whole.success_rate)} of those that were neither cancelled nor rejected"),
        ("waited", _span_in_full(whole.waited, of=whole.ended)),
        ("ran", _span_in_full(whole.ran, of=whole.ended)),
        ("cost", money(whole.cost_usd) + _known(whole.cost_known, of=whole.ended)),
        ("tokens", _tokens_in_full(whole)),
        ("retries", _retries_in_full(whole)),
        ("limits", _limits_in_full(view)),
    ]
    for name, said in rows:
        yield item(name, said, indent=2, column=_COLUMN)


def _row(group: GroupView) -> tuple[Part, ...]:
    return (
        group.name,
        f"{group.ended:,}",
        _share(group.success_rate),
        _short(group.waited),
        _short(group.ran),
        money(group.cost_usd) if group.cost_known else "-",
        amount(group.input_tokens + group.output_tokens) if group.tokens_known else "-",
        f"{group.retries:,}" if group.attempts_known else "-",
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in counts.items())


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"


def _short(times: SpanView) -> str:
    if times.median_s is None or times.p90_s is None:
        return "-"
    return f"{span(times.median_s)}, {span(times.p90_s)}"


def _span_in_full(times: SpanView, *, of: int) -> str:
    if times.median_s is None or times.p90_s is None:
        return "unknown"
    return f"median {span(times.median_s)}, 90% within {span(times.p90_s)}" + _known(times.known, of=of)


def _tokens_in_full(group: GroupView) -> str:
    if not group.tokens_known:
        return "unknown"
    said = f"{amount(group.input_tokens)} in, {amount(group.output_tokens)} out"
    return said + _known(group.tokens_known, of=group.ended)


def _retries_in_full(group: GroupView) -> str:
    if not group.attempts_known:
        return "unknown"
    dead = f"; {group.dead_letters:,} used all their attempts up" if group.dead_letters else ""
    said = f"{group.retries:,} of {group.tasks_retried:,} tasks"
    return said + _known(group.attempts_known, of=group.ended) + dead


def _limits_in_full(view: StatsView) -> str:
    limits = view.limits
    if not limits.met and not limits.pauses:
        return "none met"
    times = "once" if limits.met == 1 else f"{limits.met:,} times"
    said = f"met {times} by {view.all.tasks_limited:,} tasks that ended"
    said += f"; the account was paused for {span(limits.paused_s)}"
    return said + ("" if limits.paused_share is None else f", {limits.paused_share:.1%} of the time")


def _known(number: int, *, of: int) -> str:
    return "" if number == of else f" (known of {number:,})"
