"""Cuts the power at every call: what had not reached the disk is gone, a daemon starts on what is left.

    python -m tests.proof.power_cut [--every K] [--first N]

The queue lies on ext4 in a file, mounted with ``commit=300``, so that nothing is written back unless it is
asked for. At the n-th call everything is killed and the file is copied: the copy is what a disk would hold.
What the task did is noted outside of it. Needs root and loop devices.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.proof.bench import ACT, TASK, proof_bench, wait_for
from tests.proof.checker import Dropped, Expected, figures
from tests.proof.crash_points import AT_ONCE
from tests.proof.tracer import why_not_here

DOCUMENT = f"---\nexecutor: sh\n---\n{ACT}\n"
MAYBE = Expected(("completed", "failed"), ("succeeded", "crashed"), (0, 1))


def cut(scratch: Path, actor: str, nth: int) -> tuple[str | None, list[str], int]:
    """The call before which the power went, what is wrong afterwards, and how many calls *actor* made."""
    home = scratch / f"cut-{actor}-{nth}"
    disk, copy = scratch / f"{home.name}.img", scratch / f"{home.name}-copy.img"
    with disk.open("wb") as file:
        file.truncate(16 * 2**20)
    _run("mkfs.ext4", "-q", str(disk))
    with proof_bench(home, config={"limits": {"min_free_mb": 0}}) as bench:
        _run("mount", "-o", "loop,commit=300", str(disk), str(bench.queue))
        try:
            (bench.queue / "lost+found").rmdir()
            (bench.queue / "pending").mkdir(mode=0o700)
            bench.queue.chmod(0o700)
            bench.rig.drop(TASK, DOCUMENT)
            _run("sync", "-f", str(bench.queue))
            traced = bench.trace("run", "--drain", kill=[actor, nth])
            wait_for(lambda: traced.struck("killed") or traced.ended(), "the power is cut")
            traced.process.kill()  # and with it all that runs below
            traced.process.wait()
            wait_for(lambda: not bench.rig.marked(), "all is dead")
            shutil.copyfile(disk, copy)
            _run("umount", "-l", str(bench.queue))
            _run("mount", "-o", "loop", str(copy), str(bench.queue))
            bench.recover()
            problems = bench.problems({TASK: Dropped(DOCUMENT.encode(), MAYBE)})
            entry = traced.struck("killed")
            step = f"{entry['call']} {Path(entry['path']).name}" if entry else None
            if problems:
                print(f"FAILED {actor} call {nth} ({step})\n  " + "\n  ".join(problems), flush=True)
            return step, problems, sum(e.get("actor") == actor for e in traced.entries())
        finally:
            bench.close()
            _run("umount", "-l", str(bench.queue))
            disk.unlink()
            copy.unlink(missing_ok=True)


def why_not() -> str | None:
    """Why no power can be cut on this machine."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4"):
        return "mounting a disk image needs root and mkfs.ext4"
    with tempfile.TemporaryDirectory(prefix="tq-proof-") as folder:
        disk, there = Path(folder, "disk"), Path(folder, "there")
        there.mkdir()
        with disk.open("wb") as file:
            file.truncate(8 * 2**20)
        _run("mkfs.ext4", "-q", str(disk))
        tried = subprocess.run(
            ["mount", "-o", "loop", disk, there], capture_output=True, text=True, check=False
        )
        if tried.returncode:
            return f"no loop mounts here: {tried.stderr.strip()}"
        _run("umount", str(there))
    return why_not_here()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    options = parser.parse_args()
    reason = why_not()
    if reason:
        print(f"skipped: {reason}")
        return 0
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="tq-proof-", dir=memory if memory.is_dir() else None
    ) as folder, ThreadPoolExecutor(AT_ONCE) as pool:  # fmt: skip
        scratch = Path(folder)
        cases = [
            (actor, nth)
            for actor in ("daemon", "runner")
            for nth in range(options.first, cut(scratch, actor, 10**9)[2] + 1, options.every)
        ]
        tried = list(pool.map(lambda case: cut(scratch, *case), cases))
    struck = [problems for step, problems, _ in tried if step]
    print(f"power cuts: {figures(struck)}")
    return any(struck)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


if __name__ == "__main__":
    sys.exit(main())
