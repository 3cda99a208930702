"""The two folders of a source on one host: its own, for the tasks that came in here, and one for guests.

A guest is a task that came in on another host and is carried out here. Its folder holds it while it is in hand.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import ClaimLost, EngineUnavailable
from task_queue.domain.model import Claim, Journal, Result
from task_queue.domain.task import ENDED, TaskId
from task_queue.fleet.rows import TaskRow
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.platform.temporary import remove_tree
from task_queue.ports.fleet import FleetCheckout
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.artifacts import Artifacts
from task_queue.store.folder.engine import FolderEngine


class HostFolders:
    """Methods raise EngineUnavailable."""

    def __init__(self, own: FolderEngine, guests: FolderEngine, checkout: FleetCheckout) -> None:
        self.own, self.guests, self.checkout = own, guests, checkout
        self._archive = Archive(own.layout)

    def open(self) -> None:
        self.own.open()
        self.guests.open()
        self._see_off_leftovers()

    def of(self, claim: Claim) -> FolderEngine:
        """The folder that *claim* was made in. No record is in both."""
        is_guest = os.path.lexists(self.guests.layout.log(claim.task_id))
        return self.guests if is_guest else self.own

    def claim_on(self, name: TaskId) -> Claim | None:
        """What the lock of a document of the own folder says."""
        document = naming.document_of(name)
        return next((claim for claim in self.own.queue.claims() if claim.document == document), None)

    def text_of(self, name: TaskId) -> bytes | None:
        """None where there is no such document."""
        with _available():
            try:
                return durable.read_regular(self._document(name), limit=MAX_BYTES)[0]
            except FileNotFoundError:
                return None

    def is_gone(self, name: TaskId) -> bool:
        return not os.path.lexists(self._document(name))

    def has_artifacts(self, name: TaskId) -> bool:
        """Whether files were handed in with a document of the own folder."""
        return os.path.lexists(self.own.layout.artifacts(name))

    def artifacts(self, name: TaskId) -> Artifacts:
        """Those of a document of the own folder."""
        return Artifacts(self.own.layout, name)

    def journal_of(self, name: TaskId) -> Journal | None:
        with _available():
            journal = self._archive.journal_beside(naming.document_of(name))
        return journal if isinstance(journal, Journal) else None

    def free_record(self, name: TaskId) -> TaskId:
        with _available():
            return self._archive.free_record(name)

    def has_ended(self, record: TaskId, result: Result) -> bool:
        """Whether the own folder says just that of the task."""
        with _available():
            known = self._archive.result_of(record)
            is_filed = self._archive.ended_state(record) is not None
        return is_filed and known is not None and known.attempts[-1:] == result.attempts[-1:]

    def restore(self, row: TaskRow) -> None:
        """Let the document say what the row says; a newer text is kept beside it."""
        present = self.text_of(row.name)
        if present == row.document:
            return
        document = self._document(row.name)
        with _available():
            if present is not None:
                durable.move_aside(document, document.with_name(f"edited-{naming.key_of(row.name)}.md"))
            durable.replace(document, row.document)
        self.own.touch()
        self.own.survey()

    def write_history(self, row: TaskRow) -> None:
        """Let the own folder say of a task what the row says, so that the next claim is of the record of the row."""
        beside = self.journal_of(row.name)
        wanted = row.journal or (None if self.free_record(row.name) == row.record else Journal(row.record))
        if (beside is None and wanted is None) or beside == wanted:
            return
        if wanted is not None:
            with _available():
                self._write_journal(self.own, row)
            self.own.touch(naming.journal_of(naming.document_of(row.name)))

    def receive(self, row: TaskRow) -> None:
        """Put a guest into its folder."""
        document = naming.document_of(row.name)
        with _available():
            self._write_journal(self.guests, row)
            text = self.checkout.for_a_guest(row.document)
            durable.replace(self.guests.layout.pending / document, text)
        self.guests.touch()

    def see_off(self, claim: Claim) -> None:
        """Remove all that there is of a guest whose claim is over."""
        layout, document = self.guests.layout, claim.document
        files = (
            layout.document(claim),
            layout.journal(document),
            layout.cancel(document),
            layout.result(claim.task_id),
            layout.report(claim.task_id),
            *(layout.ended(state) / naming.document_of(claim.task_id) for state in ENDED),
        )
        with suppress(ClaimLost):  # its lock is away since an earlier try
            self.guests.queue.release(claim, self.guests.queue.journal(claim))
        with _available():
            for file in files:
                durable.remove(file)
            remove_tree(layout.log(claim.task_id))
        self.guests.touch()

    def _see_off_leftovers(self) -> None:
        """Of guests whose leaving was cut off: those without a lock."""
        layout = self.guests.layout
        claims = self.guests.queue.claims()
        kept = {layout.log(claim.task_id) for claim in claims} | {layout.document(claim) for claim in claims}
        with _available():
            for log in set(layout.logs.iterdir()) - kept:
                remove_tree(log)
            for document in set(layout.pending.glob("task-*.md")) - kept:
                durable.remove(document)

    def _document(self, name: TaskId) -> Path:
        return self.own.layout.pending / naming.document_of(name)

    @staticmethod
    def _write_journal(folder: FolderEngine, row: TaskRow) -> None:
        path = folder.layout.journal(naming.document_of(row.name))
        durable.replace(path, encode(row.journal or Journal(row.record)))


@contextmanager
def _available() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise EngineUnavailable(
            f"{error.filename or 'the queue folder'}: {error.strerror or error}"
        ) from error
