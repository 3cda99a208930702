"""What the owner's configuration says of every task of a source, and the settings that follow for one task.

The worker, the runner's order and every front end ask here, so that a task has one priority wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.readers import PERIOD
from task_queue.domain.document.settings import Settings, parse_defaults, resolve
from task_queue.domain.document.taskfile import read_task
from task_queue.domain.errors import NotConfiguredError, TaskFileError
from task_queue.domain.permission.profiles import narrowed
from task_queue.domain.task import Task, TaskId

_Said = tuple[tuple[str, Any], ...]
"""The keys that a document sets, with their values."""
_MOST_KNOWN = 256


@dataclass(frozen=True, slots=True)
class Layers:
    """The owner's defaults for one source, parsed; two of them are equal where every task gets the same settings."""

    defaults: tuple[Mapping[str, Any], ...] = ()
    """Lowest precedence first: the configuration's, the source's."""
    executors: tuple[str, ...] | None = None
    """The configured commands; None where every name is accepted."""
    workspace: str | None = None
    """Where the source's tasks work unless they say otherwise."""
    roots: tuple[str, ...] = ("/",)
    """Directories in which a task may name its own."""
    ageing: timedelta | None = None
    """A level of priority is worth as much as that time of waiting."""
    capabilities: tuple[str, ...] | None = None
    """What this machine has; None where a task may need anything."""
    hosts: tuple[tuple[str, ...], ...] | None = None
    """What each host of a fleet has, where any of them may carry the tasks out."""
    _known: dict[_Said, Settings] = field(default_factory=dict[_Said, Settings], compare=False, repr=False)
    """By what documents say: many say the same, and to work it out takes as long as to read the document."""

    def of_workers(self) -> Layers:
        """The same where workers on other machines carry the tasks out: what those have is not known here."""
        return replace(self, executors=None, capabilities=None, _known={})

    def in_fleet(self, hosts: tuple[tuple[str, ...], ...]) -> Layers:
        """The same where any of *hosts* may carry the tasks out, each given by what it has."""
        return replace(self, hosts=hosts, _known={})

    def settings_of(self, given: Mapping[str, Any]) -> Settings:
        """What applies to a task whose document says *given*.

        Raises TaskFileError where no configuration could make that fit, NotConfiguredError where another one could;
        with all that is wrong.
        """
        said = tuple(given.items())
        settings = self._known.get(said)
        if settings is None:
            settings = self._settings_of(given)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[said] = settings
        return settings

    def _settings_of(self, given: Mapping[str, Any]) -> Settings:
        faults: list[TaskFileError] = []
        narrow: Mapping[str, Any] = {}
        try:
            narrow = narrowed(self.defaults, given)
        except NotConfiguredError as error:
            faults.append(error)
        settings = Settings()
        try:
            settings = resolve(*self.defaults, given, narrow)
        except TaskFileError as error:
            faults += _faults_under_defaults(error, given)
        executor = _last("executor", *self.defaults, given) or CLAUDE
        if self.executors is not None and executor not in {CLAUDE, *self.executors}:
            faults.append(_unknown_executor(executor, self.executors))
        needed: tuple[str, ...] = _last("capabilities", *self.defaults, given) or ()
        lacking = [tag for tag in needed if self.capabilities is not None and tag not in self.capabilities]
        if lacking and self.hosts is not None:
            faults += _no_host_has(needed, lacking, self.hosts)
        elif lacking:
            faults.append(_lacks_capabilities(lacking))
        if faults:
            raise TaskFileError.of(faults)
        return settings

    def known_settings_of(self, given: Mapping[str, Any]) -> Settings:
        """The same also for a task that the configuration in force would not let begin, as far as it can be said.

        Raises TaskFileError where no configuration could make it fit.
        """
        try:
            return self.settings_of(given)
        except NotConfiguredError:
            own = resolve(given)
        try:
            return resolve(*self.defaults, given)
        except TaskFileError:
            return own


def layers_of(
    *defaults: Mapping[str, object],
    executors: Iterable[str],
    workspace: str | None = None,
    roots: Iterable[str] = ("/",),
    ageing: timedelta | None = None,
    capabilities: Iterable[str] = (),
) -> Layers:
    """Of a checked configuration; raises ValueError that names the key and the reason."""
    parsed = tuple(parse_defaults(each) for each in defaults if each)
    return Layers(parsed, tuple(executors), workspace, tuple(roots), ageing, tuple(capabilities))


def usable_layers(
    *defaults: object,
    executors: Iterable[str] = (),
    workspace: str | None = None,
    roots: Iterable[str] = ("/",),
    ageing: object = None,
    capabilities: object = None,
) -> tuple[Layers, tuple[str, ...]]:
    """Of a configuration as it is: what can be used of *defaults*, and what is wrong with the rest.

    *ageing* is a text; one that does not say a duration counts as none. *capabilities* is a list.
    """
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
    common = Layers(
        tuple(layers), tuple(executors), workspace, tuple(roots), _period_in(ageing), _tags_in(capabilities)
    )
    return common, tuple(faults)


def _tags_in(value: object) -> tuple[str, ...]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return tuple(item for item in listed if isinstance(item, str))


def _period_in(value: object) -> timedelta | None:
    try:
        return PERIOD(value) if isinstance(value, str) else None
    except ValueError:
        return None


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


def _faults_under_defaults(error: TaskFileError, given: Mapping[str, Any]) -> Iterator[TaskFileError]:
    """Those of *error*, of *given* together with defaults: the document's own are those that it has alone, too."""
    own: set[str] = set()
    try:
        resolve(given)
    except TaskFileError as alone:
        own = {fault.what for fault in alone.faults}
    for fault in error.faults:
        yield fault if fault.what in own else NotConfiguredError(fault.what, hint=fault.hint, keys=fault.keys)


def _no_host_has(
    needed: tuple[str, ...], lacking: list[str], hosts: tuple[tuple[str, ...], ...]
) -> Iterator[NotConfiguredError]:
    """*lacking*: those of *needed* that this machine does not have."""
    if any(set(needed) <= set(has) for has in hosts):
        return
    nowhere = [tag for tag in lacking if not any(tag in has for has in hosts)]
    listed = ", ".join(f"'{tag}'" for tag in nowhere or needed)
    yield NotConfiguredError(
        f"no host of the fleet has {listed}" + ("" if nowhere else " together"),
        hint="if one does, add that to capabilities in its configuration, and start its daemon again",
        keys=("capabilities",),
    )


def _lacks_capabilities(lacking: list[str]) -> NotConfiguredError:
    listed = ", ".join(f"'{tag}'" for tag in lacking)
    return NotConfiguredError(
        f"this machine does not have {listed}",
        hint="if it does, add that to capabilities in the configuration",
        keys=("capabilities",),
    )


def _unknown_executor(name: str, configured: tuple[str, ...]) -> NotConfiguredError:
    import difflib  # only where a name is wrong: it costs reading commands 5 ms

    known = [CLAUDE, *configured]
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"did you mean '{near[0]}'?" if near else f"configured are: {', '.join(known)}"
    return NotConfiguredError(f"executor '{name}' is not configured", hint=meant, keys=("executor",))
