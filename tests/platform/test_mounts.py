"""Which file system serves a path, from the kernel's table."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from task_queue.platform.mounts import is_remote, kind_at, parse_table, table_text

TABLE = r"""
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:44 / /home/me/team\040share rw,relatime shared:2 master:1 - nfs4 server:/export rw
31 30 0:45 / /home/me/team\040share/tmp rw - tmpfs none rw
32 21 0:46 / /data rw - ext4 /dev/sdb1 rw
33 21 0:47 / /data rw - fuse.sshfs other: rw
not a mount
"""


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
    assert kind_at(PurePath(path), parse_table(TABLE)) == kind


def test_without_a_table_nothing_is_claimed() -> None:
    assert kind_at(PurePath("/etc"), parse_table("")) is None


def test_the_real_table_knows_the_root() -> None:
    assert kind_at(PurePath("/"), parse_table(table_text())) is not None


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_others_may_change_files_on_a_remote_file_system(kind: str) -> None:
    assert is_remote(kind)


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "tmpfs", "overlay", "fuseblk"])
def test_a_local_file_system_is_not_remote(kind: str) -> None:
    assert not is_remote(kind)
