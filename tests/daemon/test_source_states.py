"""What the daemon shows of its sources: one is busy from the admission of a task until it has left."""

from __future__ import annotations

import threading
from pathlib import Path

from task_queue.config.source_settings import Source
from task_queue.daemon.served_source import ServedSource
from task_queue.daemon.source_states import SourceStates
from tests.daemon.test_admission import GateBench
from tests.fakes import Bench


def test_a_source_is_busy_from_the_admission_of_a_task_until_it_left(tmp_path: Path) -> None:
    """Its claim and its runner come later: what waits until nothing runs must not miss it in between."""
    gates, bench = GateBench(tmp_path), Bench()
    source = Source(id="a", path=tmp_path / "pending")
    served = ServedSource(source, bench.engine, bench.worker, threading.current_thread())  # type: ignore[arg-type] # not asked
    states = SourceStates(gates.admission)

    def is_busy() -> bool:
        states.changed(source.id)
        return bool(states.describe({source.id: served}, stopped=False)[source.id]["busy"])

    before_its_first_look = is_busy()
    bench.turn()
    idle = is_busy()
    gates.admission.enter(source.id, gates.task(), lambda: None)
    entered = is_busy()
    gates.admission.leave(source.id, gates.task().id)

    assert (before_its_first_look, idle, entered, is_busy()) == (True, False, True, False)
