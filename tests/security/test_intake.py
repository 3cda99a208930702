"""Files of ``pending/`` between the look at them and their claim: nothing but the judged file is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.errors import ClaimHeld, EngineUnavailable, TaskFileError
from task_queue.domain.model import Journal
from task_queue.domain.task import TaskId
from task_queue.platform.records import encode
from task_queue.store.folder import queue as folder_module
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.records import lock_bytes
from tests.store.contract import NOW

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
TASK = TaskId("task-a")


@pytest.fixture
def engine(tmp_path: Path) -> FolderEngine:
    """A source with one complete document, surveyed."""
    tmp_path.chmod(0o700)
    engine = FolderEngine(tmp_path / "queue" / "pending", settle_s=lambda: 0)
    engine.open()
    document(engine).write_text("# Mine")
    (tmp_path / "secret").write_text("# Secret")
    assert [task.id for task in engine.survey().waiting] == [TASK]
    return engine


def document(engine: FolderEngine) -> Path:
    return engine.layout.pending / "task-a.md"


def replaced_by_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parents[2] / "secret")


def replaced_by_hard_link(path: Path) -> None:
    path.unlink()
    path.hardlink_to(path.parents[2] / "secret")


def replaced_by_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replaced_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def given_a_second_name(path: Path) -> None:
    (path.parents[2] / "second").hardlink_to(path)


def given_away(path: Path) -> None:
    os.chown(path, 12345, -1)


def rewritten(path: Path) -> None:
    about = path.stat()
    path.write_text("# Evil")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))  # as if nothing had happened


@pytest.mark.parametrize(
    "attack",
    [
        replaced_by_link,
        replaced_by_hard_link,
        replaced_by_fifo,
        replaced_by_folder,
        given_a_second_name,
        rewritten,
        pytest.param(given_away, marks=needs_root),
    ],
)
def test_only_the_judged_file_is_claimed(engine: FolderEngine, attack: Callable[[Path], None]) -> None:
    """Owner, links, type and content are judged again on the open file; a pipe does not block."""
    attack(document(engine))

    with pytest.raises(ClaimHeld):
        engine.queue.claim(TASK, worker="test", now=NOW)
    assert engine.queue.claims() == ()
    assert not engine.layout.log(TASK).exists()


def test_a_document_written_while_it_is_read_is_not_claimed(
    engine: FolderEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patch stands for the moment between reading and looking again, which no test can hit by waiting."""

    def written_meanwhile(path: Path) -> bool:
        path.write_text("# Other")
        return False

    monkeypatch.setattr(folder_module, "is_being_written", written_meanwhile)

    with pytest.raises(ClaimHeld):
        engine.queue.claim(TASK, worker="test", now=NOW)
    assert engine.queue.claims() == ()


def test_a_link_that_appears_between_look_and_read_stops_nothing(engine: FolderEngine) -> None:
    """The other tasks are served as before."""
    replaced_by_link(document(engine))
    (engine.layout.pending / "task-b.md").write_text("# B")
    engine.touch()

    survey = engine.survey()
    assert [task.id for task in survey.waiting] == ["task-b"]
    assert dict(survey.ignored)["task-a.md"] == "is a symbolic link"


def test_a_pending_folder_that_is_a_link_is_refused(engine: FolderEngine) -> None:
    """Two names of one folder would have two guards, and two daemons would serve it."""
    layout = engine.layout
    layout.pending.rename(layout.root.parent / "elsewhere")
    layout.pending.symlink_to(layout.root.parent / "elsewhere")

    with pytest.raises(EngineUnavailable, match="symbolic link"):
        engine.survey()


def test_a_queue_folder_replaced_by_a_link_is_judged_anew(engine: FolderEngine, tmp_path: Path) -> None:
    """It may lead to a folder that everybody can write."""
    (tmp_path / "trap" / "pending").mkdir(parents=True)
    (tmp_path / "trap").chmod(0o777)
    (tmp_path / "trap" / "pending" / "task-evil.md").write_text("# Evil")
    engine.layout.root.rename(tmp_path / "old")
    engine.layout.root.symlink_to(tmp_path / "trap")

    with pytest.raises(EngineUnavailable, match="not trusted"):
        engine.survey()


@pytest.mark.parametrize("name", ["../task-x", "task-../../x", "task-a/../../x", "task-x\x00", "x", ""])
def test_an_id_never_becomes_a_path_unchecked(engine: FolderEngine, name: str) -> None:
    """Neither to cancel nor to retry, even where the path leads to something."""
    for folder in (engine.layout.root, engine.layout.root.parent):
        (folder / "task-x.md").write_text("# Outside")
    for act in (engine.requests.request_cancel, engine.requests.requeue):
        with pytest.raises(Exception, match="task") as refusal:
            act(TaskId(name))
        assert type(refusal.value).__name__ == "UnknownTaskError"


def test_an_id_in_a_lock_never_becomes_a_path_unchecked(engine: FolderEngine, tmp_path: Path) -> None:
    """Whoever forged it, the lock is put away, and nothing is written where it leads to."""
    claim = engine.queue.claim(TASK, worker="test", now=NOW)
    lock = engine.layout.lock(claim.document)
    forged = lock_bytes(replace(claim, task_id=TaskId("task-x/../../../outside")))
    engine.close()
    lock.write_bytes(forged)
    successor = FolderEngine(engine.layout.pending, settle_s=lambda: 0)
    successor.open()

    assert successor.queue.claims() == ()
    assert not lock.exists()
    assert [path.read_bytes() for path in engine.layout.logs.glob("task-a.lock.*")] == [forged]
    assert not list(tmp_path.glob("**/outside*"))


def test_a_lock_that_appears_untold_is_seen_after_one_try(engine: FolderEngine) -> None:
    """Or the claim would be tried again and again, each time with a number of its own, until the breaker trips."""
    engine.layout.lock("task-a.md").write_text("{}")
    with pytest.raises(ClaimHeld):
        engine.queue.claim(TASK, worker="test", now=NOW)

    survey = engine.survey()
    assert (list(survey.waiting), len(survey.locks)) == ([], 1)


def test_an_id_in_a_history_never_becomes_a_path_unchecked(engine: FolderEngine) -> None:
    """The file is kept, and the task can only be rejected, with that reason."""
    forged = encode(Journal(TaskId("task-x/../../../outside")))
    engine.layout.journal("task-a.md").write_bytes(forged)

    claim = engine.queue.claim(TASK, worker="test", now=NOW)

    with pytest.raises(TaskFileError, match="not a task id"):
        engine.queue.task(claim)
    (kept,) = engine.layout.logs.glob("task-a.attempts.json.*")
    assert (claim.task_id, kept.read_bytes()) == (TASK, forged)


@pytest.mark.parametrize("instead", [replaced_by_link, replaced_by_fifo])
def test_what_lies_in_the_place_of_a_transcript_is_not_read(
    engine: FolderEngine, instead: Callable[[Path], None]
) -> None:
    """A pipe would block its reader for ever, a link show another file."""
    claim = engine.queue.claim(TASK, worker="test", now=NOW)
    transcript = engine.layout.attempt_of(claim) / "transcript.jsonl"
    (transcript.parents[2] / "secret").write_text("secret")
    transcript.touch()
    instead(transcript)

    assert list(engine.attempts.transcript(claim)) == []
