"""What the owner's configuration says of every task of a source, and the settings that follow for one task.

The worker, the runner's order and every front end ask here, so that a task has one priority wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.settings import Settings, parse_defaults, resolve
from task_queue.domain.document.taskfile import read_task
from task_queue.domain.errors import TaskFileError
from task_queue.domain.permission.profiles import narrowed
from task_queue.domain.task import Task, TaskId


@dataclass(frozen=True, slots=True)
class Layers:
    """The owner's defaults for one source, parsed; two of them are equal where every task gets the same settings."""

    defaults: tuple[Mapping[str, Any], ...] = ()
    """Lowest precedence first: the configuration's, the source's."""
    executors: tuple[str, ...] | None = None
    """The configured commands; None where every name is accepted."""

    def settings_of(self, given: Mapping[str, Any]) -> Settings:
        """What applies to a task whose document says *given*; raises TaskFileError where that does not fit."""
        faults: list[TaskFileError] = []
        narrow: Mapping[str, Any] = {}
        try:
            narrow = narrowed(self.defaults, given)
        except TaskFileError as error:
            faults.append(error)
        settings = Settings()
        try:
            settings = resolve(*self.defaults, given, narrow)
        except TaskFileError as error:
            faults.append(error)
        executor = _last("executor", *self.defaults, given) or CLAUDE
        if self.executors is not None and executor not in {CLAUDE, *self.executors}:
            faults.append(_unknown_executor(executor, self.executors))
        if faults:
            raise TaskFileError.of(faults)
        return settings


def layers_of(*defaults: Mapping[str, object], executors: Iterable[str]) -> Layers:
    """Of a checked configuration; raises ValueError that names the key and the reason."""
    return Layers(tuple(parse_defaults(each) for each in defaults if each), tuple(executors))


def usable_layers(*defaults: object, executors: Iterable[str] = ()) -> tuple[Layers, tuple[str, ...]]:
    """Of a configuration as it is: what can be used of *defaults*, and what is wrong with the rest."""
    layers: list[Mapping[str, Any]] = []
    faults: list[str] = []
    for layer in defaults:
        if layer is None:
            continue
        if not isinstance(layer, dict):
            faults.append("must be an object")
            continue
        parsed: dict[str, Any] = {}
        for key, value in cast("dict[str, object]", layer).items():
            try:
                parsed |= parse_defaults({key: value})
            except ValueError as error:
                faults.append(str(error))
        if parsed:
            layers.append(parsed)
    return Layers(tuple(layers), tuple(executors)), tuple(faults)


@contextmanager
def naming_the_line(task: Task) -> Generator[None]:
    """A TaskFileError from within says on which line of the document the value is that it blames."""
    try:
        yield
    except TaskFileError as error:
        for fault in error.faults:
            fault.line = next((task.lines[key] for key in fault.keys if key in task.lines), fault.line)
        raise


def task_under(layers: Layers, data: bytes, task_id: TaskId) -> tuple[Task, Settings]:
    """The task that *data* describes and the settings that apply to it.

    Raises TaskFileError with all that is wrong, with the document alone and under the owner's configuration.
    """
    task, faults = read_task(data, task_id)
    try:
        with naming_the_line(task):
            settings = layers.settings_of(task.given)
    except TaskFileError as error:
        raise TaskFileError.of((*faults, error)) from error
    if faults:
        raise TaskFileError.of(faults)
    return task, settings


def _last(key: str, *layers: Mapping[str, Any]) -> Any:
    return next((layer[key] for layer in reversed(layers) if key in layer), None)


def _unknown_executor(name: str, configured: tuple[str, ...]) -> TaskFileError:
    import difflib  # only where a name is wrong: it costs reading commands 5 ms

    known = [CLAUDE, *configured]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean '{near[0]}'?" if near else f"configured are: {', '.join(known)}"
    return TaskFileError(f"executor '{name}' is not configured", hint=meant, keys=("executor",))
