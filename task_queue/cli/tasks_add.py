"""``tasks add``: from a text, files, standard input or an editor into a queue."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import click

from task_queue.app import adding, templates
from task_queue.app.adding import Added, Draft
from task_queue.app.event_feed import EventReader, from_now_on
from task_queue.app.finding import known_or_as_typed
from task_queue.app.installation import Installation
from task_queue.app.source_here import source_here
from task_queue.app.spelling import from_home, ordinal
from task_queue.cli import completing, render
from task_queue.cli.document_keys import KeyedCommand, key_options, values_of
from task_queue.cli.edge import FAILED
from task_queue.cli.editing import edited
from task_queue.cli.live import await_end, view_of
from task_queue.cli.server import QueueServer, only_here, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.remarks import blank, filled, without_remarks
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.document.writing import with_keys
from task_queue.domain.errors import TaskFileError, TaskQueueError, UnknownTaskError

_SCHEMA_VERSION = 1


@click.command(cls=KeyedCommand)
@click.argument("text", required=False)
@click.option(
    "--file",
    "-f",
    "paths",
    metavar="PATH",
    multiple=True,
    help="Take a document from this file, or from each that a pattern in quotes matches (repeatable).",
)
@click.option(
    "--source",
    "source_id",
    metavar="ID",
    shell_complete=completing.sources,
    help="The source that gets it, else the one that works in the present folder.",
)
@click.option(
    "--template",
    metavar="NAME",
    help="Put the text into a template: see tasks templates.",
    shell_complete=completing.templates,
)
@click.option("--edit", is_flag=True, help="Open the document in your editor before it is added.")
@click.option("--name", help="Words for the file name, instead of the title.")
@click.option("--dry-run", is_flag=True, help="Print the document and where it would wait; add nothing.")
@click.option("--wait", is_flag=True, help="Wait until it has ended; exit code 1 if it did not succeed.")
@server_options
@as_json_option
@key_options
@pass_installation
def add(
    installation: Installation,
    /,
    *,
    text: str | None,
    paths: tuple[str, ...],
    source_id: str | None,
    template: str | None,
    edit: bool,
    name: str | None,
    dry_run: bool,
    wait: bool,
    server: QueueServer | None,
    as_json: bool,
    **typed: object,
) -> int:
    """Add TEXT as a task ("-": standard input; without TEXT: what is piped in, else your editor)."""
    if dry_run and wait:
        raise click.UsageError("--dry-run and --wait exclude each other")
    if server is not None:
        only_here(server, template=template, edit=edit, name=name, dry_run=dry_run, wait=wait)
        if _is_interactive(text, paths, edit=edit):
            raise click.UsageError("with --server, give a TEXT, --file, or a document on standard input")
        drafts = _drafts(text, paths, edit=edit, name=name)
        values = values_of(typed, installation.now())
        texts = [_composed(draft, None, values, alone=len(drafts) == 1) for draft in drafts]
        return _add_there(server, texts, source_id, as_json=as_json)
    installation.demand_trust()
    # Both are asked before a person writes.
    values = values_of(_with_whole_ids(installation, typed), installation.now())
    source = installation.entry(source_id) if source_id else source_here(installation, Path.cwd())
    begun = None if template is None else templates.template(installation, template)
    drafts = _drafts(text, paths, edit=edit, name=name)
    alone = len(drafts) == 1
    if _is_interactive(text, paths, edit=edit):
        if not alone:
            raise click.UsageError(f"--edit is for one document, and --file means {len(drafts)}")
        document = _composed(drafts[0], begun or (None if drafts[0].text else blank()), values, alone=True)
        with edited(
            installation,
            document,
            source_id=source.id,
            may_stay=bool(drafts[0].text.strip()),
            continues=drafts[0].origin,
            keep=dry_run,
        ) as final:
            drafts = [replace(drafts[0], text=final)]
            return _add_all(installation, drafts, source.id, dry_run=dry_run, wait=wait, as_json=as_json)
    if begun is not None and any(not draft.text.strip() for draft in drafts):
        raise TaskQueueError(f"the template {template} needs a text", hint="say what is to be done")
    drafts = [replace(draft, text=_composed(draft, begun, values, alone=alone)) for draft in drafts]
    if begun is not None:
        drafts = [replace(draft, text=without_remarks(draft.text)) for draft in drafts]
    return _add_all(installation, drafts, source.id, dry_run=dry_run, wait=wait, as_json=as_json)


def _add_all(
    installation: Installation,
    drafts: Sequence[Draft],
    source_id: str,
    *,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> int:
    source = installation.entry(source_id)
    faults = [
        (draft, fault) for draft in drafts for fault in adding.faults_of(installation, draft, source=source)
    ]
    for draft, fault in faults:
        render.show_error(f"{draft.origin}: {fault}" if len(drafts) > 1 else str(fault), fault.hint)
    if faults:
        return FAILED
    if dry_run:
        _show_preview(drafts, adding.preview(installation, drafts, source=source), as_json=as_json)
        return 0
    since = from_now_on(installation, warn=render.note) if wait else None
    added: list[Added] = []
    for draft in drafts:
        added.append(adding.add(installation, draft, source=source))
        if not as_json:
            render.say(added[-1].task_id)
        # Its id is on stdout only once it has ended, where that is to be JSON.
        render.note(f"{added[-1].task_id + ' ' if as_json and wait else ''}queued in {_place(added[-1])}")
    if not added[-1].daemon_runs:
        render.note("the daemon does not run; start it with: task-queue daemon, or: task-queue run --drain")
    if since is None:
        if as_json:
            render.say_json(_as_json([_view(each) for each in added]))
        return 0
    return _wait_for(installation, added, since, as_json=as_json)


def _add_there(server: QueueServer, documents: Sequence[str], source_id: str | None, *, as_json: bool) -> int:
    from task_queue.client import task_operations

    views: list[dict[str, Any]] = []
    for document in documents:
        task = server.ask(task_operations.submit(document=document, source=source_id)).task
        views.append(
            {"task_id": task.id, "source": task.source, "place": task.queue_position, "why": task.why}
        )
        if not as_json:
            render.say(task.id)
        place = f", position {task.queue_position:,}" if task.queue_position else ""
        render.note(
            f"queued in {task.source} of {server.address}{place}{f': {task.why}' if task.why else ''}"
        )
    if as_json:
        render.say_json(_as_json(views))
    return 0


def _wait_for(
    installation: Installation, added: Sequence[Added], since: EventReader, *, as_json: bool
) -> int:
    """With *as_json* one document for all, also where a task is gone."""
    views: dict[str, dict[str, Any]] = {
        each.task_id: {"task_id": each.task_id, "source": each.source, "state": None} for each in added
    }
    try:
        awaited = await_end(installation, [each.task_id for each in added], since=since, as_json=as_json)
    except UnknownTaskError as error:
        render.show_error(str(error), error.hint)
        awaited = None
    for end in awaited.ends if awaited else ():
        views[end.task_id] |= view_of(end)
    if as_json:
        render.say_json(_as_json(list(views.values())))
    return awaited.code if awaited else FAILED


def _show_preview(drafts: Sequence[Draft], previews: Sequence[Added], *, as_json: bool) -> None:
    if as_json:
        views = [
            {**_view(each), "document": draft.text} for draft, each in zip(drafts, previews, strict=True)
        ]
        render.say_json({"dry_run": True, **_as_json(views)})
        return
    for draft, each in zip(drafts, previews, strict=True):
        render.say_block(draft.text.rstrip("\n"))
        render.note(f"nothing is added; {each.task_id} would be queued in {_place(each)}")


def _as_json(tasks: list[dict[str, Any]]) -> dict[str, Any]:
    alone = tasks[0] if len(tasks) == 1 else {}
    return {**alone, **({} if alone else {"tasks": tasks}), "schema_version": _SCHEMA_VERSION}


def _view(added: Added) -> dict[str, Any]:
    standing = added.standing
    return {
        "task_id": added.task_id,
        "source": added.source,
        "place": standing.place if standing else None,
        "of": standing.of if standing else None,
        "why": standing.why if standing else None,
    }


def _place(added: Added) -> str:
    where = f"{added.source} ({from_home(added.directory)})"
    if added.standing is None:
        return where
    place, of, why = added.standing.place, added.standing.of, added.standing.why
    return f"{where}, {ordinal(place)} of {of}: {why}"


def _is_interactive(text: str | None, paths: Sequence[str], *, edit: bool) -> bool:
    return edit or (text is None and not paths and sys.stdin.isatty())


def _drafts(text: str | None, paths: Sequence[str], *, edit: bool, name: str | None) -> list[Draft]:
    """What was typed, piped in or named, as it stands; empty where only an editor will say it."""
    if text is not None and paths:
        raise click.UsageError("TEXT and --file exclude each other")
    if paths:
        drafts = adding.drafts_in(paths)
    elif text is None and _is_interactive(text, paths, edit=edit):
        drafts = [Draft("")]
    else:
        drafts = [Draft(_typed(text))]
    if name is not None and len(drafts) > 1:
        raise click.UsageError(f"--name is for one document, and --file means {len(drafts)}")
    return [replace(draft, name=name or draft.name) for draft in drafts]


def _composed(draft: Draft, template: str | None, values: Mapping[str, Given], *, alone: bool) -> str:
    """The text of *draft* in *template*, with *values* in its front matter."""
    try:
        text = draft.text if template is None else filled(template, draft.text)
        return with_keys(text, values)
    except TaskFileError as error:
        if alone:
            raise
        raise TaskQueueError(f"{draft.origin}: {error}", hint=error.hint) from error


def _with_whole_ids(installation: Installation, typed: Mapping[str, object]) -> Mapping[str, object]:
    """*typed* with the id of the task that each part of one in ``--depends-on`` means; others are to come."""
    parts = cast("tuple[str, ...]", typed.get("depends_on") or ())
    ids = [known_or_as_typed(part, installation.sources()) for part in parts]
    for part, task_id in zip(parts, ids, strict=True):
        if part != task_id:
            render.note(f"it depends on {task_id}")
    return {**typed, "depends_on": tuple(ids)}


def _typed(text: str | None) -> str:
    if text is None or text == "-":
        return adding.decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
    adding.demand_no_file_name(text)
    return text
