"""Which file system serves a path, from the kernel's table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path, PurePath

import pytest

from task_queue.platform.mounts import Mount, is_remote, kind_at, mounted

TABLE = (
    Mount("/", "ext4"),
    Mount("/home/me/team share", "nfs4"),
    Mount("/home/me/team share/tmp", "tmpfs"),
    Mount("/data", "ext4"),
    Mount("/data", "fuse.sshfs"),
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc", "ext4"),
        ("/home/me/team share/web/pending", "nfs4"),
        ("/home/me/team share/tmp/web", "tmpfs"),
        ("/home/me/team", "ext4"),
        ("/data/web", "fuse.sshfs"),
    ],
)
def test_the_nearest_and_latest_mount_serves_a_path(path: str, kind: str) -> None:
    assert kind_at(PurePath(path), TABLE) == kind


def test_without_a_table_nothing_is_claimed() -> None:
    assert kind_at(PurePath("/etc"), ()) is None


def test_the_real_table_knows_the_root() -> None:
    assert kind_at(PurePath("/"), mounted()) is not None


def test_a_mount_with_blanks_and_odd_bytes_in_its_path_is_found(tmp_path: Path) -> None:
    """The kernel escapes them in its table."""
    script = """
import os, subprocess, sys
from pathlib import Path
from task_queue.platform.mounts import kind_at, mounted
folder = Path(sys.argv[1]) / os.fsdecode(b"a b\\t\\n\\\\ \\xff")
folder.mkdir()
before = mounted()
subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=True)
print(mounted() == before, kind_at(folder / "pending", mounted()))
"""
    done = subprocess.run(
        ["unshare", "-Urm", sys.executable, "-c", script, tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert (done.stdout, done.stderr) == ("False tmpfs\n", "")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_others_may_change_files_on_a_remote_file_system(kind: str) -> None:
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs", "overlay", "fuseblk"])
def test_a_local_file_system_is_not_remote(kind: str) -> None:
    assert not is_remote(kind)
