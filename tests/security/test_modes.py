"""Files 0600 and folders 0700, whatever the umask."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

from tests.acceptance.rig import Rig


def test_nobody_else_can_read_what_we_write(rig: Rig) -> None:
    """init, add, a run with output, its log, transcript, result and state, all under umask 0."""
    project = rig.home / "project"
    project.mkdir(mode=0o700)
    rig.environment["TASK_QUEUE_CONFIG"] = str(rig.home / "conf" / "config.json")
    before = set(rig.home.rglob("*"))
    script = (
        'q="$0 -m task_queue.cli"; $q init . && $q tasks add --source ad-hoc "# Text" && '
        'printf %s "$1" | $q --config ../config.json tasks add --source a - && $q --config ../config.json run --drain; '
        "timeout -s TERM 3 $q --config ../config.json daemon"
    )
    done = subprocess.run(
        ["/bin/sh", "-c", f"umask 0; {script}", sys.executable, "---\nexecutor: sh\n---\necho text\n"],
        env=rig.environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    written = set(rig.home.rglob("*")) - before
    names = {path.name for path in written}
    open_to_others = {str(p.relative_to(rig.home)): oct(p.stat().st_mode) for p in written if _is_open(p)}
    assert {"config.json", "transcript.jsonl", "outcome.json", "runner.log", "daemon.json"} <= names, (
        done.stderr
    )
    assert open_to_others == {}


def _is_open(path: Path) -> bool:
    return bool(path.lstat().st_mode & 0o077) and not stat.S_ISLNK(path.lstat().st_mode)
