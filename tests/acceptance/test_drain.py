"""``run --drain`` ends where nothing more can start by itself, and says what is left and why."""

from __future__ import annotations

import subprocess

import pytest

from task_queue.demo.scripted_model import Say, in_turn
from tests.acceptance.conftest import MakeAgentRig, MakeRig
from tests.acceptance.rig import Rig
from tests.sampling import short_and_long
from tests.warm import PROGRAM

pytestmark = pytest.mark.timeout(110)


def pause(rig: Rig, source: str) -> None:
    rig.cli("sources", "pause", "--source-id", source, check=True)


def test_what_a_failed_task_blocks_is_left(make_rig: MakeRig) -> None:
    """One failed in this run; what depends on it, also through another one, is named with the reason."""
    rig = make_rig()
    rig.drop_command("task-a", "exit 1", max_attempts=1)
    rig.drop_command("task-b", "true", depends_on="task-a")
    rig.drop_command("task-c", "true", depends_on="task-b")

    done = rig.cli("run", "--drain")

    assert done.returncode == 1, done.stderr
    assert "not done: task-b in source 'a': blocked by task-a (failed)" in done.stderr
    assert "not done: task-c in source 'a': waits for task-b" in done.stderr
    assert {path.name for path in rig.pending().glob("task-*.md")} == {"task-b.md", "task-c.md"}


def test_what_failed_in_an_earlier_run_blocks_as_well(make_rig: MakeRig) -> None:
    """No task fails now; exit code 3 says that not everything was done, and the rest is done."""
    rig = make_rig(sources=("a", "b"))
    rig.drop_command("task-a", "exit 1", max_attempts=1)
    assert rig.cli("run", "--drain").returncode == 1
    rig.drop_command("task-b", "true", source="b", depends_on="task-a")
    rig.drop_command("task-c", "true", source="b")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert "not done: task-b in source 'b': blocked by task-a (failed)" in done.stderr
    assert rig.result("task-c", source="b")["success"] is True


def test_a_missing_dependency_needs_a_person(make_rig: MakeRig) -> None:
    """Only the first of many tasks are named; status and tasks list have the same exit code."""
    rig = make_rig()
    for number in range(7):
        rig.drop_command(f"task-{number}", "true", depends_on="task-missing")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert rig.cli("tasks", "list").returncode == 3
    assert done.stderr.count("waits for task-missing (there is no such task)") == 5
    assert "more tasks, see: task-queue tasks list --state pending" in done.stderr


def test_a_paused_source_is_not_waited_for(make_rig: MakeRig) -> None:
    """The other one is worked through; what depends on the paused one's task is left, too."""
    rig = make_rig(sources=("a", "b"))
    pause(rig, "a")
    rig.drop_command("task-a", "true")
    rig.drop_command("task-b", "true", source="b", depends_on="task-a")
    rig.drop_command("task-c", "true", source="b")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert "source 'a' waits for a person: the source is paused" in done.stderr
    assert "task-queue sources resume a" in done.stderr
    assert "not done: task-b in source 'b': waits for task-a" in done.stderr
    assert rig.result("task-c", source="b")["success"] is True


def test_only_a_person_can_let_a_paused_source_go_on(make_rig: MakeRig) -> None:
    """Nothing failed and no task waits for another: exit code 3."""
    rig = make_rig()
    pause(rig, "a")
    rig.drop_command("task-a", "true")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert (rig.pending() / "task-a.md").exists()
    told = rig.cli("tasks", "list")
    assert told.returncode == 3
    assert "task-queue sources resume a" in told.stdout


def test_a_paused_source_in_which_nothing_waits_is_done(make_rig: MakeRig) -> None:
    rig = make_rig()
    pause(rig, "a")

    assert rig.cli("run", "--drain").returncode == 0
    assert rig.cli("tasks", "list").returncode == 0


def test_nothing_is_waited_for_while_everything_is_stopped(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.drop_command("task-a", "true")
    rig.cli("stop", check=True)

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert "everything is stopped; go on with: task-queue resume" in done.stderr
    assert rig.cli("tasks", "list").returncode == 3


def test_a_source_that_cannot_be_used_is_given_up(make_rig: MakeRig) -> None:
    """After a few looks; the other one is worked through."""
    rig = make_rig(sources=("a", "b"))
    results = rig.queue("a") / "results"
    results.write_text("a file in the place of the folder")
    rig.drop_command("task-a", "true")
    rig.drop_command("task-b", "true", source="b")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert "source 'a' waits for a person:" in done.stderr
    assert "results" in done.stderr
    assert rig.result("task-b", source="b")["success"] is True
    assert (rig.pending() / "task-a.md").exists()


def test_tasks_that_wait_for_each_other_over_sources_are_all_done(make_rig: MakeRig) -> None:
    """A chain to and fro: each end lets the next begin, and the run is not over in between."""
    rig = make_rig(sources=("a", "b"), sweep_seconds=60)
    last = 8
    for number in range(last, 0, -1):
        after = {"depends_on": f"task-{number - 1}"} if number > 1 else {}
        rig.drop_command(f"task-{number}", f"echo {number} >> order", source="ab"[number % 2], **after)

    done = rig.cli("run", "--drain")

    assert done.returncode == 0, done.stderr
    assert rig.side_effects("order") == [str(number) for number in range(1, last + 1)]


def test_a_task_that_waits_for_a_time_is_waited_for(make_rig: MakeRig) -> None:
    """So is what depends on it: a try that is delayed starts by itself."""
    rig = make_rig(sources=("a", "b"), defaults={"workflow": "single", "retry_delay": 1})
    rig.drop_command("task-a", "test -e tried || { touch tried; exit 75; }")
    rig.drop_command("task-b", "true", source="b", depends_on="task-a")

    done = rig.cli("run", "--drain")

    assert done.returncode == 0, done.stderr
    assert rig.result("task-b", source="b")["success"] is True


@pytest.mark.parametrize(
    "bound", short_and_long([("--drain",)], [(("--cycles", "5"),)]), ids=["drain", "cycles"]
)
def test_a_time_too_far_away_is_not_waited_for(make_rig: MakeRig, bound: tuple[str, ...]) -> None:
    """With a patience; the others are done first. What is left is named, with its time."""
    rig = make_rig()
    rig.drop_command("task-a", "true")
    rig.drop_command("task-later", "true", not_before="2999-01-01T00:00:00")

    done = rig.cli("run", *bound, "--patience", "10m")

    assert done.returncode == 3, done.stderr
    assert rig.result("task-a")["success"]
    assert "not done: task-later in source 'a': delayed until 2999-01-01 00:00:00" in done.stderr
    assert (
        "nothing can start before 2999-01-01 00:00:00, which is further away than --patience" in done.stderr
    )


def test_a_known_time_is_waited_for_and_told(make_rig: MakeRig) -> None:
    """Without a patience it waits for years, until it is stopped; once, it says so."""
    rig = make_rig()
    rig.drop_command("task-later", "true", not_before="2999-01-01T00:00:00")

    run = subprocess.Popen(
        [*PROGRAM, "--config", str(rig.config), "run", "--drain"],
        env=rig.environment,
        cwd=rig.home,
        stderr=subprocess.PIPE,
        text=True,
    )
    rig.daemons.append(run)
    assert run.stderr is not None
    with run.stderr:
        told = next(line for line in run.stderr if "waiting" in line)
        run.terminate()
        rest = run.stderr.read()
    run.wait(timeout=30)

    assert told.endswith("waiting: nothing can start before 2999-01-01 00:00:00 (task-later is delayed)\n")
    assert "waiting" not in rest
    assert run.returncode == 1
    assert "not done: task-later in source 'a': delayed until 2999-01-01" in rest


def test_nobody_is_logged_in(make_agent_rig: MakeAgentRig) -> None:
    """The tour of the README on a machine without a login: it ends, and says what to do."""
    rig = make_agent_rig(in_turn(Say("never")), login="UNUSED")
    rig.ask("task-a", "Do it.")
    rig.ask("task-b", "Do it, too.")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert "not done: task-a in source 'a': account paused until" in done.stderr
    assert "not done: task-b in source 'a': account paused until" in done.stderr
    assert "what to do: task-queue doctor" in done.stderr
    assert rig.turns_asked() == []
    assert rig.cli("tasks", "list").returncode == 3
