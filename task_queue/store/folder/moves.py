"""Tasks on their way between a source's folder and a fleet: each in a folder of its own, ``moving/ID/``.

The document is in one place at any instant, and one rename takes it from there: into ``moving/`` when it leaves, out of
it when it arrives. ``move.json`` beside it says which way; it is written before a document that leaves, and after
one that arrives. So what an interrupted move came to can be seen from which of the two files are there.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.errors import EngineUnavailable, TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.lockfile import locked
from task_queue.platform.records import encode
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.files import read_record
from task_queue.store.folder.holding import held
from task_queue.store.folder.intake_check import is_being_written
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.tied import why_tied

_RECORD, _DOCUMENT = "move.json", "task.md"
_LOCK, _FOLDER_ID, _OVER = ".lock", ".id", ".over-"
_LOCK_PATIENCE_S = 5.0


class MoveWay(StrEnum):
    IMPORT = "import"
    """Into the fleet."""
    EXPORT = "export"
    """Out of it."""


class StaysError(TaskQueueError):
    """The task cannot be moved, and is where it was."""


@dataclass(frozen=True, slots=True)
class StagedMove:
    """What is known of a move; ``fleet`` is the id of the fleet."""

    id: str
    way: MoveWay
    fleet: str
    task_id: TaskId
    dropped_at: datetime
    schema_version: int = 1


class FolderMoves:
    """Of one source. Within ``alone`` only; every method may raise OSError, EngineUnavailable."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._archive = Archive(layout)

    @contextmanager
    def alone(self) -> Generator[None]:
        """Within, no other process moves tasks of the source. Raises EngineUnavailable if another does."""
        durable.make_directory(self._layout.moving)
        try:
            with locked(self._layout.moving / _LOCK, within_s=_LOCK_PATIENCE_S):
                durable.sweep_temporaries(self._layout.moving)
                for path in self._layout.moving.glob(f"{_OVER}*"):
                    _remove(path)
                yield
        except TimeoutError as error:
            raise EngineUnavailable(
                f"{self._layout.moving}: another import or export works on this source",
                hint="wait for its end",
            ) from error

    def folder_id(self) -> str:
        """By which the fleet knows the folder, wherever it is moved to."""
        path = self._layout.moving / _FOLDER_ID
        with suppress(FileExistsError):
            if not path.exists():
                durable.publish(path, f"{uuid.uuid4()}\n".encode())
        text = durable.read_regular(path, limit=100)[0].decode(errors="replace").strip()
        try:
            return str(uuid.UUID(text))
        except ValueError as error:
            raise EngineUnavailable(f"{path} is not the id of a folder", hint="move it away") from error

    def staged(self) -> tuple[StagedMove, ...]:
        """The moves that have to be finished; what never came to be one is removed."""
        found: list[StagedMove] = []
        for name in names_of_moves(self._layout):
            folder = self._layout.moving / name
            has_document = os.path.lexists(folder / _DOCUMENT)
            if not os.path.lexists(
                folder / _RECORD
            ):  # not begun; one that was to arrive is whole in the fleet
                self.clear(name)
                continue
            move = read_record(StagedMove, folder / _RECORD)
            if not isinstance(move, StagedMove) or move.id != name or not naming.is_task_id(move.task_id):
                raise EngineUnavailable(
                    f"{folder / _RECORD} cannot be understood",
                    hint=f"look at {folder}, and move it away if its task is not needed",
                )
            if move.way is MoveWay.IMPORT and not has_document:  # not taken yet, or put back
                self.clear(name)
                continue
            found.append(move)
        return tuple(found)

    def document_of(self, move: StagedMove) -> bytes:
        return durable.read_regular(self._layout.moving / move.id / _DOCUMENT, limit=MAX_BYTES)[0]

    def why_it_stays(self, task_id: TaskId) -> str | None:
        """Why the waiting *task_id* cannot leave."""
        return why_tied(self._layout, self._archive, task_id)

    def take(self, task_id: TaskId, fleet: str) -> StagedMove:
        """Take the waiting *task_id* out of the source: nothing claims it any more. Raises TaskMovedOn, StaysError."""
        path = self._layout.pending / naming.document_of(task_id)
        with held(self._layout, task_id) as data:
            why = self.why_it_stays(task_id)
            if len(data) > MAX_BYTES:
                why = f"its document has more than {MAX_BYTES:,} bytes"
            if why is not None:
                raise StaysError(why)
            dropped_at = naming.time_in(path.name) or datetime.fromtimestamp(path.lstat().st_mtime, UTC)
            move = StagedMove(str(uuid.uuid4()), MoveWay.IMPORT, fleet, task_id, dropped_at)
            folder = self._layout.moving / move.id
            durable.make_directory(folder)
            durable.publish(folder / _RECORD, encode(move))
            durable.move(path, folder / _DOCUMENT)
        if is_being_written(folder / _DOCUMENT):  # by a process that had it open before
            self.put_back(move)
            raise StaysError("it is being written")
        return move

    def finish_taking(self, move: StagedMove) -> None:
        """The fleet has the task now."""
        self._drop_second_name(self._document(move), self._layout.pending / naming.document_of(move.task_id))
        self.clear(move.id)

    def put_back(self, move: StagedMove) -> None:
        """Let a task wait here again that was taken. Raises StaysError if another has its name by now."""
        target = self._layout.pending / naming.document_of(move.task_id)
        try:
            durable.move(self._document(move), target)
        except FileExistsError as error:
            if not self._drop_second_name(target, self._document(move)):
                raise StaysError(
                    f"another task of that name waits in {target.parent} by now; it is kept as {self._document(move)}"
                ) from error
        self.clear(move.id)

    def stage(self, move: StagedMove, document: bytes) -> None:
        """Make ready what is to arrive. It does not wait yet; what an earlier try left is replaced."""
        folder = self._layout.moving / move.id
        durable.make_directory(folder)
        durable.replace(folder / _DOCUMENT, document)
        dropped_at = move.dropped_at.timestamp()
        os.utime(folder / _DOCUMENT, (dropped_at, dropped_at))
        durable.publish(folder / _RECORD, encode(move))

    def arrive(self, move: StagedMove) -> None:
        """Let it wait here, unless it does already. Raises StaysError if another task has its name."""
        document, target = self._document(move), self._layout.pending / naming.document_of(move.task_id)
        if not os.path.lexists(document):
            return
        if os.path.lexists(self._layout.lock(target.name)):
            raise StaysError(f"a task of that name runs in {self._layout.root}")
        try:
            durable.move(document, target)
        except FileExistsError as error:
            if not self._drop_second_name(target, document):
                raise StaysError(f"a task of that name waits in {target.parent}") from error

    def is_staged(self, move: StagedMove) -> bool:
        """Or has arrived already."""
        return os.path.lexists(self._layout.moving / move.id / _RECORD)

    def has_arrived(self, move: StagedMove) -> bool:
        """Of one that was staged."""
        return not os.path.lexists(self._document(move))

    def place_of(self, move: StagedMove) -> Path:
        return self._layout.moving / move.id

    def clear(self, move_id: str) -> None:
        """Forget a move, in one step, with what is left of it in ``moving/``."""
        folder = self._layout.moving / move_id
        if os.path.lexists(folder):
            over = folder.with_name(f"{_OVER}{move_id}")
            durable.move(folder, over)
            _remove(over)

    def _document(self, move: StagedMove) -> Path:
        return self._layout.moving / move.id / _DOCUMENT

    def _drop_second_name(self, kept: Path, other: Path) -> bool:
        """Whether *other* was the same file as *kept*: on a file system on which a move is two steps."""
        try:
            same = os.path.samestat(kept.lstat(), other.lstat())
        except FileNotFoundError:
            return False
        if same:
            durable.remove(other)
        return same


def names_of_moves(layout: Layout) -> tuple[str, ...]:
    """Of the moves that are under way or were interrupted; for readers, too. Raises OSError."""
    try:
        names = os.listdir(layout.moving)  # noqa: PTH208 - names only
    except FileNotFoundError:
        return ()
    return tuple(sorted(name for name in names if not naming.is_private(name)))


def _remove(folder: Path) -> None:
    for path in (folder / _DOCUMENT, folder / _RECORD, *folder.glob(f"{durable.TEMPORARY_PREFIX}*")):
        durable.remove(path)
    folder.rmdir()
    durable.sync_directory(folder.parent)
