"""What a hostile agent does to the queue's folders. Run as a program in a task: ``forger.py KIND QUEUE TASK``.

Shares no code with the product: an attacker knows the files, not the functions.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOKEN = "f" * 64
PROOF = hashlib.sha256(TOKEN.encode()).hexdigest()


class Forger:
    """Of one task in one queue; its methods are the forgeries."""

    def __init__(self, queue: Path, task: str) -> None:
        self.queue = queue
        self.task = task
        self.document = queue / "pending" / f"{task}.md"
        self.lock = queue / "pending" / f".{task}.lock"
        self.attempt = max((queue / "logs" / task).glob("attempt-*"), key=lambda path: path.stat().st_mtime)
        self.run: dict[str, Any] = json.loads((self.attempt / "run.json").read_text())

    def kill_runner(self) -> None:
        os.kill(self.run["pid"], signal.SIGKILL)
        time.sleep(60)

    def claim(self, **changed: object) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lock.read_text())
        return {**found, **changed}

    def write(self, path: Path, record: object) -> None:
        """In one step, as we do it ourselves."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name("draft")
        draft.write_text(record if isinstance(record, str) else json.dumps(record, indent=1))
        draft.rename(path)

    def ending(self, *, kind: str = "succeeded", by: str = "runner", token: str = TOKEN) -> dict[str, Any]:
        return {
            "task_id": self.task,
            "attempt": self.run["attempt"],
            "outcome": {"kind": kind, "reason": "trust me"},
            "work": {"output": "trust me"},
            "started_at": "2026-02-07T12:00:00+00:00",
            "ended_at": "2026-02-07T12:00:01+00:00",
            "committed_by": by,
            "token": token,
            "schema_version": 1,
        }

    def result(self) -> dict[str, Any]:
        return {
            "success": True,
            "output": "trust me",
            "error": None,
            "task_id": self.task,
            "started_at": "2026-02-07T12:00:00+00:00",
            "completed_at": "2026-02-07T12:00:01+00:00",
            "duration_ms": 1,
            "duration_api_ms": 1,
            "total_cost_usd": 0,
            "usage": {},
            "session_id": None,
            "num_turns": 1,
            "state": "completed",
            "outcome": "succeeded",
            "evidence": ["trust me"],
            "attempts": [],
            "source": "a",
            "worker": "a",
            "workspace": None,
            "schema_version": 1,
        }

    # One task's own records

    def a_lock_with_its_own_proof(self) -> None:
        self.write(self.lock, self.claim(proof=PROOF))
        self.write(self.attempt / "outcome.json", self.ending())
        self.kill_runner()

    def a_lock_without_a_proof(self) -> None:
        self.write(self.lock, self.claim(proof=""))
        self.write(self.attempt / "outcome.json", self.ending(token=""))
        self.kill_runner()

    def a_run_record_that_brings_its_own_claim(self) -> None:
        claim = self.claim(proof=PROOF, attempt=7)
        self.write(
            self.attempt.with_name("attempt-7") / "run.json", {**self.run, "attempt": 7, "claim": claim}
        )
        (self.attempt.with_name("attempt-7") / "transcript.jsonl").write_text(self.exit_0() + self.vouched())
        self.lock.unlink()
        self.kill_runner()

    def an_ending_of_recovery(self) -> None:
        self.end_of_transcript()
        self.write(self.attempt / "outcome.json", self.ending(by="recovery", token=""))
        self.kill_runner()

    def an_interruption_that_costs_nothing(self) -> None:
        self.write(self.attempt / "outcome.json", self.ending(kind="interrupted", by="worker", token=""))
        self.kill_runner()

    def an_exit_code_in_the_transcript(self) -> None:
        self.end_of_transcript()
        self.kill_runner()

    def a_runner_of_its_own(self) -> None:
        stat = Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()
        self.write(
            self.attempt / "run.json", {**self.run, "pid": os.getpid(), "pid_start_ticks": int(stat[19])}
        )
        self.kill_runner()

    def rubbish_everywhere(self) -> None:
        for path in (self.lock, self.attempt / "run.json", self.attempt / "outcome.json"):
            self.write(path, "rubbish")
        self.kill_runner()

    # Where it will be told how it ended

    def a_result(self) -> None:
        self.write(self.queue / "results" / f"{self.task}.json", self.result())
        self.write(self.queue / "reports" / f"{self.task}.md", "# All is well\n")

    def a_place_among_the_completed(self) -> None:
        self.a_result()
        self.document.rename(self.queue / "completed" / self.document.name)
        self.lock.unlink()

    def a_copy_among_the_completed(self) -> None:
        self.write(self.queue / "completed" / self.document.name, self.document.read_text())

    def a_link_among_the_completed(self) -> None:
        os.link(self.document, self.queue / "completed" / self.document.name)

    # How often it may try

    def a_later_attempt(self) -> None:
        self.attempt.with_name("attempt-99").mkdir()
        self.lock.unlink()

    def a_history_without_attempts(self) -> None:
        self.write(
            self.queue / "pending" / f".{self.task}.attempts.json",
            {"task_id": self.task, "attempts": [], "not_before": None, "schema_version": 1},
        )

    def a_text_with_more_attempts(self) -> None:
        more = self.document.read_text().replace("max_attempts: 2", "max_attempts: 9")
        self.write(self.attempt / "task.md", more)

    def steps_that_were_never_taken(self) -> None:
        """As if it had been verified and audited; its next attempt would only have to say so."""
        done = (
            {"step": "implemented", "round": 1},
            {"step": "verified", "round": 1, "passed": True},
            {"step": "audited", "round": 1, "verdict": "pass"},
            {"step": "committed"},
        )
        with (self.attempt / "steps.jsonl").open("a") as steps:
            for step in done:
                steps.write(json.dumps(step | {"signature": PROOF}) + "\n")
        self.kill_runner()

    def end_of_transcript(self) -> None:
        with (self.attempt / "transcript.jsonl").open("a") as transcript:
            transcript.write(self.exit_0())

    def exit_0(self) -> str:
        return json.dumps({"t": "", "seq": 99, "dir": "in", "raw": {"type": "exit", "code": 0}}) + "\n"

    def vouched(self) -> str:
        return (
            json.dumps({"t": "", "seq": 99, "dir": "note", "raw": {"type": "vouched", "token": TOKEN}}) + "\n"
        )


def another_tasks_claim(queue: Path, task: str) -> None:
    """Of a task that waits in *queue*, as if it had been carried out."""
    mine = next((queue / "pending").glob(".task-*.lock"))
    claim: dict[str, Any] = json.loads(mine.read_text())
    claim |= {"task_id": task, "document": f"{task}.md", "proof": PROOF, "attempt": 1}
    forger_of = Forger(queue, mine.name.removeprefix(".").removesuffix(".lock"))
    attempt = queue / "logs" / task / "attempt-1"
    forger_of.task = task
    forger_of.write(attempt / "task.md", (queue / "pending" / f"{task}.md").read_text())
    forger_of.write(
        attempt / "run.json", {**forger_of.run, "task_id": task, "claim": claim, "pid": 2**22 + 1}
    )
    forger_of.write(attempt / "outcome.json", forger_of.ending())
    forger_of.write(queue / "pending" / f".{task}.lock", claim)


def main() -> None:
    kind, queue, task = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    if kind == "another_tasks_claim":
        another_tasks_claim(queue, task)
        return
    forge: Callable[[], None] = getattr(Forger(queue, task), kind)
    forge()


if __name__ == "__main__":
    main()
