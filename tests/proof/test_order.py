"""What a power cut would need: the steps of a task's life in the order of ``docs/file-formats.md``, each durable
before the next one begins."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.proof.bench import ACT, LONG, TASK, proof_bench, wait_for
from tests.proof.crash_points import SCENARIOS
from tests.proof.recorder import Recording
from tests.proof.tracer import why_not_here

pytestmark = pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))

FOLDERS = """
daemon: make completed
daemon: make failed
daemon: make results
daemon: make reports
daemon: make logs
daemon: make logs/task-a
"""
CLAIM = """
daemon: make logs/task-a/attempt-{n}
daemon: publish logs/task-a/attempt-{n}/task.md
daemon: publish pending/.task-a.lock
"""
READ = "runner: read pending/.task-a.lock"
LIVES = "runner: read logs/task-a/attempt-{n}/runner.lock"
RUN = f"""
{LIVES}
runner: publish logs/task-a/attempt-{{n}}/run.json
{READ}
runner: append logs/task-a/attempt-{{n}}/transcript.jsonl
runner: publish logs/task-a/attempt-{{n}}/outcome.json
"""
REFUSE = """
daemon: publish logs/task-a/attempt-{n}/run.json
daemon: publish logs/task-a/attempt-{n}/outcome.json
daemon: make results/.attention
daemon: publish results/.attention/task-a.json
"""
RESULT = """
daemon: publish results/task-a.json
daemon: publish reports/task-a.md
"""
COMPLETED = "daemon: move pending/task-a.md to completed/task-a.md"
FAILED = "daemon: move pending/task-a.md to failed/task-a.md"
JOURNAL = "daemon: replace pending/.task-a.attempts.json"
UNLOCK = "daemon: remove pending/.task-a.lock"
ATTEMPTS = {n: (CLAIM + RUN).format(n=n) for n in (1, 2)}
TABLE = {
    "once": (FOLDERS, ATTEMPTS[1], RESULT, COMPLETED, UNLOCK),
    "retry": (
        *(FOLDERS, ATTEMPTS[1], JOURNAL, UNLOCK, ATTEMPTS[2], RESULT, COMPLETED),
        "daemon: remove pending/.task-a.attempts.json",
        UNLOCK,
    ),
    "cancel": (
        *(FOLDERS, ATTEMPTS[1].replace(f"{READ}\n", ""), RESULT, FAILED),
        "daemon: remove pending/.task-a.cancel",
        UNLOCK,
    ),
    "rejected": (FOLDERS, CLAIM.format(n=1), REFUSE.format(n=1), RESULT, FAILED, UNLOCK),
    "requeue": (
        JOURNAL,
        "daemon: move results/task-a.json to logs/task-a/result-1-*.json",
        "daemon: move reports/task-a.md to logs/task-a/report-1-*.md",
        "daemon: remove results/.attention/task-a.json",
        "daemon: move failed/task-a.md to pending/task-a.md",
    ),
}


@dataclass(frozen=True)
class Found:
    """What a recording found, in the words of the table."""

    steps: list[str]
    faults: list[str]


def recorded(queue: Path, *calls: dict[str, Any]) -> Found:
    found = Recording(queue, calls)
    return Found([re.sub(r"-[0-9a-f]{8}\.", "-*.", step) for step in found.steps], found.faults)


def lines(*parts: str) -> list[str]:
    return [line for part in parts for line in part.splitlines() if line]


@pytest.mark.parametrize("scenario", [s for s in SCENARIOS if s.name in TABLE], ids=lambda each: each.name)
def test_each_step_is_in_its_place_and_durable_before_the_next(tmp_path: Path, scenario: Any) -> None:
    """By every call of the daemon and the runner, or of the command that a person gives."""
    with proof_bench(tmp_path / "home") as bench:
        bench.rig.drop(TASK, scenario.document)
        scenario.before(bench)
        # A signal goes past a thread that the tracer holds: where one is sent, it does not stop at each open.
        opens = scenario.name != "cancel"
        traced = bench.trace(*scenario.command, results=True, opens=opens)
        scenario.meanwhile(bench, traced.ended)
        wait_for(traced.ended, "what is traced has ended")

        assert recorded(bench.queue, *traced.entries()) == Found(lines(*TABLE[scenario.name]), [])


def test_what_was_named_before_a_kill_is_durable_before_recovery_goes_on(tmp_path: Path) -> None:
    """The daemon dies between the result's name and its sync; the next one finds the name, and syncs it."""
    with proof_bench(tmp_path / "home") as bench:
        bench.rig.drop(TASK, f"---\nexecutor: sh\n---\n{ACT}\n")
        kill = ["daemon", "fsync", str(bench.queue / "results")]
        killed = bench.trace("run", "--drain", results=True, opens=True, kill=kill)
        wait_for(killed.ended, "the daemon is killed")
        fresh = bench.trace("run", "--drain", results=True, opens=True)
        wait_for(fresh.ended, "the next daemon is drained")

        before = lines(FOLDERS, ATTEMPTS[1], "daemon: publish results/task-a.json")
        after = lines("daemon: publish reports/task-a.md", COMPLETED, UNLOCK)
        assert recorded(bench.queue, *killed.entries(), *fresh.entries()) == Found([*before, *after], [])


def test_an_edited_document_is_kept_before_what_ran_is_filed(tmp_path: Path) -> None:
    """No moment has neither the text that ran nor the newer one."""
    with proof_bench(tmp_path / "home") as bench:
        bench.rig.drop(TASK, LONG)
        traced = bench.trace("run", "--drain", results=True, opens=True)
        wait_for(bench.effects.exists, "the task runs")
        bench.rig.drop(TASK, "# A newer text\n")
        (bench.rig.workspace / "go").touch()
        wait_for(traced.ended, "the daemon is drained")

        filed = (
            "daemon: move pending/task-a.md to pending/edited-task-a.md",
            "daemon: publish completed/task-a.md",
        )
        assert recorded(bench.queue, *traced.entries()) == Found(
            lines(FOLDERS, ATTEMPTS[1], RESULT, *filed, UNLOCK), []
        )


def test_what_a_person_asks_for_is_durable_when_the_command_ends(tmp_path: Path) -> None:
    """A new task is whole before the worker can see it; a request to cancel is there."""
    with proof_bench(tmp_path / "home") as bench:
        added = bench.trace("tasks", "add", "--source", "a", f"{ACT}", "--name", f"{TASK}.md", results=True)
        wait_for(added.ended, "the task is added")
        cancelled = bench.trace("tasks", "cancel", TASK, results=True)
        wait_for(cancelled.ended, "the request is made")

        assert recorded(bench.queue, *added.entries(), *cancelled.entries()) == Found(
            [
                "daemon: make staging",
                "daemon: publish staging/task-a.md",
                "daemon: move staging/task-a.md to pending/task-a.md",
                "daemon: publish pending/.task-a.cancel",
            ],
            [],
        )


def recorded_of(queue: Path, script: str) -> Found:
    """What *script*, run as a program of its own, does in *queue*."""
    log = queue.with_name("calls")
    spec = {"watch": [str(queue)], "log": str(log), "results": True}
    start = f"import sys, pathlib; queue = pathlib.Path(sys.argv[1]); pending = queue / 'pending'; {script}"
    subprocess.run(
        [
            sys.executable, "-m", "tests.proof.tracer", json.dumps(spec),
            sys.executable, "-c", start, str(queue),
        ],
        cwd=Path(__file__).parents[2], timeout=60, check=True,
    )  # fmt: skip
    return recorded(queue, *(json.loads(line) for line in log.read_text().splitlines()))


SPENT = (
    "import datetime; from task_queue.daemon.admission.ledger import Ledger;"
    "Ledger(queue / 'ledger.jsonl').enter('a', 'task-a', 1, 0.5, at=datetime.datetime.now(datetime.UTC))"
)
DONE = (
    "from tests.claims import a_claim; from task_queue.store.folder.attempt_writer import FolderAttemptWriter;"
    "FolderAttemptWriter(pending, a_claim()).add_step('{}')"
)


@pytest.mark.parametrize(
    ("script", "file"),
    [(SPENT, "ledger.jsonl"), (DONE, "logs/task-a/attempt-1/steps.jsonl")],
    ids=["spent", "done"],
)
def test_what_was_spent_or_done_is_durable_before_the_next_step(
    tmp_path: Path, script: str, file: str
) -> None:
    """It decides what comes next: written, then synced, then the call returns. The event log only informs."""
    queue = tmp_path / "queue"
    (queue / file).parent.mkdir(parents=True)

    found = recorded_of(
        queue,
        f"{script}; from task_queue.platform import durable; durable.make_directory(queue / 'next')",
    )
    assert found == Found([f"daemon: append {file}", "daemon: make next"], [])


def test_an_amended_report_is_there_before_its_result(tmp_path: Path) -> None:
    """The result says that the work has landed; the index of those that need a person is never the smaller one."""
    with proof_bench(tmp_path / "home") as bench:
        bench.rig.drop(TASK, "---\nexecutor: sh\nmax_attempts: 1\n---\nfalse\n")
        bench.recover()
        found = recorded_of(
            bench.queue,
            "import dataclasses; from task_queue.store.folder import amending;"
            "from task_queue.store.folder.layout import Layout; layout = Layout(pending);"
            "result = dataclasses.replace(amending.read_result(layout, 'task-a'), attention=());"
            "amending.amend(layout, result, 'new')",
        )

    assert found == Found(
        [
            "daemon: replace reports/task-a.md",
            "daemon: replace results/task-a.json",
            "daemon: remove results/.attention/task-a.json",
        ],
        [],
    )
