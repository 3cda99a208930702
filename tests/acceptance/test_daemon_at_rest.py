"""What a daemon costs that has nothing to do: what it loads, and what its sweeps ask of the kernel; by counts.

A number that grows is no fault by itself: say here what the new call is for.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.processes import waits_ended
from tests.waiting import eventually, within

LIBRARIES = {
    "pydantic",  # the configuration
    "pydantic_core",
    "annotated_types",
    "typing_extensions",
    "typing_inspection",
    "watchdog",  # events of folders
    "psutil",  # the memory of the machine
    "cronsim",  # schedules
}
"""The SDK is a runner's, FastAPI the API's, psycopg a fleet's, click and rich a terminal's."""
MODULES = 540
"""At most so many: half are the queue's own, the rest the standard library's and those above."""
FEW, MORE, SWEEPS = 2, 12, 10
CALLS_PER_SWEEP = 10
"""Is the configuration another one, is everything stopped, is the state file there: 3. The thread for schedules is
woken, wakes, and waits again: 3. Two more threads wait again: 3. One is room: what else wakes then is chance."""
CALLS_PER_SOURCE = 10
"""Is its folder empty, so opened, looked at, read to its end, closed: 5. Is it paused or resumed: 2. Are there
schedules, in either place: 2. Are there results to be looked at: 1."""
WATCHED_S, WAITS = 3.0, 6
"""At most so many waits of all threads end within that time, between two sweeps: the main thread looks once a second.
The rest is room for a sweep's end and for what the machine does."""
_BETWEEN_THREADS = ("futex", "restart_syscall")
_CALL = re.compile(r"^\d+ +(?:<\.\.\. )?(\w+)")


def test_what_a_daemon_loads() -> None:
    code = (
        "import sys; had = set(sys.modules); import task_queue.daemon.process; print(*set(sys.modules) - had)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    packages = {name.partition(".")[0] for name in modules}
    loaded = packages - set(sys.stdlib_module_names) - {"task_queue"}

    assert {name for name in loaded if not name.startswith("_")} == LIBRARIES
    assert MODULES / 2 < len(modules) <= MODULES


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_what_a_sweep_of_a_daemon_at_rest_asks_of_the_kernel(make_rig: MakeRig, tmp_path: Path) -> None:
    for number in (FEW, MORE):
        most = CALLS_PER_SWEEP + number * CALLS_PER_SOURCE
        assert most / 2 < _calls_per_sweep(make_rig, number, tmp_path / str(number)) <= most, number


def test_a_daemon_at_rest_wakes_once_a_second(make_rig: MakeRig) -> None:
    """However many sources it has: their threads sleep until something happens."""
    names = tuple(f"s{number:02}" for number in range(20))
    rig = make_rig(sources=names, sweep_seconds=60)
    pid = rig.start().pid
    rig.drop_command("task-first", ":", source=names[0])
    rig.result("task-first", source=names[0])

    def is_quiet() -> bool:
        before = waits_ended(pid)
        return not within(WATCHED_S, lambda: waits_ended(pid) - before > WAITS)

    eventually(is_quiet, timeout=30, what=f"at most {WAITS} waits end within {WATCHED_S} s")


def _calls_per_sweep(make_rig: MakeRig, sources: int, trace: Path) -> int:
    """Of the sweep that asked least: now and then work of another kind is due in between."""
    names = tuple(f"s{number:02}" for number in range(sources))
    rig = make_rig(sources=names, sweep_seconds=0.3)
    begins = f'openat(AT_FDCWD, "{rig.pending(names[0])}", O_RDONLY|O_NONBLOCK'

    def sweeps() -> list[int]:
        """Calls from the beginning of each to that of the next."""
        counts = [0]
        for line in trace.read_text().splitlines() if trace.exists() else ():
            if begins in line:
                counts.append(0)
            call = _CALL.match(line)
            counts[-1] += call is not None and call[1] not in _BETWEEN_THREADS and " resumed>" not in line
        return counts[1:-1]

    daemon = rig.start()
    rig.drop_command("task-1", "true", source=names[0])
    rig.result("task-1", source=names[0])
    with subprocess.Popen(
        ["strace", "-f", "-o", str(trace), "-p", str(daemon.pid)], stderr=subprocess.DEVNULL
    ) as tracer:
        try:
            eventually(lambda: len(sweeps()) >= SWEEPS, what="it has swept some times")
        finally:
            tracer.terminate()
    return min(sweeps())
