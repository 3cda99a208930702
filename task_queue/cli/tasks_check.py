"""``tasks check``: what the queue would say of documents."""

from __future__ import annotations

from pathlib import Path

import click

from task_queue.app.checking import CheckedDocument, check_files
from task_queue.app.installation import Installation
from task_queue.cli import completing, render
from task_queue.cli.edge import FAILED
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1


@click.command()
@click.argument("file", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--source",
    "source_id",
    metavar="ID",
    shell_complete=completing.sources,
    help="Under whose settings, else of the source whose queue holds the file or that works in the present folder.",
)
@as_json_option
@pass_installation
def check(installation: Installation, *, file: tuple[Path, ...], source_id: str | None, as_json: bool) -> int:
    """Say every fault of each document FILE, without adding it; exit code 1 if one would be rejected."""
    checked = check_files(installation, file, source_id=source_id, directory=Path.cwd())
    if as_json:
        render.say_json({"files": checked, "schema_version": _SCHEMA_VERSION})
    else:
        for document in checked:
            _say(document)
    return FAILED if any(document.faults for document in checked) else 0


def _say(document: CheckedDocument) -> None:
    if not document.faults:
        render.say(f"{document.file}: ok, {document.title}")
    for fault in document.faults:
        place = f"{document.file}:{fault.line}" if fault.line else document.file
        render.say(f"{place}: {fault.what}{f'; {fault.hint}' if fault.hint else ''}")
    for note in document.notes:
        render.note(f"{document.file}: note: {note}")
    if document.source is None:
        render.note(f"{document.file}: no source works here, so only the document itself was checked")
