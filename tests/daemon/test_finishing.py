"""Work that was done elsewhere is checked and landed here, in a process of its own, whenever that is killed."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from task_queue.daemon.finishing import FinishingProcess
from task_queue.domain.document.choices import Landing
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.model import Outcome, OutcomeKind, Work, WorkProduct
from task_queue.domain.task import TaskId
from task_queue.platform.identity import bearers
from task_queue.ports.executor import ExecutorKind
from task_queue.ports.finishing import CommitBundle, FinishedWork, FinishingRequest
from tests.agents.test_executors import order_for
from tests.git.conftest import Scratch, empty, env, scratch
from tests.git.test_bundles import BRANCH, bundled, clone, owner, refs
from tests.processes import children_of, look
from tests.waiting import eventually

__all__ = ["clone", "empty", "env", "owner", "scratch"]
DONE = Outcome(OutcomeKind.SUCCEEDED, "the agent ended cleanly")


@pytest.fixture
def request_of(owner: Scratch, tmp_path: Path) -> Callable[..., FinishingRequest]:
    def made(
        bundle: CommitBundle, *, outcome: Outcome = DONE, work: Work | None = None, **more: Any
    ) -> FinishingRequest:
        (tmp_path / "order").mkdir(exist_ok=True)
        order = order_for(tmp_path / "order", "")
        settings = replace(Settings(), **({"landing": Landing.MERGE} | more))
        order = replace(
            order,
            claim=replace(order.claim, task_id=TaskId("task-a"), session_id=uuid.uuid4().hex),
            workspace=owner.root,
            settings=settings,
            executor=ExecutorKind.CLAUDE,
            env=owner.env,
            git=replace(order.git, worktrees=tmp_path / "trees", trusted=tmp_path / "trusted"),
        )
        return FinishingRequest(order, outcome, work or Work(output="Done.", num_turns=3), bundle)

    return made


Make = Callable[..., FinishingRequest]


def finished(request: FinishingRequest) -> FinishedWork:
    return FinishingProcess(request).finished()


def product_in(done: FinishedWork) -> WorkProduct:
    assert done.work.product is not None
    return done.work.product


def test_what_passes_lands(owner: Scratch, clone: Scratch, request_of: Make, tmp_path: Path) -> None:
    """The checks run on the commits that were handed in, and on nothing beside them."""
    clone.commit("second.txt", "second\n")
    owner.write("stray.txt")
    request = request_of(bundled(clone), verify=("test -e second.txt && test ! -e stray.txt",))
    done = finished(request)
    product = product_in(done)

    assert done.outcome.kind is OutcomeKind.SUCCEEDED
    assert done.outcome.evidence == ("passed: test -e second.txt && test ! -e stray.txt",)
    assert (done.work.output, done.work.num_turns) == ("Done.", 3)
    assert product.landing == {
        "state": "landed",
        "target": "main",
        "reason": f"{BRANCH} is in main (fast-forward)",
    }
    assert (product.branch, product.commits) == (BRANCH, (request.bundle.tip,))
    assert (product.subjects, product.stat) == (
        ("Write second.txt",),
        "1 file changed, 1 insertions(+), 0 deletions(-)",
    )
    assert (owner.root / "second.txt").read_text() == "second\n"
    assert sorted(path.name for path in (tmp_path / "trees").iterdir()) == [".landing"]
    again = finished(request)
    assert again.outcome.kind is OutcomeKind.SUCCEEDED
    assert product_in(again).landing_state == "landed"
    assert product_in(again).commits == product.commits
    assert len(owner.run("log", "--format=%H").splitlines()) == 2


def test_what_fails_does_not_land(owner: Scratch, clone: Scratch, request_of: Make) -> None:
    """It is on its branch, with the commands that bring it in or give it up."""
    clone.commit("second.txt")
    done = finished(request_of(bundled(clone), verify=("echo why; test ! -e second.txt",)))
    product = product_in(done)

    assert done.outcome.kind is OutcomeKind.VERIFY_FAILED
    assert "why" in done.outcome.evidence[0]
    assert product.verification[0]["exit_code"] == 1
    assert product.baseline is not None
    assert product.baseline["failed"] == []
    assert product.landing_state == "left"
    assert product.undo == (f"git -C {owner.root} branch -D {BRANCH}",)
    assert not (owner.root / "second.txt").exists()
    assert f"refs/heads/{BRANCH}" in refs(owner)


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.CANCELLED, OutcomeKind.MAX_TURNS])
def test_what_did_not_succeed_is_kept_and_not_checked(
    owner: Scratch, clone: Scratch, request_of: Make, kind: OutcomeKind, tmp_path: Path
) -> None:
    clone.commit("second.txt")
    said = Outcome(kind, "so it was")
    done = finished(request_of(bundled(clone), outcome=said, verify=(f"touch {tmp_path}/ran",)))

    assert done.outcome == said
    assert product_in(done).landing_state == "left"
    assert f"refs/heads/{BRANCH}" in refs(owner)
    assert not (tmp_path / "ran").exists()
    assert not (owner.root / "second.txt").exists()


def test_what_is_no_bundle_of_the_work_fails(owner: Scratch, clone: Scratch, request_of: Make) -> None:
    clone.commit("second.txt")
    bundle = bundled(clone)
    bundle.path.write_bytes(b"nothing")
    before = refs(owner)
    done = finished(request_of(bundle))

    assert done.outcome.kind is OutcomeKind.FAILED
    assert "is not a git bundle" in done.outcome.reason
    assert refs(owner) == before


def test_a_branch_that_is_to_stay_stays(owner: Scratch, clone: Scratch, request_of: Make) -> None:
    clone.commit("second.txt")
    done = finished(request_of(bundled(clone), landing=Landing.BRANCH))

    assert done.outcome.kind is OutcomeKind.SUCCEEDED
    assert product_in(done).landing_state == "left"
    assert product_in(done).keep == (f"git -C {owner.root} merge {BRANCH}",)
    assert not (owner.root / "second.txt").exists()


def test_what_is_in_the_way_lets_it_wait(owner: Scratch, clone: Scratch, request_of: Make) -> None:
    """It lands later as any other branch: ``landing_again`` goes on from there."""
    clone.commit("first.txt", "theirs\n")
    owner.write("first.txt", "mine\n")
    done = finished(request_of(bundled(clone)))

    assert done.outcome.kind is OutcomeKind.SUCCEEDED
    assert product_in(done).landing_state == "waiting"
    assert "uncommitted changes: first.txt" in str(product_in(done).landed)
    assert (owner.root / "first.txt").read_text() == "mine\n"


def test_work_meets_what_came_meanwhile(owner: Scratch, clone: Scratch, request_of: Make) -> None:
    """The merge is checked, too: each is good alone, and together they are not."""
    clone.commit("second.txt")
    owner.commit("other.txt")
    check = "test ! -e second.txt || test ! -e other.txt"
    done = finished(request_of(bundled(clone), verify=(check,)))
    product = product_in(done)

    assert done.outcome.kind is OutcomeKind.SUCCEEDED
    assert product.landing_state == "waiting"
    assert product.landing is not None
    assert product.landing["failed_on"]
    assert not (owner.root / "second.txt").exists()


def test_what_no_commit_should_hold_waits_for_a_person(
    owner: Scratch, clone: Scratch, request_of: Make
) -> None:
    clone.write(".env", "KEY=1\n")
    clone.run("add", "-f", ".env")
    clone.run("commit", "-qm", "Work")
    product = product_in(finished(request_of(bundled(clone))))

    assert product.landing_state == "left"
    assert product.unwanted[0].startswith(".env")
    assert not (owner.root / ".env").exists()


def test_changed_judges_are_seen_here(clone: Scratch, request_of: Make) -> None:
    clone.commit("tests/test_it.py")
    product = product_in(finished(request_of(bundled(clone), verify=("true",))))

    assert product.changed_judges == ("tests/test_it.py (added)",)


def test_commands_that_were_told_are_not_shown(clone: Scratch, request_of: Make) -> None:
    """A person would run them; the words of the agent and its costs are kept."""
    clone.commit("second.txt")
    evil = WorkProduct(
        "/x",
        see=("rm -rf ~",),
        keep=("rm -rf ~",),
        undo=("rm -rf ~",),
        landed="it is in main",
        landing={"state": "landed"},
        commits=("a" * 40,),
        audit={"verdict": "pass"},
        cost_by_phase={"implement 1": 0.5},
    )
    product = product_in(
        finished(request_of(bundled(clone), work=Work(product=evil), landing=Landing.BRANCH))
    )

    assert "rm -rf" not in str(product)
    assert product.landing_state == "left"
    assert (product.audit, product.cost_by_phase) == ({"verdict": "pass"}, {"implement 1": 0.5})


def test_no_hook_of_what_was_handed_in_runs(
    owner: Scratch, clone: Scratch, request_of: Make, tmp_path: Path
) -> None:
    """Hooks among the files of the repository are the owner's as they are there, until it has landed."""
    owner.run("config", "core.hooksPath", ".hooks")
    for name in (
        "post-checkout",
        "pre-commit",
        "pre-merge-commit",
        "reference-transaction",
        "post-index-change",
    ):
        clone.write(f".hooks/{name}", f"#!/bin/sh\ntouch {tmp_path}/ran-{name}\n").chmod(0o755)
    clone.run("add", ".")
    clone.run("commit", "-qm", "Hooks")
    finished(request_of(bundled(clone), verify=("test ! -e nothing",), landing=Landing.BRANCH))

    assert list(tmp_path.glob("ran-*")) == []


def test_a_repository_that_is_gone_can_be_brought_back(
    owner: Scratch, clone: Scratch, request_of: Make
) -> None:
    """That is not the work's fault: an error, and no outcome."""
    clone.commit("second.txt")
    request = request_of(bundled(clone))
    (owner.root / ".git").rename(owner.root / "away")
    with pytest.raises(TaskQueueError, match="is not in a git repository"):
        finished(request)
    (owner.root / "away").rename(owner.root / ".git")

    assert finished(request).outcome.kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_was_ended_while_it_checks_is_repeated(
    owner: Scratch, clone: Scratch, request_of: Make, tmp_path: Path, number: signal.Signals
) -> None:
    """What its commands left is ended by the next try, and nothing lands twice."""
    clone.commit("second.txt")
    waits = f"echo $$ >> {tmp_path}/pids; until test -e {tmp_path}/go; do sleep 0.02; done"
    request = request_of(bundled(clone), verify=(waits,))
    with ThreadPoolExecutor() as others:
        ending = others.submit(finished, request)
        eventually((tmp_path / "pids").exists)
        (checks,) = [pid for pid in children_of(os.getpid()) if b"handed_in" in look(pid, "cmdline")]
        os.kill(checks, number)
        with pytest.raises(TaskQueueError):
            ending.result()
    (tmp_path / "go").touch()
    done = finished(request)

    assert done.outcome.kind is OutcomeKind.SUCCEEDED
    assert product_in(done).landing_state == "landed"
    assert len((tmp_path / "pids").read_text().split()) == 2
    assert not bearers(request.order.marker)
