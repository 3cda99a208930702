"""The state folder is ours, but hands and other programs reach it: nothing hangs, nothing lies, the daemon lives on."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually

pytestmark = pytest.mark.long

UNTIL_TOLD = "echo start >> log; while [ ! -e go ]; do sleep 0.05; done; echo end >> log"
FILES = (
    "daemon.json",
    "daemon.lock",
    "daemon.log",
    "accounts.json",
    "ledger.jsonl",
    "claims.jsonl",
    "dropped.json",
    "stopped",
    "trusted-settings.json",
)
GARBAGE = {
    "bytes": b"\xff\x00\x1b[2J" * 500,
    "another shape": b'[1, {"a": []}]\n',
    "nesting": b"[" * 100_000,
    "nothing": b"",
}


def test_a_deleted_state_folder_is_made_anew(rig: Rig) -> None:
    """While a task runs: status still tells the truth, a second daemon is refused, stop and log work."""
    daemon = rig.start()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.started("log")
    shutil.rmtree(_state_folder(rig))
    shutil.rmtree(rig.home / "run")
    eventually(lambda: rig.state().get("pid") == daemon.pid, what="the state is published again")
    eventually(lambda: rig.cli("daemon").returncode == 1, what="the locks are held again")
    second = rig.cli("daemon")
    (rig.workspace / "go").touch()

    assert f"pid {daemon.pid}" in second.stderr
    assert rig.result("task-1")["success"]
    assert rig.side_effects("log") == ["start", "end"]
    eventually(lambda: "task-1" in rig.cli("logs").stdout, what="the log goes on")
    assert rig.cli("stop").stdout == "stopped: nothing runs; go on with: task-queue resume\n"


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_every_file_stops_nothing(make_rig: MakeRig, what: str) -> None:
    """Read as if it were not there; nobody's task suffers."""
    rig = make_rig(limits={"daily_budget_usd": 5})
    folder = _empty_state_folder(rig)
    for name in FILES:
        if name != "stopped":
            (folder / name).write_bytes(GARBAGE[what])
    read = [
        rig.cli(*command) for command in (("status",), ("status", "--json"), ("workers", "list"), ("logs",))
    ]
    rig.start()
    rig.drop_command("task-1", "true")

    assert "error" not in "".join(answer.stderr for answer in read)
    assert "\x1b" not in "".join(answer.stdout for answer in read)
    assert rig.result("task-1")["success"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("what", ["fifo", "directory", "link"])
def test_something_else_in_the_place_of_a_file_is_told(rig: Rig, name: str, what: str) -> None:
    """The daemon does not start, hang or follow; reading commands answer; it stays where it is."""
    place = _empty_state_folder(rig) / name
    match what:
        case "fifo":
            os.mkfifo(place)
        case "directory":
            place.mkdir()
        case _:
            place.symlink_to(rig.home / "elsewhere")
    refused = [rig.cli(*command) for command in (("daemon",), ("run", "--drain"))]
    status = rig.cli("status")

    for answer in refused:
        assert answer.returncode == 1
        assert f"{place} is not a regular file" in answer.stderr
        assert f"mv {place}" in answer.stderr
    assert (status.returncode, status.stderr) == (3, "")
    assert place.is_fifo() or place.is_dir() or place.is_symlink()
    assert not (rig.home / "elsewhere").exists()


def _empty_state_folder(rig: Rig) -> Path:
    """As the first daemon makes it."""
    assert rig.cli("run", "--drain").returncode == 0
    folder = _state_folder(rig)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return folder


def _state_folder(rig: Rig) -> Path:
    (folder,) = (rig.home / ".local/state/task-queue").iterdir()
    return folder


def test_what_a_killed_daemon_was_writing_is_swept(rig: Rig) -> None:
    """A file that got no name is removed by the next daemon; one of a live process stays."""
    daemon = rig.start()
    rig.stop(daemon, signal.SIGKILL)
    left = _state_folder(rig) / f".tq-{daemon.pid}-7-0badcafe"
    theirs = _state_folder(rig) / f".tq-{os.getpid()}-7-0badcafe"
    left.write_text("{")
    theirs.write_text("{")

    rig.start()

    assert not left.exists()
    assert theirs.exists()
