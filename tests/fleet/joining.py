"""Hosts of the tests: added where they are new, and joined."""

from __future__ import annotations

from task_queue.domain.errors import TaskQueueError
from task_queue.fleet.database import Database
from task_queue.fleet.held import HostLife
from task_queue.fleet.hosts import join
from task_queue.fleet.roster import add_host


def joined(database: Database, host: str) -> HostLife:
    try:
        credential = add_host(database, host, ())
    except TaskQueueError:
        credential = add_host(database, host, (), renew=True)
    return join(database, host, credential)
