"""A runner's process id is really given to somebody else, in a process namespace where that can be had.

python -m tests.proof.reused_pid HOME     (as the first process of a namespace of its own)
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import state_of
from tests.proof.bench import LONG, REVIEW, TASK, NotHereError, proof_bench, wait_for
from tests.proof.checker import Dropped

_NAMESPACE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
_LAST_PID = Path("/proc/sys/kernel/ns_last_pid")


def really_reused_pid(scratch: Path) -> list[str]:
    """The kernel gives the dead runner's id to a stranger: he is neither waited for nor harmed."""
    tried = subprocess.run(
        [*_NAMESPACE, "sh", "-c", f"echo 1000 > {_LAST_PID}"], capture_output=True, text=True, check=False
    )
    if tried.returncode:
        raise NotHereError(f"no process namespace of our own: {tried.stderr.strip()}")
    done = subprocess.run(
        [*_NAMESPACE, sys.executable, "-m", __name__, str(scratch / "reused")],
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    return done.stdout.splitlines() if done.returncode == 0 else [done.stderr]


def _problems(home: Path) -> list[str]:
    with proof_bench(home) as bench:
        bench.rig.drop(TASK, LONG)
        daemon = bench.start("daemon")
        wait_for(bench.effects.exists, "the task runs")
        daemon.kill()
        daemon.wait()
        pid = json.loads((bench.queue / "logs" / TASK / "attempt-1" / "run.json").read_text())["pid"]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: _is_free(pid), "its id is free")
        with _stranger_with(pid) as stranger:
            bench.recover()
            harmed = [] if stranger.poll() is None else ["a stranger's process was ended, or waited for"]
            stranger.kill()
        return harmed + bench.problems({TASK: Dropped(LONG.encode(), REVIEW)})


def _is_free(pid: int) -> bool:
    """Its parent may have ended first: an orphan becomes a child of the namespace's first process, which we are."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return state_of(pid) == ""


def _stranger_with(pid: int) -> subprocess.Popen[bytes]:
    for _ in range(100):
        _LAST_PID.write_text(str(pid - 1))
        stranger = subprocess.Popen(["sleep", "120"])
        if stranger.pid == pid:
            return stranger
        stranger.kill()
        stranger.wait()
    raise AssertionError(f"nobody got the id {pid}")


if __name__ == "__main__":
    sys.stdout.writelines(f"{problem}\n" for problem in _problems(Path(sys.argv[1])))
