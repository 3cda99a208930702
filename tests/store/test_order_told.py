"""The order that front ends say is the order in which workers run, for random queues over several sources.

``make proof-order`` runs many more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from task_queue.app.circumstances import Circumstances
from task_queue.domain.document.layers import Layers
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.folder import states
from tests.sampling import short_and_long
from tests.store.queues import EXAMPLES, Random, queues, run_as_told

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: a queue has seven tasks at most, and to take one away costs a run of all the others."""
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    phases=_PHASES,
    report_multiple_bugs=False,
    suppress_health_check=_SLOW,
)
@given(queues())
@pytest.mark.timeout(0)
def test_the_order_told_is_the_order_run(queue: Random) -> None:
    """Defaults, priorities, ageing, dependencies over sources, numbered records, delays, retries, pauses, faults,
    duplicates.
    """
    run_as_told(queue)


def _without_defaults(circumstances: Circumstances) -> None:
    for source in circumstances.snapshots._sources.values():
        object.__setattr__(source, "layers", lambda: Layers(executors=("make",)))


def _without_other_sources(circumstances: Circumstances) -> None:
    _answer_by(circumstances, lambda layouts, task_id: states.state_in(layouts[:1], task_id))


def _without_numbered_records(circumstances: Circumstances) -> None:
    def blind(layouts: list[Any], task_id: TaskId) -> TaskState | None:
        return next(filter(None, (states.ended_state(layout, task_id) for layout in layouts)), None)

    _answer_by(circumstances, blind)


def _answer_by(circumstances: Circumstances, answer: Callable[[list[Any], TaskId], TaskState | None]) -> None:
    layouts = [source.folders for source in circumstances.sources]
    circumstances.snapshots.state_of = lambda task_id: answer(layouts, task_id)  # type: ignore[method-assign]  # the blind eye itself


def _without_ageing(circumstances: Circumstances) -> None:
    for source in circumstances.snapshots._sources.values():
        layers = source.layers
        object.__setattr__(source, "layers", lambda layers=layers: replace(layers(), ageing=None))


@pytest.mark.parametrize(
    "see",
    short_and_long([_without_numbered_records], [_without_defaults, _without_other_sources, _without_ageing]),
)
def test_a_reader_that_is_blind_for_something_is_caught(see: Callable[[Circumstances], None]) -> None:
    """The property has teeth: random queues show each of these faults."""

    @settings(
        max_examples=400, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=_SLOW,
        derandomize=True, report_multiple_bugs=False,
    )  # fmt: skip
    @given(queues())
    def blind(queue: Random) -> None:
        run_as_told(queue, see=see)

    with pytest.raises(AssertionError, match="told"):
        blind()
