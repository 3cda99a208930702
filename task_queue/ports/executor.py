"""The seam inside a runner: the order of one attempt, who carries it out, where its transcript goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from task_queue.domain.attempt.retry_wish import RetryFrom
from task_queue.domain.attempt.spending import Meter
from task_queue.domain.document.settings import Settings
from task_queue.domain.model import Claim, Outcome, Work
from task_queue.domain.secrets import secrets_in, without_secrets
from task_queue.domain.task import TaskId
from task_queue.domain.work.commits import Signature
from task_queue.domain.work.unwanted import CommitRules
from task_queue.domain.work.worktrees import Keep
from task_queue.ports.attempt_log import LogAddress

SettingSource = Literal["user", "project", "local"]
"""Where the agent's own settings are read from."""
McpSource = Literal["none", "project", "user", "both"]
"""Whose MCP servers the agent gets."""


class Stop(StrEnum):
    """What an executor is asked to do before its end."""

    SUSPEND = "suspend"
    """End now, keep the session resumable (the daemon stops or restarts)."""
    CANCEL = "cancel"
    """End for good (a person's wish)."""


class ExecutorKind(StrEnum):
    """Which adapter carries an order out."""

    CLAUDE = "claude"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class AgentSetup:
    """How the built-in agent is started; other executors use none of it."""

    cli_path: Path | None = None
    """None: the program that the SDK brings along."""
    config_dir: Path | None = None
    account: str = "any"
    """Who may be billed."""
    setting_sources: tuple[SettingSource, ...] = ("project",)
    mcp_servers: McpSource = "none"
    accepted_settings: Mapping[str, str] | None = None
    """Hashes of the files of the project that their owner accepted; None where none are loaded."""
    runs_hooks: bool = True
    """Whether the CLI starts the hooks of all settings that it loads."""
    allow_only: bool = False
    """The task's own ``allow`` takes the place of its profile's."""
    task_deny: tuple[str, ...] = ()
    """Those of the deny rules that the task's own document has."""
    scrub_env: bool = False
    hide_login: bool = True
    prewarm: bool = False
    """Whether the auditor is connected while the verification runs."""
    prompts_dir: Path | None = None
    audit_allow: tuple[str, ...] = ()
    """Rules for what an auditor may have run besides the ``verify`` commands (``domain.permission.audit_commands``)."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A task that has to be done before, and what it committed."""

    task_id: TaskId
    tip: str
    """The last of its commits."""


@dataclass(frozen=True, slots=True)
class GitSetup:
    """How the work is kept in git: working trees, commits, checks."""

    worktrees: Path
    """The folder of the source's working trees."""
    keep: Keep
    signature: Signature = field(default_factory=Signature)
    setup: tuple[str, ...] = ()
    """Commands that make a fresh working tree ready."""
    judges: tuple[str, ...] = ()
    """Patterns of files that judge the work, besides those that always do."""
    trusted: Path | None = None
    """The folder of what the owners of repositories let git start (``git.guarding``); None: nothing is compared."""
    rules: CommitRules = field(default_factory=CommitRules)
    """What no commit should hold."""
    set_up_reads: tuple[str, ...] | None = None
    """Patterns of the files that decide what *setup* makes, as the owner says; None: nothing is said."""
    set_ups: Path | None = None
    """The folder of what set-up made for the source, for later checkouts; None: nothing is kept."""
    network_ports: Path | None = None
    """The register of the ports of all checkouts; None: they get none."""


@dataclass(frozen=True, slots=True)
class Order:
    """All that a runner needs to carry out one attempt; travels as JSON from the daemon to the runner."""

    claim: Claim
    source: str
    title: str
    body: str
    document: Path
    """The task's text (the snapshot, never the live document)."""
    agent_copy: Path
    """The same for the agent, which cannot read the queue's folders: it is there while a session runs."""
    scratch: Path
    """A folder of the attempt alone, for what the agent's program needs."""
    temporary: Path
    """Where a folder for the agent's temporary files is made, for as long as the runner lives."""
    log: LogAddress
    """Of what the runner writes."""
    queue_dirs: tuple[Path, ...]
    """Folders of the queue itself, which the agent must not touch."""
    workspace: Path
    git: GitSetup
    settings: Settings
    executor: ExecutorKind
    artifacts: Path | None = None
    """The folder of the files that came with the task, which need not be there."""
    closed_dirs: tuple[Path, ...] = ()
    """Folders of the owner's that the agent's file tools may read only."""
    argv: tuple[str, ...] = ()
    """For ``command``: the configured program and its arguments, not yet filled in."""
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    """The whole environment of the agent's process."""
    secret_names: tuple[str, ...] = ()
    """Variables in *env* and *checks_env* that are secret, whatever their names say."""
    checks_env: Mapping[str, str] = field(default_factory=dict[str, str])
    """What checks, hooks and git get besides the harmless part of *env*."""
    agent: AgentSetup = field(default_factory=AgentSetup)
    interruption: str | None = None
    """For a continued session: how the earlier attempt ended."""
    spent_usd: float = 0.0
    """What earlier attempts of the task cost."""
    meter: Meter = field(default_factory=Meter)
    """Of the session, for a continued one."""
    turns_used: int = 0
    allowance_usd: float | None = None
    """What the day's budget still allows; None: no bound."""
    transcript_mb: int = 200
    """The transcript is not grown beyond this."""
    memory_mb: int | None = None
    """The process tree of the attempt is ended when it holds more."""
    steps: Mapping[int, str] = field(default_factory=dict[int, str])
    """Seals of what earlier attempts had finished."""
    notes: tuple[str, ...] = ()
    """For the result: what a person should know about how the attempt was set up."""
    person_note: str = ""
    """For the agent, from the person who had the task tried again."""
    begin_at: RetryFrom | None = None
    """The phase that such a person wants done first; what was done before it counts."""
    fresh: bool = False
    """A checkout of an earlier attempt is not gone on with; what is in it is kept."""
    dependencies: tuple[Dependency, ...] = ()
    """Those that committed something; the work begins on a commit that has it."""
    events: Path | None = None
    """The folder of the event log; None: no events are written."""
    lease: Path | None = None
    """A file without whose renewal the runner may not go on (``runner.fence``); None: it needs none."""
    token: str = ""
    """What the runner signs its ending with (``domain.attempt.proof``); it never was on a disk or in an environment."""

    @property
    def uses_agent(self) -> bool:
        """Whether the built-in agent works on it, be it to audit what a command did."""
        return self.executor is ExecutorKind.CLAUDE or self.settings.uses_agent

    @property
    def env_of_command(self) -> dict[str, str]:
        """For a configured command: a login that is kept outside of the configuration is its auditor's alone."""
        if not self.uses_agent:
            return dict(self.env)
        return {name: value for name, value in self.env.items() if name not in self.secret_names}

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no file may hold; of *checks_env* also where the agent has none or another."""
        found = {*secrets_in(self.env, self.secret_names), *secrets_in(self.checks_env, self.secret_names)}
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def env_of_checks(self) -> dict[str, str]:
        """For git, hooks and checks: no secrets but those that the configuration gives them."""
        return {**without_secrets(self.env, self.secret_names), **self.checks_env}

    @property
    def marker(self) -> str:
        """Value of TASK_QUEUE_ATTEMPT in the environment of every process of this attempt."""
        return marker_of(self.source, self.claim)


def marker_of(source: str, claim: Claim) -> str:
    """What every process of the attempt carries, so that it can be found whatever else was lost."""
    return f"{source}:{claim.task_id}:{claim.attempt}:{claim.session_id}"


ARTIFACTS_VARIABLE = "TASK_QUEUE_ARTIFACTS"
"""Names, to what carries a task out, a folder with copies of the files that came with it."""


class Transcript(Protocol):
    """The attempt's ``transcript.jsonl``, written as it happens."""

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        """Append one envelope; *direction* is ``in`` (from the agent), ``out`` (to it), ``err`` or ``note``."""
        ...


class Executor(Protocol):
    """Carries out one attempt, in the runner's process and thread.

    Called once. Returns when nothing of the agent is in motion any more, as far as it can see; the
    runner ends whatever is left. Raises ExecutorError when the agent could not be driven at all.
    """

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]: ...

    def stop(self, how: Stop) -> None:
        """Ask a running ``execute`` to end soon; called from a signal handler of the same thread."""
        ...
