"""Places for checkouts whose path stays the same."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from task_queue.git.scratch_checkout import discard_unused_places, fixed_place, scratch_checkout
from tests.git.conftest import Scratch

HOLDS = """
import sys, time
from pathlib import Path
from task_queue.git.program import Git
from task_queue.git.scratch_checkout import fixed_place, scratch_checkout
git = Git(Path(sys.argv[1]), {"PATH": sys.argv[3]})
with fixed_place(Path(sys.argv[2])) as place, scratch_checkout(git, "HEAD", directory=place):
    print(place, flush=True)
    time.sleep(600)
"""


def test_two_at_once_have_places_of_their_own(scratch: Scratch, tmp_path: Path) -> None:
    """The first is free again once its process was killed, and what it left goes; one that is used stays."""
    scratch.commit("a.txt")
    folder = tmp_path / "trees"
    words = [sys.executable, "-c", HOLDS, str(scratch.root), str(folder), os.environ["PATH"]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        first = Path(other.stdout.readline().strip())
        with fixed_place(folder) as second:
            pass
        discard_unused_places(folder)
        stayed = (first / "a.txt").exists()
        other.send_signal(signal.SIGKILL)
    left = (first / "a.txt").exists()
    discard_unused_places(folder)
    gone = not first.exists()
    with fixed_place(folder) as again, scratch_checkout(scratch.git, "HEAD", directory=again) as root:
        assert (root / "a.txt").exists()

    assert (first.name, second.name, again) == ("1", "2", first)
    assert (stayed, left, gone) == (True, True, True)
