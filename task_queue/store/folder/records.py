"""The files of claims and run records: their keys are of this machine, the values of the domain are not.

The order of the fields is the order of the keys; ``docs/file-formats.md`` is the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from task_queue.domain.lease import WORKER, LeaseTerms
from task_queue.domain.model import SCHEMA_VERSION, AttemptLimits, Claim, Owner, RunRecord
from task_queue.domain.task import TaskId
from task_queue.platform.identity import ProcessIdentity
from task_queue.platform.owners import owner_of, process_of
from task_queue.platform.records import encode

_NO_PROCESS = ProcessIdentity(0, 0, "", "")


@dataclass(frozen=True, slots=True)
class DocumentFile:
    """A document as it was claimed; a claim holds it as text (``document_identity``)."""

    sha256: str
    dev: int
    ino: int

    @classmethod
    def of(cls, claim: Claim) -> Self:
        sha256, dev, ino = claim.document_identity.rsplit("/", 2)
        return cls(sha256, int(dev), int(ino))

    def __str__(self) -> str:
        return f"{self.sha256}/{self.dev}/{self.ino}"


@dataclass(frozen=True, slots=True)
class LockFile:
    """Proof that one worker owns a task; what the lock file holds. Never changed once published."""

    # For the reader of records: locks of earlier releases hold the thread's id as a number.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"coerce_numbers_to_str": True}

    task_id: TaskId
    worker: str
    thread_id: str
    """The worker's thread, in decimal digits."""
    pid: int
    started_at: datetime
    attempt: int
    session_id: str
    resumes: bool
    """The session exists already and is continued."""
    pid_start_ticks: int
    boot_id: str
    sha256: str
    dev: int
    ino: int
    document: str
    """File name in ``pending/``; differs from ``task_id`` + ``.md`` where an older record has that id."""
    proof: str = ""
    """Of the runner's own ending, see ``domain.attempt.proof``; empty in locks of releases that asked for none."""
    pid_namespace: str = ""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, claim: Claim) -> Self:
        process, thread = _process(claim.owner)
        document = DocumentFile.of(claim)
        return cls(
            task_id=claim.task_id,
            worker=claim.worker,
            thread_id=thread,
            pid=process.pid,
            started_at=claim.started_at,
            attempt=claim.attempt,
            session_id=claim.session_id,
            resumes=claim.resumes,
            pid_start_ticks=process.pid_start_ticks,
            boot_id=process.boot_id,
            sha256=document.sha256,
            dev=document.dev,
            ino=document.ino,
            document=claim.document,
            proof=claim.proof,
            pid_namespace=process.pid_namespace,
        )

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.pid_start_ticks, self.boot_id, self.pid_namespace)

    @property
    def claim(self) -> Claim:
        return Claim(
            task_id=self.task_id,
            worker=self.worker,
            started_at=self.started_at,
            attempt=self.attempt,
            session_id=self.session_id,
            resumes=self.resumes,
            owner=owner_of(self.process, self.thread_id),
            document=self.document,
            document_identity=str(DocumentFile(self.sha256, self.dev, self.ino)),
            proof=self.proof,
        )


@dataclass(frozen=True, slots=True)
class RunFile:
    """Who runs an attempt (``run.json``). Published once, never replaced.

    ``abandoned`` is the tombstone that recovery publishes in its place when no runner had published
    one: whichever comes first decides, so an agent never acts after recovery gave the attempt up.
    """

    task_id: TaskId
    attempt: int
    marker: str
    pid: int
    pid_start_ticks: int
    boot_id: str
    started_at: datetime
    abandoned: bool = False
    claim: LockFile | None = None
    """What the lock says, so that a lock deleted by hand can be put back."""
    pid_namespace: str = ""
    bounds: AttemptLimits | None = None
    """For people who watch."""
    lease: LeaseTerms | None = None
    """Of a worker that claimed it through the API: then no process here runs it, and the keys of one are 0."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, run: RunRecord) -> Self:
        process = _NO_PROCESS if run.lease is not None else _process(run.runner)[0]
        return cls(
            task_id=run.task_id,
            attempt=run.attempt,
            marker=run.marker,
            pid=process.pid,
            pid_start_ticks=process.pid_start_ticks,
            boot_id=process.boot_id,
            started_at=run.started_at,
            abandoned=run.abandoned,
            claim=LockFile.of(run.claim) if run.claim else None,
            pid_namespace=process.pid_namespace,
            bounds=run.bounds,
            lease=run.lease,
        )

    @property
    def process(self) -> ProcessIdentity:
        return ProcessIdentity(self.pid, self.pid_start_ticks, self.boot_id, self.pid_namespace)

    @property
    def record(self) -> RunRecord:
        return RunRecord(
            task_id=self.task_id,
            attempt=self.attempt,
            marker=self.marker,
            runner=owner_of(self.process) if self.lease is None else Owner(WORKER, self.lease.worker),
            started_at=self.started_at,
            abandoned=self.abandoned,
            claim=self.claim.claim if self.claim else None,
            bounds=self.bounds,
            lease=self.lease,
        )


def lock_bytes(claim: Claim) -> bytes:
    return encode(LockFile.of(claim))


def run_bytes(run: RunRecord) -> bytes:
    return encode(RunFile.of(run))


def _process(owner: Owner) -> tuple[ProcessIdentity, str]:
    found = process_of(owner)
    if found is None:
        raise ValueError(f"a folder keeps claims of processes only, not of {owner.kind!r}")
    return found
