"""``tasks logs``: what the agent did and what the queue checked, to be read; with ``--follow`` as it happens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date

import click

from task_queue.app.installation import Installation
from task_queue.app.task_elsewhere import task_here
from task_queue.app.transcript import lines_of, logs_of, why_over
from task_queue.app.transcript_selection import Selection
from task_queue.app.transcript_text import TOOLS, EntryKind, TranscriptEntry, TranscriptReader
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.render import Part, Renderable, block, faint, item, line, strong, word
from task_queue.cli.server import QueueServer, only_here, server_options
from task_queue.cli.session import pass_installation, past_moment_in
from task_queue.cli.tasks_show import files
from task_queue.domain.past_time import FORM

_CLOCK = len("12:34:56")
_INDENT = 2
_POLL_S = 0.5
_WIDTH = 160
_MOST_WORDS = 20
"""Lines of what the agent says."""
_MOST_LINES = 8
"""Of what anything else says."""


@click.command()
@task_argument()
@click.option(
    "--follow", "-f", is_flag=True, help="Wait for more, until the attempt has ended; say why it has."
)
@click.option("--attempt", type=click.IntRange(min=1), help="Which attempt, instead of the last.")
@click.option(
    "--phase", metavar="NAME", help="Only this phase, such as 'verify 2'; 'verify' for every round."
)
@click.option("--since", metavar="WHEN", help=f"Only what came later: {FORM}.")
@click.option("--no-tools", is_flag=True, help="Without the calls of tools and their results.")
@click.option("--full", is_flag=True, help="Long texts and results whole.")
@click.option("--raw", is_flag=True, help="The transcript's JSON lines as they are.")
@click.option(
    "--json", "as_json", is_flag=True, help="Only the paths; machine-readable, with schema_version."
)
@server_options
@pass_installation
def logs(
    installation: Installation,
    *,
    task: str,
    follow: bool,
    attempt: int | None,
    phase: str | None,
    since: str | None,
    no_tools: bool,
    full: bool,
    raw: bool,
    server: QueueServer | None,
    as_json: bool,
) -> None:
    """Paths of TASK, its result and its transcript, and what the agent did; with --follow, as it happens."""
    if as_json and (follow or raw):
        raise click.UsageError("--json excludes --follow and --raw")
    if raw and (phase or since or no_tools or full):
        raise click.UsageError("--raw excludes --phase, --since, --no-tools and --full")
    selection = Selection(phase, past_moment_in(installation, since), tools=not no_tools)
    if server is not None:
        only_here(server, json=as_json)
        task_id = server.task_id(task)
        _say(lines_there(server, task_id, attempt, follow=follow), selection, raw=raw, full=full, live=follow)
        return
    view = logs_of(installation, task_here(installation, task), attempt=attempt)
    if as_json:
        render.say_json(view)
        return
    if not raw:
        render.show(*files(view.document, view.result_path))
    if not view.transcript.exists() and not follow:
        render.note(f"task {view.task_id} has no transcript yet")
        return
    of = f", attempt {view.attempt} of {max(view.attempts, default=view.attempt)}"
    lines = lines_of(installation, view, follow=follow)
    _say(lines, selection, raw=raw, full=full, live=follow, of=of)
    if follow:
        render.note(why_over(installation, view))


def lines_there(server: QueueServer, task_id: str, attempt: int | None, *, follow: bool) -> Iterator[str]:
    """Of the transcript on *server*; with *follow* those to come too, until the task has ended."""
    from task_queue.client import task_operations

    offset = 0
    while True:
        # Asked before reading, so that nothing written until the end is missed.
        over = not follow or server.ask(task_operations.task(task_id)).completed_at is not None
        while True:
            part = server.ask(task_operations.transcript(task_id, attempt=attempt, offset=offset))
            offset, attempt = part.next_offset, part.attempt
            if not part.data:
                break
            yield from part.data.decode(errors="replace").removesuffix("\n").split("\n")
        if over:
            return
        time.sleep(_POLL_S)


def _say(
    lines: Iterator[str], selection: Selection, *, raw: bool, full: bool, live: bool, of: str = ""
) -> None:
    if raw:
        for envelope in lines:
            render.say_block(envelope)
    else:
        _show(selection.of(TranscriptReader(live=live).entries(lines)), of, full=full)


def _show(entries: Iterator[TranscriptEntry], of: str, *, full: bool) -> None:
    day: date | None = None
    for entry in entries:
        today = entry.at.date() if entry.at else day
        if today != day:
            render.show(line(), line(strong(str(today)), of if day is None else ""))
            day = today
        render.show(*_laid_out(entry, full=full))


def _laid_out(entry: TranscriptEntry, *, full: bool) -> Iterator[Renderable]:
    clock = f"{entry.at:%H:%M:%S}" if entry.at else ""
    if entry.kind is EntryKind.PHASE:
        yield line()
        yield item(faint(clock), strong(entry.text), column=_CLOCK)
        return
    margin = _CLOCK + (_INDENT if entry.of_subagent else 0)
    label: Part = faint(clock)
    for each in _head(entry, full=full) if entry.text else []:
        yield item(label, each, column=margin)
        label = ""
    body = _body(entry, full=full)
    if entry.kind is EntryKind.WORDS:
        below = margin + (_INDENT if entry.text else 0)
        for each in body:
            # A terminal wraps what is said; what has its own columns keeps them.
            yield (
                line(" " * (below + _INDENT), each)
                if each.startswith(" ")
                else item(label, each, column=below)
            )
            label = ""
    elif body:
        yield block("\n".join(body), indent=margin + 2 * _INDENT, cut=not full)


def _head(entry: TranscriptEntry, *, full: bool) -> list[Part]:
    first, *others = (entry.text if full else _cut(" ".join(entry.text.split()))).split("\n")
    mark = "-> " if entry.kind is EntryKind.TOOL else ""
    colon = ":" if entry.kind is EntryKind.WORDS else ""
    failed: tuple[Part, ...] = ("  ", word("failed")) if entry.failed and entry.kind in TOOLS else ()
    return [line(mark + first + colon, *failed), *others]


def _body(entry: TranscriptEntry, *, full: bool) -> list[str]:
    """Of a check the end says most, of anything else the beginning; of a check that passed nothing."""
    lines = [each.rstrip("\r").expandtabs() for each in entry.body.split("\n")] if entry.body else []
    if full:
        return lines
    if entry.kind is EntryKind.CHECK and not entry.failed:
        return []
    most = _MOST_WORDS if entry.kind is EntryKind.WORDS and not entry.text else _MOST_LINES
    hidden = len(lines) - most
    if hidden <= 0:
        return lines
    more = f"… {hidden:,} more line{'' if hidden == 1 else 's'}"
    return [more, *lines[-most:]] if entry.kind is EntryKind.CHECK else [*lines[:most], more]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else text[: _WIDTH - 1] + "…"
