"""What commands share: the installation they speak to, options, and how a task is named."""

from __future__ import annotations

from collections.abc import Sequence

import click

from task_queue.app.answers import ListedSource
from task_queue.app.installation import Installation
from task_queue.domain.errors import UnknownTaskError
from task_queue.domain.task import TaskId

_MOST_NEAR = 3

pass_installation = click.make_pass_decorator(Installation)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version."
)
source_option = click.option("--source", "source_id", metavar="ID", help="Only this source.")


def unknown_task(task_id: TaskId, sources: Sequence[ListedSource]) -> UnknownTaskError:
    from task_queue.app.listing import ids_with

    near = ids_with(sources, task_id)[-_MOST_NEAR:]
    hint = f"did you mean {' or '.join(near)}?" if near else "see what there is with: task-queue tasks list"
    return UnknownTaskError(f"there is no task {task_id}", hint=hint)


def given_id(text: str) -> TaskId:
    """The id that a person typed; the document's file name or path will do."""
    return TaskId(text.rpartition("/")[2].removesuffix(".md"))
