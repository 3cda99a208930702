"""For workers: claim a task, show signs of life, say how it ended. What the operations of the API call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, ClassVar, TypeVar

from task_queue.app.claim_names import ClaimName
from task_queue.app.installation import Installation
from task_queue.app.tracked_task import DOCUMENTED, TrackedTask
from task_queue.app.tracking import KeptDocuments, tracked_in
from task_queue.dispatch.served import WorkerSources
from task_queue.domain.artifacts import StoredArtifact
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.lease import Directive, LeaseTerms
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.policy import (
    EVERYTHING,
    OWNER,
    AccessRole,
    Caller,
    NotAllowedError,
    TaskTraits,
    repository_name,
)
from task_queue.domain.task import TaskId
from task_queue.platform.durable import make_directory
from task_queue.platform.records import UnreadableRecordError, decode, encode
from task_queue.ports.claims import (
    ClaimRefusedError,
    ClaimWish,
    FramesMissingError,
    GivenClaim,
    HandedInBundle,
    HeldClaim,
    ReportFaultError,
    ToldProgress,
    UnknownClaimError,
    WorkerReport,
)
from task_queue.store.folder.artifacts import Artifacts

__all__ = [
    "ClaimRefusedError",
    "Directive",
    "FramesMissingError",
    "HandedInBundle",
    "ReportFaultError",
    "ToldProgress",
    "UnknownClaimError",
]


_Reported = TypeVar("_Reported", Outcome, Work)
_LONGEST_LIMIT = timedelta(days=31)
_MOST = 10**9


class NotForWorkersError(TaskQueueError):
    """A source was asked for that workers do not serve. ``code`` is for programs."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(eq=False, repr=False, slots=True)
class OrderView:
    """All that a worker needs to carry out an attempt."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    document: str
    """Markdown. Its front matter holds the settings that are in force for the task."""
    task_id: TaskId
    """Of the task."""
    attempt: int
    """Which one of the task this is."""
    session_id: str
    """Of the agent, as the queue would name it."""
    repository: str | None
    """URL from which it is fetched; null where the source names none."""
    base_commit: str | None
    """On which the work begins; null where the source works in no repository."""
    branch: str
    """How the queue names the task's branch."""
    target: str | None
    """The branch into which it is merged."""
    allowance_usd: float | None = None
    """What the attempt may spend in US dollars, also the document's `max_budget_usd`; null: no bound."""
    artifacts: tuple[dict[str, Any], ...] = ()
    """Files that came with the task: name, size, sha256, media_type."""


@dataclass(eq=False, repr=False, slots=True)
class ClaimView:
    """A claim as its worker has it. Every call on it needs `id` and `epoch`."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    id: str
    """Known to its worker alone."""
    epoch: int
    """The number of the task's attempt."""
    lease_expires_at: datetime
    """Unless a sign of life comes before."""
    order: OrderView
    """What is to be done."""


@dataclass(eq=False, repr=False, slots=True)
class ClaimAnswer:
    """A task that was claimed; null where none fits that may start now."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    task: TrackedTask | None
    """As it stands now."""
    claim: ClaimView | None
    """That the worker holds from now on."""


@dataclass(eq=False, repr=False, slots=True)
class PulseAnswer:
    """The lease is renewed."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    lease_expires_at: datetime
    """Unless another sign of life comes before."""
    directive: Directive
    """`drain`: finish it, nothing more is handed out; `cancel`: end it, then say that it failed as cancelled."""


@dataclass(eq=False, repr=False, slots=True)
class ReportAnswer:
    """What a worker said of the end of its attempt counts."""

    __pydantic_config__: ClassVar[dict[str, Any]] = DOCUMENTED
    answer: str
    """`applied`, or `already_applied`: it was said before, and this changed nothing."""
    task: TrackedTask
    """As it stands now; `running` while what was handed in is checked."""


@dataclass(frozen=True, slots=True)
class WantedTask:
    """What a worker asks for; as in ``ports.claims.ClaimWish``."""

    worker_id: str
    lease_s: float
    sources: tuple[str, ...] | None
    types: tuple[str, ...] | None
    capabilities: tuple[str, ...]
    executors: tuple[str, ...] | None
    key: str | None = None
    repositories: tuple[str, ...] | None = None
    except_repositories: tuple[str, ...] = ()

    def fetches(self, repository: str) -> bool:
        """Whether the URL *repository* is one of those that it says it can and may fetch."""
        allowed, name = self.repositories, repository_name(repository)
        if name in map(repository_name, self.except_repositories):
            return False
        return allowed is None or EVERYTHING in allowed or name in map(repository_name, allowed)


class WorkerDesk:
    """Where workers come to; one for the process. Thread-safe."""

    def __init__(self, installation: Installation, *, changed: Callable[[], None]) -> None:
        """*changed* is called, from any thread, when another claim may be possible. Raises ConfigError."""
        self._served = WorkerSources(installation.locations, clock=installation.clock, changed=changed)
        self._claims = self._served.claims

    def start(self) -> None:
        self._served.start()

    def stop(self) -> None:
        self._served.stop()

    def claim(
        self, installation: Installation, wanted: WantedTask, caller: Caller, kept: KeptDocuments
    ) -> ClaimAnswer:
        """Raises NotAllowedError, NotForWorkersError."""
        self._served.refresh()
        given = self._claims.claim(_wish(installation, wanted, caller, self._served.note_fetching))
        if given is None:
            return ClaimAnswer(None, None)
        task = tracked_in(installation, given.source, given.task_id, caller, kept)
        artifacts = Artifacts(installation.sources(given.source)[0].folders, given.task_id).stored()
        return ClaimAnswer(task, _view(given, artifacts))

    def heartbeat(self, claim_id: str, epoch: int, progress: ToldProgress, caller: Caller) -> PulseAnswer:
        """Raises ClaimRefusedError, UnknownClaimError, NotAllowedError; as those that follow."""
        pulse = self._claims.heartbeat(claim_id, epoch=epoch, worker=_worker(caller), progress=progress)
        return PulseAnswer(pulse.lease_expires_at, pulse.directive)

    def frames(self, claim_id: str, epoch: int, offset: int, lines: Sequence[str], caller: Caller) -> int:
        """Raises FramesMissingError, too."""
        return self._claims.frames(claim_id, epoch=epoch, worker=_worker(caller), offset=offset, lines=lines)

    def report(
        self,
        installation: Installation,
        claim_id: str,
        epoch: int,
        report: WorkerReport,
        *,
        caller: Caller,
        kept: KeptDocuments,
    ) -> ReportAnswer:
        is_first = self._claims.report(claim_id, epoch=epoch, worker=_worker(caller), report=report)
        source, task_id = self._claims.task_of(claim_id)
        task = tracked_in(installation, source, task_id, caller, kept)
        return ReportAnswer("applied" if is_first else "already_applied", task)

    def demand_held(self, claim: ClaimName, task_id: TaskId, caller: Caller) -> None:
        """Raises as ``heartbeat``; UnknownClaimError also where *claim* is of another task than *task_id*."""
        found = self._claims.demand_held(claim.id, epoch=claim.epoch, worker=_worker(caller))
        if found[1] != task_id:
            raise UnknownClaimError(f"the claim is not one of {task_id}")

    def base_bundle(
        self, installation: Installation, claim_id: str, have: Sequence[str], caller: Caller
    ) -> tuple[BinaryIO, int]:
        """A git bundle of the commit on which the work begins, without what *have* brings along, and its size.

        Raises as ``heartbeat``; NotForWorkersError where the work begins on no commit, GitError, OSError.
        """
        folder = installation.locations.temporary
        make_directory(folder)
        with TemporaryDirectory(prefix="base-", dir=folder) as name:
            path = Path(name) / "base.bundle"
            if not self._served.write_base(claim_id, _worker(caller), path, have):
                raise NotForWorkersError("the work begins on no commit", code="no_base")
            return path.open("rb"), path.stat().st_size

    def held(self) -> tuple[HeldClaim, ...]:
        return self._claims.held()


def report_from(
    outcome: dict[str, Any], work: dict[str, Any], handed_in: HandedInBundle | None, now: datetime
) -> WorkerReport:
    """What a worker sent. Its session is on its machine: no other attempt goes on with it. Raises ReportFaultError."""
    said = _record("outcome", Outcome, outcome)
    if said.resets_at is not None:
        if said.resets_at.tzinfo is None:
            raise ReportFaultError("outcome.resets_at", "needs an offset from UTC")
        said = replace(said, resets_at=min(said.resets_at, now + _LONGEST_LIMIT))
    done = _record("work", Work, work)
    figures = {
        "num_turns": done.num_turns,
        "duration_api_ms": done.duration_api_ms,
        "total_cost_usd": done.total_cost_usd or 0,
        "estimated_cost_usd": done.estimated_cost_usd,
    }
    for name, figure in figures.items():
        if not 0 <= figure <= _MOST:
            raise ReportFaultError(f"work.{name}", f"must be between 0 and {_MOST:,}")
    done = replace(
        done, session_id=None, session_cost_usd=None, session_estimated_usd=0.0, session_model_usage={}
    )
    return WorkerReport(said, done, now, handed_in)


def _record(field: str, kind: type[_Reported], value: dict[str, Any]) -> _Reported:
    try:
        return decode(kind, encode(value))
    except UnreadableRecordError as error:
        raise ReportFaultError(field, str(error)) from None
    except RecursionError:
        raise ReportFaultError(field, "it is nested too deeply") from None


def demand_kind(report: WorkerReport, kinds: Sequence[OutcomeKind]) -> None:
    """Raises ReportFaultError unless the outcome is one of *kinds*."""
    if report.outcome.kind not in kinds:
        named = ", ".join(kinds)
        raise ReportFaultError("outcome.kind", f"must be one of: {named}")


def _worker(caller: Caller) -> str | None:
    """None for the owner, who may speak for each. Raises NotAllowedError."""
    caller.demand(AccessRole.WORK)
    return None if caller.name == OWNER else caller.name


def _wish(
    installation: Installation,
    wanted: WantedTask,
    caller: Caller,
    note_fetching: Callable[[str, str, str | None], None],
) -> ClaimWish:
    worker = _worker(caller)
    if worker is not None and worker != wanted.worker_id:
        raise NotAllowedError(
            f"the credential is that of {worker}, not of {wanted.worker_id}", code="worker_mismatch"
        )
    entries = {entry.id: entry for entry in installation.entries()}
    for source in wanted.sources or ():
        entry = entries.get(source)
        if entry is None or not caller.policy.allows_source(source):
            raise NotForWorkersError(f"there is no source '{source}'", code="source_not_found")
        if not entry.is_remote:
            raise NotForWorkersError(f"the daemon serves '{source}', not workers", code="not_for_workers")

    def allows(source: str, task: Waiting) -> bool:
        entry = entries.get(source)
        if entry is None or not caller.policy.allows_source(source):
            return False
        repository = None if entry.repository is None else repository_name(entry.repository)
        traits = TaskTraits(
            source, task.type, task.executor, task.capabilities, repository, task.submitted_by
        )
        return caller.sees(traits)

    def fetches(source: str) -> bool:
        repository = entries[source].repository
        can = repository is None or wanted.fetches(repository)
        note_fetching(source, wanted.worker_id, None if can else repository_name(str(repository)))
        return can

    terms = LeaseTerms(wanted.worker_id, wanted.lease_s)
    return ClaimWish(
        terms,
        wanted.sources,
        wanted.types,
        wanted.executors,
        wanted.capabilities,
        allows,
        fetches,
        wanted.key,
    )


def _view(given: GivenClaim, artifacts: Sequence[StoredArtifact]) -> ClaimView:
    order = given.order
    return ClaimView(
        given.id,
        given.epoch,
        given.lease_expires_at,
        OrderView(
            order.document,
            order.task_id,
            order.attempt,
            order.session_id,
            order.repository,
            order.base_commit,
            order.branch,
            order.target,
            order.allowance_usd,
            tuple(map(asdict, artifacts)),
        ),
    )
