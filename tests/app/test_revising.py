"""edit, priority, move and rm as functions: no task is lost or doubled, whoever claims it and whatever is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from task_queue.app.event_feed import from_now_on
from task_queue.app.installation import Installation
from task_queue.app.revising import edit, move, opened, prioritize, remove
from task_queue.domain.errors import (
    ClaimHeld,
    QueueFull,
    TaskFileError,
    TaskMovedOn,
    TaskQueueError,
    UnknownTaskError,
)
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.store.folder.engine import FolderEngine
from task_queue.store.folder.holding import held
from tests.app.bench import A, Bench

B = TaskId("task-b")
NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
CHANGES: dict[str, Callable[[Installation], object]] = {
    "edit": lambda installation: edit(installation, opened(installation, A), "# Other\n"),
    "priority": lambda installation: prioritize(installation, A, 9),
    "move": lambda installation: move(installation, A, "planned"),
    "rm": lambda installation: remove(installation, A),
}


def an_engine(bench: Bench) -> FolderEngine:
    engine = FolderEngine(bench.layout().pending, settle_s=lambda: 0.0)
    engine.open()
    return engine


def claim(engine: FolderEngine) -> None:
    engine.touch()
    engine.survey()
    engine.queue.claim(A, worker="w", now=NOW)


def documents(bench: Bench) -> dict[str, str]:
    """Every text that was a document, by where it is; ``kept``: taken out of the queue."""
    tasks = bench.home / "tasks"
    return {
        (
            "kept" if path.name.startswith("removed-") else f"{path.parts[-3]}/{path.parts[-2]}"
        ): path.read_text()
        for path in [*tasks.glob("*/*/task-*.md"), *tasks.glob("*/logs/*/removed-*.md")]
    }


def test_an_edited_text_takes_the_place_of_the_earlier_one(bench: Bench) -> None:
    bench.place("pending")
    bench.place("pending", B)

    revised = edit(bench.installation, opened(bench.installation, A), "---\npriority: 1\n---\n# Other\n")

    assert documents(bench)["ad-hoc/pending"] in {"# Do it\n", "---\npriority: 1\n---\n# Other\n"}
    assert (bench.layout().pending / f"{A}.md").read_text() == "---\npriority: 1\n---\n# Other\n"
    assert revised.standing is not None
    assert (revised.standing.place, revised.standing.of) == (2, 2)


@pytest.mark.parametrize("text", ["", "---\npriorty: 1\n---\nx", "---\nexecutor: none-such\n---\nx"])
def test_a_text_that_could_not_run_changes_nothing(bench: Bench, text: str) -> None:
    bench.place("pending")

    with pytest.raises(TaskFileError):
        edit(bench.installation, opened(bench.installation, A), text)

    assert documents(bench) == {"ad-hoc/pending": "# Do it\n"}


def test_of_two_editors_the_second_is_refused(bench: Bench) -> None:
    """The first one's text stays; so does one that was written by hand meanwhile."""
    bench.place("pending")
    one, other = opened(bench.installation, A), opened(bench.installation, A)
    edit(bench.installation, one, "# One\n")

    with pytest.raises(TaskMovedOn, match="changed meanwhile"):
        edit(bench.installation, other, "# Other\n")

    assert documents(bench) == {"ad-hoc/pending": "# One\n"}


def test_a_task_that_began_between_open_and_save_is_not_changed(bench: Bench) -> None:
    bench.place("pending")
    before = opened(bench.installation, A)
    claim(an_engine(bench))

    with pytest.raises(UnknownTaskError, match="is running"):
        edit(bench.installation, before, "# Other\n")

    assert documents(bench) == {"ad-hoc/pending": "# Do it\n"}


def test_a_task_that_ended_or_went_between_open_and_save_is_not_made_again(bench: Bench) -> None:
    bench.place("pending")
    before = opened(bench.installation, A)
    bench.move(A, "completed")

    with pytest.raises(UnknownTaskError, match="ended already"):
        edit(bench.installation, before, "# Other\n")

    assert documents(bench) == {"ad-hoc/completed": "# Do it\n"}


def test_nothing_claims_a_document_while_it_is_changed(bench: Bench) -> None:
    bench.place("pending")
    engine = an_engine(bench)

    def change(_: bytes) -> bytes:
        with pytest.raises(ClaimHeld):
            claim(engine)
        return b"# Other\n"

    engine.revising.rewrite(A, change)
    claim(engine)

    assert (engine.layout.attempt(A, 1) / "task.md").read_text() == "# Other\n"


def test_a_claim_under_way_yields_to_a_person_who_came_before_its_lock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The document is the same and quiet when the worker looks, and in a person's hand when its lock is there."""
    bench.place("pending")
    engine = an_engine(bench)
    publish, hold = durable.publish, ExitStack()

    def slowly(path: Path, data: bytes) -> None:
        if path == engine.layout.lock(f"{A}.md"):
            hold.enter_context(held(engine.layout, A))
        publish(path, data)

    monkeypatch.setattr(durable, "publish", slowly)
    with hold, pytest.raises(ClaimHeld):
        claim(engine)

    assert not engine.layout.lock(f"{A}.md").exists()


@pytest.mark.parametrize("name", CHANGES)
def test_a_claim_under_way_never_runs_what_a_person_changed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The whole change falls between the worker's look and its lock."""
    bench.place("pending")
    engine = an_engine(bench)
    publish = durable.publish

    def slowly(path: Path, data: bytes) -> None:
        if path == engine.layout.lock(f"{A}.md"):
            monkeypatch.undo()
            CHANGES[name](bench.installation)
        publish(path, data)

    monkeypatch.setattr(durable, "publish", slowly)
    with pytest.raises(ClaimHeld):
        claim(engine)

    assert not engine.layout.lock(f"{A}.md").exists()
    assert len(documents(bench)) == 1


@pytest.mark.parametrize("name", CHANGES)
def test_a_running_task_is_refused_with_the_command_that_ends_it(bench: Bench, name: str) -> None:
    bench.place("pending")
    bench.claim()

    with pytest.raises(UnknownTaskError, match="is running") as caught:
        CHANGES[name](bench.installation)

    assert f"task-queue tasks cancel {A}" in (caught.value.hint or "")


@pytest.mark.parametrize("name", CHANGES)
def test_a_lock_that_came_since_it_was_looked_at_is_respected(bench: Bench, name: str) -> None:
    """Found waiting, and begun when the change is made."""
    bench.place("pending")
    (bench.layout().pending / f".{A}.lock").write_text("{}")

    with pytest.raises(TaskMovedOn, match="has begun"):
        CHANGES[name](bench.installation)

    assert documents(bench) == {"ad-hoc/pending": "# Do it\n"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"# Do it\n", b"---\npriority: 9\n---\n# Do it\n"),
        (b"---\r\n# why\r\npriority:  2 # low\r\ntitle: x\r\n---\r\na\r\n\r\n", None),
        (b"\xef\xbb\xbf---\ntitle: 'x'\n---\n\n\nb  \n", None),
    ],
)
def test_a_priority_changes_nothing_else(bench: Bench, before: bytes, after: bytes | None) -> None:
    """Byte for byte: comments, spacing, line ends, and a byte order mark."""
    path = bench.place("pending")
    path.write_bytes(before)
    expected = after or (
        before.replace(b"priority:  2 # low", b"priority: 9")
        if b"priority" in before
        else before.replace(b"'x'\n", b"'x'\npriority: 9\n")
    )

    prioritize(bench.installation, A, 9)

    assert path.read_bytes() == expected


def test_a_moved_task_waits_in_the_other_source(bench: Bench) -> None:
    path = bench.place("pending")
    path.write_bytes(b"\xef\xbb\xbf# Do it\r\n")

    moved = move(bench.installation, A, "planned")

    assert (moved.source, path.exists()) == ("planned", False)
    assert (bench.layout("planned").pending / path.name).read_bytes() == b"\xef\xbb\xbf# Do it\r\n"
    assert moved.standing is not None


def tried(bench: Bench) -> None:
    bench.write(bench.layout().journal(f"{A}.md"), {"task_id": A, "attempts": []})


def begun_before(bench: Bench) -> None:
    bench.write(bench.attempt() / "run.json", {})


def cancelled(bench: Bench) -> None:
    bench.layout().cancel(f"{A}.md").write_text("{}")


def known_there(bench: Bench) -> None:
    (bench.layout("planned").root / "completed" / f"{A}.md").write_text("# Earlier")


@pytest.mark.parametrize(
    ("prepare", "why"),
    [
        (tried, "tried here before"),
        (begun_before, "tried here before"),
        (cancelled, "to be cancelled"),
        (known_there, "had a task of that name"),
    ],
)
def test_a_move_that_would_lose_something_is_refused_with_the_reason(
    bench: Bench, prepare: Callable[[Bench], None], why: str
) -> None:
    bench.place("pending")
    prepare(bench)

    with pytest.raises(TaskQueueError, match=why):
        move(bench.installation, A, "planned")

    assert documents(bench)["ad-hoc/pending"] == "# Do it\n"


def test_a_move_respects_the_limit_and_what_the_other_source_allows(bench: Bench) -> None:
    bench.place("pending", text="---\nexecutor: none-such\n---\nx")
    with pytest.raises(TaskFileError):
        move(bench.installation, A, "planned")
    bench.place("pending")
    bench.place("pending", B, source="planned")
    content = bench.installation.content | {"limits": {"max_pending": 1}}
    bench.write(bench.config, content)

    with pytest.raises(QueueFull):
        move(bench.anew(), A, "planned")
    with pytest.raises(TaskQueueError, match="waits in ad-hoc already"):
        move(bench.anew(), A, "ad-hoc")


def test_a_removed_waiting_task_leaves_a_copy(bench: Bench) -> None:
    """Its history is beside it, and who waits for it is named."""
    bench.place("pending")
    bench.place("pending", B, f"---\ndepends_on: {A}\n---\n# After\n", source="planned")
    tried(bench)
    cancelled(bench)

    removed = remove(bench.installation, A)

    assert removed.kept.read_text() == "# Do it\n"
    assert removed.kept.with_suffix(".attempts.json").exists()
    assert removed.dependents == (B,)
    assert list(bench.layout().pending.iterdir()) == []


@pytest.mark.parametrize("folder", ["completed", "failed"])
def test_a_removed_ended_task_needs_nobody_and_leaves_everything(bench: Bench, folder: str) -> None:
    layout = bench.layout()
    bench.place(folder)
    bench.write(layout.result(A), {"task_id": A})
    bench.write(layout.report(A), "report")
    bench.write(layout.needs(A), {})
    bench.write(layout.acknowledgement(A), {})

    removed = remove(bench.installation, A)

    kept = sorted(path.name.partition("-")[0] for path in layout.log(A).iterdir())
    assert removed.kept.read_text() == "# Do it\n"
    assert kept == ["removed", "report", "result"]
    assert not any(path.exists() for path in (layout.result(A), layout.needs(A), layout.acknowledgement(A)))
    with pytest.raises(UnknownTaskError):
        remove(bench.installation, A)


@pytest.mark.parametrize("name", CHANGES)
def test_the_event_log_has_who_changed_what(bench: Bench, name: str) -> None:
    since = from_now_on(bench.installation, warn=lambda _: None)
    bench.place("pending")

    CHANGES[name](bench.installation)
    (event,) = since.events()
    since.close()

    assert (event.type, event.task_id, event.data["command"]) == ("person_acted", A, f"tasks {name}")


@pytest.mark.parametrize(("name", "folder"), [*((name, "pending") for name in CHANGES), ("rm", "failed")])
def test_a_kill_at_any_step_loses_and_doubles_nothing(bench: Bench, name: str, folder: str) -> None:
    """Killed before each sync and each rename; the same command then does the rest."""
    steps = 0
    while True:
        path = bench.place(folder)
        if folder == "failed":
            bench.write(bench.layout().result(A), {"task_id": A})
        ended = in_a_process_killed_at(steps, lambda: CHANGES[name](bench.anew()))
        found = documents(bench)

        assert len(found) == 1, (steps, found)
        assert set(found.values()) <= {"# Do it\n", "# Other\n", "---\npriority: 9\n---\n# Do it\n"}
        if ended:
            break
        if path.exists():
            CHANGES[name](bench.anew())
            assert len(documents(bench)) == 1
        forget(bench)
        steps += 1

    assert steps >= 3


def forget(bench: Bench) -> None:
    """Every document, and what was kept of it: the next try begins with a new one."""
    for path in [*bench.home.glob("tasks/*/*/task-*.md"), *bench.home.glob("tasks/*/logs/*/*")]:
        path.unlink()
    for path in bench.home.glob("tasks/*/logs/*"):
        path.rmdir()


def in_a_process_killed_at(step: int, act: Callable[[], object]) -> bool:
    """Whether *act* came to its end before its *step*-th call that syncs, renames, links or unlinks."""
    child = os.fork()
    if child == 0:
        left = [step]

        def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(*arguments: Any, **options: Any) -> Any:
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return call(*arguments, **options)

            return called

        for name in ("fsync", "rename", "link", "unlink"):
            setattr(os, name, deadly(getattr(os, name)))
        durable._rename_no_replace = deadly(durable._rename_no_replace)
        try:
            act()
        except BaseException:  # noqa: BLE001 - the parent asserts
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFEXITED(status)
