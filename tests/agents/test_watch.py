"""How long a silence of the agent may be, by what is known to run."""

from __future__ import annotations

from typing import Any

from task_queue.agents.claude.watch import Timers, Watch

_HOOK: dict[str, Any] = {"type": "system", "hook_id": "h1", "hook_name": "SessionStart:startup"}
_CALL: dict[str, Any] = {
    "type": "assistant",
    "message": {"id": "m1", "content": [{"type": "tool_use", "id": "t1", "name": "Bash", "input": {}}]},
}


def test_connecting_has_a_time_of_its_own() -> None:
    watch = Watch(Timers(), started_at=1000)

    assert (watch.overdue(1089), watch.overdue(1090)) == (None, "connect")


def test_a_hook_extends_every_time_but_the_wall_clock() -> None:
    watch = Watch(Timers(), started_at=1000)
    watch.heard(_HOOK | {"subtype": "hook_started"}, 1002)

    assert (watch.overdue(1631), watch.overdue(1632)) == (None, "connect")

    watch.heard(_HOOK | {"subtype": "hook_response"}, 1150)
    assert (watch.overdue(1239), watch.overdue(1240)) == (None, "connect")

    watch.prompted(1160)
    assert (watch.overdue(1279), watch.overdue(1280)) == (None, "first frame")

    watch.heard(_CALL, 1170)
    watch.heard(_HOOK | {"subtype": "hook_started"}, 1171)
    assert (watch.overdue(2070), watch.overdue(2071)) == (None, "idle")
    assert watch.overdue(1000 + 7200) == "wall clock"
