"""The settings of a task: the front-matter keys, what each means, and how the layers give one answer.

``KEYS`` is the only list of them; documentation and ``doctor`` are written from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from task_queue.domain.document.choices import (
    CLAUDE,
    Effort,
    Isolation,
    Landing,
    OnDependencyFailure,
    OnLostSession,
    Profile,
    Workflow,
    WorkType,
)
from task_queue.domain.document.frontmatter import Field, Given
from task_queue.domain.document.readers import (
    TAG,
    Choice,
    Command,
    Directory,
    Duration,
    EachWhole,
    Id,
    Labels,
    Line,
    Moment,
    Money,
    OrNone,
    PathPattern,
    Reader,
    Rule,
    Several,
    Whole,
    Word,
    did_you_mean,
)
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import TaskId


@dataclass(frozen=True, slots=True)
class Settings:
    """What applies to one task, after its document was laid over the source's and the global defaults."""

    title: str | None = None
    priority: int = 5
    type: WorkType = WorkType.GENERAL
    depends_on: tuple[TaskId, ...] = ()
    not_before: datetime | None = None
    timeout: timedelta = timedelta(hours=2)
    idle_timeout: timedelta = timedelta(minutes=15)
    max_attempts: int = 3
    retry_delay: timedelta = timedelta(seconds=30)
    max_turns: int = 200
    max_budget_usd: float | None = None
    model: str | None = None
    fallback_model: str | None = None
    effort: Effort | None = None
    workflow: Workflow = Workflow.AUDITED
    max_iterations: int = 3
    verify: tuple[str, ...] = ()
    workspace: str | None = None
    isolation: Isolation = Isolation.NONE
    permissions: Profile = Profile.GUARDED
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    on_dependency_failure: OnDependencyFailure = OnDependencyFailure.BLOCK
    on_lost_session: OnLostSession = OnLostSession.REVIEW
    landing: Landing = Landing.BRANCH
    dedupe_key: str | None = None
    executor: str = CLAUDE
    labels: str | None = None
    submitted_by: str | None = None
    touches: tuple[str, ...] = ()

    @property
    def uses_agent(self) -> bool:
        """Whether the built-in agent works for the task: it carries it out, or audits what a command did."""
        return self.executor == CLAUDE or self.workflow is Workflow.AUDITED


@dataclass(frozen=True, slots=True)
class Key:
    """One key of the front matter."""

    name: str
    read: Reader
    help: str
    default: str
    """As people read it; the value itself is the default in ``Settings``."""
    of_one_task: bool = False
    """Makes no sense as a default for many tasks."""

    @property
    def takes_several(self) -> bool:
        return isinstance(self.read, Several | EachWhole)


MODEL = Word("model name", also=":/@[]")
_A_WHILE = timedelta(milliseconds=100)
_A_MONTH = timedelta(days=30)

KEYS: tuple[Key, ...] = (
    Key("title", Line(), "shown in lists", "first heading", of_one_task=True),
    Key("priority", Whole(1, 10), "higher goes first", "5"),
    Key(
        "type",
        Choice(WorkType),
        "kind of work",
        "general",
    ),
    Key("depends_on", Several(Id()), "tasks that must be completed before", "none", of_one_task=True),
    Key("not_before", Moment(), "earliest start", "now", of_one_task=True),
    Key("timeout", Duration(_A_WHILE, _A_MONTH), "wall clock of one attempt", "2h"),
    Key("idle_timeout", Duration(_A_WHILE, _A_MONTH), "longest silence of the agent", "15m"),
    Key("max_attempts", Whole(1, 100), "tries before the task is a dead letter", "3"),
    Key(
        "retry_delay",
        Duration(timedelta(), timedelta(hours=1)),
        "wait after the first failure, doubled with jitter up to 1 h",
        "30s",
    ),
    Key("max_turns", Whole(1, 100_000), "turns of the agent, over all attempts", "200"),
    Key("max_budget_usd", OrNone(Money()), "most that the task may cost, in US dollars", "none"),
    Key("model", OrNone(MODEL), "model of the agent", "the agent's"),
    Key("fallback_model", OrNone(MODEL), "model when the first is overloaded", "the agent's"),
    Key(
        "effort",
        OrNone(Choice(Effort)),
        "how hard the model thinks",
        "the agent's",
    ),
    Key(
        "workflow",
        Choice(Workflow),
        "implement, audit and iterate; one agent; or the packaged skill",
        "audited",
    ),
    Key(
        "max_iterations",
        Whole(1, 20),
        "rounds of audit",
        "3",
    ),
    Key(
        "verify",
        EachWhole(Command()),
        "commands that must exit 0 before the task counts as done",
        "none",
    ),
    Key("workspace", OrNone(Directory()), "where the agent works", "the project's"),
    Key(
        "isolation",
        Choice(Isolation),
        "work in place, or in a checkout and on a branch of its own",
        "none",
    ),
    Key(
        "permissions",
        Choice(Profile),
        "what the agent may do; a task can choose less than the owner's configuration, never more",
        "guarded",
    ),
    Key(
        "allow",
        EachWhole(Rule()),
        "permission rules: the owner's add to the profile, a task's take its place and can only narrow it",
        "none",
    ),
    Key(
        "deny",
        EachWhole(Rule()),
        "permission rules that win over every other; those of all layers hold together",
        "none",
    ),
    Key(
        "capabilities",
        Several(TAG),
        "what the machine must have: tags that are in the configuration's `capabilities`",
        "none",
    ),
    Key(
        "on_dependency_failure",
        Choice(OnDependencyFailure),
        "what happens when a task in depends_on failed",
        "block",
    ),
    Key(
        "on_lost_session",
        Choice(OnLostSession),
        "after a crash whose session cannot be continued: fail with what is on disk, or start again",
        "review",
    ),
    Key(
        "landing",
        Choice(Landing),
        "with isolation worktree: leave the branch, or merge it",
        "branch",
    ),
    Key(
        "dedupe_key",
        Line(),
        "at most one task with this key is queued or running; content: with this text",
        "none",
        of_one_task=True,
    ),
    Key(
        "executor",
        Word("executor's name"),
        "claude, or a configured command (workflow single, unless audited is said with it or in the document)",
        CLAUDE,
    ),
    Key("labels", Labels(), "for programs, never interpreted", "none", of_one_task=True),
    Key("submitted_by", Line(100), "who submitted it; the API says that itself", "none", of_one_task=True),
    Key(
        "touches",
        Several(PathPattern()),
        "files that it changes: tasks of one repository whose patterns meet never run at the same time",
        "none",
    ),
)

_BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}


def parse_given(entries: Iterable[Field]) -> tuple[dict[str, Any], tuple[TaskFileError, ...]]:
    """The values of the keys that a document sets, and what is wrong with the others, each with its line."""
    given: dict[str, Any] = {}
    faults: list[TaskFileError] = []
    for entry in entries:
        key = _BY_NAME.get(entry.key)
        if key is None:
            faults.append(TaskFileError(_unknown(entry.key), line=entry.line))
            continue
        try:
            given[key.name] = key.read(entry.value)
        except ValueError as error:
            faults.append(TaskFileError(f"{key.name}: {error}", line=entry.line))
    return given, tuple(faults)


def parse_defaults(defaults: Mapping[str, object]) -> dict[str, Any]:
    """The same for ``defaults`` in the configuration; raises ValueError that names the key and the reason."""
    given: dict[str, Any] = {}
    for name, value in defaults.items():
        key = _BY_NAME.get(name)
        if key is None:
            raise ValueError(_unknown(name))
        if key.of_one_task:
            raise ValueError(f"{name}: belongs to one task and cannot be a default")
        try:
            given[name] = key.read(as_given(value))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return given


def resolve(*layers: Mapping[str, Any]) -> Settings:
    """The settings that *layers* of parsed values give, lowest precedence first.

    Raises TaskFileError when values that are fine by themselves contradict each other.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update(layer)
    if merged.get("executor", CLAUDE) != CLAUDE and not _asks_for_audit(layers):
        merged["workflow"] = Workflow.SINGLE
    settings = Settings(**merged)
    faults: list[TaskFileError] = []
    if not settings.uses_agent and settings.max_budget_usd is not None:
        fault = TaskFileError(
            f"max_budget_usd cannot be kept with executor {settings.executor}: what it spends is unknown",
            hint="remove it, or write max_budget_usd: none where a default sets it",
            keys=("max_budget_usd", "executor"),
        )
        faults.append(fault)
    if settings.model is not None and settings.model == settings.fallback_model:
        fault = TaskFileError(
            f"fallback_model is the same as model: {settings.model}", keys=("fallback_model", "model")
        )
        faults.append(fault)
    if faults:
        raise TaskFileError.of(faults)
    return settings


def _asks_for_audit(layers: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a command is to be audited: the layer that names it says so, or a later one."""
    named = max(number for number, layer in enumerate(layers) if "executor" in layer)
    said = [layer["workflow"] for layer in layers[named:] if "workflow" in layer]
    return bool(said) and said[-1] is Workflow.AUDITED


def _unknown(name: str) -> str:
    near = did_you_mean(name, _BY_NAME)
    return f"unknown key {name[:60]!r}{near or '; known are: ' + ', '.join(_BY_NAME)}"


def as_given(value: object) -> Given:
    """A JSON value as the text that a document would spell. Raises ValueError."""
    if isinstance(value, list):
        return tuple(_scalar(item) for item in cast("list[object]", value))
    return _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"must be a text, a number or a list of them, not {type(value).__name__}")  # noqa: TRY004 - a mistake in a file, not in code
    if isinstance(value, float):
        return f"{value:.6f}".rstrip("0").rstrip(".")
    return str(value)
