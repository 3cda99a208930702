"""What a command under bubblewrap can reach: the real program, in a scratch folder."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest

from task_queue.platform.sandbox import Sandbox
from tests.acceptance.test_sandbox import WHY_NOT

pytestmark = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


def run(sandbox: Sandbox, script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    argv = sandbox.around(["/bin/sh", "-c", script], directory=directory)
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_only_what_is_listed_can_be_written(tmp_path: Path) -> None:
    """Of two paths the deeper one decides, whatever their order."""
    root = tmp_path / "root"
    for name in ("open/fixed", "open/hidden/open", "other"):
        (root / name).mkdir(parents=True)
    (root / "open/hidden/secret").write_text("secret")
    (root / "open/key").write_text("secret")
    sandbox = Sandbox(
        readable=(root,),
        writable=(root / "open/hidden/open", root / "open"),
        fixed=(root / "open/fixed",),
        hidden=(root / "open/hidden", root / "open/key", root / "not there"),
    )

    done = run(
        sandbox,
        "for f in other open/fixed open/hidden/open open; do echo x > $f/new; done;"
        " cat open/hidden/secret open/key; exit 3",
        root,
    )

    written = sorted(str(path.parent.relative_to(root)) for path in root.rglob("new"))
    assert (done.returncode, done.stdout) == (3, "")
    assert written == ["open", "open/hidden/open"]


def test_it_reaches_neither_network_nor_processes(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = run(
            Sandbox(writable=(tmp_path,)),
            f"ls /proc | grep -c '^[0-9]'; socat -T1 - TCP:127.0.0.1:{port} < /dev/null || echo refused; ls -A /run",
            tmp_path,
        )

    processes, *rest = done.stdout.split()
    assert int(processes) < 8
    assert rest == ["refused"]


def test_a_private_tmp_is_gone_afterwards(tmp_path: Path) -> None:
    name = f"/tmp/{tmp_path.name}-{tmp_path.stat().st_ino}"

    done = run(
        Sandbox(writable=(tmp_path,)), f'echo x > {name} && cat {name} && test "$TMPDIR" = /tmp', tmp_path
    )

    assert (done.returncode, done.stdout) == (0, "x\n")
    assert not Path(name).exists()
