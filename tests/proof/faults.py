"""Makes calls fail, disks fill up, clocks jump and identities lie: the queue says so, waits, and goes on by itself.

    python -m tests.proof.faults [--case NAME]... [--every K] [--all]

``calls``: each call of the daemon and of the runner that touches the queue's folder (opens for reading
included) fails once; by default the errors take turns, with ``--all`` each call fails in every way.
The other cases are told by their docstrings.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from task_queue.platform.isolated import words_for
from tests.proof.bench import ACT, LONG, REVIEW, TASK, NotHereError, ProofBench, proof_bench, wait_for
from tests.proof.checker import Dropped, Expected
from tests.proof.reused_pid import really_reused_pid
from tests.proof.tracer import why_not_here
from tests.waiting import eventually

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EINTR", "EMFILE", "EROFS")
AT_ONCE = 4  # a source in trouble mostly waits
SHORT = f"---\nexecutor: sh\nretry_delay: 0s\n---\n{ACT}\n"
AGAIN = f"---\nexecutor: sh\nretry_delay: 1h\n---\n{ACT}\n[ $(grep -c :task-again: effects) -ge 2 ]\n"
_FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def fail_call(
    scratch: Path, actor: str, nth: int, error: str, times: int = 1
) -> tuple[str | None, list[str], int]:
    """The call that failed, what is wrong afterwards, and how many calls *actor* made."""
    with proof_bench(scratch / f"{actor}-{nth}-{error}-{times}") as bench:
        bench.rig.drop(TASK, SHORT)
        fault = {"actor": actor, "nth": nth, "times": times, "errno": error}
        traced = bench.trace("run", "--drain", fault=fault, opens=True)
        wait_for(traced.ended, f"the daemon goes on after {fault}")
        entry = traced.struck("failed")
        step = f"{entry['call']} {Path(entry['path']).name}" if entry else None
        by_itself = [] if _is_ended(bench) else ["LOST: the daemon did not go on by itself"]
        bench.recover()  # it sweeps what could not be unlinked
        problems = by_itself + bench.problems({TASK: Dropped(SHORT.encode())})
        if problems:
            told = "\n  ".join([*problems, bench.errors()[-1500:]])
            print(f"FAILED {actor} call {nth} ({step}) with {error} x {times}\n  {told}", flush=True)
        calls = sum(1 for e in traced.entries() if e.get("actor") == actor)
        return step, problems, calls


def calls(scratch: Path, *, every: int = 1, every_error: bool = False, first: int = 1) -> tuple[int, int]:
    """How many calls were made to fail, and after how many of them something was wrong."""
    cases: list[tuple[str, int, str]] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for actor in ("daemon", "runner"):
            total = fail_call(scratch, actor, 10**9, "EIO")[2]
            for nth in range(first, total + 1, every):
                kinds = ERRORS if every_error else (ERRORS[(nth // every) % len(ERRORS)],)
                cases += [(actor, nth, error) for error in kinds]
        tried = list(pool.map(lambda case: fail_call(scratch, *case), cases))
    struck = [problems for step, problems, _ in tried if step is not None]
    return len(struck), sum(bool(problems) for problems in struck)


def full_disk(scratch: Path, leave_kb: int = 0) -> list[str]:
    """A 1 MB file system fills up while the task runs; the ending or the result finds no room until there is."""
    return _full_disk(scratch, leave_kb)


def nearly_full_disk(scratch: Path) -> list[str]:
    """The same with room for the ending, but not for the result beside it."""
    return _full_disk(scratch, 4)


def unwritable_results(scratch: Path) -> list[str]:
    """A directory turns read-only (immutable, which binds root too); the source says why, then goes on."""
    with proof_bench(scratch / "immutable") as bench:
        results = bench.queue / "results"
        results.mkdir(mode=0o700)
        if not shutil.which("chattr") or subprocess.run(["chattr", "+i", results], check=False).returncode:
            raise NotHereError("chattr +i is not permitted here")
        try:
            bench.rig.drop(TASK, SHORT)
            bench.start("run", "--drain")
            eventually(lambda: "results" in (_why(bench) or ""), timeout=30, what="the reason is told")
        finally:
            subprocess.run(["chattr", "-i", results], check=True)
        return _goes_on(bench, SHORT)


def clock_jumps(scratch: Path) -> list[str]:
    """The daemon's wall clock jumps by a day, forth and back, while a task runs: nothing times out or is lost,
    and what was to be tried again in an hour, before the clock was set back, does not wait a day."""
    if not _FAKETIME.exists():
        raise NotHereError("libfaketime is not installed (apt-get install faketime)")
    with proof_bench(scratch / "clock") as bench:
        offset = bench.home / "offset"
        offset.write_text("+0\n")
        bench.rig.environment |= {
            "LD_PRELOAD": str(_FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DISABLE_SHM": "1",
        }  # fmt: skip
        # As the daemon starts itself anew: without the variables that libfaketime reads as it is loaded.
        bench.program = words_for("task_queue.cli")
        bench.rig.drop(TASK, LONG)
        daemon = bench.start("daemon")
        dropped = {TASK: Dropped(LONG.encode())}
        wait_for(bench.effects.exists, "the task runs")
        for number, jump in enumerate(("+86400", "-86400", "+0")):
            offset.write_text(f"{jump}\n")
            if number == 0:
                (bench.rig.workspace / "go").touch()
            name = f"task-after-{number}"
            bench.rig.drop(name, SHORT)
            dropped[name] = Dropped(SHORT.encode())
            wait_for((bench.queue / "results" / f"{name}.json").exists, f"{name} is done after {jump}")
            if number == 0:
                bench.rig.drop("task-again", AGAIN)
                dropped["task-again"] = Dropped(AGAIN.encode(), Expected(effects=(2, 2)))
                wait_for(
                    (bench.queue / "pending" / ".task-again.attempts.json").exists, "it is to be tried again"
                )
        wait_for((bench.queue / "results" / "task-again.json").exists, "it was tried again")
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(timeout=30)
        return bench.problems(dropped)


def reused_pid(scratch: Path) -> list[str]:
    """The record names the process id of somebody else: he is neither waited for nor harmed."""
    return _lying_run_record(scratch / "pid", lambda run, stranger: run | {"pid": stranger})


def other_boot(scratch: Path) -> list[str]:
    """The record names a live process of exactly these start ticks, but of another boot."""

    def edit(run: dict[str, Any], stranger: int) -> dict[str, Any]:
        ticks = Path(f"/proc/{stranger}/stat").read_text().rpartition(")")[2].split()[19]
        return run | {"pid": stranger, "pid_start_ticks": int(ticks), "boot_id": "0" * 36}

    return _lying_run_record(scratch / "boot", edit)


def lock_of_other_boot(scratch: Path) -> list[str]:
    """A claim of an earlier boot whose runner never showed itself: the task runs, for the first time."""
    with proof_bench(scratch / "lock-dry") as bench:
        bench.rig.drop(TASK, SHORT)
        dry = bench.trace("run", "--drain")
        wait_for(dry.ended, "the daemon is drained")
        locks = (e["nth"] for e in dry.entries() if str(e.get("path")).endswith(f"/.{TASK}.lock"))
        published = next(locks)
    with proof_bench(scratch / "lock") as bench:
        bench.rig.drop(TASK, SHORT)
        wait_for(bench.trace("run", "--drain", kill=["daemon", published + 1]).ended, "it is killed")
        lock = bench.queue / "pending" / f".{TASK}.lock"
        claim = json.loads(lock.read_text())
        lock.write_text(json.dumps(claim | {"boot_id": "0" * 36}))
        bench.recover()
        return bench.problems({TASK: Dropped(SHORT.encode())})


CASES: dict[str, Callable[[Path], list[str]]] = {
    case.__name__: case
    for case in (
        full_disk, nearly_full_disk, unwritable_results, clock_jumps, reused_pid, really_reused_pid, other_boot,
        lock_of_other_boot,
    )
}  # fmt: skip


def _full_disk(scratch: Path, leave_kb: int) -> list[str]:
    with proof_bench(scratch / f"full-{leave_kb}", config={"limits": {"min_free_mb": 0}}) as bench:
        mounted = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(bench.queue)]
        if subprocess.run(mounted, check=False, capture_output=True).returncode:
            raise NotHereError("tmpfs cannot be mounted here")
        try:
            (bench.queue / "pending").mkdir(mode=0o700)
            bench.rig.drop(TASK, LONG)
            bench.start("run", "--drain")
            attempt = bench.queue / "logs" / TASK / "attempt-1"
            wait_for(
                lambda: bench.effects.exists() and _has_begun(attempt / "transcript.jsonl"), "the task runs"
            )
            filler = bench.queue / "filler"
            _fill(filler, leave_kb)
            (bench.rig.workspace / "go").touch()
            if leave_kb:
                eventually(lambda: "no space is left" in (_why(bench) or ""), what="the reason is told")
            else:
                eventually(lambda: len(bench.rig.marked()) == 1, what="only the runner is left")
                assert not (attempt / "outcome.json").exists()
            filler.unlink()
            return _goes_on(bench, LONG)
        finally:
            bench.close()
            subprocess.run(["umount", "-l", str(bench.queue)], check=True)


def _has_begun(file: Path) -> bool:
    """Its first page is taken, so that it takes none of those that are left."""
    return file.exists() and file.stat().st_size > 0


def _fill(filler: Path, leave_kb: int) -> None:
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 1024)
        except OSError:
            file.truncate(max(0, file.tell() - leave_kb * 1024))


def _lying_run_record(home: Path, edit: Callable[[dict[str, Any], int], dict[str, Any]]) -> list[str]:
    with proof_bench(home) as bench, subprocess.Popen(["sleep", "20"]) as stranger:
        try:
            bench.rig.drop(TASK, LONG)
            daemon = bench.start("daemon")
            wait_for(bench.effects.exists, "the task runs")
            daemon.kill()
            daemon.wait()
            path = bench.queue / "logs" / TASK / "attempt-1" / "run.json"
            run = json.loads(path.read_text())
            os.kill(run["pid"], signal.SIGKILL)
            path.write_text(json.dumps(edit(run, stranger.pid)))
            bench.recover()
            harmed = [] if stranger.poll() is None else ["a stranger's process was ended, or waited for"]
            return harmed + bench.problems({TASK: Dropped(LONG.encode(), REVIEW)})
        finally:
            stranger.kill()


def _goes_on(bench: ProofBench, document: str) -> list[str]:
    """The fault is gone: the same daemon ends the task without help."""
    wait_for(lambda: _is_ended(bench), "the task ends by itself")
    wait_for(lambda: all(p.poll() is not None for p in bench.started), "the daemon is drained")
    return bench.problems({TASK: Dropped(document.encode())})


def _is_ended(bench: ProofBench) -> bool:
    return any((bench.queue / place / f"{TASK}.md").exists() for place in ("completed", "failed"))


def _why(bench: ProofBench) -> str | None:
    state = bench.rig.state()
    return state["sources"]["a"]["why"] if state.get("sources") else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--case", action="append", choices=("calls", *CASES))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    wanted = options.case or [*CASES, "calls"]
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tq-proof-") as folder:
        for name in (name for name in wanted if name != "calls"):
            try:
                problems = CASES[name](Path(folder))
            except NotHereError as reason:
                print(f"{name}: skipped, {reason}", flush=True)
                continue
            bad += bool(problems)
            print(f"{name}: {'; '.join(problems) or 'in order'}", flush=True)
        if "calls" in wanted:
            why_not = why_not_here()
            if why_not:
                print(f"calls: skipped, {why_not}")
            else:
                struck, wrong = calls(Path(folder), every=options.every, every_error=options.all)
                print(f"calls: {struck} failed once, {struck - wrong} went on by themselves, {wrong} wrong")
                bad += wrong
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
