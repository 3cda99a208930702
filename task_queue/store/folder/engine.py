"""FolderEngine: a source kept in plain folders. Every step is one published or moved file.

The order on disk is the crash protocol (``docs/file-formats.md``): snapshot, lock, run record, ending,
result, document, lock away. Each method can be killed anywhere and called again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import uuid
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace as changed
from datetime import datetime
from pathlib import Path

from task_queue.domain.attempt.lifecycle import session_to_continue
from task_queue.domain.attempt.proof import is_vouched_for, new_token, proof_of
from task_queue.domain.document import naming
from task_queue.domain.document.layers import Layers
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import (
    ClaimHeld,
    ClaimLost,
    EngineUnavailable,
    UnknownTaskError,
)
from task_queue.domain.model import (
    Attempt,
    Claim,
    Ending,
    Journal,
    OutcomeKind,
    Result,
    RunRecord,
)
from task_queue.domain.task import Task, TaskId
from task_queue.platform import durable, identity
from task_queue.platform.lockfile import FileLock
from task_queue.platform.records import Record, encode
from task_queue.ports.snapshot import Survey
from task_queue.ports.store import Notes
from task_queue.store.folder import preflight
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.attempts import ENDING, RUN, AttemptFolders
from task_queue.store.folder.claim_cache import CachedClaim, ClaimCache
from task_queue.store.folder.documents import ClaimedDocuments
from task_queue.store.folder.files import read_record
from task_queue.store.folder.foreign import is_stale_foreign_lock
from task_queue.store.folder.intake_check import (
    FileStamp,
    is_being_written,
    why_not_a_document,
)
from task_queue.store.folder.layout import SNAPSHOT, Layout
from task_queue.store.folder.locks import Locks
from task_queue.store.folder.outputs import TaskOutputs
from task_queue.store.folder.pending import Pending, Settling
from task_queue.store.folder.requeue import Requeue

FolderIdentity = tuple[tuple[int, int], ...]


class FolderEngine:
    """Implements ports.store.Engine. ``touch``, ``arrived``, ``moved`` and ``is_empty`` are for any thread."""

    def __init__(
        self,
        pending: Path,
        *,
        settle_s: float = 1.0,
        layers: Callable[[], Layers] = Layers,
        notes: Notes | None = None,
    ) -> None:
        """*layers*: the owner's defaults in force. Without *notes* it knows of its own claims alone: enough for
        who claims nothing."""
        self.layout = Layout(pending)
        self._pending = Pending(pending, layers=layers, settling=Settling(settle_s))
        self._cache = ClaimCache()
        self._documents = ClaimedDocuments(self.layout, self._cache)
        self._outputs = TaskOutputs(self.layout, self._cache)
        self._archive = Archive(self.layout)
        self._attempts = AttemptFolders(self.layout)
        self._guard = FileLock(self.layout.guard)
        self._serving: FolderIdentity | None = None
        """Which folders were found fit to build on; others in their place are looked at first."""
        self.touch = self._pending.touch
        self.arrived = self._pending.arrived
        self.is_empty = self._pending.is_empty
        self.moved = self._pending.moved
        self._locks = Locks(self.layout, self._cache, notes, self.touch)
        self.state_of = self._archive.state_of
        self.transcript = self._attempts.transcript
        self.steps = self._attempts.steps
        self.may_have_acted = self._attempts.may_have_acted
        self._requeue = Requeue(self.layout, self._archive, self.touch)

    def open(self) -> None:
        with self._available():
            preflight.make_ready(self.layout)
            if not self._guard.acquire(f"pid {os.getpid()}"):
                raise EngineUnavailable(
                    f"{self.layout.root} is served by another daemon ({self._guard.holder()})",
                    hint="a folder can belong to one configuration only",
                )
            if self._serving is None:
                self._locks.take_over()
            self._serving = _identity_of(self.layout)
            self.touch()
            self.sweep_temporaries()
            for name in self._stale_foreign_locks():
                self.clear_away(name)
            self._requeue.finish()

    def close(self) -> None:
        """Let others serve the source."""
        self._guard.release()

    def survey(self) -> Survey:
        with self._available():
            if self._serving != _identity_of(self.layout):
                self.open()
            survey = self._pending.survey()
            for name in self._pending.orphans():
                self.clear_away(name)
            return survey

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        document = task_id + ".md"
        with self._available():
            preflight.demand_trust(self.layout)
            if self._locks.is_restored_on(document):
                raise ClaimHeld(f"{document}: its lock was taken away while it was in hand; put back")
            data, about = self._complete_document(document)
            journal = self._archive.journal_beside(document)
            record_id = journal.task_id if journal else self._archive.free_record(task_id)
            earlier = journal.attempts if journal else ()
            last = max((*self._archive.attempts_used(record_id), *(a.number for a in earlier)), default=0)
            self._put_back_lost_lock(document, data, record_id, last, earlier)
            number = 1 + last
            session = session_to_continue(earlier)
            me = identity.own_identity()
            token = new_token()
            claim = Claim(
                task_id=record_id,
                worker=worker,
                thread_id=str(threading.get_native_id()),
                pid=me.pid,
                started_at=now,
                attempt=number,
                session_id=session or str(uuid.uuid4()),
                resumes=session is not None,
                pid_start_ticks=me.pid_start_ticks,
                boot_id=me.boot_id,
                sha256=hashlib.sha256(data).hexdigest(),
                dev=about.st_dev,
                ino=about.st_ino,
                document=document,
                proof=proof_of(token),
            )
            attempt = self.layout.attempt_of(claim)
            durable.make_directory(attempt)
            try:
                durable.publish(attempt / SNAPSHOT, data[:MAX_BYTES])
                self._locks.note(claim)
                durable.publish(self.layout.lock(document), encode(claim))
            except FileExistsError as error:
                self.touch(
                    naming.lock_of(document)
                )  # or it would be tried again and again until an event tells
                raise ClaimHeld(f"{document} is claimed by somebody else") from error
            journal = journal or Journal(claim.task_id)
            self._cache.add(
                CachedClaim(claim, token, text=data[:MAX_BYTES], journal=journal, root=self._locks.root())
            )
            self._check_still_there(claim)
            return claim

    def token_of(self, claim: Claim) -> str:
        cached = self._cache.of(claim)
        return "" if cached is None else cached.token

    def task(self, claim: Claim) -> Task:
        cached = self._cache.of(claim)
        if cached is not None and cached.task is not None:
            return cached.task
        with self._available():
            task = parse(self._documents.snapshot(claim), claim.task_id)
        if cached is not None and cached.text is not None:
            cached.task = task
        return task

    def journal(self, claim: Claim) -> Journal:
        cached = self._cache.of(claim)
        if cached is not None and cached.journal is not None:
            return cached.journal
        with self._available():
            return self._archive.journal_beside(claim.document) or Journal(claim.task_id)

    def claims(self) -> tuple[Claim, ...]:
        with self._available():
            # Who does not serve the source cannot tell whose claims these are.
            return tuple(self._locks.all().values()) if self._serving is None else self._locks.known()

    def claims_to_stop(self) -> tuple[Claim, ...]:
        with self._available():
            return self.claims() if self._guard.acquire(f"pid {os.getpid()}") else ()

    def run_of(self, claim: Claim) -> RunRecord | None:
        return self._record_of(claim, self._attempts.run_of)

    def abandon(self, claim: Claim, *, now: datetime) -> RunRecord:
        with self._available():
            return self._attempts.abandon(claim, now=now)

    def commit(self, claim: Claim, ending: Ending) -> Ending:
        with self._available():
            standing = self._attempts.commit(claim, ending)
        cached = self._cache.of(claim)
        if cached is not None and standing == ending:
            cached.ending = encode(ending)
        return standing

    def ending_of(self, claim: Claim) -> Ending | None:
        return self._record_of(claim, self._attempts.ending_of)

    def is_genuine(self, claim: Claim, ending: Ending) -> bool:
        cached = self._cache.of(claim)
        if cached is None:  # a lock that neither this process made nor an earlier one left for it
            return is_vouched_for(claim, ending) and ending.outcome.kind is not OutcomeKind.SUCCEEDED
        if cached.made_here and ending.committed_by != "runner":
            return cached.ending == encode(ending)
        return is_vouched_for(claim, ending)

    def set_ending_aside(self, claim: Claim) -> None:
        with self._available():
            self._attempts.set_ending_aside(claim)

    def cancel_requested(self, claim: Claim) -> bool:
        return os.path.lexists(self.layout.cancel(claim.document))

    def document_is_gone(self, claim: Claim) -> bool:
        return not os.path.lexists(self.layout.document(claim))

    def settle(self, claim: Claim, result: Result, report: str = "") -> None:
        with self._available():
            if not (self._locks.lies_there(claim) or self._locks.is_restored(claim)):
                settled = self._archive.result_of(claim.task_id)
                filed = self._archive.ended_state(claim.task_id) is not None
                if filed and settled is not None and settled.attempts[-1:] == result.attempts[-1:]:
                    return
                self._take_back(claim)
            notes = (
                *result.product.notes,
                *self._documents.notes(claim),
                *self._outputs.make_room(claim, result),
            )
            self._outputs.publish(
                claim, changed(result, product=changed(result.product, notes=notes)), report
            )
            self._documents.file(claim, result.state)
            durable.remove(self.layout.journal(claim.document))
            durable.remove(self.layout.cancel(claim.document))
            self._unlock(claim)

    def release(self, claim: Claim, journal: Journal) -> None:
        with self._available():
            if not (self._locks.lies_there(claim) or self._locks.is_restored(claim)):
                self._take_back(claim)
            durable.replace(self.layout.journal(claim.document), encode(journal))
            if self._documents.is_edited(claim):
                self._documents.keep_newer(claim)
                with contextlib.suppress(FileExistsError):
                    durable.publish(self.layout.document(claim), self._documents.snapshot(claim))
            self._unlock(claim)

    def requeue(self, task_id: TaskId) -> None:
        _demand_id(task_id)
        with self._available():
            self._requeue.start(task_id)

    def request_cancel(self, task_id: TaskId) -> None:
        document = self._document_waiting_or_running(task_id)
        with self._available(), contextlib.suppress(FileExistsError):
            durable.publish(self.layout.cancel(document), b"{}\n")
        if self._ended_meanwhile(document):
            with self._available():  # or it would hit the next task of that name
                durable.remove(self.layout.cancel(document))
            raise UnknownTaskError(f"task {task_id} has ended already")
        self.touch(naming.cancel_of(document))

    def clear_away(self, name: str) -> None:
        """Move a foreign or unreadable lock out of the way, into ``logs/``, where it can be looked at."""
        with self._available():
            self._locks.clear_away(name)

    def sweep_temporaries(self) -> int:
        """Remove unpublished files of writers that are dead; how many there were."""
        folders = (*self.layout.folders(), *self.layout.logs.glob("task-*/attempt-*"))
        with self._available():
            return sum(map(durable.sweep_temporaries, folders))

    def _record_of(self, claim: Claim, read: Callable[[Claim], Record | None]) -> Record | None:
        """Rubbish in the place of a record of this process' own runner is the agent's, and kept aside."""
        with self._available():
            try:
                return read(claim)
            except EngineUnavailable:
                cached = self._cache.of(claim)
                if cached is None or not cached.made_here:
                    raise
            self._attempts.set_unreadable_aside(claim)
            return read(claim)

    def _stale_foreign_locks(self) -> list[str]:
        """Locks of the original system whose process is no daemon of a task queue any more."""
        return [path.name for path in self.layout.pending.glob(".task-*.lock") if is_stale_foreign_lock(path)]

    def _complete_document(self, document: str) -> tuple[bytes, os.stat_result]:
        path = self.layout.pending / document
        try:
            data, about = durable.read_regular(path, limit=MAX_BYTES)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTSUP, errno.EACCES}:
                self.touch(document)
                raise ClaimHeld(f"{document} is not there any more") from error
            raise
        surveyed, read = self._pending.stamp(document), FileStamp.of(about)
        stale = surveyed is not None and surveyed != read
        if stale or why_not_a_document(about) is not None or not _is_still(path, read):
            self.touch(document)
            raise ClaimHeld(f"{document} is being changed")
        return data, about

    def _check_still_there(self, claim: Claim) -> None:
        """A claim taken while another worker was settling the same document must not run it again."""
        self.touch(naming.lock_of(claim.document))
        try:
            about = self.layout.document(claim).lstat()
        except FileNotFoundError:
            about = None
        if about is None or about.st_ino != claim.ino:
            self._unlock(claim)
            raise ClaimHeld(f"{claim.document} went away while it was claimed")

    def _put_back_lost_lock(
        self, document: str, data: bytes, record_id: TaskId, last: int, earlier: tuple[Attempt, ...]
    ) -> None:
        """An attempt that began and is neither ended nor in the history still owns the task: somebody
        deleted its lock. Raises ClaimHeld once the lock lies there again."""
        attempt = self.layout.attempt(record_id, last)
        run = read_record(RunRecord, attempt / RUN)
        if not isinstance(run, RunRecord) or run.claim is None:
            return
        if (run.claim.document, run.claim.task_id) != (document, record_id):
            return
        ended = os.path.lexists(attempt / ENDING)
        if run.abandoned or ended or any(attempt.number == last for attempt in earlier):
            return
        if not self._locks.put_back(run.claim, data):
            return
        raise ClaimHeld(f"{document}: its lock was deleted while attempt {last} ran; put back")

    def _take_back(self, claim: Claim) -> None:
        """Put the lock of *claim* back if it was only deleted; raises ClaimLost if the task has moved on.

        Only the one who serves the source gets here, so a missing lock is no other worker's doing.
        """
        superseded = max(self._archive.attempts_used(claim.task_id), default=claim.attempt) != claim.attempt
        moved_on = (
            superseded or self._archive.ended_state(claim.task_id) is not None or self._is_in_history(claim)
        )
        if moved_on or os.path.lexists(self.layout.lock(claim.document)) or not self._is_served_here(claim):
            raise ClaimLost(f"{claim.task_id}: the claim of attempt {claim.attempt} is gone")
        durable.make_directory(self.layout.pending)
        durable.publish(self.layout.lock(claim.document), encode(claim))

    def _is_in_history(self, claim: Claim) -> bool:
        journal = self._archive.journal_beside(claim.document)
        return journal is not None and any(a.number == claim.attempt for a in journal.attempts)

    def _is_served_here(self, claim: Claim) -> bool:
        """Not so where another folder was put in the place of the one that *claim* was made in."""
        return os.path.lexists(self.layout.attempt_of(claim))

    def _ended_meanwhile(self, document: str) -> bool:
        there = (self.layout.pending / document, self.layout.lock(document))
        return not any(os.path.lexists(path) for path in there)

    def _unlock(self, claim: Claim) -> None:
        self._locks.remove(claim)
        for name in (
            claim.document,
            naming.lock_of(claim.document),
            naming.journal_of(claim.document),
            naming.cancel_of(claim.document),
        ):
            self.touch(name)

    def _document_waiting_or_running(self, task_id: TaskId) -> str:
        _demand_id(task_id)
        document = task_id + ".md"
        if os.path.lexists(self.layout.pending / document):
            return document
        for claim in self.claims():
            if claim.task_id == task_id:
                return claim.document
        if self._archive.ended_state(task_id) is not None:
            raise UnknownTaskError(f"task {task_id} has ended already")
        raise UnknownTaskError(
            f"task {task_id} is neither waiting nor running in {self.layout.pending}",
            hint="see what is there with: task-queue tasks list",
        )

    @contextmanager
    def _available(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.touch()
            where = error.filename or self.layout.pending
            raise EngineUnavailable(f"{where}: {error.strerror or error}") from error


def _is_still(path: Path, read: FileStamp) -> bool:
    """Whether nobody wrote or replaced the file at *path* since it was opened, nor is about to."""
    try:
        return not is_being_written(path) and FileStamp.of(path.lstat()) == read
    except OSError:
        return False


def _demand_id(task_id: TaskId) -> None:
    if not naming.is_task_id(task_id):
        raise UnknownTaskError(f"{task_id!r} is not a task id")


def _identity_of(layout: Layout) -> FolderIdentity:
    """Changes when another folder is put in the place of one of ours."""
    return tuple((about.st_dev, about.st_ino) for about in (layout.root.stat(), layout.pending.lstat()))
