"""MemoryEngine: a source that lives in this process only. For tests of everything above the engine."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any

from task_queue.domain.attempt.lifecycle import session_of_next
from task_queue.domain.attempt.proof import is_signed_by_runner, new_token, proof_of
from task_queue.domain.attempt.results import journal_of_retry
from task_queue.domain.attempt.retry import Delay
from task_queue.domain.attempt.retry_wish import NO_WISH, RetryWish
from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.ordering import History, waiting_for
from task_queue.domain.document.settings import resolve
from task_queue.domain.document.taskfile import parse
from task_queue.domain.errors import ClaimHeld, ClaimLost, TaskFileError, UnknownTaskError
from task_queue.domain.model import Claim, Ending, Journal, OutcomeKind, Result, RunRecord
from task_queue.domain.secrets import redacted
from task_queue.domain.task import Task, TaskId, TaskState
from task_queue.ports.attempt_log import AttemptLog, AttemptPlace, LogAddress
from task_queue.ports.queue import Queue
from task_queue.ports.requests import Requests
from task_queue.ports.snapshot import Survey
from tests.claims import OWNER


@dataclass(slots=True)
class _Attempt:
    snapshot: bytes
    run: RunRecord | None = None
    ending: Ending | None = None
    transcript: list[str] = field(default_factory=list[str])
    steps: list[str] = field(default_factory=list[str])
    token: str = ""
    set_aside: tuple[Ending, ...] = ()


_AT = "2026-02-07T12:00:00+00:00"


def _sent_back(journal: Journal) -> int:
    """How many of the latest attempts came back because of the account."""
    kinds = {OutcomeKind.LIMITED, OutcomeKind.ACCOUNT, OutcomeKind.UNAVAILABLE}
    return sum(1 for _ in takewhile(lambda attempt: attempt.outcome in kinds, reversed(journal.attempts)))


class MemoryTranscript:
    """Implements ports.attempt_writer.OpenTranscript."""

    def __init__(self, lines: list[str], secrets: tuple[str, ...]) -> None:
        self._lines = lines
        self._secrets = secrets

    def write(self, direction: str, raw: Mapping[str, Any] | str) -> None:
        envelope = {
            "t": _AT,
            "seq": len(self._lines) + 1,
            "dir": direction,
            "raw": redacted(raw, self._secrets),
        }
        self._lines.append(json.dumps(envelope))

    def close(self) -> None:
        """It is as durable as it gets."""


class MemoryAttemptWriter:
    """Implements ports.attempt_writer.AttemptWriter."""

    def __init__(self, engine: MemoryEngine, claim: Claim) -> None:
        self._engine = engine
        self._claim = claim

    @property
    def _attempt(self) -> _Attempt:
        return self._engine.folders[self._claim.task_id, self._claim.attempt]

    def show(self, run: RunRecord) -> bool:
        if self._attempt.run is not None:
            return False
        self._attempt.run = run
        return True

    def claim_stands(self) -> bool:
        return self._claim in self._engine.claims()

    def transcript(self, *, limit_mb: int, secrets: Iterable[str]) -> MemoryTranscript:  # noqa: ARG002 - the port's
        return MemoryTranscript(self._attempt.transcript, tuple(secrets))

    def transcript_lines(self) -> tuple[str, ...]:
        return tuple(self._attempt.transcript)

    def add_step(self, line: str) -> None:
        self._attempt.steps.append(line)

    def steps(self, attempt: int) -> tuple[str, ...]:
        found = self._engine.folders.get((self._claim.task_id, attempt))
        return tuple(found.steps) if found else ()

    def commit(self, ending: Ending) -> bool:
        return self._engine.commit(self._claim, ending) is ending

    def ending(self) -> Ending | None:
        return self._attempt.ending

    def set_ending_aside(self) -> str | None:
        if self._attempt.ending is None:
            return None
        self._engine.set_ending_aside(self._claim)
        return f"set aside {len(self._attempt.set_aside)}"

    def errors(self) -> int:
        return os.open(os.devnull, os.O_WRONLY)

    def unfinished(self) -> frozenset[str]:
        return self._engine.unfinished()


class MemoryEngine:
    """Implements ports.store.Engine with the same answers as FolderEngine, without files."""

    def __init__(self) -> None:
        self.documents: dict[TaskId, bytes] = {}
        self.results: dict[TaskId, Result] = {}
        self.reports: dict[TaskId, str] = {}
        self.ended: dict[TaskId, tuple[TaskState, bytes]] = {}
        self.newer: dict[str, bytes] = {}
        self.folders: dict[tuple[TaskId, int], _Attempt] = {}
        self._locks: dict[TaskId, Claim] = {}
        self._journals: dict[TaskId, Journal] = {}
        self._cancels: set[TaskId] = set()

    def add(self, task_id: str, text: str) -> TaskId:
        """Drop a document."""
        self.documents[TaskId(task_id)] = text.encode()
        return TaskId(task_id)

    @property
    def queue(self) -> Queue:
        return self

    @property
    def attempts(self) -> AttemptLog:
        return self

    @property
    def requests(self) -> Requests:
        return self

    def open(self) -> None:
        """Nobody else can serve it."""

    def touch(self) -> None:
        """It always looks at everything."""

    def changed_ns(self, task_id: TaskId) -> int:
        return 1 if task_id in self.documents else 0

    def survey(self) -> Survey:
        waiting, rejected = Backlog(), list[tuple[TaskId, str]]()
        for task_id, data in self.documents.items():
            if task_id in self._locks or task_id in self._cancels:
                continue
            try:
                task = parse(data, task_id)
            except TaskFileError as error:
                rejected.append((task_id, f"{error} ({error.hint})" if error.hint else str(error)))
                continue
            journal = self._journals.get(task_id)
            dropped_at = naming.time_in(naming.document_of(task_id)) or datetime.min.replace(tzinfo=UTC)
            until = journal.not_before if journal else None
            next_try = Delay(journal.attempts[-1].ended_at, until) if journal and until else None
            history = History(
                next_try=next_try,
                paused=0 if until or journal is None else min(8, _sent_back(journal)),
                needs_person=journal.needs_person if journal else "",
            )
            waiting.put(waiting_for(task, resolve(task.given), dropped_at=dropped_at, history=history))
        cancelled = [task_id for task_id in self._cancels if task_id not in self._locks]
        locks = tuple(map(naming.lock_of, map(naming.document_of, self._locks)))
        return Survey(waiting, tuple(rejected), (), tuple(cancelled), locks)

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        if task_id in self._locks or task_id not in self.documents:
            raise ClaimHeld(f"{task_id} is not to be had")
        journal = self._journals.get(task_id)
        record_id = journal.task_id if journal else self._free_record(task_id)
        earlier = journal.attempts if journal else ()
        used = [number for (name, number) in self.folders if name == record_id]
        session = session_of_next(journal)
        token = new_token()
        claim = Claim(
            task_id=record_id,
            worker=worker,
            started_at=now,
            attempt=1 + max((*used, *(attempt.number for attempt in earlier)), default=0),
            session_id=session or str(uuid.uuid4()),
            resumes=session is not None,
            owner=OWNER,
            document=naming.document_of(task_id),
            proof=proof_of(token),
        )
        self.folders[record_id, claim.attempt] = _Attempt(self.documents[task_id], token=token)
        self._locks[task_id] = claim
        return claim

    def token_of(self, claim: Claim) -> str:
        return self._attempt(claim).token

    def task(self, claim: Claim) -> Task:
        return parse(self._attempt(claim).snapshot, claim.task_id)

    def journal(self, claim: Claim) -> Journal:
        return self._journals.get(self._dropped_as(claim)) or Journal(claim.task_id)

    def arrived_at(self, claim: Claim) -> datetime | None:
        return claim.started_at

    def claims(self) -> tuple[Claim, ...]:
        return tuple(self._locks.values())

    def claims_to_stop(self) -> tuple[Claim, ...]:
        return self.claims()

    def place_of(self, claim: Claim) -> AttemptPlace:
        nowhere = Path("/nowhere")
        return AttemptPlace(LogAddress("memory", claim.task_id), nowhere / "task.md", nowhere)

    def writer(self, claim: Claim) -> MemoryAttemptWriter:
        return MemoryAttemptWriter(self, claim)

    def unfinished(self) -> frozenset[str]:
        of_claims = {claim.task_id for claim in self._locks.values()}
        return frozenset(map(naming.key_of, of_claims | {j.task_id for j in self._journals.values()}))

    def run_of(self, claim: Claim) -> RunRecord | None:
        return self._attempt(claim).run

    def runs_out_of_sight(self, claim: Claim) -> bool:  # noqa: ARG002 - the port's signature
        return False

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        tombstone = RunRecord(claim.task_id, claim.attempt, "", OWNER, now, abandoned=True)
        attempt = self._attempt(claim)
        attempt.run = attempt.run or tombstone
        return attempt.run

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        attempt = self._attempt(claim)
        attempt.ending = attempt.ending or ending
        return attempt.ending

    def ending_of(self, claim: Claim) -> Ending | None:
        return self._attempt(claim).ending

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        return is_signed_by_runner(claim, ending)

    def set_ending_aside(self, claim: Claim) -> None:
        attempt = self._attempt(claim)
        if attempt.ending is not None:
            attempt.set_aside = (*attempt.set_aside, attempt.ending)
            attempt.ending = None

    def transcript(self, claim: Claim) -> tuple[str, ...]:
        return tuple(self._attempt(claim).transcript)

    def steps(self, claim: Claim) -> tuple[str, ...]:
        return tuple(self._attempt(claim).steps)

    def cancel_requested(self, claim: Claim) -> bool:
        return self._dropped_as(claim) in self._cancels

    def may_have_acted(self, claim: Claim) -> bool:
        return bool(self._attempt(claim).transcript)

    def document_is_gone(self, claim: Claim) -> bool:
        return self._dropped_as(claim) not in self.documents

    def settle(self, claim: Claim, result: Result, report: str = "") -> str | None:
        dropped_as = self._dropped_as(claim)
        if self._locks.get(dropped_as) != claim:
            settled = self.results.get(claim.task_id)
            if settled is not None and settled.attempts[-1:] == result.attempts[-1:]:
                return None
            raise ClaimLost(f"{claim.task_id}: the claim is gone")
        if dropped_as not in self.documents:
            notes = (*result.product.notes, "the document was deleted while the task ran")
            result = replace(result, product=replace(result.product, notes=notes))
        newer = self._keep_newer(claim)
        if newer is not None:
            notes = (*result.product.notes, f"the document was edited; the newer text is kept as {newer}")
            result = replace(result, product=replace(result.product, notes=notes))
        self.results.setdefault(claim.task_id, result)
        self.reports.setdefault(claim.task_id, report)
        self.documents.pop(dropped_as, None)
        self.ended[claim.task_id] = (result.state, self._attempt(claim).snapshot)
        self._journals.pop(dropped_as, None)
        self._cancels.discard(dropped_as)
        del self._locks[dropped_as]
        return newer

    def release(self, claim: Claim, journal: Journal) -> str | None:
        dropped_as = self._dropped_as(claim)
        if self._locks.get(dropped_as) != claim:
            raise ClaimLost(f"{claim.task_id}: the claim is gone")
        self._journals[dropped_as] = journal
        newer = self._keep_newer(claim)
        if newer is not None:
            self.documents[dropped_as] = self._attempt(claim).snapshot
        del self._locks[dropped_as]
        return newer

    def _keep_newer(self, claim: Claim) -> str | None:
        present = self.documents.get(self._dropped_as(claim))
        if present in {None, self._attempt(claim).snapshot}:
            return None
        name = f"edited-{self._dropped_as(claim)}.md"
        self.newer[name] = present or b""
        return name

    def requeue(self, task_id: TaskId, wish: RetryWish = NO_WISH) -> None:
        journal = self._journals.get(task_id)
        if task_id in self.documents and journal and journal.needs_person:
            self._journals[task_id] = journal_of_retry(task_id, journal.attempts, wish)
            return
        state, data = self.ended.get(task_id, (None, b""))
        if state is not TaskState.FAILED or task_id in self.documents:
            raise UnknownTaskError(f"task {task_id} did not fail")
        attempts = self.results.pop(task_id).attempts
        self._journals[task_id] = journal_of_retry(task_id, attempts, wish)
        del self.ended[task_id]
        self.documents[task_id] = data

    def request_cancel(self, task_id: TaskId) -> None:
        running = [self._dropped_as(claim) for claim in self._locks.values() if claim.task_id == task_id]
        if not running and task_id not in self.documents:
            raise UnknownTaskError(f"task {task_id} is neither waiting nor running")
        self._cancels.add(running[0] if running else task_id)

    def state_of(self, task_id: TaskId) -> TaskState | None:
        if task_id in self._locks:
            return TaskState.RUNNING
        if task_id in self.documents:
            return TaskState.PENDING
        return self.ended[task_id][0] if task_id in self.ended else None

    def _attempt(self, claim: Claim) -> _Attempt:
        return self.folders[claim.task_id, claim.attempt]

    def _free_record(self, task_id: TaskId) -> TaskId:
        candidate, number = task_id, 1
        while candidate in self.ended or (candidate != task_id and candidate in self.documents):
            number += 1
            candidate = naming.numbered(task_id, number)
        return candidate

    @staticmethod
    def _dropped_as(claim: Claim) -> TaskId:
        return naming.task_id_of(claim.document)
