"""State files that the daemon, the process that serves workers and commands write: two of them at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

_ACCEPT = """
import sys, time
from pathlib import Path
from task_queue.agents.project_settings import SettingsTrust

store, go, name = map(Path, sys.argv[1:])
trust = SettingsTrust(store)
while not go.exists():
    time.sleep(0.001)
for number in range(60):
    trust.accept(Path(f"/{name}/{number}"))
"""
_ENTER = """
import os, sys, time
from pathlib import Path
from task_queue.daemon.admission import Bounds, SharedAdmission, SharedLimits
from task_queue.daemon.admission.account_file import AccountFile
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.ledger import Ledger
from task_queue.daemon.admission.running import RunningPlaces, RunningTasks
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.task import TaskId
from task_queue.platform.clock import SystemClock
from task_queue.store.pauses import Pauses

store, go, name = map(Path, sys.argv[1:])
other = "b" if name.name == "a" else "a"
places = RunningPlaces(store / f"{name}.json", store / f"{other}.json", store / "running.lock")
clock = SystemClock()
limits = SharedLimits(
    clock,
    Ledger(store / "ledger.jsonl"),
    broken_bases=BrokenBases(store / "bases", lambda _: None),
    pauses=Pauses(store / "pauses"),
    running=RunningTasks(places),
)
remote = frozenset({"far"})
limits.configure(Bounds(places=1, daily_budget_usd=1.0, starts_per_10min=10**9, remote=remote))
admission = SharedAdmission(limits, AccountFile(store / f"{name}-account.json"))
task = Waiting(TaskId("task-x"), clock.now(), executor="sh")
inside = store / "inside"
while not go.exists():
    time.sleep(0.001)
entered = 0
while entered < 100:
    if admission.enter(str(name), task, lambda: None) is not None:
        continue
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails where the other is inside, too
    entered += 1
    inside.unlink()
    admission.leave(str(name), task.id)
"""
_KEEP_RESULTS = """
import os, sys, time
from datetime import UTC, datetime
from pathlib import Path
from task_queue.domain.work.baseline import BaseResult
from task_queue.git.base_results import keep_base_results
from task_queue.git.program import Git

repository, go, name = map(Path, sys.argv[1:])
git = Git(repository, dict(os.environ))
now = datetime.now(UTC)
while not go.exists():
    time.sleep(0.001)
for number in range(30):
    keep_base_results(git, [BaseResult("main", f"{name}-{number}", "true", True, "", now)])
"""


def both(program: str, folder: Path, store: Path) -> None:
    """Run *program* in two processes that begin at the same moment; both have to succeed."""
    go = folder / "go"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(store), str(go), name], stderr=subprocess.PIPE, text=True
        )
        for name in ("a", "b")
    ]
    try:
        go.touch()
        for process in running:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_what_two_accept_at_the_same_time_is_accepted(tmp_path: Path) -> None:
    """Settings of projects: of the owner's word none gets lost."""
    store = tmp_path / "state" / "trusted-settings.json"
    both(_ACCEPT, tmp_path, store)

    assert len(json.loads(store.read_text())["workspaces"]) == 120


def test_what_two_say_of_a_base_at_the_same_time_is_kept(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "shop"], check=True)
    both(_KEEP_RESULTS, tmp_path, tmp_path / "shop")

    kept = json.loads((tmp_path / "shop/.git/task-queue-checks.json").read_text())["results"]
    assert {each["commit"] for each in kept} == {f"{name}-{n}" for name in "ab" for n in range(30)}


def test_of_one_place_two_processes_never_have_two(tmp_path: Path) -> None:
    store = tmp_path / "state"
    store.mkdir()
    both(_ENTER, tmp_path, store)
