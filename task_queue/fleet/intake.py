"""Tasks on their way into a fleet."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import psycopg

from task_queue.domain.document import naming
from task_queue.domain.document.ordering import Waiting, place_in_order
from task_queue.domain.errors import TaskFileError, UnknownTaskError
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Database
from task_queue.fleet.folders import HostFolders
from task_queue.fleet.handed_in import MOST_BYTES, HandedInFiles
from task_queue.fleet.rows import SourceRows
from task_queue.ports.snapshot import Survey


def submit(database: Database, source: str, task_id: TaskId, document: bytes) -> None:
    """Let a task wait; durable when this returns. Raises UnknownTaskError where one of that name waits or runs."""
    if not naming.is_task_id(task_id):
        raise TaskFileError(f"{task_id!r} is not a task id")
    try:
        with database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO task (source, name, document) VALUES (%s, %s, %s)", [source, task_id, document]
            )
    except psycopg.errors.UniqueViolation as error:
        raise UnknownTaskError(
            f"a task {task_id} waits or runs in '{source}' already", hint="give this one another name"
        ) from error


_TOO_LARGE = (
    f"the files that were handed in with it have more than {MOST_BYTES // 2**20} MB, which do not travel: "
    "give it to a source without a repository"
)


class Intake:
    """Brings what is in a folder of *host* into the fleet, and what a person changes there.

    At most once, whatever is killed: the row is there before anything follows from it, and what has ended keeps its
    name taken until its document has left the folder.
    """

    def __init__(
        self, host: str, folders: HostFolders, rows: SourceRows, files: HandedInFiles, *, is_shared: bool
    ) -> None:
        self._host, self._folders, self._rows, self._is_shared = host, folders, rows, is_shared
        self._files = files
        self.left_out: dict[TaskId, str] = {}
        """Why documents stay out of the fleet."""
        self._seen: dict[TaskId, object] = {}
        """How each document was when it was brought in."""
        self._guard = threading.Lock()
        self._touched: set[TaskId] = set()
        self._everything = True
        self._open: set[TaskId] = set()
        """Documents of which the tables may not say yet what the folder does."""
        self._all_open = True

    def touch(self, name: str | None = None) -> None:
        """A file *name* of the folder may have changed; any, if None. For any thread."""
        document = None if name is None else naming.document_beside(name)
        with self._guard:
            if document is None:
                self._everything = self._everything or name is None or naming.is_private(name)
            else:
                self._touched.add(naming.task_id_of(document))

    def begin(self) -> frozenset[TaskId] | None:
        """Look at what was touched: of which tasks ``take_in`` is to know whether they wait; None: of all."""
        with self._guard:
            self._open |= self._touched
            self._all_open = self._all_open or self._everything
            self._touched, self._everything = set(), False
        return None if self._all_open else frozenset(self._open)

    def look_at(self, names: Iterable[TaskId]) -> None:
        """These, too, at the next ``take_in``."""
        self._open.update(names)

    def take_in(self, survey: Survey, waiting_here: Iterable[TaskId]) -> None:
        """What is whole in the folder, as *survey* says. Raises EngineUnavailable.

        *waiting_here*: those of ``begin`` that wait, as far as the folder says so, too.
        """
        rejected = {name for name, _ in survey.rejected}
        self._open.update(survey.dropped)
        if self._all_open:
            for name in [
                name for name in self._seen if survey.waiting.get(name) is None and name not in rejected
            ]:
                del self._seen[name]
            self._open.update(rejected)
            found = list(survey.waiting)
        else:
            found = sorted(
                (task for name in self._open if (task := survey.waiting.get(name)) is not None),
                key=place_in_order,
            )
        for task in found:
            self._take_in_one(task.id, task)
        for name in sorted(self._open & rejected):
            self._take_in_one(name, None)
        for name in survey.cancelled:
            self._bring_in(name)
        self._rows.cancel(survey.cancelled)
        for name in waiting_here:
            if survey.waiting.get(name) is None and name not in rejected and self._folders.is_gone(name):
                self._rows.take_out(name)
        for name in [name for name in self._open if self._folders.is_gone(name)]:
            self._forget(name)
        self._all_open = self._all_open and survey.look_again_after is not None
        self._pass_cancels_on(survey)

    def _take_in_one(self, name: TaskId, task: Waiting | None) -> None:
        stamp = self._stamp_of(name, task)
        if self._has_too_much(name):
            self.left_out[name] = _TOO_LARGE
            self._open.add(name)
            return
        self.left_out.pop(name, None)
        if self._seen.get(name) == stamp:
            self._open.discard(name)
            return
        self._open.add(name)
        if self._bring_in(name):
            self._seen[name] = stamp
            self._open.discard(name)

    def _forget(self, name: TaskId) -> None:
        self._open.discard(name)
        self._seen.pop(name, None)
        self.left_out.pop(name, None)

    def _stamp_of(self, name: TaskId, task: Waiting | None) -> object:
        has_files = self._is_shared and self._folders.has_artifacts(name)
        files = self._folders.artifacts(name).stored() if has_files else ()
        return self._folders.own.changed_ns(name), task, files

    def _has_too_much(self, name: TaskId) -> bool:
        return (
            self._is_shared
            and self._folders.has_artifacts(name)
            and self._folders.artifacts(name).size() > MOST_BYTES
        )

    def _bring_in(self, name: TaskId) -> bool:
        """Whether the row says what the folder does."""
        if self._is_shared and self._folders.has_artifacts(name):
            self._files.bring_in(self._host, name, self._folders.artifacts(name))
        text, row = self._folders.text_of(name), self._rows.open_row(name)
        if text is None:
            return False
        journal = self._folders.journal_of(name)
        if row is None:
            self._rows.bring_in(name, text, journal, self._folders.free_record(name))
            row = self._rows.open_row(name)
            return row is not None and row.intake == self._host
        if row.intake != self._host or row.state is not TaskState.PENDING:
            return False
        if (row.document, row.journal) != (text, journal):
            self._rows.change(row, text, journal)
        return True

    def _pass_cancels_on(self, survey: Survey) -> None:
        """Of tasks that run on other hosts."""
        requests = self._folders.own.requests
        elsewhere = [
            claim
            for claim in (self._folders.own.queue.claims() if survey.locks else ())
            if claim.worker != self._host
        ]
        self._rows.cancel(
            [
                naming.task_id_of(claim.document)
                for claim in elsewhere
                if requests.cancel_requested(claim) or requests.document_is_gone(claim)
            ]
        )
