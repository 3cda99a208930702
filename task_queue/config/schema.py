"""The whole configuration, checked: what the daemon, ``run`` and ``doctor`` act on.

Importing this module imports pydantic, so commands that only show do it never, or late. Unknown keys
are kept and reported, not refused: a document of a later release loads.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from task_queue.config import document
from task_queue.config.api_settings import ApiSettings
from task_queue.config.fleet_settings import FleetSettings
from task_queue.config.retention import RetentionSettings
from task_queue.config.section import MOST_MB, AbsolutePath, Period, Section
from task_queue.config.source_settings import Amount, AtLeastOne, Source, SourceId
from task_queue.domain import notification
from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.readers import PERIOD, TAG
from task_queue.domain.errors import ConfigError
from task_queue.domain.permission.audit_commands import why_no_audit_rule
from task_queue.domain.work.commits import Signature
from task_queue.domain.work.unwanted import NEVER_COMMIT, CommitRules
from task_queue.domain.work.worktrees import Keep
from task_queue.ports.executor import McpSource, SettingSource

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _absolute_program(argv: tuple[str, ...]) -> tuple[str, ...]:
    if argv and not Path(argv[0]).is_absolute():
        raise ValueError("must begin with the absolute path of a program")
    return argv


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of a variable")
    return name


def _audit_rule(rule: str) -> str:
    why = why_no_audit_rule(rule)
    if why is not None:
        raise ValueError(why)
    return rule


def _event_or_kind(word: str) -> str:
    known = notification.words()
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1)
        meant = (
            f"; did you mean '{near[0]}'?"
            if near
            else f": '{notification.ATTENTION}', or one of docs/notifications.md"
        )
        raise ValueError(f"'{word}' is neither an event nor a kind of attention that events name{meant}")
    return word


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"must be a local time such as 07:30, not '{text}'")
    return text


def _hours(text: str) -> str:
    begins, dash, ends = text.partition("-")
    if not dash or begins == ends or not _CLOCK.fullmatch(begins) or not _CLOCK.fullmatch(ends):
        raise ValueError(f"must be two local times such as 22:00-07:00, not '{text}'")
    return text


Seconds = Annotated[float, Field(ge=0, le=86_400)]


class Agent(Section):
    env: dict[str, str] = Field(default={})
    pass_env: tuple[str, ...] = ()
    env_file: AbsolutePath | None = None
    """A file of lines NAME=VALUE, for us alone; each value counts as a secret."""
    key_command: Annotated[tuple[str, ...], AfterValidator(_absolute_program)] = ()
    """Its one line of output is ANTHROPIC_API_KEY."""
    config_dir: AbsolutePath | None = None
    cli_path: AbsolutePath | None = None
    account: Literal["subscription", "api_key", "cloud", "any"] = "any"
    setting_sources: tuple[SettingSource, ...] = ("project",)
    mcp_servers: McpSource = "none"
    prewarm: bool = False
    hide_login: bool = True
    """Off for a ``cli_path`` that does not pass open file descriptors on, such as one that starts a container."""
    scrub_env: Annotated[
        bool,
        Field(
            description="Take every credential out of the environment of the agent's tools. Off unless asked for:"
            " the CLI then runs Bash under bubblewrap, does not start without it, and leaves empty files such"
            " as .env and package.json in the workspace."
        ),
    ] = False


class CheckSettings(Section):
    """What the queue itself runs on the work: ``verify``, ``setup``, git and its hooks."""

    env: tuple[Annotated[str, AfterValidator(_variable)], ...] = ()
    """Names of secret variables that they get, too: as the agent has them, else from our environment."""


class AuditSettings(Section):
    """What an auditor may have run, besides the task's ``verify`` commands."""

    allow: tuple[Annotated[str, AfterValidator(_audit_rule)], ...] = ()
    """Rules for commands, as in ``allow``."""


class GitSettings(Section):
    """Who commits, and how long finished working trees stay."""

    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None
    keep_worktrees: Annotated[int, Field(ge=0, le=100_000)] = 5
    keep_worktrees_for: Period | None = None
    keep_worktrees_mb: Annotated[int, Field(ge=0, le=MOST_MB)] | None = 2000
    judges: tuple[str, ...] = ()
    """Patterns of files that judge the work, besides tests, CI and the verify commands' own files."""
    never_commit: tuple[str, ...] = NEVER_COMMIT
    """Patterns of files that are left uncommitted; one without a slash applies in every folder."""
    max_new_file_mb: AtLeastOne = 2
    """A larger new file is left uncommitted, unless Git LFS keeps it."""
    max_new_files: AtLeastOne = 100
    """The branch of a task that adds more files waits for a person."""

    @property
    def keep(self) -> Keep:
        period = self.keep_worktrees_for
        size = self.keep_worktrees_mb
        return Keep(
            self.keep_worktrees,
            None if period is None else PERIOD(period),
            None if size is None else size * 2**20,
        )

    @property
    def rules(self) -> CommitRules:
        return CommitRules(self.never_commit, self.max_new_file_mb * 2**20, self.max_new_files)

    @property
    def signature(self) -> Signature:
        return Signature(self.author_name, self.author_email, self.committer_name, self.committer_email)


class ConfiguredCommand(Section):
    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], Field(min_length=1)]


class Limits(Section):
    running: AtLeastOne = 4
    daily_budget_usd: Amount | None = None
    max_pending: AtLeastOne = document.MAX_PENDING
    memory_mb: AtLeastOne = 8192
    min_free_mb: Annotated[int, Field(ge=0, le=MOST_MB)] = 500
    transcript_mb: AtLeastOne = 200
    starts_per_10min: AtLeastOne = 20
    hold_above_utilization: Annotated[float, Field(ge=0, le=1)] | None = None
    hold_below_priority: Annotated[int, Field(ge=1, le=10)] | None = None
    unreviewed: AtLeastOne | None = None
    per_workspace: AtLeastOne | None = None
    per_repository: AtLeastOne | None = None
    start_gap: Period | None = None
    ageing: Period | None = None


class NotificationTarget(Section):
    """Somewhere messages go: a command, or a URL of apprise."""

    command: Annotated[tuple[str, ...], AfterValidator(_absolute_program)] = ()
    """The message is JSON on its standard input, and its fields are variables."""
    url: str | None = None
    """Often holds a secret."""
    on: tuple[Annotated[str, AfterValidator(_event_or_kind)], ...] = (notification.ATTENTION,)
    """Events, kinds of attention, or ``attention``: all that needs a person."""
    window: Period = "10m"
    """After a message, what follows is collected for so long."""
    quiet: Annotated[str, AfterValidator(_hours)] | None = None
    report_at: Annotated[str, AfterValidator(_clock)] | None = None
    timeout: Period = "30s"
    """Of one delivery."""

    @model_validator(mode="after")
    def _one_way(self) -> NotificationTarget:
        if bool(self.command) == bool(self.url):
            raise ValueError("needs either 'command' or 'url'")
        return self

    @property
    def rhythm(self) -> notification.Rhythm:
        quiet = None
        if self.quiet is not None:
            begins, _, ends = self.quiet.partition("-")
            quiet = notification.Quiet(time.fromisoformat(begins), time.fromisoformat(ends))
        report_at = None if self.report_at is None else time.fromisoformat(self.report_at)
        return notification.Rhythm(PERIOD(self.window), quiet, report_at)

    @property
    def timeout_s(self) -> float:
        return PERIOD(self.timeout).total_seconds()


class MetricsSettings(Section):
    """Figures for Prometheus."""

    file: AbsolutePath | None = None
    """Every user can read it."""
    every: Period = "60s"

    @property
    def every_s(self) -> float:
        return PERIOD(self.every).total_seconds()


class Config(Section):
    version: Annotated[str, Field(pattern=r"^2\.\d+$")]
    project_workspace: AbsolutePath | None = None
    task_source_directories: tuple[Source, ...]
    defaults: dict[str, Any] = Field(default={})
    agent: Agent = Agent()
    checks: CheckSettings = CheckSettings()
    audit: AuditSettings = AuditSettings()
    git: GitSettings = GitSettings()
    executors: dict[str, ConfiguredCommand] = Field(default={})
    limits: Limits = Limits()
    roots: tuple[AbsolutePath, ...] = ()
    capabilities: tuple[Annotated[str, AfterValidator(TAG)], ...] = ()
    """What this machine has that tasks may need."""
    settle_seconds: Seconds = 1.0
    sweep_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = 30.0
    stop_grace_seconds: Seconds = 30.0
    retention: RetentionSettings = RetentionSettings()
    notifications: dict[SourceId, NotificationTarget] | None = None
    """By the name of the target."""
    metrics: MetricsSettings = MetricsSettings()
    api: ApiSettings | None = None
    fleet: FleetSettings | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        return self.task_source_directories

    @property
    def own_sources(self) -> tuple[Source, ...]:
        """Those that the daemon serves itself."""
        return tuple(source for source in self.sources if not source.is_remote)

    def source(self, source_id: str) -> Source | None:
        return next((source for source in self.sources if source.id == source_id), None)

    def workspace_of(self, source: Source) -> Path | None:
        """Where the source's tasks work unless they say otherwise."""
        return source.project_workspace or self.project_workspace

    def workspace_roots(self) -> tuple[Path, ...]:
        """Directories in which a task may name its ``workspace``."""
        configured = (self.project_workspace, *(source.project_workspace for source in self.sources))
        return self.roots or tuple(dict.fromkeys(path for path in configured if path is not None))

    def unknown_keys(self) -> tuple[UnknownKey, ...]:
        """Keys that have no meaning here, with the known key that was perhaps meant."""
        return tuple(_unknown_in(self, ""))

    @field_validator("task_source_directories")
    @classmethod
    def _distinct(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        ids: set[str] = set()
        folders: dict[Path, str] = {}
        for source in sources:
            if source.id in ids:
                raise ValueError(f"the id '{source.id}' is given twice")
            ids.add(source.id)
            earlier = folders.setdefault(source.path.resolve(), source.id)
            if earlier != source.id:
                raise ValueError(f"'{earlier}' and '{source.id}' have the same folder")
        return sources

    @field_validator("executors")
    @classmethod
    def _claude_is_built_in(cls, executors: dict[str, ConfiguredCommand]) -> dict[str, ConfiguredCommand]:
        if CLAUDE in executors:
            raise ValueError(f"'{CLAUDE}' is built in; give the command another name")
        return executors


@dataclass(frozen=True, slots=True)
class UnknownKey:
    path: str
    suggestion: str | None

    def __str__(self) -> str:
        meant = f" (did you mean '{self.suggestion}'?)" if self.suggestion else ""
        return f"unknown key '{self.path}'{meant}"


def load(path: Path) -> Config:
    """The configuration at *path*; raises ConfigError that names the file, the key and what to do."""
    return validate(document.read(path), path)


def validate(content: Mapping[str, Any], path: Path) -> Config:
    """*content* as read from *path*, checked; raises the first of its WrongValueErrors."""
    config, faults = _checked(content, path)
    if faults:
        raise faults[0]
    assert config is not None
    return config


def faults_in(content: Mapping[str, Any], path: Path) -> tuple[WrongValueError, ...]:
    """All that is wrong with *content*."""
    return _checked(content, path)[1]


class WrongValueError(ConfigError):
    """What stands at ``key`` cannot be used: ``reason`` is the rest of a sentence."""

    def __init__(self, path: Path, key: str, reason: str, *, hint: str) -> None:
        super().__init__(f"{path}: {key}: {reason}", hint=hint)
        self.key, self.reason = key, reason


def _checked(content: Mapping[str, Any], path: Path) -> tuple[Config | None, tuple[WrongValueError, ...]]:
    try:
        config = Config.model_validate_json(json.dumps(content))
    except ValidationError as error:
        config = None
        found = {_key_path(each["loc"]): _explained(each, content, path) for each in error.errors()}
    else:
        found = {}
    for place, defaults in _defaults_in(content):
        fault = _fault_of_defaults(defaults, path, place)
        if fault is not None and place not in found:
            found[place] = fault
    return config, tuple(found.values())


def _defaults_in(content: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    listed: Any = content.get(document.SOURCES)
    items: list[Any] = [content, *(listed if isinstance(listed, list) else ())]
    for number, item in enumerate(items):
        defaults: Any = item.get("defaults") if isinstance(item, dict) else None  # pyright: ignore[reportUnknownMemberType,reportUnknownVariableType] # JSON
        if isinstance(defaults, dict) and defaults:
            yield "defaults" if number == 0 else f"{document.SOURCES}[{number - 1}].defaults", defaults  # pyright: ignore[reportUnknownVariableType] # JSON


def _fault_of_defaults(defaults: Mapping[str, Any], path: Path, where: str) -> WrongValueError | None:
    from task_queue.domain.document.settings import parse_defaults

    try:
        parse_defaults(defaults)
    except ValueError as error:
        return WrongValueError(path, where, str(error), hint="correct it, then run: task-queue doctor")
    return None


def _explained(error: ErrorDetails, content: Mapping[str, Any], path: Path) -> WrongValueError:
    key = _key_path(error["loc"])
    if error["type"] == "missing":
        near = difflib.get_close_matches(str(error["loc"][-1]), list(content), n=1)
        hint = f"is '{near[0]}' a misspelling of it?" if near else "add the key"
        return WrongValueError(path, key, "is missing", hint=hint)
    reason = _SENTENCES.get(error["type"], error["msg"]).removeprefix("Value error, ")
    return WrongValueError(path, key, reason, hint=f"correct '{key}', then run: task-queue doctor")


_SENTENCES: Mapping[str, str] = MappingProxyType(
    {
        "bool_type": "must be true or false",
        "dict_type": "must be an object",
        "finite_number": "must be a finite number",
        "float_type": "must be a number",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "model_type": "must be an object",
        "path_type": "must be a path, as text",
        "string_pattern_mismatch": "must be a version 2.x, such as '2.1'",
        "string_type": "must be text",
        "tuple_type": "must be a list",
    }
)


def _key_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or "document"


def _unknown_in(value: object, path: str) -> Iterator[UnknownKey]:
    if isinstance(value, Section):
        known = type(value).model_fields
        for key in value.model_extra or {}:
            near = difflib.get_close_matches(key, list(known), n=1)
            yield UnknownKey(f"{path}.{key}" if path else key, near[0] if near else None)
        for key in known:
            yield from _unknown_in(getattr(value, key), f"{path}.{key}" if path else key)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType] # a field's items; only sections matter
            yield from _unknown_in(item, f"{path}[{index}]")  # pyright: ignore[reportUnknownArgumentType] # as above
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType] # as above
            yield from _unknown_in(item, f"{path}.{key}")  # pyright: ignore[reportUnknownArgumentType] # as above
