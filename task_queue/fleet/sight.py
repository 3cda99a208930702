"""What the rest of the fleet holds, kept in a file of this host: who looks here asks no database.

It is asked for where something changed, in the transaction that shows that this host lives.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

from task_queue.domain.document.taskfile import read_task
from task_queue.domain.errors import TaskFileError
from task_queue.domain.fleet_sight import SHOWN_FOR, FleetSight, HostOfFleet, TaskOfFleet
from task_queue.domain.peers import HostState, host_state
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.database import Cursor
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.ports.clock import Clock

log = logging.getLogger(__name__)
_HOSTS_EVERY_S = 10.0
_SHARE_OF_TIME = 0.1
"""All hosts together keep the server busy with this for no more than that part of the time."""
_COUNTED = 10_000
_HEAD_BYTES = 32 * 1024
"""Of a document: its front matter, which is smaller, and its first lines."""
_TITLE = 200
_START = "0"
_ELSEWHERE: LiteralString = "intake IS DISTINCT FROM %(host)s AND "
_KINDS: tuple[tuple[LiteralString, LiteralString, int], ...] = (
    ("state = 'running'", "id", 200),
    ("state = 'pending'", "dropped_at, id", 200),
    (
        "state IN ('completed', 'failed') AND document IS NOT NULL AND changed_at > now() - %(shown_for)s",
        "changed_at DESC",
        100,
    ),
)
"""Which rows, in which order, and how many of them are shown."""


class SightKeeper:
    """Of *host*; for one thread."""

    def __init__(self, path: Path, host: str, clock: Clock) -> None:
        self._path, self._host, self._clock = path, host, clock
        self._written: bytes | None = None
        self._is_news = False
        """What was read is not written yet."""
        self.forget()

    def forget(self) -> None:
        """What is known of the tables may be true no more."""
        self._since = _START
        """The oldest transaction that was open at the last look."""
        self._is_behind = True
        self._not_before = self._hosts_at = float("-inf")
        self._known: dict[int, tuple[int, TaskOfFleet]] = {}
        """By row, with its revision."""
        self._tasks: list[int] = []
        self._more = 0
        self._hosts: tuple[HostOfFleet, ...] = ()

    def read(self, cursor: Cursor) -> None:
        """Look at what has changed. Waits for no lock."""
        began = self._clock.monotonic()
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM task WHERE changed BETWEEN %(since)s::xid8 "
            "AND pg_snapshot_xmax(pg_current_snapshot())) OR EXISTS (SELECT 1 FROM gone WHERE xid "
            "BETWEEN %(since)s::xid8 AND pg_snapshot_xmax(pg_current_snapshot())), "
            "pg_snapshot_xmin(pg_current_snapshot())::text",
            {"since": self._since},
        )
        ((has_changed, self._since),) = cursor.fetchall()
        self._is_behind = self._is_behind or has_changed
        is_due = self._is_behind and began >= self._not_before
        if is_due:
            self._read_tasks(cursor)
            self._is_behind = False
        if is_due or began - self._hosts_at >= _HOSTS_EVERY_S:
            self._read_hosts(cursor)
            self._hosts_at = began
            self._is_news = True
        if is_due:
            now = self._clock.monotonic()
            self._not_before = now + (now - began) * len(self._hosts) / _SHARE_OF_TIME

    def write(self) -> None:
        """Let the file say it, where it does not yet."""
        if not self._is_news:
            return
        tasks = tuple(self._known[row][1] for row in self._tasks)
        content = encode(
            FleetSight(self._host, hosts=self._hosts, tasks=tasks, more=self._more), for_people=False
        )
        if content != self._written:
            try:
                durable.replace(self._path, content, sync=False)
            except OSError as error:  # tried again at the next turn
                log.warning("what the fleet holds is not written error=%s", error)
                return
        self._written, self._is_news = content, False

    def _read_tasks(self, cursor: Cursor) -> None:
        values = {"host": self._host, "shown_for": SHOWN_FOR}
        revisions: dict[int, int] = {}
        self._more = 0
        for where, order, most in _KINDS:
            chosen = _ELSEWHERE + where
            cursor.execute(
                f"SELECT id, revision FROM task WHERE {chosen} ORDER BY {order} LIMIT {most}".encode(),
                values,
            )
            found = cursor.fetchall()
            revisions.update(found)
            if len(found) == most:
                bounded = f"SELECT 1 FROM task WHERE {chosen} LIMIT {most + _COUNTED}"
                cursor.execute(f"SELECT count(*) FROM ({bounded}) AS bounded".encode(), values)
                ((number,),) = cursor.fetchall()
                self._more += number - most
        self._known = {
            row: known
            for row, known in self._known.items()
            if row in revisions and revisions[row] == known[0]
        }
        self._known.update(_tasks_of(cursor, [row for row in revisions if row not in self._known]))
        self._tasks = [row for row in revisions if row in self._known]

    def _read_hosts(self, cursor: Cursor) -> None:
        cursor.execute(
            "SELECT name, CASE WHEN credential IS NULL THEN '{}' ELSE capabilities END, draining, heard_at, "
            "extract(epoch FROM clock_timestamp() - heard_at)::float8, coalesce(running, 0) FROM host "
            "LEFT JOIN (SELECT host AS name, count(*) AS running FROM task WHERE state = 'running' GROUP BY host) "
            "AS busy USING (name) ORDER BY name"
        )
        self._hosts = tuple(
            HostOfFleet(
                name,
                (state := _state_of(heard_s_ago, draining=draining, running=running)),
                running,
                tuple(capabilities),
                heard_at if state == HostState.SILENT else None,
            )
            for name, capabilities, draining, heard_at, heard_s_ago, running in cursor.fetchall()
        )


def _state_of(heard_s_ago: float | None, *, draining: bool, running: int) -> str:
    state = host_state(heard_s_ago)
    if draining and state is HostState.UP:
        return "draining" if running else "drained"
    return state.value


def _tasks_of(cursor: Cursor, rows: list[int]) -> Iterator[tuple[int, tuple[int, TaskOfFleet]]]:
    if not rows:
        return
    cursor.execute(
        "SELECT id, revision, coalesce(record, name), source, state, substring(document FOR %s), "
        "dropped_at, changed_at, intake, host, attempt, cancelled, claim, result FROM task WHERE id = ANY(%s)",
        [_HEAD_BYTES, rows],
    )
    for row, revision, task_id, source, state, head, dropped_at, changed_at, *rest in cursor.fetchall():
        intake, host, attempt, cancelled, claim, result = rest
        task = TaskOfFleet(
            TaskId(task_id),
            source,
            TaskState(state),
            _title_in(head, task_id),
            dropped_at,
            intake,
            host,
            attempt,
            cancelling=cancelled and state in {TaskState.PENDING, TaskState.RUNNING},
        )
        if claim is not None:
            task.since = datetime.fromisoformat(json.loads(claim)["started_at"])
        elif task.state.ended:
            task.since = changed_at
            _add_ending(task, {} if result is None else json.loads(result))
        yield row, (revision, task)


def _add_ending(task: TaskOfFleet, result: dict[str, Any]) -> None:
    task.host = result.get("worker")
    task.outcome = result.get("outcome")
    task.error = str(result.get("error") or "").partition("\n")[0][:_TITLE]
    task.cost_usd = result.get("total_cost_usd")
    task.dead_letter = result.get("dead_letter") is True


def _title_in(head: bytes | None, task_id: str) -> str:
    if head is None:  # it was deleted while the task ran
        return ""
    text = bytes(head).decode(errors="ignore")  # it may end within a character
    try:
        return read_task(text.encode(), TaskId(task_id))[0].title[:_TITLE]
    except TaskFileError:
        return ""
