"""What becomes of a task's work after its end: its result and its report are written anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.model import Result
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.store.folder.files import read_record, replace_file
from task_queue.store.folder.layout import SNAPSHOT, Layout
from task_queue.store.folder.needing import forget_need
from task_queue.store.folder.states import last_record


def results_needing_a_person(layout: Layout) -> Iterator[Result]:
    """Those that ended and can be read, in no order."""
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in sorted(layout.needing.iterdir()):
            task_id = TaskId(path.name.removesuffix(".json"))
            if path.name.endswith(".json") and naming.is_task_id(task_id):
                result = read_result(layout, task_id)
                if result is not None:
                    yield result


def read_result(layout: Layout, task_id: TaskId) -> Result | None:
    """None where there is none, or none that can be read."""
    result = read_record(Result, layout.result(task_id))
    return result if isinstance(result, Result) and result.task_id == task_id else None


def result_in(layouts: Iterable[Layout], task_id: TaskId) -> Result | None:
    """Of the task that was dropped as *task_id*, in the first source that knows it: the last of its records."""
    for layout in layouts:
        record = last_record(layout, task_id)
        if record is not None:
            return read_result(layout, record)
    return None


def amend(layout: Layout, result: Result, report: str) -> None:
    """Replace the report and the result of an ended task. Raises OSError.

    The result comes last: until it is there, a branch that has landed is looked at again, and all is written anew.
    The index of those that need a person is the larger one at every moment, see ``Layout.needs``.
    """
    replace_file(layout, layout.report(result.task_id), report.encode("utf-8", "backslashreplace"))
    replace_file(layout, layout.result(result.task_id), encode(result))
    if not result.attention:
        forget_need(layout, result.task_id)


def document_of(layout: Layout, result: Result) -> bytes | None:
    """The task's text as it ran; None where neither that nor its document is there any more."""
    last = result.attempts[-1].number if result.attempts else 0
    document = naming.document_of(result.task_id)
    for path in (layout.attempt(result.task_id, last) / SNAPSHOT, layout.ended(result.state) / document):
        with suppress(OSError):
            return durable.read_regular(path, limit=MAX_BYTES)[0]
    return None
