"""Ending processes, and knowing that they have ended."""

from __future__ import annotations

import subprocess
import sys

from task_queue.platform.identity import bearers, kill_group

_HOLDS_MUCH = "held = bytearray(b'x') * (300 << 20); print('holds', flush=True); input()"


def test_a_killed_group_is_waited_for_until_nobody_of_it_runs() -> None:
    """The kernel takes its time to end a process that holds much memory; its leader may be gone long before."""
    leader = subprocess.Popen(
        ["/bin/sh", "-c", f'{sys.executable} -c "{_HOLDS_MUCH}" & echo started; wait'],
        env={"TASK_QUEUE_ATTEMPT": "a-group"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert leader.stdout is not None
        said = {leader.stdout.readline(), leader.stdout.readline()}
        assert said == {b"started\n", b"holds\n"}
    finally:
        kill_group(leader.pid)

    assert bearers("a-group") == []
    leader.communicate()
