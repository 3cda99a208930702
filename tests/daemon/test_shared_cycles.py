"""Which of the tasks in a cycle is ended is not decided while a source may hold one that is still unknown."""

from __future__ import annotations

from task_queue.daemon.cycles import SharedCycles
from task_queue.domain.task import TaskId, TaskState
from task_queue.store.keyed_tasks import KeyedTasks

A, B, C = TaskId("task-a"), TaskId("task-b"), TaskId("task-c")
SOURCE_OF = {A: "a", B: "b", C: "c"}


def test_the_last_source_may_hold_what_decides() -> None:
    """``a`` needs ``b`` and ``c``, and each of these ``a``: once ``a`` is gone, the others are in no cycle."""
    woken: list[str] = []
    keyed = KeyedTasks(woken.append)
    cycles = SharedCycles(
        lambda task_id: (SOURCE_OF[task_id], TaskState.PENDING), wake=woken.append, all_seen=keyed.all_seen
    )
    keyed.when_all_seen(cycles.judge)
    for source in SOURCE_OF.values():
        keyed.expect(source)
    cycles.put("a", A, (B, C), changed_ns=2)
    cycles.put("b", B, (A,), changed_ns=3)
    keyed.seen("a")
    keyed.seen("b")
    early = [cycles.closing(source) for source in SOURCE_OF.values()], list(woken)
    cycles.put("c", C, (A,), changed_ns=1)
    keyed.seen("c")

    assert early == ([{}, {}, {}], [])
    assert woken == ["a"]
    assert [list(cycles.closing(source)) for source in SOURCE_OF.values()] == [[A], [], []]
