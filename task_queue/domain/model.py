"""The nouns: what a claim, an attempt, an outcome and a result are; what a task is stands in ``task``.

Frozen values without behaviour beyond what follows from their own fields. The classes that end on a
disk (Journal, Ending, Result) list exactly the keys of the file, in the file's order;
``docs/file-formats.md`` is the contract and ``docs/schemas/`` is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from task_queue.domain.attempt.retry_wish import RetryFrom
from task_queue.domain.attention import Attention
from task_queue.domain.document.choices import Isolation
from task_queue.domain.lease import LeaseTerms
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.repository_changes import RepositoryChange

SCHEMA_VERSION = 1


class OutcomeKind(StrEnum):
    """How an attempt ended. ``lifecycle.decide`` says what follows from each."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"
    AUDIT_REJECTED = "audit_rejected"
    VERIFY_FAILED = "verify_failed"
    BUDGET = "budget"
    MAX_TURNS = "max_turns"
    REFUSED = "refused"
    TIMED_OUT = "timed_out"
    STALLED = "stalled"
    CRASHED = "crashed"
    CANCELLED = "cancelled"
    LIMITED = "limited"
    UNAVAILABLE = "unavailable"
    ACCOUNT = "account"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, and the observed facts that say so (never the agent's own prose)."""

    kind: OutcomeKind
    reason: str
    evidence: tuple[str, ...] = ()
    resets_at: datetime | None = None
    """For LIMITED: when the account may be used again, if it was announced. For BUDGET: when the day's is renewed."""
    lost_session: bool = False
    """The session that was to be continued is unknown to the agent."""
    model: str | None = None
    """What alone is refused or limited: for ACCOUNT the model that the task names, for LIMITED a class of models."""
    unreachable: bool = False
    """For UNAVAILABLE: no endpoint answered at all, which no task is to blame for."""


class LandingState(StrEnum):
    """Where a branch with a task's commits is."""

    LANDED = "landed"
    WAITING = "waiting"
    """It is merged once what is in the way is gone."""
    LEFT = "left"
    """For a person to merge."""
    GIVEN_UP = "given_up"
    """A person has deleted it."""
    UNDONE = "undone"
    """Its commits were in the target, and were taken back."""


@dataclass(frozen=True, slots=True)
class WorkProduct:
    """What a task's work came to, besides the agent's own words: made by the runner, kept in the result."""

    workspace: str | None
    """Where the agent worked: the task's own working tree, if it had one."""
    isolation: Isolation = Isolation.NONE
    base_commit: str | None = None
    branch: str | None = None
    commits: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    """Of the commits, in their order."""
    by_queue: tuple[str, ...] = ()
    """Which of them the queue made; the others are the agent's."""
    stat: str = ""
    """What the task changed, in one line."""
    files: tuple[dict[str, Any], ...] = ()
    """The first of the changed files: ``path``, ``added``, ``deleted`` (lines; None: binary or very large).

    In a folder without git: ``path`` and ``change``, which is ``new``, ``changed`` or ``deleted``.
    """
    file_count: int = 0
    """Of all changed files."""
    landed: str | None = None
    """What became of the task's branch."""
    landing: dict[str, Any] | None = None
    """Of a branch with commits: ``state`` (``LandingState``), ``target`` and ``reason``; ``failed_on``, a tree.

    Of what was undone, also where the task had no branch of its own: ``way``, an ``UndoWay`` or None,
    and ``reverted_by``, a commit.
    """
    verification: tuple[dict[str, Any], ...] = ()
    """Records of the last round's commands."""
    failed_rounds: tuple[dict[str, Any], ...] = ()
    """Rounds before it in which a command failed: ``round``, and ``checks``, the records of these commands."""
    baseline: dict[str, Any] | None = None
    """Of the commit that the work began on, where a check failed: ``domain.work.baseline.Baseline``."""
    changed_judges: tuple[str, ...] = ()
    """Files that judge the work and were changed by it: the path, and how in parentheses."""
    audit: dict[str, Any] | None = None
    """``verdict``, ``summary`` and ``rounds``."""
    prompts: dict[str, str] = field(default_factory=dict[str, str])
    """Which prompts ran, with their sha256."""
    cost_by_phase: dict[str, float] = field(default_factory=dict[str, float])
    seconds_by_phase: dict[str, float] = field(default_factory=dict[str, float])
    """Both of the attempt; in a result, of all attempts that reported them. Phases without an agent cost nothing."""
    see: tuple[str, ...] = ()
    """Commands that show the work."""
    keep: tuple[str, ...] = ()
    """Commands that bring a branch in that was left; none where that is done."""
    undo: tuple[str, ...] = ()
    """Commands that take it back."""
    notes: tuple[str, ...] = ()
    """What a person should know and nothing else here says: a document edited meanwhile."""
    uncommitted: tuple[str, ...] = ()
    """The first of the files that the task changed and that are in none of its commits."""
    unwanted: tuple[str, ...] = ()
    """What the agent's own commits hold that no commit should: each path, with the reason in parentheses."""
    too_many: str = ""
    """What to say where the task adds far more files than most need."""
    repository_changes: tuple[RepositoryChange, ...] = ()
    """Those in the owner's repository that need a person."""
    changes_expected: bool = True
    """False of a task that asks for an answer, or that may only read."""

    @property
    def landing_state(self) -> str | None:
        """A ``LandingState``, or what another release wrote; None without a branch with commits."""
        state: object = (self.landing or {}).get("state")
        return state if isinstance(state, str) else None


@dataclass(frozen=True, slots=True)
class Work:
    """What the agent did in one attempt, as measured; costs are this attempt's own, not the session's."""

    output: str = ""
    num_turns: int = 0
    duration_api_ms: int = 0
    total_cost_usd: float | None = None
    estimated_cost_usd: float = 0.0
    """How much of the total is an estimate, because the agent was ended before it could report."""
    cost_incomplete: bool = False
    """More may have been spent than is known."""
    session_id: str | None = None
    usage: dict[str, Any] = field(default_factory=dict[str, Any])
    model_usage: dict[str, Any] = field(default_factory=dict[str, Any])
    session_model_usage: dict[str, Any] = field(default_factory=dict[str, Any])
    """The CLI's cumulative count of the whole session, by model."""
    permission_denials: tuple[dict[str, Any], ...] = ()
    billed_to: str | None = None
    session_cost_usd: float | None = None
    """The CLI's cumulative total of the whole session; the next attempt's cost is the difference to it."""
    session_estimated_usd: float = 0.0
    """What the session was charged since by estimate, see ``domain.attempt.spending``."""
    utilization: float | None = None
    """Share of the account's usage limit that is used up, 0 to 1, as last reported to the agent."""
    product: WorkProduct | None = None
    """None where the attempt had no workflow, or did not get far enough."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a claim, or runs an attempt. Only what made it can read the name: an engine, or the runners."""

    kind: str
    """``process`` for a process of one machine, see ``platform.owners``."""
    name: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Proof that one worker owns a task. Never changed once published."""

    task_id: TaskId
    worker: str
    started_at: datetime
    attempt: int
    session_id: str
    resumes: bool
    """The session exists already and is continued."""
    owner: Owner
    document: str
    """Name of the document that was claimed; differs from ``task_id`` + ``.md`` where an older record has that id."""
    document_identity: str = ""
    """By which the engine that made the claim knows the document again."""
    proof: str = ""
    """Of the runner's own ending, see ``domain.attempt.proof``; empty in claims of releases that asked for none."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished try, as kept in the journal and in the result."""

    number: int
    outcome: OutcomeKind
    reason: str
    counted: bool
    started_at: datetime
    ended_at: datetime
    session_id: str | None = None
    num_turns: int = 0
    total_cost_usd: float | None = None
    cost_incomplete: bool = False
    """More may have been spent than is known: the agent died before it could report."""
    session_cost_usd: float | None = None
    estimated_cost_usd: float = 0.0
    session_estimated_usd: float = 0.0
    cost_by_phase: dict[str, float] = field(default_factory=dict[str, float])
    seconds_by_phase: dict[str, float] = field(default_factory=dict[str, float])
    """Both empty where the attempt was ended before it could report."""
    model_usage: dict[str, Any] = field(default_factory=dict[str, Any])
    session_model_usage: dict[str, Any] = field(default_factory=dict[str, Any])
    """As in ``Work``."""
    steps: str = ""
    """Seal of the finished steps of its work that a later attempt may go on after, see ``domain.attempt.proof``."""
    returned: bool = False
    """It was not counted although its cause is the task's own: see ``lifecycle.MAX_RETURNS``."""
    note: str = ""
    """What the person who asked for it wants the agent to know."""
    model: str | None = None
    """What that person wanted in place of the settings' one."""


@dataclass(frozen=True, slots=True)
class Journal:
    """History of a task that will be tried again; the file is beside its document."""

    task_id: TaskId
    attempts: tuple[Attempt, ...] = ()
    not_before: datetime | None = None
    fresh: bool = False
    """The next attempt begins anew, in a new session and a new checkout: a person asked for it."""
    note: str = ""
    """For the agent of the next attempt, from the person who asked for it."""
    model: str | None = None
    """In place of the one that the settings name: a person asked for it."""
    begin_at: RetryFrom | None = None
    """The phase with which the next attempt begins: a person asked for it."""
    needs_person: str = ""
    """Why there is no next attempt before a person asks for it; empty: there is."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """What an attempt may use at most, and what earlier attempts of the task have used of it; None: no bound."""

    timeout_s: float | None = None
    max_turns: int | None = None
    turns_before: int = 0
    max_budget_usd: float | None = None
    usd_before: float = 0.0


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Who runs an attempt. Published once, never replaced.

    ``abandoned`` is the tombstone that recovery publishes in its place when no runner had published
    one: whichever comes first decides, so an agent never acts after recovery gave the attempt up.
    """

    task_id: TaskId
    attempt: int
    marker: str
    runner: Owner
    started_at: datetime
    abandoned: bool = False
    claim: Claim | None = None
    """What it works for, so that a claim that was removed by hand can be put back."""
    bounds: AttemptLimits | None = None
    """For people who watch; nothing is decided by it."""
    lease: LeaseTerms | None = None
    """Where a worker carries it out that claimed it through the API."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What ``outcome.json`` holds: the commit point of an attempt. The first one published stands."""

    task_id: TaskId
    attempt: int
    outcome: Outcome
    work: Work
    started_at: datetime
    ended_at: datetime
    committed_by: str
    """``runner``, ``worker`` (backstop, cancel before start) or ``recovery``."""
    notes: tuple[str, ...] = ()
    """For the result."""
    token: str = ""
    """The runner's signature, see ``domain.attempt.proof``."""
    steps: str = ""
    """Seal of the finished steps of the work that are the runner's own."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Result:
    """What ``results/<id>.json`` holds; ``result_file`` has its keys, which are those of *product* among its own."""

    success: bool
    output: str
    error: str
    """Empty on success; files of earlier releases hold null there."""
    task_id: TaskId
    started_at: datetime
    completed_at: datetime
    duration_ms: int
    duration_api_ms: int
    total_cost_usd: float | None
    usage: dict[str, Any]
    session_id: str | None
    num_turns: int
    state: TaskState
    outcome: OutcomeKind
    evidence: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    source: str
    worker: str
    product: WorkProduct
    model_usage: dict[str, Any] = field(default_factory=dict[str, Any])
    permission_denials: tuple[dict[str, Any], ...] = ()
    billed_to: str | None = None
    dead_letter: bool = False
    cost_incomplete: bool = False
    estimated_cost_usd: float = 0.0
    """How much of ``total_cost_usd`` is an estimate."""
    attention: tuple[Attention, ...] = ()
    """What needs a person; files of earlier releases have none."""
    task_type: str | None = None
    executor: str | None = None
    waited_ms: int | None = None
    """From when it could have started to its first attempt. None of these three is in files of earlier releases."""
    schema_version: int = SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class Complete:
    """The task is done: document to ``completed/``."""


@dataclass(frozen=True, slots=True)
class Fail:
    """The task ends without success: document to ``failed/``."""

    dead_letter: bool = False


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after ``delay``; the attempt just ended counts when ``counted``."""

    delay: timedelta
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Release:
    """Give the task back as if it had not been tried; it waits until *until*."""

    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Release the task, and let nothing start on its account until ``until`` (None: unknown)."""

    why: str
    until: datetime | None = None
    model: str | None = None
    """Only tasks of this model are held; None: all that use the account."""
    is_class: bool = False
    """*model* is a class of models, ``opus`` for one."""
    briefly: bool = False
    """Where *until* is unknown, the wait begins with a minute: no endpoint was reached."""
    needs_person: bool = False
    """The login, the billing or the model was refused: time alone does not end that."""


Disposition = Complete | Fail | Retry | Release | Pause
