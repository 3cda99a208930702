"""What people and programs leave in a queue by mistake: a clear word for each, nothing lost, the daemon lives on."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.disks import memory_disk
from tests.sampling import short_and_long
from tests.waiting import eventually

UNTIL_TOLD = "echo start >> log; while [ ! -e go ]; do sleep 0.05; done; echo end >> log"
SH = b"---\nexecutor: sh\n---\n"
BOMB = b"---\na: &a [x, x, x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (n + 1, n + 1, n, n) for n in range(ord("a"), ord("m"))
)

REJECTED = {
    "task-empty": (b"", "empty"),
    "task-50-megabytes": (b"x" * 50 * 2**20, "52,428,800 bytes"),
    "task-latin-1": (b"# Caf\xe9\n", "line 1"),
    "task-not-closed": (b"---\npriority: 3\n# Do it\n", "not closed"),
    "task-no-mapping": (b"---\n- one\n- two\n---\n# Do it\n", "line 2"),
    "task-alias-bomb": (BOMB + b"---\n# Do it\n", "line 2"),
    "task-key-twice": (b"---\npriority: 3\npriority: 4\n---\n# Do it\n", "line 3"),
    "task-unknown-key": (b"---\npririty: 3\n---\n# Do it\n", "did you mean 'priority'"),
    "task-bad-value": (b"---\ntitle: x\npriority: 11\n---\n# Do it\n", "line 3"),
}
RUNS = {
    "task-crlf-and-bom": b"\xef\xbb\xbf---\r\nexecutor: sh\r\n---\r\ntrue\r\n",
    "task-with spaces": SH + b"true\n",
    "task-'quotes' and \"more\"": SH + b"true\n",
    "task-#1": SH + b"true\n",
    "task-d\u00e9j\u00e0-\u65e5\u672c": SH + b"true\n",
    "task-a.b.c": SH + b"true\n",
    "task--dash": SH + b"true\n",
    "task-" + "x" * 247: SH + b"true\n",
    "task-case": SH + b"echo lower >> case\n",
    "task-CASE": SH + b"echo upper >> case\n",
    "task-$(touch injected)": SH + b"true\n",
}


@pytest.mark.long
def test_many_bad_files_at_once(rig: Rig) -> None:
    """Each is told with its reason, the odd but good ones run, and so does a task that comes after them."""
    for name, (content, _) in REJECTED.items():
        (rig.pending() / f"{name}.md").write_bytes(content)
    for name, content in RUNS.items():
        (rig.pending() / f"{name}.md").write_bytes(content)
    ignored = _no_documents(rig.pending())
    rig.start()
    rig.drop_command("task-last", "true", priority=1)

    done = rig.result("task-last", timeout=60)
    results = {name: _result_of(rig, name) for name in (*REJECTED, *RUNS)}
    status = rig.json("status")["sources"][0]

    assert done["success"]
    for name, (content, says) in REJECTED.items():
        result = results[name]
        assert (result["outcome"], result["attempts"][0]["counted"]) == ("rejected", False), result
        assert says in result["error"], result["error"]
        assert (rig.queue() / "failed" / f"{name}.md").read_bytes() == content
    assert [name for name in RUNS if not results[name]["success"]] == []
    assert sorted(rig.side_effects("case")) == ["lower", "upper"]
    assert not (rig.workspace / "injected").exists()
    told = {file["name"]: file["why"] for file in status["ignored"]}
    assert {name: says for name, says in ignored.items() if says not in told.get(name, "")} == {}
    assert sorted(path.name for path in rig.pending().iterdir()) == sorted(ignored)


def test_a_name_with_control_characters_is_not_printed_raw(rig: Rig) -> None:
    """A newline or an escape sequence in a file's name cannot forge a line of ``status``."""
    (rig.pending() / "task-\x1b[2Jx\ndaemon  stopped.md").write_text("x")
    rig.start()

    said = rig.cli("status").stdout

    assert "\x1b" not in said
    assert "daemon  stopped" not in [line.rstrip() for line in said.splitlines()]


def test_a_document_deleted_while_it_waits_never_runs(rig: Rig) -> None:
    """Its owner took it back; nothing is reported as failed."""
    rig.start()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.drop_command("task-2", "echo never >> never")
    rig.started("log")
    (rig.pending() / "task-2.md").unlink()
    (rig.workspace / "go").touch()
    rig.result("task-1")
    rig.drop_command("task-3", "true")

    assert rig.result("task-3")["success"]
    assert rig.side_effects("never") == []
    assert not (rig.queue() / "results/task-2.json").exists()


def test_a_document_deleted_while_it_runs_is_told(rig: Rig) -> None:
    """What ran is filed, and the result says that the document had gone."""
    rig.start()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.started("log")
    (rig.pending() / "task-1.md").unlink()
    (rig.workspace / "go").touch()

    result = rig.result("task-1")

    assert result["success"]
    assert any("deleted while the task ran" in note for note in result["notes"])


def test_a_document_edited_while_it_runs_is_kept_and_not_run(rig: Rig) -> None:
    """What ran is filed; the newer text lies beside, and the note's command runs it."""
    rig.start()
    rig.drop_command("task-1", UNTIL_TOLD)
    rig.started("log")
    (rig.pending() / "task-1.md").write_text("---\nexecutor: sh\n---\necho newer >> log\n")
    (rig.workspace / "go").touch()

    result = rig.result("task-1")
    note = next(note for note in result["notes"] if "edited" in note)
    assert rig.side_effects("log") == ["start", "end"]
    subprocess.run(["sh", "-c", note.partition("run it with: ")[2]], check=True)
    assert rig.result("task-1.2")["success"]
    assert rig.side_effects("log") == ["start", "end", "newer"]


@pytest.mark.parametrize("what", short_and_long(["file"], ["link to nowhere"]))
def test_a_workspace_that_is_no_directory_holds_the_source(rig: Rig, what: str) -> None:
    """Somebody's mistake, but not the task's: it waits, the reason is shown, and it runs once it is repaired."""
    rig.workspace.rmdir()
    if what == "file":
        rig.workspace.write_text("x")
    else:
        rig.workspace.symlink_to(rig.home / "nowhere")
    rig.start()
    rig.drop_command("task-1", "true")
    why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the trouble is told")
    rig.workspace.unlink()
    rig.workspace.mkdir()

    assert "workspace" in why
    assert rig.result("task-1")["success"]


def test_a_workspace_that_is_not_writable_holds_the_source(rig: Rig) -> None:
    """As a folder without permission, for root as a read-only mount."""
    with _not_writable(rig.workspace):
        rig.start()
        rig.drop_command("task-1", "true")
        why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the trouble is told")

    assert "not writable" in why
    assert rig.result("task-1")["success"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_holds_the_source_until_there_is_room(make_rig: MakeRig) -> None:
    """Nothing can be written: the task stays where it is, the reason is shown, the other source goes on."""
    rig = make_rig(sources=("a", "b"), limits={"min_free_mb": 0})
    with _small_disk(rig.queue("a")):
        _give_folders(rig.queue("a"))
        rig.start()
        rig.drop_command("task-before", "true")
        rig.result("task-before")
        _fill(rig.queue("a") / "ballast")
        (rig.queue("a") / "pending/task-after.md").touch()
        spare = rig.home / "task-after.md"
        spare.write_bytes(SH + b"echo ran >> log\n")
        _make_room_for_a_document(rig.queue("a"), spare)
        why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the trouble is told")
        rig.drop_command("task-b", "true", source="b")
        assert rig.result("task-b", source="b")["success"]
        assert rig.side_effects("log") == []
        (rig.queue("a") / "ballast").unlink()

        assert "no space is left" in why or "MB are free" in why
        assert rig.result("task-after")["success"]
        assert rig.side_effects("log") == ["ran"]


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_up_while_a_task_runs_loses_nothing(make_rig: MakeRig) -> None:
    """The ending cannot be written when the task ends; once there is room it is, and nothing ran twice."""
    rig = make_rig(limits={"min_free_mb": 0})
    with _small_disk(rig.queue()):
        _give_folders(rig.queue())
        rig.start()
        rig.drop_command("task-1", UNTIL_TOLD)
        rig.started("log")
        _fill(rig.queue() / "ballast")
        (rig.workspace / "go").touch()
        why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the trouble is told")
        (rig.queue() / "ballast").unlink()
        result = rig.result("task-1")

        assert "only 0 MB are free" in why
        assert (rig.queue() / result["state"] / "task-1.md").exists()
        assert rig.side_effects("log") == ["start", "end"]
        assert len(result["attempts"]) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_runs_low_starts_nothing(make_rig: MakeRig) -> None:
    """Below limits.min_free_mb no task is claimed, and the source says so."""
    rig = make_rig(limits={"min_free_mb": 8}, sweep_seconds=1)
    with _small_disk(rig.queue(), megabytes=16):
        _give_folders(rig.queue())
        (rig.queue() / "ballast").write_bytes(b"x" * 12 * 2**20)
        rig.start()
        rig.drop_command("task-1", "true")
        why = eventually(lambda: rig.state()["sources"]["a"]["why"], what="the shortage is told")
        assert not rig.locks()
        (rig.queue() / "ballast").unlink()

        assert "MB are free" in why
        assert rig.result("task-1")["success"]


def test_leftovers_of_the_original_system_are_taken_over(rig: Rig) -> None:
    """Its configuration loads unchanged, its stale locks go, and one that cannot be read is explained."""
    original: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data/2.1/config.json").read_text())
    original["project_workspace"] = str(rig.workspace)
    for source in original["task_source_directories"]:
        source["path"] = str(rig.pending(source["id"]))
        rig.pending(source["id"]).mkdir(parents=True)
    text = json.dumps({**original, "executors": {"sh": {"kind": "command", "argv": ["sh", "-s"]}}}, indent=2)
    rig.config.write_text(text)
    lock = {"worker": "ad-hoc", "thread_id": 140213, "started_at": "2026-02-07T12:00:00.000000"}
    for task_id, pid in (("task-dead", 2**22 - 1), ("task-reused", os.getpid())):
        rig.drop_command(task_id, "true", source="ad-hoc")
        content = json.dumps({"task_id": task_id, "pid": pid, **lock})
        (rig.pending("ad-hoc") / f".{task_id}.lock").write_text(content)
    rig.drop_command("task-torn", "echo never >> never", source="ad-hoc")
    (rig.pending("ad-hoc") / ".task-torn.lock").write_text('{"task_id": "task-to')
    old_result = rig.queue("ad-hoc") / "results/task-old.json"
    old_result.parent.mkdir()
    old_result.write_text('{"success": true, "output": "", "error": "", "task_id": "task-old"}')
    rig.start()

    assert rig.result("task-dead", source="ad-hoc")["success"]
    assert rig.result("task-reused", source="ad-hoc")["success"]
    status = rig.cli("status")
    assert status.returncode == 3
    assert ".task-torn.lock" in status.stdout
    assert rig.side_effects("never") == []
    assert (rig.pending("ad-hoc") / ".task-torn.lock").read_text() == '{"task_id": "task-to'
    assert rig.config.read_text() == text
    assert "task-old" in old_result.read_text()
    assert rig.cli("tasks", "show", "task-old").returncode in {0, 1}


def _no_documents(pending: Path) -> dict[str, str]:
    """Things in *pending* that are no documents, and what is to be said of each."""
    (pending / "task-link.md").symlink_to("/etc/passwd")
    os.mkfifo(pending / "task-fifo.md")
    (pending / "task-folder.md").mkdir()
    elsewhere = pending.parent / "elsewhere.md"
    elsewhere.write_bytes(SH + b"echo never >> never\n")
    (pending / "task-hard-link.md").hardlink_to(elsewhere)
    (pending / "task-unreadable.md").write_bytes(SH + b"echo never >> never\n")
    (pending / "task-unreadable.md").chmod(0)
    (pending / "task-new\nline.md").write_text("x")
    (pending / "-task.md").write_text("x")
    (pending / "notes.md").write_text("x")
    (pending / "task-draft.md~").write_text("x")
    ignored = {
        "task-link.md": "symbolic link",
        "task-fifo.md": "FIFO",
        "task-folder.md": "directory",
        "task-hard-link.md": "hard link",
        "task-unreadable.md": "unreadable",
        "task-new\nline.md": "control character",
        "-task.md": "does not start with task-",
        "notes.md": "does not start with task-",
        "task-draft.md~": "",
    }
    if os.geteuid() == 0:
        os.mknod(pending / "task-device.md", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        (pending / "task-foreign.md").write_text("x")
        os.chown(pending / "task-foreign.md", 12345, 12345)
        ignored |= {"task-device.md": "device", "task-foreign.md": "another user"}
    return ignored


def _result_of(rig: Rig, task_id: str) -> dict[str, Any]:
    """Found by its content, because the names of companions of very long ids are shortened."""

    def find() -> dict[str, Any] | None:
        for path in (rig.queue() / "results").glob("*.json"):
            result: dict[str, Any] = json.loads(path.read_text())
            if result["task_id"] == task_id:
                return result
        return None

    return eventually(find, what=f"a result of {task_id!r}") or {}


@contextmanager
def _small_disk(folder: Path, *, megabytes: int = 2) -> Iterator[None]:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    with memory_disk(folder, f"size={megabytes}m"):
        yield


@contextmanager
def _not_writable(folder: Path) -> Iterator[None]:
    if os.geteuid() == 0:
        with memory_disk(folder, "ro"):
            yield
        return
    folder.chmod(0o500)
    try:
        yield
    finally:
        folder.chmod(0o700)


def _give_folders(queue: Path) -> None:
    for name in ("pending", "staging"):
        (queue / name).mkdir(mode=0o700)


def _fill(path: Path) -> None:
    """Until not a single page is left."""
    with path.open("ab", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def _make_room_for_a_document(queue: Path, document: Path) -> None:
    """As much room as *document* takes, and take it."""
    size = (queue / "ballast").stat().st_size
    os.truncate(queue / "ballast", size - 4096)
    with (queue / "pending/task-after.md").open("wb") as file:
        file.write(document.read_bytes())
