"""A worker in another home carries out tasks of a server: the real processes, with a shell as the agent."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from tests.processes import runs
from tests.sampling import short_and_long
from tests.waiting import eventually, within
from tests.worker.bench import WorkerBench

MakeBench = Callable[..., WorkerBench]
LONG = "echo $$ > {home}/pid; while [ ! -e {home}/go ]; do sleep 0.05; done; echo done > note.txt"
"""Waits until it is let go, and says which process it is."""


def long_in(bench: WorkerBench) -> str:
    return LONG.format(home=bench.machine)


def began(bench: WorkerBench) -> int:
    """The process of the task that waits."""
    path = bench.machine / "pid"
    eventually(lambda: path.exists() and path.read_text().strip(), what=f"the task runs\n{bench.said()}")
    return int(path.read_text())


def let_go(bench: WorkerBench) -> None:
    (bench.machine / "go").touch()


def test_commits_come_back_are_verified_and_landed(make_bench: MakeBench) -> None:
    """The server runs `verify` itself; transcript, result and cost are there as of any task."""
    bench = make_bench()
    worker = bench.start_worker()
    task_id = bench.submit(
        "echo done > note.txt; echo fixed it", landing="merge", verify=["test -e note.txt"]
    )
    task = bench.ended(task_id)
    result = task["result"]

    assert (task["status"], result["outcome"], result["output"]) == ("completed", "succeeded", "fixed it\n")
    assert result["landing"]["state"] == "landed"
    assert [record["command"] for record in result["verification"]] == ["test -e note.txt"]
    assert bench.git("show", "main:note.txt") == "done"
    assert result["worker"] == "builder"
    assert bench.api.get(f"/v1/tasks/{task_id}/transcript").data.count(b"\n") >= 2
    assert bench.stop_worker(worker) == 0
    assert bench.processes() == []


def test_files_that_came_with_a_task_are_there_for_its_work(make_bench: MakeBench) -> None:
    """Copies: what the work does to them changes no original."""
    bench = make_bench()
    task_id = bench.submit(
        'cat "$TASK_QUEUE_ARTIFACTS/figures.csv" > note.txt; : > "$TASK_QUEUE_ARTIFACTS/figures.csv"',
        landing="merge",
    )
    path = f"/v1/tasks/{task_id}/artifacts/figures.csv"
    handed_in = bench.api.ask("PUT", path, b"1,2\n", Content_Type="text/csv")
    bench.start_worker()
    task = bench.ended(task_id, timeout=120)

    assert handed_in.status == 201
    assert task["status"] == "completed", task["result"]
    assert bench.git("show", "main:note.txt") == "1,2"
    assert bench.api.get(path).data == b"1,2\n"


@pytest.mark.long
def test_what_fails_on_the_server_does_not_land(make_bench: MakeBench) -> None:
    """What passes on the worker only, because of what is there, is not taken for verified."""
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(
        "echo done > note.txt",
        landing="merge",
        verify=[f"test -e {bench.machine}/token && test $HOME = {bench.machine}"],
    )
    task = bench.ended(task_id)

    assert (task["status"], task["outcome"]) == ("failed", "verify_failed")
    assert "note.txt" not in bench.git("ls-tree", "--name-only", "main")


@pytest.mark.long
def test_what_fails_on_the_worker_fails_on_the_server(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.start_worker()
    task = bench.ended(bench.submit("echo no; exit 3", max_attempts=1))

    assert (task["status"], task["outcome"]) == ("failed", "failed")
    assert "exit code 3" in str(task["result"]["error"]) + str(task["result"]["evidence"])


def test_what_was_committed_before_a_failure_is_on_the_server(make_bench: MakeBench) -> None:
    """On the task's branch, and what was in no commit as a last one."""
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(
        "echo half > note.txt; git add .; git commit -qm Half; echo loose > loose.txt; exit 3", max_attempts=1
    )
    task = bench.ended(task_id, timeout=120)
    result = task["result"]

    assert (task["status"], task["outcome"]) == ("failed", "failed")
    assert bench.git("show", f"{result['branch']}:note.txt") == "half"
    assert bench.git("show", f"{result['branch']}:loose.txt") == "loose"
    assert result["subjects"] == ["Half", f"Left in no commit by {task_id}"]
    assert "note.txt" not in bench.git("ls-tree", "--name-only", "main")


@pytest.mark.long
def test_slots_work_at_the_same_time_in_order_of_priority(make_bench: MakeBench) -> None:
    """Each waits for the other's file; a third starts after them."""
    bench = make_bench()
    meet = "touch {home}/{mine}; while [ ! -e {home}/{other} ]; do sleep 0.05; done"
    first = bench.submit(meet.format(home=bench.machine, mine="x", other="y"), priority=8)
    second = bench.submit(meet.format(home=bench.machine, mine="y", other="x"), priority=9)
    last = bench.submit("true", priority=1)
    bench.start_worker("--slots", "2", "--drain")
    tasks = [bench.ended(each) for each in (first, second, last)]

    assert [task["status"] for task in tasks] == ["completed"] * 3
    assert tasks[2]["started_at"] > max(tasks[0]["started_at"], tasks[1]["started_at"])
    assert bench.workers[0].wait(timeout=60) == 0


def test_a_killed_worker_goes_on_without_a_second_run(make_bench: MakeBench) -> None:
    """kill -9 of the worker, whose task goes on; the next one adopts it and reports."""
    bench = make_bench()
    worker = bench.start_worker()
    task_id = bench.submit(f"echo run >> {bench.machine}/runs; " + long_in(bench), landing="merge")
    process = began(bench)
    worker.kill()
    worker.wait()
    assert runs(process)
    bench.start_worker()
    eventually(lambda: "goes on with" in bench.said(), what="it is taken up")
    let_go(bench)
    task = bench.ended(task_id)

    assert (task["status"], task["attempt"]) == ("completed", 1)
    assert (bench.machine / "runs").read_text() == "run\n"
    assert bench.git("show", "main:note.txt") == "done"


@pytest.mark.long
def test_a_claim_whose_answer_was_lost_is_not_lost(make_bench: MakeBench) -> None:
    """The worker is killed before it asks again, and asks under the same key after its next start."""
    bench = make_bench()
    worker = bench.start_worker()
    eventually(lambda: list(bench.machine.rglob("1.key")), what="it asks")
    bench.network.lose_answers()
    task_id = bench.submit("echo done > note.txt", landing="merge")
    eventually(lambda: "no claim" in bench.said(), what="the answer is lost")
    worker.kill()
    worker.wait()
    assert bench.task(task_id)["status"] == "running"
    assert "claimed" not in bench.said()
    bench.start_worker()
    task = bench.ended(task_id)

    assert (task["status"], task["attempt"]) == ("completed", 1)
    assert bench.git("show", "main:note.txt") == "done"


@pytest.mark.long
def test_a_killed_server_goes_on(make_bench: MakeBench) -> None:
    """kill -9 of the API while the task runs: the lease lasts, and the work is landed once."""
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(long_in(bench), landing="merge")
    began(bench)
    bench.api.kill()
    let_go(bench)
    eventually(
        lambda: "does not take it yet" in bench.said() or "does not hear us" in bench.said(),
        what="it is noticed",
    )
    bench.api.start()
    task = bench.ended(task_id)

    assert (task["status"], task["attempt"]) == ("completed", 1)
    assert bench.git("log", "--format=%s", "main").splitlines() == ["Work", "Begin"]


@pytest.mark.long
def test_a_short_cut_of_the_network_costs_nothing(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(long_in(bench), landing="merge")
    began(bench)
    bench.network.cut()
    let_go(bench)
    eventually(lambda: "does not" in bench.said(), what="it is noticed")
    bench.network.mend()
    task = bench.ended(task_id)

    assert (task["status"], task["attempt"]) == ("completed", 1)


@pytest.mark.long
def test_a_cut_longer_than_the_lease_lands_nothing_twice(make_bench: MakeBench) -> None:
    """The server gives the task up; what the worker says afterwards is fenced, and its task is ended there."""
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(long_in(bench), landing="merge")
    process = began(bench)
    bench.network.cut()
    task = bench.ended(task_id, timeout=120)
    assert runs(process)
    bench.network.mend()
    eventually(lambda: not runs(process), what="it is ended here")
    eventually(lambda: "is ended here" in bench.said(), what="the worker says so")

    assert (task["status"], task["outcome"]) == ("failed", "crashed")
    assert bench.git("log", "--format=%s", "main").splitlines() == ["Begin"]
    after = bench.submit("echo next > next.txt", landing="merge")
    assert bench.ended(after)["status"] == "completed"


def test_a_cancel_from_the_server_ends_the_tree(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(long_in(bench))
    process = began(bench)
    assert bench.api.post(f"/v1/tasks/{task_id}/cancel").status == 202
    task = bench.ended(task_id)

    assert task["status"] == "cancelled"
    assert not runs(process)


@pytest.mark.long
def test_a_stopped_worker_gives_its_task_back(make_bench: MakeBench) -> None:
    """SIGTERM costs the task no attempt: it waits again, and is carried out once more by the next worker."""
    bench = make_bench()
    worker = bench.start_worker()
    task_id = bench.submit(long_in(bench), landing="merge", on_lost_session="rerun")
    process = began(bench)
    assert bench.stop_worker(worker) == 0
    assert not runs(process)
    assert bench.task(task_id)["status"] == "queued", (bench.task(task_id)["result"], bench.said())
    assert bench.processes() == []
    let_go(bench)
    bench.start_worker()

    assert bench.ended(task_id)["status"] == "completed"
    assert bench.git("show", "main:note.txt") == "done"


@pytest.mark.long
def test_a_task_that_kills_its_worker_ends_as_a_dead_letter(make_bench: MakeBench) -> None:
    """Each try counts: the attempt is counted at the claim."""
    bench = make_bench()
    bench.start_worker()
    task_id = bench.submit(
        "kill -9 $PPID; sleep 30", max_attempts=2, on_lost_session="rerun", retry_delay="1s"
    )
    task = bench.ended(task_id)

    assert (task["status"], task["dead_letter"], task["attempt"]) == ("failed", True, 2)


@pytest.mark.long
def test_a_repository_that_is_not_allowed_is_for_other_workers(make_bench: MakeBench) -> None:
    """Nothing is fetched, the task waits, and a person hears what to do."""
    bench = make_bench()
    worker = bench.start_worker("--repositories", "example.org/shop/shop")
    task_id = bench.submit("true", landing="branch")
    eventually(
        lambda: "no worker that asked fetches 127.0.0.1/shop/shop" in bench.api.rig.cli("status").stdout,
        what="it is said",
    )
    assert (bench.task(task_id)["status"], bench.task(task_id)["attempt"]) == ("queued", 0)
    assert not list(bench.machine.rglob("shop.py"))
    bench.stop_worker(worker)
    bench.start_worker()

    assert bench.ended(task_id, timeout=120)["status"] == "completed"
    assert "no worker that asked" not in bench.api.rig.cli("status").stdout


def test_a_wrong_token_is_said_at_once(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.token.write_text("tq_wrong\n")
    worker = bench.start_worker()

    assert worker.wait(timeout=60) == 1
    assert "the credential is wrong" in bench.said()


@pytest.mark.long
def test_a_server_that_is_not_there_is_waited_for(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.network.cut()
    bench.start_worker()
    eventually(lambda: "tries again" in bench.said(), what="it says so")
    bench.network.mend()

    assert bench.ended(bench.submit("true"))["status"] == "completed"


@pytest.mark.long
def test_a_second_worker_in_the_same_home_is_refused(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.start_worker()
    eventually(lambda: "works for" in bench.said(), what="it works")
    second = bench.start_worker()

    assert second.wait(timeout=60) == 1
    assert "another worker" in bench.said()


@pytest.mark.long
def test_a_repository_that_cannot_be_fetched_costs_no_attempt(make_bench: MakeBench) -> None:
    """The task waits, and is carried out once the repository is there."""
    bench = make_bench()
    hidden = bench.home / "hidden"
    (bench.home / "web" / "shop").rename(hidden)
    bench.start_worker()
    task_id = bench.submit("true", retry_delay="1s")
    eventually(
        lambda: "cannot be fetched" in bench.said() or "unavailable" in bench.said(), what="it is said"
    )
    hidden.rename(bench.home / "web" / "shop")

    assert within(1, lambda: bench.task(task_id)["status"] in {"queued", "running"})
    assert bench.task(task_id)["status"] != "failed"


@pytest.mark.long
def test_without_git_it_does_not_start(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.environment["PATH"] = os.devnull
    worker = bench.start_worker()

    assert worker.wait(timeout=60) == 1
    assert "git was not found" in bench.said()


@pytest.mark.long
def test_a_second_signal_changes_nothing(make_bench: MakeBench) -> None:
    bench = make_bench()
    worker = bench.start_worker()
    eventually(lambda: "works for" in bench.said(), what="it works")
    worker.send_signal(signal.SIGTERM)

    assert bench.stop_worker(worker, number=signal.SIGINT) == 0
    assert bench.processes() == []


@pytest.mark.parametrize(("option", "left"), short_and_long([("--once", 1)], [("--drain", 0)]))
def test_a_worker_ends_by_itself(make_bench: MakeBench, option: str, left: int) -> None:
    """After one task, or once there is none; the others are untouched, and nothing of it runs on."""
    bench = make_bench()
    tasks = [bench.submit("echo done > note.txt") for _ in range(2)]
    worker = bench.start_worker(option)

    assert worker.wait(timeout=90) == 0, bench.said()
    done = 2 - left
    assert [bench.ended(task_id)["status"] for task_id in tasks[:done]] == ["completed"] * done
    assert [bench.task(task_id)["status"] for task_id in tasks[done:]] == ["queued"] * left
    assert bench.processes() == []
