"""The parts of a worker by themselves: its documents, its reports, its clones."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from task_queue.app.claiming import ClaimView, OrderView
from task_queue.app.tracked_task import TaskStatus, TrackedTask
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.worker.endings import given_back_by_queue, report_of
from task_queue.worker.held_claims import FramesSent, HeldTask, HeldTasks
from task_queue.worker.local_tasks import local_document, local_id_of
from task_queue.worker.reachability import Reachability
from task_queue.worker.repositories import bundle_of, clone_at, is_reachable, prepare_clone
from task_queue.worker.settings import WorkerSettings

NOW = datetime(2026, 2, 7, tzinfo=UTC)
TASK = TaskId("task-20260207-x")


def order(document: str = "# X\n\nDo it.\n", **changed: Any) -> OrderView:
    given = {
        "document": document,
        "task_id": TASK,
        "attempt": 1,
        "session_id": "s",
        "repository": "https://git.example.org/me/shop.git",
        "base_commit": "0" * 40,
        "branch": f"task-queue/{TASK}",
        "target": "main",
    }
    return OrderView(**{**given, **changed})


def git(directory: Path, *words: str) -> str:
    named = {
        "GIT_AUTHOR_NAME": "o",
        "GIT_AUTHOR_EMAIL": "o@x",
        "GIT_COMMITTER_NAME": "o",
        "GIT_COMMITTER_EMAIL": "o@x",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), **named}
    done = subprocess.run(
        ["git", *words], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def no_base(_into: Path) -> None:
    raise AssertionError("the base is asked for")


@pytest.fixture
def server(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    return folder


@pytest.fixture(autouse=True)
def local_urls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The repositories of these tests are folders, which a worker does not fetch from otherwise."""
    monkeypatch.setattr("task_queue.worker.repositories._QUIET", {"GIT_TERMINAL_PROMPT": "0"})
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_local_task_leaves_to_the_server_what_is_the_servers(tmp_path: Path) -> None:
    """Its settings stay; those that the server sees to go, and it gets a place here."""
    document = (
        "---\npriority: 8\ndepends_on: [task-a]\nnot_before: 2030-01-01T00:00:00Z\ndedupe_key: k\n"
        "capabilities: [gpu]\ntouches: [src/**]\nmax_attempts: 5\nisolation: none\n"
        "landing: merge\nverify: make\n---\n# X\n"
    )
    text = local_document(order(document), tmp_path)

    assert "priority: 8\nverify: make\n" in text
    assert f"workspace: {tmp_path}\nmax_attempts: 1\nisolation: worktree\nlanding: branch\n---\n# X\n" in text
    for key in ("depends_on", "not_before", "dedupe_key", "capabilities", "touches", "merge"):
        assert key not in text


def test_a_task_without_a_repository_works_in_an_empty_folder(tmp_path: Path) -> None:
    text = local_document(order(repository=None, base_commit=None), tmp_path)

    assert "isolation" not in text
    assert f"workspace: {tmp_path}" in text


def test_each_attempt_has_an_id_of_its_own() -> None:
    ids = {local_id_of(ClaimView("c", epoch, NOW, order())) for epoch in (1, 2, 3)}

    assert ids == {TASK, f"{TASK}.e2", f"{TASK}.e3"}


def tracked(status: TaskStatus, **result: Any) -> TrackedTask:
    return TrackedTask(
        *(TASK, "slot-1", status, "X", 5, "general", "sh", (), NOW, NOW),
        result={"outcome": "succeeded", **result},
    )


def test_a_success_hands_its_branch_in() -> None:
    ending = {
        "outcome": {"kind": "succeeded", "reason": "done"},
        "work": {"product": {"branch": "b"}, "num_turns": 2},
    }
    report = report_of(tracked(TaskStatus.COMPLETED), ending)

    assert (report.verb, report.branch, report.outcome["reason"]) == ("complete", "b", "done")
    assert report.work["num_turns"] == 2


def test_the_result_counts_where_the_attempt_says_otherwise() -> None:
    """As after a cancel, which the private queue decided."""
    ending = {"outcome": {"kind": "succeeded", "reason": "done"}, "work": {}}
    report = report_of(tracked(TaskStatus.CANCELLED, outcome="cancelled", error="by a person"), ending)

    assert (report.verb, report.outcome) == ("fail", {"kind": "cancelled", "reason": "by a person"})


@pytest.mark.parametrize(
    ("kind", "verb"),
    [
        ("limited", "release"),
        ("unavailable", "release"),
        ("account", "release"),
        ("failed", None),
    ],
)
def test_what_another_worker_may_do_at_once_is_given_back(kind: str, verb: str | None) -> None:
    report = given_back_by_queue(
        {"outcome": {"kind": kind, "reason": "x", "resets_at": "2030-01-01T00:00:00Z"}}
    )

    assert (report.verb if report else None) == verb


@pytest.mark.parametrize(
    "url",
    [
        "https://git.example.org/me/shop.git",
        "ssh://git@git.example.org:22/me/shop",
        "git@git.example.org:me/shop.git",
        "https://GIT.example.org/me/shop/",
    ],
)
def test_one_repository_is_allowed_however_it_is_spelled(url: str) -> None:
    def settings(*repositories: str) -> WorkerSettings:
        return WorkerSettings("http://127.0.0.1", None, repositories=repositories)

    assert settings("git.example.org/me/shop").allows(url)
    assert settings("https://git.example.org/me/shop.git").allows(url)
    assert settings("*").allows(url)
    assert not settings().allows(url)
    assert not settings("git.example.org/me/shop2", "example.org/me/shop").allows(url)


def test_a_repository_that_failed_is_asked_once_a_minute_until_it_answers() -> None:
    now, asked, answers = [100.0], list[str](), [False]

    def is_reachable(url: str) -> bool:
        asked.append(url)
        return answers[0]

    reachability = Reachability(is_reachable, monotonic=lambda: now[0])
    assert reachability.unreachable() == ()
    reachability.note_failure("https://git.example.org/me/shop.git")
    seen = [reachability.unreachable() for now[0] in (110.0, 159.0, 161.0, 170.0)]
    answers[0], now[0] = True, 222.0

    assert set(seen) == {("git.example.org/me/shop",)}
    assert reachability.unreachable() == ()
    assert asked == ["https://git.example.org/me/shop.git"] * 2


def test_whether_a_repository_answers(server: Path, tmp_path: Path) -> None:
    assert is_reachable(tmp_path, str(server))
    assert not is_reachable(tmp_path, str(tmp_path / "missing"))


def test_a_failure_hands_its_branch_in() -> None:
    ending = {"outcome": {"kind": "failed", "reason": "x"}, "work": {"product": {"branch": "b"}}}
    report = report_of(tracked(TaskStatus.FAILED, outcome="failed"), ending)

    assert (report.verb, report.branch) == ("fail", "b")


def test_a_clone_is_at_the_base_and_hands_in_what_follows(server: Path, tmp_path: Path) -> None:
    """Also when it was made before the commit was; what an earlier task left in it is gone."""
    clone = clone_at(tmp_path / "clones", str(server))
    first = git(server, "rev-parse", "HEAD")
    prepare_clone(clone, str(server), first, no_base)
    (clone / "litter").write_text("x")
    git(server, "commit", "-q", "--allow-empty", "-m", "second")
    second = git(server, "rev-parse", "HEAD")
    prepare_clone(clone, str(server), second, no_base)
    assert git(clone, "rev-parse", "HEAD") == second
    assert not (clone / "litter").exists()
    assert bundle_of(clone, "none", base_commit=second, into=tmp_path / "b") is None
    git(clone, "checkout", "-q", "-b", "work")
    assert bundle_of(clone, "work", base_commit=second, into=tmp_path / "b") is None
    git(clone, "commit", "-q", "--allow-empty", "-m", "third")
    tip = bundle_of(clone, "work", base_commit=second, into=tmp_path / "b")

    assert tip == git(clone, "rev-parse", "work")
    assert git(server, "bundle", "list-heads", str(tmp_path / "b")) == f"{tip} refs/task-queue-handed-in"
    assert bundle_of(clone, "work", base_commit="0" * 40, into=tmp_path / "b") is None


def test_what_was_left_in_no_commit_is_a_last_one(server: Path, tmp_path: Path) -> None:
    """The same each time, so that an upload goes on; without a commit of the agent's, too."""
    clone, base = clone_at(tmp_path / "clones", str(server)), git(server, "rev-parse", "HEAD")
    prepare_clone(clone, str(server), base, no_base)
    (clone / "loose.txt").write_text("loose\n")
    git(clone, "add", ".")
    left = git(clone, "commit-tree", "-m", "left", "-p", base, git(clone, "write-tree"))
    git(clone, "update-ref", ref_of(TASK, "leftovers"), left)

    def tip(left_by: TaskId | None) -> str | None:
        return bundle_of(clone, "none", base_commit=base, into=tmp_path / "b", left_by=left_by)

    first = tip(TASK)

    assert tip(None) is None
    assert first is not None
    assert git(clone, "rev-parse", f"{first}^") == base
    assert git(clone, "show", f"{first}:loose.txt") == "loose"
    assert tip(TASK) == first


def test_a_base_that_the_repository_lacks_comes_from_the_server(server: Path, tmp_path: Path) -> None:
    """As the commits of a task that is not landed yet."""
    clone = clone_at(tmp_path / "clones", str(server))
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "clone", "-q", str(server), str(elsewhere))
    git(elsewhere, "commit", "-q", "--allow-empty", "-m", "not pushed")
    base = git(elsewhere, "rev-parse", "HEAD")

    def fetch(into: Path) -> None:
        git(elsewhere, "bundle", "create", "-q", str(into), "main")

    def nothing(into: Path) -> None:
        git(server, "bundle", "create", "-q", str(into), "main")

    with pytest.raises(GitError, match="does not have"):
        prepare_clone(clone, str(server), base, nothing)
    prepare_clone(clone, str(server), base, fetch)

    assert git(clone, "rev-parse", "HEAD") == base


def test_a_clone_that_was_not_finished_is_made_anew(server: Path, tmp_path: Path) -> None:
    clone = clone_at(tmp_path / "clones", str(server))
    (clone.parent / f".{clone.name}.unfinished" / "objects").mkdir(parents=True)
    prepare_clone(clone, str(server), git(server, "rev-parse", "HEAD"), no_base)

    assert (clone / ".git").is_dir()


def test_urls_that_start_programs_or_name_files_are_not_fetched(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    for url in (
        f"file://{server}",
        f"ext::sh -c touch% {tmp_path}/ran",
        f"--upload-pack=touch {tmp_path}/ran",
    ):
        with pytest.raises(GitError):
            prepare_clone(tmp_path / "clones" / "x", url, "0" * 40, no_base)
    assert not (tmp_path / "ran").exists()


def test_claims_survive_on_disk_and_rubbish_is_none(tmp_path: Path) -> None:
    held = HeldTask(
        1, "a", ClaimView("c", 2, NOW, order()), TASK, workspace=tmp_path, sent=FramesSent(1, 10, 2)
    )
    kept = HeldTasks(tmp_path / "held")
    assert kept.of(1) is None
    kept.keep(held)
    again = kept.of(1)
    assert again is not None
    assert (again.claim.id, again.claim.order.document, again.sent) == (
        "c",
        held.claim.order.document,
        held.sent,
    )
    (tmp_path / "held" / "1.json").write_text('{"slot"')
    assert kept.of(1) is None
    kept.forget(1)
    assert not (tmp_path / "held" / "1.json").exists()


def test_a_slot_asks_under_one_key_until_it_has_a_claim(tmp_path: Path) -> None:
    """Over restarts; also where it was killed between keeping the claim and dropping the key."""
    folder = tmp_path / "held"
    kept, held = HeldTasks(folder), HeldTask(1, "a", ClaimView("c", 1, NOW, order()), TASK)
    first = kept.key_of(1)
    assert (HeldTasks(folder).key_of(1), kept.key_of(2) == first) == (first, False)
    kept.claimed(held)
    second = kept.key_of(1)
    assert second != first
    kept.keep(held)
    kept.forget(1)
    assert kept.of(1) is None
    third = kept.key_of(1)
    assert third != second
    (folder / "1.key").write_text("half")
    assert len(kept.key_of(1)) == len(third)
