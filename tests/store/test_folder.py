"""FolderEngine keeps the contract, and what only folders can do to it."""

from __future__ import annotations

import json
import os
import socket
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document.naming import document_of
from task_queue.domain.errors import ClaimHeld, EngineUnavailable
from task_queue.domain.model import Outcome, OutcomeKind, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.records import encode
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.files import read_record
from task_queue.store.folder.requeue import Requeue
from tests.store.contract import NOW, EngineBench, EngineContract


class FolderBench(EngineBench):
    def __init__(self, root: Path, settle_s: float = 0.0) -> None:
        self.pending = root / "queue" / "pending"
        self.engine: FolderEngine = FolderEngine(self.pending, settle_s=settle_s)
        self.engine.open()

    def drop(self, task_id: str, text: str = "# Do it") -> TaskId:
        (self.pending / document_of(TaskId(task_id))).write_text(text)
        self.engine.touch()
        return TaskId(task_id)

    def delete(self, task_id: str) -> None:
        (self.pending / document_of(TaskId(task_id))).unlink()
        self.engine.touch()

    def state_of(self, task_id: str) -> TaskState | None:
        return self.engine.state_of(TaskId(task_id))

    def result(self, task_id: str) -> Result | None:
        result = read_record(Result, self.engine.layout.result(TaskId(task_id)))
        assert not isinstance(result, str), result
        return result

    def text_of(self, task_id: str) -> str:
        state = self.state_of(task_id)
        assert state is not None
        return (self.engine.layout.ended(state) / document_of(TaskId(task_id))).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> FolderBench:
    return FolderBench(tmp_path)


class TestFolderEngine(EngineContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> EngineBench:
        return FolderBench(tmp_path)


def test_a_retry_that_was_killed_half_way_is_finished(
    folder: FolderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal lies in pending, the result and the document do not know yet."""
    folder.drop("task-a")
    claim = folder.engine.claim(TaskId("task-a"), worker="w", now=NOW)
    ended = Outcome(OutcomeKind.FAILED, "no")
    ending = bare_ending(claim, ended, by="worker", now=NOW)
    journal = folder.engine.journal(claim)
    folder.engine.settle(
        claim,
        result_of(
            claim, ending, journal, state=TaskState.FAILED, source="a", workspace=None, dead_letter=False
        ),
    )
    with monkeypatch.context() as killed:
        killed.setattr(Requeue, "_bring_back", lambda *_: None)
        folder.engine.requeue(TaskId("task-a"))

    folder.engine.open()

    assert folder.state_of("task-a") is TaskState.PENDING
    assert folder.result("task-a") is None


def ignored(bench: FolderBench) -> dict[str, str]:
    bench.engine.touch()
    return dict(bench.engine.survey().ignored)


def test_what_is_no_document_is_reported_and_left_alone(folder: FolderBench) -> None:
    """Links, pipes, folders, sockets, devices and foreign names stay where they are, each with its reason."""
    pending = folder.pending
    (pending / "real.txt").write_text("x")
    (pending / "task-link.md").symlink_to(pending / "real.txt")
    os.mkfifo(pending / "task-fifo.md")
    (pending / "task-folder.md").mkdir()
    (pending / "task-hard.md").hardlink_to(pending / "real.txt")
    (pending / "task-unreadable.md").write_text("x")
    (pending / "task-unreadable.md").chmod(0)
    (pending / "task-no-suffix").write_text("x")
    (pending / "task-x.md~").write_text("x")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(pending / "task-socket.md"))

    found = ignored(folder)

    assert folder.waiting() == []
    assert found["real.txt"] == "name does not start with task-"
    assert "symbolic link" in found["task-link.md"]
    assert "FIFO" in found["task-fifo.md"]
    assert "directory" in found["task-folder.md"]
    assert "hard link" in found["task-hard.md"]
    assert "unreadable" in found["task-unreadable.md"]
    assert "socket" in found["task-socket.md"]
    assert len(list(pending.iterdir())) == 9


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device or another user's file needs root")
def test_devices_and_other_users_files_are_no_tasks(folder: FolderBench) -> None:
    """Whoever owns the file decides what runs, so it must be us."""
    os.mknod(folder.pending / "task-device.md", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    (folder.pending / "task-foreign.md").write_text("x")
    os.chown(folder.pending / "task-foreign.md", 12345, 12345)

    found = ignored(folder)

    assert "device" in found["task-device.md"]
    assert "another user" in found["task-foreign.md"]


@pytest.mark.parametrize(
    "task_id",
    [
        "task-with spaces",
        "task-with 'quotes' and \"more\"",
        "task-#1",
        "task-ünï-日本語",
        "task-a.b.c",
        "task--leading-dash",
        "task-" + "x" * 247,
        "task-UPPER",
        "task-upper",
    ],
)
def test_odd_names_are_tasks_like_others(folder: FolderBench, task_id: str) -> None:
    """Claimed, settled and found again under the same id, whatever the name."""
    folder.drop(task_id, "# Odd")
    result = folder.settle(folder.claim(task_id))

    assert folder.state_of(task_id) is TaskState.COMPLETED
    assert folder.result(task_id) == result


def test_a_very_long_name_dropped_twice_gets_a_second_record(folder: FolderBench) -> None:
    """Even where the number does not fit into a file name any more."""
    task_id = "task-" + "x" * 247
    folder.drop(task_id, "# One")
    folder.settle(folder.claim(task_id))
    folder.drop(task_id, "# Two")
    folder.settle(folder.claim(task_id))

    assert len(list(folder.engine.layout.ended(TaskState.COMPLETED).iterdir())) == 2


def test_a_name_with_a_newline_is_ignored(folder: FolderBench) -> None:
    """Control characters are no part of a task's name."""
    (folder.pending / "task-a\nb.md").write_text("x")

    assert ignored(folder) == {"task-a\nb.md": "name contains a control character"}


def test_a_file_that_is_being_written_is_not_a_task_yet(folder: FolderBench) -> None:
    """As long as somebody has it open for writing it is not claimed, whatever its age."""
    path = folder.pending / "task-slow.md"
    with path.open("w") as writer:
        writer.write("# Half")
        writer.flush()
        folder.engine.touch()
        while_open = folder.waiting()
        look_again_after = folder.engine.survey().look_again_after
    folder.engine.touch()
    after = folder.waiting()

    assert while_open == []
    assert look_again_after is not None
    assert after == ["task-slow"]


def test_a_quiet_file_waits_for_the_settle_time(tmp_path: Path) -> None:
    """A file written in place is given time; one that arrived by rename is not kept waiting."""
    bench = FolderBench(tmp_path, settle_s=3600)
    bench.drop("task-written")
    written = bench.waiting()
    bench.drop("task-renamed")
    bench.engine.arrived("task-renamed.md")

    assert written == []
    assert bench.waiting() == ["task-renamed"]


def test_a_large_file_is_rejected_unread(folder: FolderBench) -> None:
    """50 MB are refused with their size, and moved to failed/ whole."""
    with (folder.pending / "task-big.md").open("wb") as file:
        file.truncate(50 * 2**20)
    folder.engine.touch()

    ((task_id, reason),) = folder.engine.survey().rejected
    folder.settle(folder.claim(task_id), TaskState.FAILED)
    assert "52,428,800" in reason
    assert (folder.engine.layout.ended(TaskState.FAILED) / "task-big.md").stat().st_size == 50 * 2**20


def test_a_document_edited_while_it_runs_is_kept(folder: FolderBench) -> None:
    """What ran is filed; the newer text stays beside, under a name that does not run."""
    folder.drop("task-a", "# Old")
    claim = folder.claim("task-a")
    (folder.pending / "task-a.md").write_text("# New")

    folder.settle(claim)
    result = folder.result("task-a")

    assert folder.text_of("task-a") == "# Old"
    assert (folder.pending / "edited-task-a.md").read_text() == "# New"
    assert result is not None
    assert "edited" in result.product.notes[0]
    assert folder.waiting() == []


def test_a_document_deleted_while_it_runs_is_told(folder: FolderBench) -> None:
    """What ran is filed from the snapshot and the result says so."""
    folder.drop("task-a", "# Text")
    claim = folder.claim("task-a")
    folder.delete("task-a")

    folder.settle(claim)
    result = folder.result("task-a")

    assert folder.text_of("task-a") == "# Text"
    assert result is not None
    assert "deleted" in result.product.notes[0]


def test_a_document_edited_before_a_retry_is_kept_beside(folder: FolderBench) -> None:
    """The same text is tried again; the newer one waits for a person."""
    folder.drop("task-a", "# Old")
    claim = folder.claim("task-a")
    (folder.pending / "task-a.md").write_text("# New")
    folder.end(claim, Outcome(OutcomeKind.FAILED, "no"))
    folder.engine.release(claim, folder.engine.journal(claim))

    again = folder.claim("task-a")
    assert folder.engine.task(again).title == "Old"
    assert (folder.pending / "edited-task-a.md").read_text() == "# New"


def test_a_document_deleted_before_a_retry_stays_deleted(folder: FolderBench) -> None:
    """Deleted in the very moment of the release: the person's wish stands."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    folder.end(claim, Outcome(OutcomeKind.FAILED, "no"))
    folder.delete("task-a")
    folder.engine.release(claim, folder.engine.journal(claim))

    assert folder.waiting() == []
    assert not (folder.pending / "task-a.md").exists()


def test_a_file_in_the_way_is_not_overwritten(folder: FolderBench) -> None:
    """Somebody's file of the same name in completed/ stays; ours lies beside it."""
    folder.drop("task-a", "# Ours")
    claim = folder.claim("task-a")
    theirs = folder.engine.layout.ended(TaskState.COMPLETED) / "task-a.md"
    theirs.write_text("theirs")

    folder.settle(claim)

    assert theirs.read_text() == "theirs"
    assert theirs.with_name("task-a.2.md").read_text() == "# Ours"


def test_everything_is_for_the_owner_only(folder: FolderBench) -> None:
    """Folders 0700, files 0600, whatever the umask."""
    before = os.umask(0)
    try:
        bench = FolderBench(folder.pending.parent.parent / "open")
        bench.drop("task-a")
        bench.settle(bench.claim("task-a"))
    finally:
        os.umask(before)

    root = bench.pending.parent
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for path in (root, *root.rglob("*"))
        if path.name != "task-a.md"
    }
    wrong = {str(p): oct(m) for p, m in modes.items() if m != (0o700 if p.is_dir() else 0o600)}
    assert wrong == {}


def test_a_lock_of_the_original_system_is_taken_over(folder: FolderBench) -> None:
    """Five keys and a pid that is no live daemon: moved aside, and the task runs."""
    folder.drop("task-a")
    lock = {
        "task_id": "task-a",
        "worker": "w",
        "thread_id": 1,
        "pid": os.getpid(),
        "started_at": "2026-02-07",
    }
    (folder.pending / ".task-a.lock").write_text(json.dumps(lock))
    before = folder.waiting()
    folder.engine.open()

    assert (before, folder.waiting()) == ([], ["task-a"])
    assert len(list(folder.engine.layout.logs.glob("task-a.lock.*"))) == 1


def test_a_corrupt_lock_is_left_alone(folder: FolderBench) -> None:
    """What cannot be read is neither deleted nor overwritten, and its task does not run."""
    folder.drop("task-a")
    (folder.pending / ".task-a.lock").write_text("{torn")
    folder.engine.open()

    assert (folder.waiting(), folder.engine.claims()) == ([], ())
    assert (folder.pending / ".task-a.lock").read_text() == "{torn"


def test_a_lock_that_no_event_told_of_is_seen_after_one_try(folder: FolderBench) -> None:
    """A survey that does not know of it yet would offer the task again, and each try takes a number."""
    folder.drop("task-a")
    folder.engine.survey()
    (folder.pending / ".task-a.lock").write_text("{}")

    with pytest.raises(ClaimHeld):
        folder.engine.claim(TaskId("task-a"), worker="w", now=NOW)

    assert folder.waiting() == []


def test_a_lock_that_is_nobodys_is_put_away(folder: FolderBench) -> None:
    """It appeared while the source was served, and not by the one who serves it."""
    folder.drop("task-a")
    folder.drop("task-b")
    mine = folder.claim("task-a")
    forged = replace(mine, document="task-b.md", task_id=TaskId("task-b"))
    (folder.pending / ".task-b.lock").write_bytes(encode(forged))

    assert folder.engine.claims() == (mine,)
    folder.engine.touch()
    assert folder.waiting() == ["task-b"]


def test_a_lock_that_was_rewritten_is_put_right(folder: FolderBench) -> None:
    """What this process remembers of its claim wins, and the other one is kept."""
    folder.drop("task-a")
    mine = folder.claim("task-a")
    (folder.pending / ".task-a.lock").write_bytes(encode(replace(mine, proof="")))

    assert folder.engine.claims() == (mine,)
    assert read_record(type(mine), folder.pending / ".task-a.lock") == mine
    assert list(folder.engine.layout.logs.glob("task-a.lock.*"))


def test_two_engines_on_one_folder(folder: FolderBench) -> None:
    """The second is refused with the first one's name, and may take over once that one has gone."""
    second = FolderEngine(folder.pending, settle_s=0)
    with pytest.raises(EngineUnavailable, match=f"pid {os.getpid()}"):
        second.open()
    folder.engine.close()

    second.open()
    second.close()


def test_a_folder_that_is_gone_is_unavailable(folder: FolderBench) -> None:
    """An error that says where, not a crash."""
    (folder.pending / "task-a.md").write_text("x")
    folder.pending.rename(folder.pending.with_name("elsewhere"))
    folder.engine.touch()

    with pytest.raises(EngineUnavailable, match="pending"):
        folder.engine.survey()


def test_temporaries_of_dead_writers_are_swept(folder: FolderBench) -> None:
    """Those of live ones are not."""
    dead = folder.pending / ".tq-999999999-0-abcd"
    alive = folder.pending / f".tq-{os.getpid()}-0-abcd"
    dead.write_text("x")
    alive.write_text("x")

    assert folder.engine.sweep_temporaries() == 1
    assert alive.exists()


def test_a_document_swapped_for_a_link_is_not_read(folder: FolderBench, tmp_path: Path) -> None:
    """Between the look and the claim somebody put a link in its place."""
    secret = tmp_path / "secret"
    secret.write_text("# Secret")
    folder.drop("task-a")
    folder.engine.survey()
    (folder.pending / "task-a.md").unlink()
    (folder.pending / "task-a.md").symlink_to(secret)

    with pytest.raises(ClaimHeld):
        folder.engine.claim(TaskId("task-a"), worker="w", now=NOW)
