"""The queue at work in this process: as the service's daemon, or in the foreground for a person or a script."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from task_queue.app.answers import TaskLine
from task_queue.app.fleet_membership import membership_of
from task_queue.app.installation import Installation
from task_queue.app.listing import list_of
from task_queue.config.locations import service_manager
from task_queue.daemon import instance, log, process
from task_queue.daemon.process import Until
from task_queue.domain.task import TaskState
from task_queue.platform import isolated
from task_queue.platform.notify import Notifier
from task_queue.ports.emit import Emit

_LEFT_SHOWN = 5


def become(installation: Installation, *command: str) -> None:
    """Have this process run *command* of the command line isolated (``platform/isolated.py``); then it returns.

    Before ``serve`` and ``work``, whose process runs longest: nothing of the present folder may become part of it.
    """
    isolated.become("task_queue.cli", "--config", str(installation.locations.config), *command)


def serve(
    installation: Installation, *, starts: Callable[[str], None], ready: Callable[[Sequence[str]], None]
) -> None:
    """Serve every source until stopped, with a log, and in touch with the service manager if there is one.

    *starts* is called with where the log is, *ready* with the ids of the sources once they are served; neither where
    the log is the journal, which has both. Raises ConfigError, or TaskQueueError if another daemon serves it.
    """
    # Before the log is opened: a FIFO in its place would hold us up.
    instance.demand_regular_files(installation.locations)
    manager = service_manager()
    log.set_up(installation.locations.state_dir, journal_stream=manager.journal_stream)
    to_journal = log.is_journal(2, manager.journal_stream)
    if not to_journal:
        starts(str(installation.locations.log))
    process.serve(
        installation.locations,
        log.record,
        notifier=Notifier(manager.notify_socket),
        fleet_of=partial(membership_of, installation.locations),
        log_place="journal" if to_journal else "file",
        ready=(lambda _sources: None) if to_journal else ready,
    )


@dataclass(eq=False, repr=False, slots=True)
class Left:
    """What ``work`` could not do."""

    stuck: Mapping[str, str]
    """Why nothing more of a source could start, by source: of those for which a person must act."""
    waiting: Sequence[TaskLine]
    """The first tasks of each other source that wait: for a person, for each other, or for longer than was allowed."""
    more: bool
    """There are more of these."""
    stopped: bool = False
    """Work was stopped before it was over."""
    next_start: datetime | None = None
    """Nothing can start before, and that was longer than was allowed."""


def work(
    installation: Installation,
    emit: Emit,
    *,
    tasks: int | None,
    drain: bool,
    patience: timedelta | None,
    waits: Callable[[datetime, str], None],
) -> Left:
    """Work until stopped, until *tasks* have ended or, with one of the two, until nothing starts by itself.

    *emit* hears of it; *waits* hears until when nothing can start, and why. It is over where that takes longer than
    *patience*, if that is given. Raises as ``serve``.
    """
    until = Until(drained=drain, tasks=tasks, patience=patience, waits=waits)
    end = process.serve(
        installation.locations,
        emit,
        notifier=Notifier(None),
        until=until,
        fleet_of=partial(membership_of, installation.locations),
    )
    if end.enough or not (drain or tasks):
        return Left({}, (), more=False)
    now = installation.again()
    sources = [source for source in now.sources() if source.id not in end.stuck]
    left = list_of(now.circumstances(), sources, states=(TaskState.PENDING,), limit=_LEFT_SHOWN)
    return Left(end.stuck, left.tasks, left.more, end.stopped, end.next_start)


def end_leftovers(installation: Installation) -> int:
    """End what attempts left running, while no daemon serves it; how many processes there were."""
    return instance.sweep(installation.locations)
