"""A submission under an idempotency key is one task, wherever its process is killed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from task_queue.app.submitting import Submission, Submitted, submit
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, Caller
from task_queue.platform import durable
from task_queue.store.submissions import KEPT_FOR, Submissions
from tests.app.bench import Bench

_CALLER = Caller(OWNER, EVERYTHING_ALLOWED)
_TASK = Submission(source="ad-hoc", title="Do it", instructions="Now.")


class Killed(BaseException):
    """As by kill -9: nothing catches it, and nothing is tidied up."""


def _submit(bench: Bench) -> Submitted:
    return submit(bench.anew(), _TASK, _CALLER, KeptDocuments(), key="k")


def _documents(bench: Bench) -> list[str]:
    root = bench.layout().root
    return [
        path.name for folder in ("pending", "completed", "failed") for path in (root / folder).glob("*.md")
    ]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", range(1, 6))
def test_a_kill_at_any_step_leaves_one_task(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, step: int, after: bool
) -> None:
    """Right before or after each change of a file; the same key then leads to the one task."""
    done = 0

    def killing(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any, **options: Any) -> Any:
            nonlocal done
            done += 1
            if done == step and not after:
                raise Killed
            answer = change(*given, **options)
            if done == step:
                raise Killed
            return answer

        return changed

    with monkeypatch.context() as patched:
        for name in ("replace", "publish", "move", "remove"):
            patched.setattr(durable, name, killing(getattr(durable, name)))
        with pytest.raises(Killed):
            _submit(bench)
    first = _submit(bench)
    second = _submit(bench)

    assert _documents(bench) == [f"{first.task.id}.md"]
    assert second.task.id == first.task.id
    assert not second.is_new


def test_a_task_that_ended_meanwhile_is_not_made_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before it was noted that the task was accepted; then it ran, and was removed."""
    kept = Submissions.keep

    def killed(self: Submissions, key: str, submission: Any) -> None:
        if submission.accepted:
            raise Killed
        kept(self, key, submission)

    with monkeypatch.context() as patched:
        patched.setattr(Submissions, "keep", killed)
        with pytest.raises(Killed):
            _submit(bench)
    name = _documents(bench)[0]
    (bench.layout().log(name.removesuffix(".md")) / "attempt-1").mkdir(parents=True)  # type: ignore[arg-type] # a task's id
    (bench.layout().pending / name).unlink()
    with pytest.raises(TaskQueueError, match="there is no task"):
        _submit(bench)

    assert _documents(bench) == []


def test_what_is_kept_and_cannot_be_read_makes_no_second_task(bench: Bench) -> None:
    _submit(bench)
    next(bench.installation.locations.submissions.glob("*.json")).write_text("{")
    with pytest.raises(TaskQueueError, match="cannot be understood"):
        _submit(bench)

    assert len(_documents(bench)) == 1


def test_keys_are_forgotten_after_some_days(bench: Bench) -> None:
    _submit(bench)
    submissions = Submissions(bench.installation.locations.submissions)
    submissions.forget_old(bench.clock.now() + KEPT_FOR)
    still = _submit(bench).is_new
    submissions.forget_old(bench.clock.now() + KEPT_FOR + timedelta(seconds=1))

    assert not still
    assert list(bench.installation.locations.submissions.glob("*.json")) == []
