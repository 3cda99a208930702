"""The worker as a process: its lock, its private daemon, its slots, and how it ends."""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

from task_queue.app.installation import Installation
from task_queue.client import ApiError, Client, Unreachable
from task_queue.domain.errors import TaskQueueError
from task_queue.platform import durable
from task_queue.platform.lockfile import FileLock
from task_queue.worker.held_claims import HeldTasks
from task_queue.worker.private_queue import PrivateQueue
from task_queue.worker.reachability import Reachability
from task_queue.worker.repositories import is_reachable
from task_queue.worker.settings import Tell, WorkerPlaces, WorkerSettings, places_for
from task_queue.worker.slot import Shutdown, Slot

_LOOK_S = 1.0
_KNOCK_AGAIN_S = 5.0


def work(settings: WorkerSettings, own: Installation, tell: Tell) -> None:
    """Carry out tasks of the server until a signal, or until there is none left where the settings say so.

    *own* is the machine's own configuration, which need not be there. Lines are said from any thread.
    Raises TaskQueueError, OSError.
    """
    if shutil.which("git") is None:
        raise TaskQueueError("the program git was not found", hint="install git, or set its PATH")
    places = places_for(settings.server)
    durable.make_directory(places.state)
    lock = FileLock(places.lock)
    if not lock.take(within_s=0):
        raise TaskQueueError(
            f"another worker for {settings.server} runs here", hint="one has --slots; end it first"
        )
    try:
        _WorkerProcess(settings, places, own, tell).run()
    finally:
        lock.release()


class _WorkerProcess:
    def __init__(self, settings: WorkerSettings, places: WorkerPlaces, own: Installation, tell: Tell) -> None:
        self._settings, self._places, self._tell = settings, places, tell
        self._shutdown = Shutdown()
        self._queue = PrivateQueue(places, slots=settings.slots, own=own, tell=tell)
        self._reachability = Reachability(partial(is_reachable, places.state))
        self._failure: TaskQueueError | OSError | None = None

    def run(self) -> None:
        settings = self._settings
        with (
            _signals(self._shutdown.wanted),
            Client(
                settings.server, token_file=settings.token_file, ca_file=settings.ca_file, patience_s=0
            ) as client,
        ):
            self._queue.prepare()
            self._demand_credential(client)
            held = HeldTasks(self._queue.locations.state_dir / "held-claims")
            self._drop_what_nobody_holds(held)
            slots = [
                threading.Thread(target=self._serve, args=(number, client, held), name=f"slot-{number}")
                for number in range(1, settings.slots + 1)
            ]
            self._queue.look()
            self._tell(f"works for {settings.server} with {settings.slots} slots; end it with Ctrl-C")
            for slot in slots:
                slot.start()
            while any(slot.is_alive() for slot in slots) and not self._shutdown.wanted.wait(_LOOK_S):
                self._queue.look()
            self._tell("ends: interrupts what runs")
            self._shutdown.wanted.set()
            self._queue.stop()
            self._shutdown.daemon_gone.set()
            for slot in slots:
                slot.join()
        if self._failure is not None:
            raise self._failure
        self._tell("ended")

    def _serve(self, number: int, client: Client, held: HeldTasks) -> None:
        slot = Slot(
            number,
            self._settings,
            client,
            self._queue,
            held,
            workspaces=self._places.workspaces(number),
            reachability=self._reachability,
            shutdown=self._shutdown,
            tell=self._tell,
        )
        try:
            slot.serve()
        except (TaskQueueError, OSError) as error:
            self._tell(f"slot-{number} ends: {error}")
            self._failure = error

    def _demand_credential(self, client: Client) -> None:
        """Wait for the server; raises ApiError if it knows no such credential."""
        said = False
        while not self._shutdown.wanted.is_set():
            try:
                client.tasks(limit=1)
            except Unreachable as error:
                if not said:
                    self._tell(f"{error}; tries again")
                said = True
            except ApiError as error:
                if error.status < 500 and error.status != 429:
                    raise
                if not said:
                    self._tell(f"the server is not ready: {error}; tries again")
                said = True
            else:
                return
            self._shutdown.wanted.wait(_KNOCK_AGAIN_S)

    def _drop_what_nobody_holds(self, held: HeldTasks) -> None:
        """Tasks whose claim was given back just before a kill must not run once more."""
        for number in range(1, self._settings.slots + 1):
            mine = held.of(number)
            for local_id in self._queue.ids_in(number):
                if mine is None or local_id != mine.local_id:
                    with suppress(TaskQueueError):
                        self._queue.cancel(local_id)


@contextmanager
def _signals(wanted: threading.Event) -> Generator[None, None, None]:
    """SIGTERM and SIGINT set *wanted*; as before at the end."""

    def note(_number: int, _frame: FrameType | None) -> None:
        wanted.set()

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
