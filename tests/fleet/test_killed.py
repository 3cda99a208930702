"""A host is killed between any two of its steps: each task is carried out once, and shown where it came in."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from task_queue.domain.task import TaskState
from task_queue.fleet.database import Database
from tests.fleet.inner_host import InnerHost, Killed, Steps, counted_steps

_MOST_TURNS = 12


def lives(hosts: list[InnerHost], victim: InnerHost, steps: Steps) -> bool:
    """Let them work until the task has ended; whether *victim* was killed meanwhile. It is started again then."""
    was_killed = False
    for _ in range(_MOST_TURNS):
        for host in hosts:
            if host is victim and not was_killed:
                try:
                    host.turn()
                    host.work()
                except Killed:
                    steps.kill_at = None
                    was_killed = True
                    host.end()
                    host.start()
            else:
                kill_at, steps.kill_at = steps.kill_at, None
                before = steps.count
                host.turn()
                host.work()
                steps.count, steps.kill_at = before, kill_at
    return was_killed


@pytest.mark.parametrize(
    ("victim", "every"),
    [
        pytest.param("alone", 37, id="alone-some"),
        pytest.param("intake", 37, id="intake-some"),
        *(
            pytest.param(victim, 1, id=f"{victim}-all", marks=pytest.mark.long)
            for victim in ("alone", "intake", "worker")
        ),
    ],
)
def test_a_task_is_carried_out_once_over_kills(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, victim: str, every: int
) -> None:
    steps = counted_steps(monkeypatch)
    at = 0
    for at in count(1, every):
        with ExitStack() as stack:
            home = tmp_path / str(at)
            first = InnerHost(
                home / "1", f"first-{at}", database, source=f"s{at}", slots=4 if victim == "alone" else 0
            )
            hosts = [first]
            if victim != "alone":
                hosts.append(InnerHost(home / "2", f"second-{at}", database, source=f"s{at}"))
            for host in hosts:
                host.start()
                stack.callback(host.end)
            first.drop("task-a")
            steps.count, steps.kill_at = 0, at
            was_killed = lives(hosts, hosts[-1] if victim == "worker" else first, steps)
            steps.kill_at = None

            ends = {(result.task_id, result.attempts[-1].number) for host in hosts for result in host.settled}
            begun = [each for host in hosts for each in host.begun]
            ended = [each for host in hosts for each in host.ended]
            assert len(ends) <= 1, (at, ends)  # none: it was killed right after it
            assert len(begun) <= 2, (at, begun)
            assert len(ended) <= 1, (at, ended)
            assert first.state_of("task-a") is TaskState.COMPLETED, at
            assert (first.layout.ended(TaskState.COMPLETED) / "task-a.md").read_text() == "# Do it", at
            assert first.layout.result("task-a").exists(), at  # type: ignore[arg-type]
            assert [path.name for path in first.layout.pending.iterdir()] == [], at
            assert rows_of(database, f"s{at}") == [("task-a", "completed", True)], at
        if not was_killed:
            break
    assert at > 50


def rows_of(database: Database, source: str) -> list[tuple[str, str, bool]]:
    with database.transaction() as cursor:
        cursor.execute(
            "SELECT record, state, shown = revision FROM task WHERE source = %s ORDER BY id", [source]
        )
        return cursor.fetchall()
