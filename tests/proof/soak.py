"""Hundreds of tasks under random kills: ``python -m tests.proof.soak --minutes 2``.

Command tasks in three sources; every moment a daemon or a runner is killed, a task cancelled, the daemon
restarted in good order, the configuration touched. Then everything is drained and looked at from outside.
It ends only processes that it started: daemons by their handle, runners by the run record in its own
folders, checked against their environment.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.acceptance.rig import Rig
from tests.proof.bench import ACT
from tests.proof.checker import Dropped, Expected, marked_processes, problems_of
from tests.waiting import eventually

SOURCES = ("a", "b", "c")
_DRAIN_S = 240.0
_TASK = "---\nexecutor: sh\n{keys}---\n{act}; {extra}sleep {seconds}; exit {code}\n"
# A killed runner, a stop in good order, a person: each may end a command before it has told its end.
_BROKEN_OFF = ("crashed", "interrupted", "cancelled")
_MAY_SUCCEED = Expected(("completed", "failed"), ("succeeded", *_BROKEN_OFF), (0, 1))
_FAILS = Expected(("failed",), ("failed", *_BROKEN_OFF), (0, 1))
_IS_RUN_AGAIN = replace(_MAY_SUCCEED, effects=(0, 50))


@dataclass
class Soak:
    rig: Rig
    chance: random.Random
    dropped: dict[str, dict[str, Dropped]] = field(default_factory=lambda: {source: {} for source in SOURCES})
    """By source and id."""
    done: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, *, tasks_per_second: float) -> list[str]:
        """What the checker finds at the end. A machine so slow that nothing was killed yet is given longer."""
        end = time.monotonic() + seconds
        begun = time.monotonic()
        daemon = self.rig.start()
        spared_until = time.monotonic() + self.chance.uniform(1, 15)
        while time.monotonic() < end or (not self.kills and time.monotonic() < end + _DRAIN_S / 2):
            due = (time.monotonic() - begun) * tasks_per_second
            while self.tasks < due:
                self._drop()
            act = self.chance.choices(
                ["kill daemon", "kill runner", "cancel", "restart", "touch configuration", "wait"],
                [4, 10, 2, 2, 2, 4],
            )[0]
            match act:
                case "kill daemon" | "restart":
                    if (
                        time.monotonic() < spared_until
                    ):  # a daemon that never gets to start a runner proves little
                        continue
                    self.rig.stop(daemon, signal.SIGKILL if act == "kill daemon" else signal.SIGTERM)
                    daemon = self.rig.start()
                    spared_until = time.monotonic() + self.chance.uniform(1, 15)
                case "kill runner":
                    if not self._kill_a_runner():
                        time.sleep(0.02)
                        continue
                    time.sleep(self.chance.uniform(0.2, 2))
                case "cancel":
                    self._cancel()
                case "touch configuration":
                    self.rig.config.write_text(self.rig.config.read_text())
                case _:
                    time.sleep(self.chance.uniform(0.05, 0.5))
            self.done[act] += 1
        return self._drained()

    def _drop(self) -> None:
        source = self.chance.choice(SOURCES)
        keys, code, expected = "max_attempts: 1\n", 0, _MAY_SUCCEED
        if self.chance.random() < 0.15:
            keys, expected = "max_attempts: 50\non_lost_session: rerun\nretry_delay: 0s\n", _IS_RUN_AGAIN
        elif self.chance.random() < 0.25:
            code, expected = 1, _FAILS
        extra = "setsid sleep 1000 & " if self.chance.random() < 0.2 else ""
        seconds = f"{self.chance.uniform(0, 0.6):.2f}"
        text = _TASK.format(keys=keys, act=ACT, extra=extra, seconds=seconds, code=code)
        name = self.rig.drop(f"task-{self.tasks:05d}", text, source=source)
        self.dropped[source][name] = Dropped(text.encode(), expected)

    def _kill_a_runner(self) -> bool:
        """One that a lock points to; False if none runs."""
        locks = [lock for source in SOURCES for lock in self.rig.locks(source)]
        self.chance.shuffle(locks)
        for lock in locks:
            try:
                claim = json.loads(lock.read_text())
                logs = lock.parents[1] / "logs" / claim["task_id"] / f"attempt-{claim['attempt']}"
                run = json.loads((logs / "run.json").read_text())
                pidfd = os.pidfd_open(run["pid"])
            except (OSError, ValueError):
                continue
            try:
                if run["pid"] in marked_processes(self.rig.home):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    return True
            except ProcessLookupError:
                continue
            finally:
                os.close(pidfd)
        return False

    def _cancel(self) -> None:
        source = self.chance.choice(SOURCES)
        waiting = [
            name for name in self.dropped[source] if (self.rig.pending(source) / f"{name}.md").exists()
        ]
        if waiting:
            (self.rig.pending(source) / f".{self.chance.choice(waiting[:3])}.cancel").write_text("{}\n")

    def _drained(self) -> list[str]:
        daemon = self.rig.daemons[-1]

        def is_empty() -> bool:
            assert daemon.poll() is None, self.rig.errors()
            return all(not any(self.rig.pending(source).iterdir()) for source in SOURCES)

        try:
            eventually(is_empty, timeout=_DRAIN_S, what="the queue is drained")
        except AssertionError as error:
            self.done[str(error)] += 1  # the checker tells what is left
        self.rig.stop(daemon)
        effects = self.rig.workspace / "effects"
        return [
            f"{source}: {problem}"
            for source, tasks in self.dropped.items()
            for problem in problems_of(self.rig.home, self.rig.queue(source), effects, tasks)
        ]

    @property
    def tasks(self) -> int:
        return sum(map(len, self.dropped.values()))

    @property
    def kills(self) -> int:
        return self.done["kill daemon"] + self.done["kill runner"]

    def report(self, problems: list[str]) -> str:
        acts = ", ".join(f"{act} {number}" for act, number in sorted(self.done.items()))
        lost = sum("LOST" in problem for problem in problems)
        doubled = sum("DOUBLED" in problem for problem in problems)
        first = (
            f"{self.tasks} tasks, {self.kills} kills, {lost} lost, {doubled} doubled,"
            f" {len(problems) - lost - doubled} otherwise wrong ({acts})"
        )
        return "\n".join([first, *problems])


def soak(home: Path, *, seconds: float, tasks_per_second: float, seed: int) -> tuple[Soak, list[str]]:
    """Run it below *home*; everything that was started has ended when it returns."""
    rig = Rig(home, sources=SOURCES, stop_grace_seconds=5, limits={"min_free_mb": 0})
    try:
        run = Soak(rig, random.Random(seed))
        return run, run.run(seconds, tasks_per_second=tasks_per_second)
    finally:
        rig.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--tasks-per-second", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = random.randrange(10**6) if options.seed is None else options.seed
    home = Path(tempfile.mkdtemp(prefix="task-queue-soak-"))
    print(f"seed {seed}, {options.minutes} minutes, in {home}", flush=True)
    run, problems = soak(
        home / "home", seconds=options.minutes * 60, tasks_per_second=options.tasks_per_second, seed=seed
    )
    print(run.report(problems))
    if not problems:
        shutil.rmtree(home)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
