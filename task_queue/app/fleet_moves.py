"""``fleet import`` and ``fleet export``: waiting tasks go from a source's folder into a fleet, and out of it again.

A task is in one place at any instant (``store.folder.moves``, ``fleet.moves``); what was interrupted is finished first.
What belongs to a folder or to a fleet beyond its document stays there, with the reason.
"""

from __future__ import annotations

import socket
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from task_queue.app.fleet import FleetPlace, ready
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config.document import SourceEntry, max_pending_of
from task_queue.domain.document.moving import Movable, dependencies_first, why_it_would_be_parted
from task_queue.domain.document.taskfile import parse
from task_queue.domain.errors import EngineUnavailable, TaskFileError, TaskMovedOn, TaskQueueError
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog
from task_queue.store.folder.ended_elsewhere import file_ended, why_not_here
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.moves import FolderMoves, MoveWay, StagedMove, StaysError
from task_queue.store.folder.preflight import demand_trust

if TYPE_CHECKING:
    from task_queue.fleet.database import Database
    from task_queue.fleet.moves import FolderKey, Leaving, Resting
    from task_queue.fleet.schema import FoundFleet

MoveCounter = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


_NO_REPOSITORY = "its source has no repository: no other host carries its tasks out"


@dataclass(frozen=True, slots=True)
class MovedTask:
    source: str
    task_id: str


@dataclass(frozen=True, slots=True)
class StayingTask:
    source: str
    task_id: str
    why: str


@dataclass(frozen=True, slots=True)
class FleetMoves:
    """What one import or export came to, or with ``dry_run`` what it would."""

    way: str
    fleet: str
    dry_run: bool
    moved: tuple[MovedTask, ...] = ()
    stays: tuple[StayingTask, ...] = ()
    ended: tuple[MovedTask, ...] = ()
    """Of an export: those of which it brought home how they ended."""
    finished: tuple[MovedTask, ...] = ()
    """Of earlier ones that were interrupted, either way."""
    schema_version: int = 1


def import_tasks(
    installation: Installation,
    place: FleetPlace,
    *,
    source: str | None,
    dry_run: bool = False,
    count: MoveCounter = lambda _done, _of: None,
) -> FleetMoves:
    """Let what waits in *source* (None: in each) wait in the fleet instead.

    Interrupted at any instant it loses nothing, and the next import or export finishes it. Raises TaskQueueError,
    ConfigError, FleetError, EngineUnavailable.
    """
    entries = _entries(installation, source)
    host = _own_host(installation)
    if host is not None:
        raise TaskQueueError(
            f"this machine is host '{host}' of a fleet: its daemon brings in what waits in its folders",
            hint="start the daemon: task-queue daemon",
        )
    with _opened(place, entries, dry_run=dry_run) as opened:
        here = installation.circumstances(read_all=True).snapshots
        candidates: list[Movable] = []
        for entry in entries:
            survey = here.survey(entry.id)
            if entry.repository is None:
                for task in survey.waiting:
                    opened.stay(entry.id, task.id, _NO_REPOSITORY)
                continue
            candidates += [Movable(entry.id, task.id, task.depends_on) for task in survey.waiting]
            for task_id, why in (
                *survey.rejected,
                *((each, "it is to be cancelled") for each in survey.cancelled),
            ):
                opened.stay(entry.id, task_id, why)
        folders = {entry.id: FolderMoves(Layout(entry.path)) for entry in entries}
        opened.move_each(
            candidates,
            is_left=lambda task_id: here.state_of(task_id) is not None,
            move=lambda task: (
                folders[task.source].why_it_stays(task.task_id)
                if dry_run
                else opened.sources[task.source].send(task.task_id)
            ),
            count=count,
        )
    return _done(installation, opened, MoveWay.IMPORT, source, dry_run=dry_run)


def export_tasks(
    installation: Installation,
    place: FleetPlace,
    *,
    source: str | None,
    dry_run: bool = False,
    count: MoveCounter = lambda _done, _of: None,
) -> FleetMoves:
    """The way back: what waits in the fleet for *source* (None: for each of the configuration) waits in its folder.

    And what ended there without a folder that shows it is in that folder as if it had ended here.

    As ``import_tasks``.
    """
    entries = _entries(installation, source)
    host, circumstances = _own_host(installation), installation.circumstances()
    if host is not None and circumstances.daemon.running:
        raise TaskQueueError(
            f"the daemon of this machine is host '{host}' of the fleet, and would bring the tasks in again",
            hint="stop it, and remove 'fleet' from the configuration before it starts again",
        )
    with _opened(place, entries, dry_run=dry_run) as opened:
        from task_queue.fleet.moves import knows_any, resting_in

        for entry in entries:
            opened.bring_home(installation, entry, dry_run=dry_run)
        here = circumstances.snapshots
        everywhere = [entry.id for entry in installation.entries()]
        room: dict[str, int] = {}
        candidates: list[Movable] = []
        for entry in entries:
            survey = here.survey(entry.id)
            waiting = len(survey.waiting) + len(survey.unread)
            room[entry.id] = max_pending_of(installation.content, entry) - waiting
            if host is not None:
                opened.take_back(entry.id, host, dry_run=dry_run)
            for task in resting_in(opened.database, entry.id):
                if task.in_folder_of == host is not None:
                    continue
                if task.why_tied is None:
                    candidates.append(Movable(entry.id, task.task_id, _depends_on(task)))
                else:
                    opened.stay(entry.id, task.task_id, task.why_tied)

        def fetched(task: Movable) -> str | None:
            if room[task.source] <= 0:
                return "as many tasks wait in its folder as may (max_pending)"
            why = None if dry_run else opened.sources[task.source].fetch(task.task_id)
            room[task.source] -= why is None
            return why

        home = {TaskId(task.task_id) for task in opened.ended}
        opened.move_each(
            candidates,
            is_left=lambda task_id: (
                task_id not in home
                and here.state_of(task_id) is None
                and knows_any(opened.database, everywhere, task_id)
            ),
            move=fetched,
            count=count,
        )
    return _done(installation, opened, MoveWay.EXPORT, source, dry_run=dry_run)


@dataclass
class _OpenMoves:
    """A fleet and the sources of which tasks are moved, while no other process moves any; and what came of it."""

    database: Database
    fleet: FoundFleet
    sources: dict[str, _SourceMoves] = field(default_factory=dict[str, "_SourceMoves"])
    moved: list[MovedTask] = field(default_factory=list[MovedTask])
    stays: list[StayingTask] = field(default_factory=list[StayingTask])
    ended: list[MovedTask] = field(default_factory=list[MovedTask])
    finished: list[MovedTask] = field(default_factory=list[MovedTask])

    def stay(self, source: str, task_id: str, why: str) -> None:
        self.stays.append(StayingTask(source, task_id, why))

    def finish(self) -> None:
        for source in self.sources.values():
            for task_id, why in source.finish():
                if why is None:
                    self.finished.append(MovedTask(source.id, task_id))
                else:
                    self.stay(source.id, task_id, why)

    def bring_home(self, installation: Installation, entry: SourceEntry, *, dry_run: bool) -> None:
        """What ended in the fleet and no folder shows."""
        from task_queue.fleet.ended import ended_in, ended_task, forget_texts
        from task_queue.fleet.mirror import settled

        layout = Layout(entry.path)
        log = EventLog(installation.locations.events, warn=lambda _: None)
        for record in ended_in(self.database, entry.id):
            task = ended_task(self.database, entry.id, record)
            why = why_not_here(layout, record, task.result)
            if why is not None:
                self.stay(entry.id, record, why)
                continue
            self.ended.append(MovedTask(entry.id, record))
            if not dry_run:
                if file_ended(layout, task):
                    log.emit(settled(entry.id, task.result))
                forget_texts(self.database, entry.id, record)
        log.close()

    def take_back(self, source: str, host: str, *, dry_run: bool) -> None:
        """What came into the fleet by the folder of this machine, whose name there is *host*."""
        from task_queue.fleet.moves import hand_back

        for key in (source, f"{source}@{host}"):
            for task in hand_back(self.database, key, host, dry_run=dry_run):
                if task.why_kept is None:
                    self.moved.append(MovedTask(source, task.task_id))
                else:
                    self.stay(source, task.task_id, task.why_kept)

    def move_each(
        self,
        candidates: Iterable[Movable],
        *,
        is_left: Callable[[TaskId], bool],
        move: Callable[[Movable], str | None],
        count: MoveCounter,
    ) -> None:
        """*move* says why a task stays, None if it was moved."""
        tasks = dependencies_first(candidates)
        gone = {TaskId(task.task_id) for task in self.finished}
        for number, task in enumerate(tasks):
            count(number, len(tasks))
            why = why_it_would_be_parted(task, moved=gone, is_left=is_left) or move(task)
            if why is None:
                gone.add(task.task_id)
                self.moved.append(MovedTask(task.source, task.task_id))
            else:
                self.stay(task.source, task.task_id, why)


@contextmanager
def _opened(place: FleetPlace, entries: Iterable[SourceEntry], *, dry_run: bool) -> Generator[_OpenMoves]:
    """With what was interrupted finished, and then nothing under way; with *dry_run* nothing is touched."""
    with ready(place) as (database, fleet), ExitStack() as held:
        opened = _OpenMoves(database, fleet)
        try:
            for entry in entries:
                layout = Layout(entry.path)
                demand_trust(layout)
                if not dry_run:
                    folder = FolderMoves(layout)
                    held.enter_context(folder.alone())
                    opened.sources[entry.id] = _SourceMoves(database, fleet, entry, folder)
            opened.finish()
            yield opened
        except OSError as error:
            raise EngineUnavailable(
                f"{error.filename or 'a file of the queue'}: {error.strerror or error}",
                hint="nothing is lost: end the cause, and give the same command again",
            ) from error


def _entries(installation: Installation, source: str | None) -> tuple[SourceEntry, ...]:
    installation.demand_trust()
    return installation.entries() if source is None else (installation.entry(source),)


def _own_host(installation: Installation) -> str | None:
    """The name of this machine in the fleet that it has joined."""
    name = installation.section("fleet").get("host")
    return name if isinstance(name, str) else None


def _depends_on(task: Resting) -> tuple[TaskId, ...]:
    try:
        found: tuple[TaskId, ...] = parse(task.document, task.task_id).given.get("depends_on", ())
    except TaskFileError:
        return ()  # it is rejected wherever it waits
    return found


def _done(
    installation: Installation, opened: _OpenMoves, way: MoveWay, source: str | None, *, dry_run: bool
) -> FleetMoves:
    if not dry_run:
        record_action(installation, f"fleet {way.value}", source=source, moved=len(opened.moved))
    return FleetMoves(
        way.value,
        opened.fleet.name,
        dry_run,
        tuple(opened.moved),
        tuple(opened.stays),
        tuple(opened.ended),
        tuple(opened.finished),
    )


class _SourceMoves:
    """One source: its folder here, and what the fleet has of it."""

    def __init__(
        self, database: Database, fleet: FoundFleet, entry: SourceEntry, folder: FolderMoves
    ) -> None:
        from task_queue.fleet.moves import FolderKey

        self.id = entry.id
        self._database, self._fleet, self._folder = database, fleet, folder
        self._key: FolderKey = FolderKey(folder.folder_id(), f"{socket.gethostname()}:{entry.queue}")

    def finish(self) -> Iterator[tuple[TaskId, str | None]]:
        """What an earlier import or export of the folder left unfinished; why one could not be, None if it is."""
        from task_queue.fleet import moves

        staged = self._folder.staged()
        for move in staged:
            if move.fleet != self._fleet.id:
                raise EngineUnavailable(
                    f"source '{self.id}': {move.task_id} is on its way between this folder and another fleet",
                    hint=f"finish that {move.way.value} first, with the --db and --schema of that fleet",
                )
        moves.forget_received(self._database, self._key, but=[move.id for move in staged])
        leaving = moves.leaving_to(self._database, self._key)
        known = {task.move_id for task in leaving}
        for move in staged:
            if move.way is MoveWay.IMPORT:
                yield move.task_id, _why_not(partial(self._hand_over, move))
            elif move.id not in known:
                self._forget_arrived(move)
        for task in leaving:
            yield task.task_id, _why_not(partial(self._bring_in, task))

    def send(self, task_id: TaskId) -> str | None:
        """Into the fleet; why it stays, None if it is there."""
        return _why_not(lambda: self._hand_over(self._folder.take(task_id, self._fleet.id)))

    def fetch(self, task_id: TaskId) -> str | None:
        """Out of the fleet; why it stays, None if it is here."""
        from task_queue.fleet import moves

        leaving = moves.let_leave(
            self._database, str(uuid.uuid4()), source=self.id, task_id=task_id, folder=self._key
        )
        if leaving is None:
            return "it has begun, or was changed just now"
        return _why_not(partial(self._bring_in, leaving))

    def _hand_over(self, move: StagedMove) -> None:
        from task_queue.fleet import moves

        why = moves.receive(
            self._database,
            move.id,
            source=self.id,
            task_id=move.task_id,
            document=self._folder.document_of(move),
            dropped_at=move.dropped_at,
            folder=self._key,
        )
        if why is not None:
            self._folder.put_back(move)
            raise StaysError(why)
        self._folder.finish_taking(move)
        moves.forget(self._database, move.id)

    def _bring_in(self, task: Leaving) -> None:
        from task_queue.fleet import moves

        move = StagedMove(task.move_id, MoveWay.EXPORT, self._fleet.id, task.task_id, task.dropped_at)
        try:
            if not self._folder.is_staged(move):
                self._folder.stage(move, task.document)
            self._folder.arrive(move)
        except StaysError:
            self._folder.clear(move.id)
            moves.came_back(self._database, move.id)
            raise
        moves.has_left(self._database, move.id)
        self._folder.clear(move.id)

    def _forget_arrived(self, move: StagedMove) -> None:
        if not self._folder.has_arrived(move):
            raise EngineUnavailable(
                f"source '{self.id}': the fleet knows nothing of the export of {move.task_id}, whose document is in "
                f"{self._folder.place_of(move)}",
                hint="the database was restored from an earlier copy? See whether the task waits in the fleet "
                "(task-queue fleet status), and move that folder away if it does",
            )
        self._folder.clear(move.id)


def _why_not(act: Callable[[], object]) -> str | None:
    try:
        act()
    except (StaysError, TaskMovedOn) as error:
        return str(error)
    return None
