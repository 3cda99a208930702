"""A host in its fleet: it joins, shows that it lives, watches the others, and stops where it may not go on."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from task_queue.domain.errors import ClaimLost, EngineUnavailable
from task_queue.domain.fleet_sight import LEASE, SIGHT
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress
from task_queue.fleet.attempts import frames_of
from task_queue.fleet.daily import DailyRetention
from task_queue.fleet.database import Cursor, Database
from task_queue.fleet.engine import FleetEngine
from task_queue.fleet.feed import FeedPlace, Touched, end_of_feed, touched_after
from task_queue.fleet.folders import HostFolders
from task_queue.fleet.handed_in import HandedInFiles
from task_queue.fleet.held import HostLife
from task_queue.fleet.hosts import Lifeline, join
from task_queue.fleet.joined import JoinedEngine, JoinedSource
from task_queue.fleet.mirror import Mirror
from task_queue.fleet.restored import mend_numbers, next_number
from task_queue.fleet.rows import SourceRows, TaskRow, state_of
from task_queue.fleet.schema import demand_ready
from task_queue.fleet.shared_account import SharedAccount
from task_queue.fleet.sight import SightKeeper
from task_queue.platform import durable, leases
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.ports.fleet import FleetDaemon, FleetSource
from task_queue.store.folder.engine import FolderEngine

log = logging.getLogger(__name__)
_TURN_S = 1.0
_PATIENCE_S = 10.0
_SIGN_WITHIN_S = 5.0


class Membership:
    """Implements ports.fleet.Fleet."""

    def __init__(
        self,
        address: FleetAddress,
        host: str,
        credential: str,
        *,
        slots: int,
        account: str,
        folder: Path,
        clock: Clock,
        capabilities: Sequence[str] | None = None,
        retention_days: int = 0,
    ) -> None:
        """*slots*: how many tasks it carries out at once. *account*: what its agents are billed to, by a name that
        hosts which use it have in common. *folder*: of this host, for guests and the lease. *capabilities*: what the
        others see that it has; None: what it was added with. *retention_days*: older ended tasks
        go from the tables; 0: none."""
        self._account = SharedAccount(account, host)
        self._retention = DailyRetention(address, retention_days, clock)
        self._address, self._host, self._credential = address, host, credential
        self._slots, self._folder, self._clock = slots, folder, clock
        self._capabilities = capabilities
        self._lease = leases.LeaseFile(folder / LEASE)
        self._sight = SightKeeper(folder / SIGHT, host, clock)
        self._work, self._signs = Database(address), Database(address, patience_s=_SIGN_WITHIN_S)
        """The second one is for the signs of life alone: work that hangs does not hold them up."""
        self._life: HostLife | None = None
        self._lifeline: Lifeline | None = None
        self._why_not = "it has not joined the fleet yet"
        self._held = False
        self._place = FeedPlace()
        self._newest = 0
        """The number of the transaction that was the next one at the last turn."""
        self._touched = Touched()
        self._is_asked = False
        """What runs here is to be cancelled."""
        self._sources: dict[str, JoinedEngine] = {}
        self._shared: dict[str, str] = {}
        """By the id of a source, where all hosts keep its tasks that list it with that repository."""
        self._claiming = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def lease(self) -> Path:
        return self._lease.path

    def start(self, daemon: FleetDaemon) -> None:
        durable.make_directory(self._folder)
        self.turn(daemon)  # so that a daemon whose database answers serves as soon as it is up
        self._thread = threading.Thread(target=self._serve, args=(daemon,), name="fleet", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)
        self._work.close()
        self._signs.close()

    def engine_of(self, source: FleetSource, emit: Emit) -> JoinedEngine:
        key = f"{source.id}@{self._host}"
        if source.repository is not None:
            key = self._shared[source.id] = source.id
        guests = self._folder / "guests" / source.id / "pending"
        durable.make_directory(guests)
        folders = HostFolders(
            FolderEngine(source.pending, settle_s=source.settle_s, layers=source.layers, notes=source.notes),
            FolderEngine(guests),
            source.checkout,
        )
        engines = _Engines(self, key, source, guests.parent)
        rows = SourceRows(self._work, key, self._host)

        def transcript_of(row: TaskRow) -> tuple[str, ...]:
            last = engines.now().leased.last_attempt(row.record)
            with self._work.transaction() as cursor:
                return frames_of(cursor, {"source": key, "record": row.record, "number": last})

        mirror = Mirror(
            source.id, self._host, folders, rows, transcript_of=transcript_of, clock=self._clock, emit=emit
        )
        joined = JoinedSource(
            self._host,
            self.life,
            engines.now,
            folders,
            rows,
            mirror,
            self._clock,
            self._slots,
            self._claiming,
            HandedInFiles(self._work, key),
            is_shared=source.repository is not None,
        )
        engine = self._sources[source.id] = JoinedEngine(key, joined, closed=partial(self._forget, source.id))
        return engine

    def _forget(self, source_id: str) -> None:
        self._shared.pop(source_id, None)
        self._sources.pop(source_id, None)

    def state_of(self, task_id: TaskId) -> TaskState | None:
        return state_of(self._work, task_id)

    @property
    def database(self) -> Database:
        return self._work

    def life(self) -> HostLife:
        """Raises EngineUnavailable while it may do nothing in the fleet."""
        life = self._life
        if life is None or self._held:
            raise EngineUnavailable(self._why_not)
        return life

    def _serve(self, daemon: FleetDaemon) -> None:
        while not self._stopping.wait(_TURN_S):
            try:
                self.turn(daemon)
            except Exception:  # a defect: said, and what runs is ended once the lease is over
                log.exception("fleet not looked at")
                self._hold_if_silent(daemon)

    def turn(self, daemon: FleetDaemon) -> None:
        """Show that this host lives, and look at the others. About once a second, by one thread."""
        try:
            if self._life is None:
                self._join()
            assert self._lifeline is not None
            begun = self._lease.now()
            dead = self._lifeline.turn()
            self._lease.renew(begun)
            self._sight.write()
            for name, _ in dead:
                log.warning("taken for dead host=%s", name)
            if self._held:
                self._go_on(daemon)
            self._look_at_account(daemon)
            self._retention.look()
            self._wake_for_news(daemon, is_all=bool(dead))
        except ClaimLost as error:
            self._why_not = str(error)
            log.error("fenced error=%s", error)  # noqa: TRY400 - the message says all
            self._hold(daemon)
            if daemon.is_idle():
                self._life = self._lifeline = None
        except EngineUnavailable as error:
            if self._why_not != error.in_full:
                self._why_not = error.in_full
                log.warning("fleet not reached error=%s", error.in_full)
            self._hold_if_silent(daemon)

    def _look_at_account(self, daemon: FleetDaemon) -> None:
        try:
            self._account.look(self._signs, daemon)
        except (EngineUnavailable, OSError) as error:  # tried again at the next turn
            log.warning("account not shared error=%s", error)

    def _join(self) -> None:
        demand_ready(self._signs)
        if mend_numbers(self._signs):
            log.warning("the database was restored from a copy: its changes count as made now")
        self._newest = 0
        self._sight.forget()
        life = join(self._signs, self._host, self._credential, self._machine(), self._capabilities)
        self._lifeline = Lifeline(
            self._signs, life, self._clock, serves=lambda: list(self._shared.values()), read=self._read_news
        )
        self._place = end_of_feed(self._signs)
        self._life = life
        log.info("joined host=%s life=%d", life.host, life.life)

    def _machine(self) -> str:
        """What distinguishes this one from another that uses the name. Raises OSError."""
        file = self._folder / "machine"
        try:
            durable.make_directory(self._folder)
            durable.publish(file, uuid.uuid4().hex.encode())
        except FileExistsError:
            pass
        return durable.read_regular(file, limit=100)[0].decode()

    def _read_news(self, cursor: Cursor) -> None:
        """What has happened anywhere since the last turn, and what is asked of what runs here.

        Raises ClaimLost where the tables went back in time: what this host knows of them is true no more.
        """
        before, self._newest = self._newest, next_number(cursor)
        if self._newest < before:
            raise ClaimLost("the database of the fleet was restored from an earlier copy")
        self._touched, self._place = touched_after(cursor, self._place)
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM task WHERE host = %s AND state = 'running' AND cancelled)",
            [self._host],
        )
        ((self._is_asked,),) = cursor.fetchall()
        self._account.read(cursor)
        self._sight.read(cursor)

    def _wake_for_news(self, daemon: FleetDaemon, *, is_all: bool) -> None:
        if is_all or self._is_asked:
            daemon.wake()
        elif self._touched.is_any:
            sources = list(self._sources.items())
            concerned = [each for each, engine in sources if engine.is_concerned(self._touched)]
            if concerned:
                daemon.wake(concerned)

    def _hold_if_silent(self, daemon: FleetDaemon) -> None:
        if self._lifeline is None or self._lifeline.must_stop():
            self._hold(daemon)

    def _hold(self, daemon: FleetDaemon) -> None:
        if not self._held:
            self._held = True
            daemon.hold()

    def _go_on(self, daemon: FleetDaemon) -> None:
        daemon.go_on()
        self._held = False
        daemon.wake()


class _Engines:
    """The engine of one source for the present life of the host."""

    def __init__(self, membership: Membership, key: str, source: FleetSource, scratch: Path) -> None:
        self._membership, self._key, self._source, self._scratch = membership, key, source, scratch
        self._life: HostLife | None = None
        self._by_slots: dict[int, FleetEngine] = {}

    def now(self, slots: int = 1) -> FleetEngine:
        """With so many claims at once over all hosts. Raises EngineUnavailable."""
        life = self._membership.life()
        if life is not self._life:  # one of a restored database may have the same number
            self._life, self._by_slots = life, {}
        if slots not in self._by_slots:
            self._by_slots[slots] = FleetEngine(
                self._membership.database,
                self._key,
                life,
                slots=lambda: slots,
                scratch=self._scratch,
                layers=self._source.layers,
            )
        return self._by_slots[slots]
