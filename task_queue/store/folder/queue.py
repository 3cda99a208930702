"""The claims of a source: a lock beside the document says who works on it, and settling takes it away last.

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
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace as changed
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.attempt.lifecycle import session_of_next
from task_queue.domain.attempt.proof import new_token, proof_of
from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES, parse
from task_queue.domain.errors import ClaimHeld, ClaimLost, TaskFileError
from task_queue.domain.model import Attempt, Claim, Journal, Result
from task_queue.domain.task import Task, TaskId
from task_queue.platform import durable
from task_queue.platform.owners import this_process
from task_queue.platform.records import encode
from task_queue.store.folder import preflight
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.attempts import ENDING
from task_queue.store.folder.claim_cache import CachedClaim, ClaimCache
from task_queue.store.folder.documents import ClaimedDocuments
from task_queue.store.folder.files import (
    keep_in_logs,
    make_attempt,
    make_folder,
    read_record,
    remove_file,
    replace_file,
)
from task_queue.store.folder.guard import SourceGuard
from task_queue.store.folder.intake_check import FileStamp, is_being_written, why_not_a_document
from task_queue.store.folder.layout import RUN, SNAPSHOT, Layout
from task_queue.store.folder.locks import Locks
from task_queue.store.folder.outputs import TaskOutputs
from task_queue.store.folder.pending import Pending
from task_queue.store.folder.records import DocumentFile, RunFile, lock_bytes


class FolderQueue:
    """Implements ports.queue.Queue."""

    def __init__(
        self,
        layout: Layout,
        *,
        pending: Pending,
        cache: ClaimCache,
        locks: Locks,
        archive: Archive,
        guard: SourceGuard,
        available: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._layout = layout
        self._pending = pending
        self._cache = cache
        self._locks = locks
        self._archive = archive
        self._guard = guard
        self._available = available
        self._documents = ClaimedDocuments(layout, cache)
        self._outputs = TaskOutputs(layout, cache)

    def claim(self, task_id: TaskId, *, worker: str, now: datetime) -> Claim:
        document = task_id + ".md"
        with self._available():
            preflight.demand_trust(self._layout)
            if self._locks.is_restored_on(document):
                raise ClaimHeld(f"{document}: its lock was taken away while it was in hand; put back")
            data, about = self._complete_document(document)
            journal, unreadable = self._journal_or_why(document)
            record_id = journal.task_id if journal else self._archive.free_record(task_id)
            earlier = journal.attempts if journal else ()
            make_folder(self._layout, self._layout.log(record_id))
            last = max((*self._archive.attempts_used(record_id), *(a.number for a in earlier)), default=0)
            self._put_back_lost_lock(document, data, record_id, last, earlier)
            number = 1 + last
            session = session_of_next(journal)
            token = new_token()
            claim = Claim(
                task_id=record_id,
                worker=worker,
                started_at=now,
                attempt=number,
                session_id=session or str(uuid.uuid4()),
                resumes=session is not None,
                owner=this_process(str(threading.get_native_id())),
                document=document,
                document_identity=str(
                    DocumentFile(hashlib.sha256(data).hexdigest(), about.st_dev, about.st_ino)
                ),
                proof=proof_of(token),
            )
            attempt = make_attempt(self._layout, record_id, number)
            try:
                durable.publish(attempt / SNAPSHOT, data[:MAX_BYTES])
                self._locks.note(claim)
                durable.publish(self._layout.lock(document), lock_bytes(claim))
            except FileExistsError as error:
                # Or it would be tried again and again until an event comes.
                self._pending.touch(naming.lock_of(document))
                raise ClaimHeld(f"{document} is claimed by another process") from error
            journal = journal or Journal(claim.task_id)
            cached = CachedClaim(
                claim, token, text=data[:MAX_BYTES], journal=journal, root=self._locks.root()
            )
            cached.refusal = unreadable
            self._cache.add(cached)
            self._check_still_there(claim)
            return claim

    def token_of(self, claim: Claim) -> str:
        cached = self._cache.of(claim)
        return "" if cached is None else cached.token

    def task(self, claim: Claim) -> Task:
        cached = self._cache.of(claim)
        if cached is not None and cached.refusal is not None:
            raise TaskFileError(cached.refusal, hint="look at it, then retry the task")
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
            return self._journal_or_why(claim.document)[0] or Journal(claim.task_id)

    def arrived_at(self, claim: Claim) -> datetime | None:
        try:
            about = self._layout.document(claim).lstat()
        except OSError:
            return None
        return (
            datetime.fromtimestamp(about.st_ctime, UTC)
            if about.st_ino == DocumentFile.of(claim).ino
            else None
        )

    def claims(self) -> tuple[Claim, ...]:
        with self._available():
            # Who does not serve the source cannot know whose claims these are.
            return self._locks.known() if self._guard.serves else tuple(self._locks.all().values())

    def claims_to_stop(self) -> tuple[Claim, ...]:
        with self._available():
            return self.claims() if self._guard.acquire() else ()

    def settle(self, claim: Claim, result: Result, report: str = "") -> str | None:
        with self._available():
            if not (self._locks.is_present(claim) or self._locks.is_restored(claim)):
                settled = self._archive.result_of(claim.task_id)
                filed = self._archive.ended_state(claim.task_id) is not None
                if filed and settled is not None and settled.attempts[-1:] == result.attempts[-1:]:
                    return None
                self._restore_lock(claim)
            notes = (
                *result.product.notes,
                *self._documents.notes(claim),
                *self._outputs.make_room(claim, result),
            )
            noted = changed(result, product=changed(result.product, notes=notes))
            self._pending.ended(claim.document)  # first: who sees the result may drop the next one
            self._outputs.publish(claim, noted, report)
            newer = self._documents.file(claim, result.state)
            remove_file(self._layout, self._layout.journal(claim.document))
            remove_file(self._layout, self._layout.cancel(claim.document))
            self._unlock(claim)
            return newer

    def release(self, claim: Claim, journal: Journal) -> str | None:
        newer = None
        with self._available():
            if not (self._locks.is_present(claim) or self._locks.is_restored(claim)):
                self._restore_lock(claim)
            replace_file(self._layout, self._layout.journal(claim.document), encode(journal))
            if self._documents.is_edited(claim):
                newer = self._documents.keep_newer(claim)
                with contextlib.suppress(FileExistsError):
                    durable.publish(self._layout.document(claim), self._documents.snapshot(claim))
            self._unlock(claim)
        return newer

    def _journal_or_why(self, document: str) -> tuple[Journal | None, str | None]:
        """The history of *document*, or why there is none although there was a file: that is kept, in ``logs/``."""
        journal = self._archive.journal_beside(document)
        if not isinstance(journal, str):
            return journal, None
        kept = keep_in_logs(self._layout, self._layout.journal(document))
        return None, f"the history of its attempts is {journal}; it is kept as {kept}"

    def _complete_document(self, document: str) -> tuple[bytes, os.stat_result]:
        path = self._layout.pending / document
        try:
            data, about = durable.read_regular(path, limit=MAX_BYTES)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENOTSUP, errno.EACCES}:
                self._pending.touch(document)
                raise ClaimHeld(f"{document} is not there any more") from error
            raise
        surveyed, read = self._pending.stamp(document), FileStamp.of(about)
        stale = surveyed is not None and surveyed != read
        if stale or why_not_a_document(about) is not None or not _is_still(path, read):
            self._pending.touch(document)
            raise ClaimHeld(f"{document} is being changed")
        return data, about

    def _check_still_there(self, claim: Claim) -> None:
        """A claim taken while another worker was settling the same document must not run it again, nor one taken
        while a person began to change it (``holding``)."""
        self._pending.touch(naming.lock_of(claim.document))
        try:
            about = self._layout.document(claim).lstat()
        except FileNotFoundError:
            about = None
        if (
            about is None
            or about.st_ino != DocumentFile.of(claim).ino
            or _is_taken_in_hand(self._layout.document(claim))
        ):
            self._unlock(claim)
            raise ClaimHeld(f"{claim.document} went away or was changed while it was claimed")

    def _put_back_lost_lock(
        self, document: str, data: bytes, record_id: TaskId, last: int, earlier: tuple[Attempt, ...]
    ) -> None:
        """An attempt that began and is neither ended nor in the history still owns the task: its lock was
        deleted. Raises ClaimHeld once the lock is there again."""
        attempt = self._layout.attempt(record_id, last)
        file = read_record(RunFile, attempt / RUN)
        run = file.record if isinstance(file, RunFile) else None
        if run is None or run.claim is None:
            return
        if (run.claim.document, run.claim.task_id) != (document, record_id):
            return
        ended = os.path.lexists(attempt / ENDING)
        if run.abandoned or ended or any(attempt.number == last for attempt in earlier):
            return
        if self._locks.put_back(run.claim, data):
            raise ClaimHeld(f"{document}: its lock was deleted while attempt {last} ran; put back")

    def _restore_lock(self, claim: Claim) -> None:
        """Put the lock of *claim* back if it was only deleted; raises ClaimLost if the task has moved on.

        Only the one who serves the source gets here, so no other worker removed a missing lock.
        """
        superseded = max(self._archive.attempts_used(claim.task_id), default=claim.attempt) != claim.attempt
        ended = self._archive.ended_state(claim.task_id) is not None
        taken = os.path.lexists(self._layout.lock(claim.document))
        # Without its attempt, another folder was put in the place of the one that it was made in.
        is_elsewhere = not os.path.lexists(self._layout.attempt_of(claim))
        if superseded or ended or taken or is_elsewhere or self._is_in_history(claim):
            raise ClaimLost(f"{claim.task_id}: the claim of attempt {claim.attempt} is gone")
        durable.make_directory(self._layout.pending)
        durable.publish(self._layout.lock(claim.document), lock_bytes(claim))

    def _is_in_history(self, claim: Claim) -> bool:
        journal = self._archive.journal_beside(claim.document)
        return isinstance(journal, Journal) and any(a.number == claim.attempt for a in journal.attempts)

    def _unlock(self, claim: Claim) -> None:
        self._locks.remove(claim)
        for name in (
            claim.document,
            naming.lock_of(claim.document),
            naming.journal_of(claim.document),
            naming.cancel_of(claim.document),
        ):
            self._pending.touch(name)


def _is_taken_in_hand(path: Path) -> bool:
    try:
        return is_being_written(path)
    except OSError:
        return True


def _is_still(path: Path, read: FileStamp) -> bool:
    """Whether no process wrote or replaced the file at *path* since it was opened, nor is about to."""
    try:
        return not is_being_written(path) and FileStamp.of(path.lstat()) == read
    except OSError:
        return False
