"""What the rest of a fleet holds, as a part of a screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from task_queue.app.fleet_sight import described, hosts_line, how_old
from task_queue.cli.render import Renderable, faint, item, paragraph, strong, table_rows
from task_queue.cli.screen import Listing
from task_queue.domain.fleet_sight import FleetSight
from task_queue.domain.task import TaskState

_HEAD = "elsewhere in the fleet"
_LABEL = 7
_HOSTS = 8
_LABELS = {TaskState.RUNNING: "running", TaskState.PENDING: "waiting"}


def fleet_line(sight: FleetSight, *, detailed: bool) -> Renderable:
    most = len(sight.hosts) if detailed else _HOSTS
    return item(strong("fleet"), hosts_line(sight, most=most), column=_LABEL)


def fleet_listings(sight: FleetSight, *, running: int, rest: int, more: str) -> Iterator[Listing]:
    """*running* and *rest* are the ranks of what runs and of what waits or has ended; *more*: where all of it is."""
    rows = _rows(sight)
    runs = sum(task.state is TaskState.RUNNING for task in sight.tasks)
    head = [paragraph(faint(clause), indent=2) for clause in how_old(sight)]
    yield Listing(rows[:runs], running, head=head, indent=2, group=_HEAD)
    yield Listing(
        rows[runs:],
        rest,
        head=[] if runs else head,
        hidden=sight.more,
        more=more,
        indent=2,
        group=_HEAD,
    )


def _rows(sight: FleetSight) -> Sequence[Renderable]:
    if not sight.tasks:
        return ()
    rows = [
        (_LABELS.get(task.state, "ended").ljust(_LABEL), task.task_id, described(task, here=sight.host))
        for task in sight.tasks
    ]
    return table_rows(rows, lead=2, indent=2)
