"""The order that a forecast says is the order in which real workers run, for random queues over several sources.

Every task succeeds and takes no time, so that the workers, turned one after the other, are the workers of the forecast.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from task_queue.app.circumstances import Circumstances, listed
from task_queue.config import document
from task_queue.domain.forecast import Forecast, Foreseen, SourceOutlook
from task_queue.domain.holds import Holds
from tests.store.queues import EXAMPLES, SOURCES, Dropped, Queue, Random, queues

_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)
_STEP_S = 15
_LONGEST_S = 1200
"""No wait in these queues is longer."""


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    report_multiple_bugs=False,
    suppress_health_check=_SLOW,
)
@given(queues())
@pytest.mark.timeout(0)
def test_the_order_foreseen_is_the_order_run(queue: Random) -> None:
    """With defaults, priorities, dependencies over sources, numbered records, delays, pauses, rejections."""
    tasks = tuple(replace(task, succeeds=True, late=False) for task in queue.tasks)
    # A numbered record without the one before it: no queue leaves that.
    ended = tuple(each for each in queue.ended if not each[1].endswith(".2"))
    run_as_foreseen(replace(queue, tasks=tasks, ended=ended))


def run_as_foreseen(queue: Random) -> None:
    root = Path(tempfile.mkdtemp(prefix="tq-plan-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    running = Queue(root, queue)
    try:
        foreseen = foreseen_by(running)
        assert run(running) == foreseen
    finally:
        running.close()
        shutil.rmtree(root)


def foreseen_by(running: Queue) -> list[tuple[str, str]]:
    sources = tuple(listed(running.content, entry) for entry in document.sources_of(running.content))
    circumstances = Circumstances(
        sources, locations=running.locations, content=running.content, now=running.clock.time
    )
    found = in_no_time(circumstances)
    return [(each.source, each.task.id) for each in found]


def in_no_time(circumstances: Circumstances) -> list[Foreseen]:
    """The forecast of ``outlook``, in which no task takes any time."""
    by_id = {source.id: source for source in circumstances.sources}

    def holds(source: str, at: datetime, spent: Mapping[str, float]) -> Holds:
        return circumstances.holds(by_id[source], at=at, spent=spent)

    return Forecast(
        [
            SourceOutlook(
                source,
                tuple((survey := circumstances.snapshots.survey(source)).waiting),
                failing=tuple(task_id for task_id, _ in survey.rejected),
            )
            for source in by_id
        ],
        now=circumstances.now,
        places=circumstances.places,
        state_in=circumstances.snapshots.state_in,
        holds_at=holds,
    ).tasks


def run(running: Queue) -> list[tuple[str, str]]:
    """Turn the workers, each once in a round, until nothing has moved for longer than any of them waits."""
    order: list[tuple[str, str]] = []
    for source in SOURCES:  # what is rejected goes first: it takes no place and waits for nothing
        if any(why.startswith("will be rejected: ") for _, why in running.told(source, see=lambda _: None)):
            running.taken(source)
    idle_s = 0.0
    place = 0
    while idle_s < _LONGEST_S:
        for step in range(len(SOURCES)):
            source = SOURCES[(place + step) % len(SOURCES)]
            taken = running.taken(source)
            order += [(source, name) for name, became in taken if became != "rejected"]
            if taken:
                place = (place + step + 1) % len(SOURCES)
                idle_s = 0.0
                break
        else:
            running.clock.advance(_STEP_S)
            idle_s += _STEP_S
    return order


def test_a_forecast_that_is_blind_for_ends_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property has teeth: without the ends of tasks in other sources, dependents never start."""
    first, second = "task-20260207-110000-s", "task-20260207-110001-t"
    queue = Random(
        defaults={},
        of_sources={source: {} for source in SOURCES},
        paused=frozenset(),
        tasks=(
            Dropped("a", first, {"depends_on": [second]}, succeeds=True, late=False),
            Dropped("b", second, {}, succeeds=True, late=False),
        ),
        ended=(),
        stopped=False,
        account_paused=False,
        swept=False,
        turns=(),
    )
    run_as_foreseen(queue)
    monkeypatch.setattr(Forecast, "_end", lambda *_: None)

    with pytest.raises(AssertionError):
        run_as_foreseen(queue)
