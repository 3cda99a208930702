"""A document from the user's editor: checked when the editor ends, opened again with what is wrong, never lost."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from task_queue.app import adding, drafts
from task_queue.app.adding import Draft
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.domain.document.remarks import (
    says_nothing,
    with_faults,
    without_faults,
    without_remarks,
)
from task_queue.domain.errors import TaskFileError, TaskQueueError

_GUI = "an editor that ends at once needs its option to wait, such as EDITOR='code --wait'"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What the document is written for."""

    done: str
    """What is not done where nothing was written: ``added``."""
    command: str
    """Goes on with a draft whose path is put behind it."""
    keeps_remarks: bool = False

    def kept(self, draft: Path) -> str:
        """Where it is, and how to go on with it."""
        return f"the draft is kept; go on with: {self.command} {shlex.quote(str(draft))}"


ADDING = Purpose("added", "task-queue tasks add --edit --file")


@contextmanager
def edited(
    installation: Installation,
    text: str,
    *,
    source_id: str,
    may_stay: bool,
    continues: str = "",
    keep: bool = False,
    purpose: Purpose = ADDING,
) -> Generator[str]:
    """The document that a person makes of *text*; what is done within ends its draft.

    *may_stay*: it says something already, and is good without a change. *continues*: the file that it comes from; an
    earlier draft is used again. *keep*: the draft stays. Raises TaskQueueError if nothing is to be done; a draft in
    which something was written is kept and named, also if what is done within fails.
    """
    text = without_faults(text)
    draft = drafts.begin(installation, text, continues=continues)
    document = _finished(installation, draft, text, source_id, may_stay=may_stay, purpose=purpose)
    try:
        yield document
    except BaseException:
        if draft.exists():
            render.note(purpose.kept(draft))
        raise
    if keep:
        render.note(purpose.kept(draft))
    else:
        drafts.discard(draft)


def _finished(
    installation: Installation, draft: Path, text: str, source_id: str, *, may_stay: bool, purpose: Purpose
) -> str:
    opened = text
    faults: Sequence[TaskFileError] = ()
    while True:
        written = _after_editor(draft, text, purpose)
        if says_nothing(written) or (written == text and not may_stay):
            drafts.discard(draft)
            raise TaskQueueError(f"nothing was written, so nothing is {purpose.done}", hint=_GUI)
        if faults and written == without_faults(opened):
            several = "s" if len(faults) > 1 else ""
            raise TaskQueueError(
                f"nothing is {purpose.done}, because the document has {len(faults)} fault{several}: "
                + "; ".join(map(str, faults)),
                hint=purpose.kept(draft),
            )
        faults = _faults_in(installation, written, source_id)
        if not faults:
            return written if purpose.keeps_remarks else without_remarks(written)
        opened = with_faults(written, faults)
        drafts.write(draft, opened)


def _after_editor(draft: Path, first: str, purpose: Purpose) -> str:
    """What the draft says then, without the remark on faults."""
    try:
        click.edit(filename=str(draft))
        return without_faults(drafts.text_of(draft))
    except (click.ClickException, TaskQueueError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        if draft.exists() and draft.read_bytes() == first.encode():
            drafts.discard(draft)
            raise TaskQueueError(said) from error
        raise TaskQueueError(said, hint=purpose.kept(draft)) from error
    except KeyboardInterrupt:
        render.note(purpose.kept(draft))
        raise


def _faults_in(installation: Installation, document: str, source_id: str) -> Sequence[TaskFileError]:
    """With the lines as the person sees them: remarks of the front matter stay, and those of the text come below."""
    return adding.faults_of(installation, Draft(document), source=installation.entry(source_id))
