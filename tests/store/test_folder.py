"""FolderEngine keeps the contract, and what only folders can do to it."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from task_queue.domain.attempt.results import bare_ending, result_of
from task_queue.domain.document.naming import document_of
from task_queue.domain.errors import ClaimHeld, ClaimLost, EngineUnavailable
from task_queue.domain.model import Claim, Journal, Outcome, OutcomeKind, Result
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.records import encode
from task_queue.ports.attempt_log import LogAddress
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.store.folder.amending import amend
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.files import read_record
from task_queue.store.folder.records import LockFile, RunFile, lock_bytes, run_bytes
from task_queue.store.folder.requeue import Requeue
from task_queue.store.opening import open_log
from tests.store.contract import NOW, EngineContract, RunnerBench, RunnerContract


class FolderBench(RunnerBench):
    def __init__(self, root: Path, settle_s: float = 0.0) -> None:
        self.pending = root / "queue" / "pending"
        self.engine: FolderEngine = FolderEngine(self.pending, settle_s=lambda: settle_s)
        self.engine.open()

    def drop(self, task_id: str, text: str = "# Do it") -> TaskId:
        (self.pending / document_of(TaskId(task_id))).write_text(text)
        self.engine.touch()
        return TaskId(task_id)

    def delete(self, task_id: str) -> None:
        (self.pending / document_of(TaskId(task_id))).unlink()
        self.engine.touch()

    def edit(self, task_id: str, text: str) -> None:
        self.drop(task_id, text)

    def kept(self, name: str) -> str:
        return (self.pending / name).read_text()

    def state_of(self, task_id: str) -> TaskState | None:
        return self.engine.state_of(TaskId(task_id))

    def result(self, task_id: str) -> Result | None:
        result = read_record(Result, self.engine.layout.result(TaskId(task_id)))
        assert not isinstance(result, str), result
        return result

    def writer(self, claim: Claim) -> AttemptWriter:
        return open_log(self.engine.attempts.place_of(claim).log, claim)

    def text_of(self, task_id: str) -> str:
        state = self.state_of(task_id)
        assert state is not None
        return (self.engine.layout.ended(state) / document_of(TaskId(task_id))).read_text()


@pytest.fixture
def folder(tmp_path: Path) -> FolderBench:
    return FolderBench(tmp_path)


class TestFolderEngine(EngineContract, RunnerContract):
    @pytest.fixture
    def bench(self, tmp_path: Path) -> RunnerBench:
        return FolderBench(tmp_path)


def test_a_retry_that_was_killed_half_way_is_finished(
    folder: FolderBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal lies in pending, the result and the document do not know yet."""
    folder.drop("task-a")
    claim = folder.engine.queue.claim(TaskId("task-a"), worker="w", now=NOW)
    ended = Outcome(OutcomeKind.FAILED, "no")
    ending = bare_ending(claim, ended, by="worker", now=NOW)
    journal = folder.engine.queue.journal(claim)
    folder.engine.queue.settle(
        claim,
        result_of(
            claim, ending, journal, state=TaskState.FAILED, source="a", workspace=None, dead_letter=False
        ),
    )
    with monkeypatch.context() as killed:
        killed.setattr(Requeue, "_bring_back", lambda *_: None)
        folder.engine.requests.requeue(TaskId("task-a"))

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


def test_a_document_deleted_before_a_retry_stays_deleted(folder: FolderBench) -> None:
    """Deleted in the very moment of the release: the person's wish stands."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    folder.end(claim, Outcome(OutcomeKind.FAILED, "no"))
    folder.delete("task-a")
    folder.engine.queue.release(claim, folder.engine.queue.journal(claim))

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

    assert (folder.waiting(), folder.engine.queue.claims()) == ([], ())
    assert (folder.pending / ".task-a.lock").read_text() == "{torn"


def test_a_lock_that_no_event_told_of_is_seen_after_one_try(folder: FolderBench) -> None:
    """A survey that does not know of it yet would offer the task again, and each try takes a number."""
    folder.drop("task-a")
    folder.engine.survey()
    (folder.pending / ".task-a.lock").write_text("{}")

    with pytest.raises(ClaimHeld):
        folder.engine.queue.claim(TaskId("task-a"), worker="w", now=NOW)

    assert folder.waiting() == []


def test_a_lock_that_is_nobodys_is_put_away(folder: FolderBench) -> None:
    """It appeared while the source was served, and not by the one who serves it."""
    folder.drop("task-a")
    folder.drop("task-b")
    mine = folder.claim("task-a")
    forged = replace(mine, document="task-b.md", task_id=TaskId("task-b"))
    (folder.pending / ".task-b.lock").write_bytes(lock_bytes(forged))

    assert folder.engine.queue.claims() == (mine,)
    folder.engine.touch()
    assert folder.waiting() == ["task-b"]


def test_a_lock_that_was_rewritten_is_put_right(folder: FolderBench) -> None:
    """What this process remembers of its claim wins, and the other one is kept."""
    folder.drop("task-a")
    mine = folder.claim("task-a")
    (folder.pending / ".task-a.lock").write_bytes(lock_bytes(replace(mine, proof="")))

    assert folder.engine.queue.claims() == (mine,)
    assert (folder.pending / ".task-a.lock").read_bytes() == lock_bytes(mine)
    assert list(folder.engine.layout.logs.glob("task-a.lock.*"))


def test_two_engines_on_one_folder(folder: FolderBench) -> None:
    """The second is refused with the first one's name, and may take over once that one has gone."""
    second = FolderEngine(folder.pending, settle_s=lambda: 0)
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

    needing = folder.engine.layout.needing
    needing.mkdir()
    (needing / dead.name).write_text("x")

    assert folder.engine.sweep_temporaries() == 2
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
        folder.engine.queue.claim(TaskId("task-a"), worker="w", now=NOW)


@pytest.mark.parametrize("odd", ["", "a", "/", "a/b/c", "1/2/3", "\u00e9"])
def test_what_a_lock_says_is_published_again_as_it_was(odd: str) -> None:
    """Whatever its texts are: a lock or a run record may hold anything."""
    lock = LockFile(
        TaskId("task-a"), "w", "140213", 2, NOW, 1, "s", False, 3, odd, odd, 4, 5, "task-a.md", odd
    )
    run = RunFile(TaskId("task-a"), 1, "m", 2, 3, odd, NOW, claim=lock)

    assert lock_bytes(lock.claim) == encode(lock)
    assert run_bytes(run.record) == encode(run)


def test_a_log_of_an_unknown_engine_is_opened_by_none(folder: FolderBench) -> None:
    """An order of a later release is refused, and nothing is written anywhere."""
    folder.drop("task-a")

    with pytest.raises(ValueError, match="postgres"):
        open_log(LogAddress("postgres", "host"), folder.claim("task-a"))


def test_a_runner_whose_source_is_gone_gives_up(folder: FolderBench) -> None:
    """It would otherwise try for ever, or make the folder anew."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    writer = folder.writer(claim)
    root = folder.engine.layout.root
    root.rename(root.with_name("elsewhere"))

    with pytest.raises(ClaimLost):
        writer.commit(bare_ending(claim, Outcome(OutcomeKind.SUCCEEDED, "done"), by="runner", now=NOW))
    assert not root.exists()


def test_an_attempt_whose_folder_was_deleted_gets_its_ending_all_the_same(folder: FolderBench) -> None:
    """An agent that removes its own log does not remove how it ended."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    (folder.engine.layout.attempt_of(claim) / "task.md").unlink()
    folder.engine.layout.attempt_of(claim).rmdir()

    ending = bare_ending(claim, Outcome(OutcomeKind.FAILED, "no"), by="runner", now=NOW)
    assert folder.writer(claim).commit(ending)
    assert folder.engine.attempts.ending_of(claim) == ending


@pytest.mark.parametrize("name", ["transcript.jsonl", "steps.jsonl"])
def test_what_an_agent_made_unreadable_is_as_if_it_were_not_there(folder: FolderBench, name: str) -> None:
    """An agent that takes the permissions of its own log harms its own task, never the source."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    path = folder.engine.layout.attempt_of(claim) / name
    path.write_text("{}\n")
    path.chmod(0)
    attempts, writer = folder.engine.attempts, folder.writer(claim)

    def look() -> None:
        with pytest.raises(PermissionError):
            path.read_text()
        found.extend([*attempts.transcript(claim), *attempts.steps(claim)])
        found.extend([*writer.transcript_lines(), *writer.steps(claim.attempt), "looked"])

    found: list[str] = []
    without_privileges(look)
    assert found == ["looked"]


def test_steps_that_cannot_be_read_now_are_not_taken_for_none(folder: FolderBench) -> None:
    """Work that was done would be done again. Here no descriptor is left; a sick disk is told alike."""
    folder.drop("task-a")
    claim = folder.claim("task-a")
    folder.writer(claim).add_step("{}")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(EngineUnavailable):
            folder.engine.attempts.steps(claim)
        with pytest.raises(OSError, match="Too many open files"):
            folder.writer(claim).steps(claim.attempt)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert list(folder.writer(claim).steps(claim.attempt)) == ["{}"]


def without_privileges(act: Callable[[], None]) -> None:
    """Do *act* in a thread that may do no more than the owner of a file; root may read whatever there is."""

    def drop_and_act() -> None:
        header, nothing = (
            (ctypes.c_uint32 * 2)(0x20080522, 0),
            (ctypes.c_uint32 * 6)(),
        )  # capset(2), version 3
        assert ctypes.CDLL(None, use_errno=True).capset(header, nothing) == 0
        act()

    thread = Thread(target=drop_and_act)
    thread.start()
    thread.join()


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(folder: FolderBench, tmp_path: Path) -> None:
    """A task could make one that leads to a file of its owner's, which the queue would overwrite."""
    theirs = tmp_path / "theirs"
    theirs.write_text("precious")
    layout = folder.engine.layout
    folder.drop("task-a")
    claim = folder.claim("task-a")
    folder.end(claim, Outcome(OutcomeKind.FAILED, "no"))
    layout.journal("task-a.md").symlink_to(theirs)
    folder.engine.queue.release(claim, Journal(TaskId("task-a")))
    again = folder.claim("task-a")
    folder.end(again)
    folder.settle(again)
    result = folder.result("task-a")
    assert result is not None
    for path in (layout.result(TaskId("task-a")), layout.report(TaskId("task-a"))):
        path.unlink(missing_ok=True)
        path.symlink_to(theirs)
    amend(layout, result, "a report")

    assert theirs.read_text() == "precious"
    assert folder.result("task-a") == result
