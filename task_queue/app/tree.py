"""Which tasks wait for which others, over all sources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from task_queue.app.circumstances import Circumstances
from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.durable import read_regular
from task_queue.store.snapshot import ReadSource, Snapshots

_SCHEMA_VERSION = 1
MISSING = "missing"


@dataclass(slots=True)
class TreeTask:
    """One task of the graph; ``state`` is ``missing`` for one that is nowhere, and then it has no source."""

    task_id: TaskId
    state: str
    source: str | None = None
    why: str = ""
    """Why it waits."""
    depends_on: tuple[TaskId, ...] = ()
    needed_by: list[TaskId] = field(default_factory=list[TaskId])
    """Waiting tasks that depend on it."""


@dataclass(slots=True)
class TreeView:
    """``tasks`` in the order in which they would run, then those that they depend on; ``roots`` is where to begin."""

    tasks: list[TreeTask]
    roots: list[TaskId]
    schema_version: int = _SCHEMA_VERSION


def tree_of(circumstances: Circumstances, task_id: TaskId | None = None) -> TreeView:
    """The graph of all tasks that wait for others; with *task_id* what that one depends on, and what needs it."""
    tasks = _waiting(circumstances)
    if task_id is not None and (task_id not in tasks or not tasks[task_id].depends_on):
        tasks[task_id] = _elsewhere(circumstances, task_id, read=True)
    for dependency in [each for task in tasks.values() for each in task.depends_on]:
        if dependency not in tasks:
            tasks[dependency] = _elsewhere(circumstances, dependency, read=False)
    for task in tasks.values():
        for dependency in task.depends_on:
            tasks[dependency].needed_by.append(task.task_id)
    shown = set(tasks) if task_id is None else _below(tasks, task_id)
    linked = [
        task
        for task in tasks.values()
        if task.task_id in shown and (task.depends_on or task.needed_by or task_id)
    ]
    roots = [task.task_id for task in linked if not task.needed_by] if task_id is None else [task_id]
    return TreeView(linked, roots or [task.task_id for task in linked[:1]])


def _waiting(circumstances: Circumstances) -> dict[TaskId, TreeTask]:
    """Of tasks with one id that of the first source, as for dependencies."""
    snapshots = Snapshots(
        (ReadSource(each.id, each.folders, each.layers) for each in circumstances.sources), read_limit=None
    )
    found: dict[TaskId, TreeTask] = {}
    for listed in circumstances.sources:
        try:
            survey = snapshots.survey(listed.id)
            reasons = snapshots.reasons(
                listed.id,
                now=circumstances.now,
                running=len(survey.locks),
                holds=circumstances.holds(listed),
            )
        except OSError:
            continue  # what cannot be read is said by status
        for task, why in reasons:
            waiting = TreeTask(task.id, TaskState.PENDING, listed.id, why, task.depends_on)
            found.setdefault(task.id, waiting)
        for task_id, why in survey.rejected:
            found.setdefault(
                task_id, TreeTask(task_id, TaskState.PENDING, listed.id, f"will be rejected: {why}")
            )
    return found


def _elsewhere(circumstances: Circumstances, task_id: TaskId, *, read: bool) -> TreeTask:
    """A task that does not wait, or depends on none; *read* its document, to see on which it depended."""
    from task_queue.store.folder.states import last_record, place_in

    layouts = {listed.id: listed.folders for listed in circumstances.sources}
    place = place_in(layouts, task_id)
    if place is None:
        return TreeTask(task_id, MISSING, why="there is no such task")
    source, state = place
    if not read:
        return TreeTask(task_id, state, source)
    layout = layouts[source]
    folder = layout.ended(state) if state.ended else layout.pending
    record = (last_record(layout, task_id) or task_id) if state.ended else task_id
    try:
        data, _ = read_regular(folder / naming.document_of(record), limit=MAX_BYTES)
        depends_on: tuple[TaskId, ...] = parse(data, task_id).given.get("depends_on") or ()
    except (OSError, TaskFileError):
        depends_on = ()
    return TreeTask(task_id, state, source, depends_on=depends_on)


def _below(tasks: dict[TaskId, TreeTask], task_id: TaskId) -> set[TaskId]:
    """*task_id*, all that it depends on, and what depends on it directly."""
    found: set[TaskId] = set()
    todo: list[TaskId] = [task_id]
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo += tasks[one].depends_on
    return found | set(tasks[task_id].needed_by)


def lines_of(view: TreeView, *, most: int, depth: int) -> tuple[list[tuple[str, TreeTask, bool]], int]:
    """What is drawn before each task, the task, and whether what is below it was drawn further up; and how many lines
    are left out because there are more than *most*. What is more than *depth* levels down is counted as one line.
    """
    tasks = {task.task_id: task for task in view.tasks}
    lines: list[tuple[str, TreeTask, bool]] = []
    drawn: set[TaskId] = set()
    left_out = 0
    stack = [(root, "", "") for root in reversed(view.roots)]
    while stack:
        task_id, lead, below = stack.pop()
        task = tasks[task_id]
        if len(lines) >= most:
            left_out += task_id not in drawn
            again = True
        else:
            again = task_id in drawn and bool(task.depends_on)
            lines.append((lead, task, again))
        if again and task_id in drawn:
            continue
        drawn.add(task_id)
        children = _children(task, tasks, below, depth=depth)
        stack += reversed(list(children))
    return lines, left_out


def _children(
    task: TreeTask, tasks: dict[TaskId, TreeTask], below: str, *, depth: int
) -> Iterable[tuple[TaskId, str, str]]:
    known = [dependency for dependency in task.depends_on if dependency in tasks]
    deep = len(below) >= 3 * depth
    for place, dependency in enumerate(known, start=1):
        last = place == len(known)
        lead = below + ("└─ " if last else "├─ ")
        # Deeper than that the lines would not fit: the rest goes on at the same indent.
        yield dependency, lead, below if deep else below + ("   " if last else "│  ")
