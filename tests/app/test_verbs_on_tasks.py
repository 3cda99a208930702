"""add, cancel, retry and wait as functions: what they do to the folders, what they answer, what they refuse."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from task_queue.app import changing
from task_queue.app.acknowledging import acknowledge
from task_queue.app.adding import Added, Draft, add, decoded, demand_no_file_name, kept_name, read_document
from task_queue.app.awaiting import TaskEnd, WaitTimedOut, wait
from task_queue.app.changing import Cancelled, Cancelling, cancel, withdraw
from task_queue.app.duplicates import DuplicateTask
from task_queue.app.event_feed import LoggedEvent, from_now_on
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.landing import land
from task_queue.app.listing import list_of, show_of
from task_queue.app.pausing import pause, sources_named
from task_queue.app.retrying import retry
from task_queue.app.revising import edit, move, opened, prioritize, remove
from task_queue.app.standing import Standing
from task_queue.app.undoing import undo
from task_queue.domain.actions import Action, ActionUnavailableError, available_actions
from task_queue.domain.errors import ConfigError, QueueFull, TaskFileError, TaskQueueError, UnknownTaskError
from task_queue.domain.events import PhaseStarted
from task_queue.domain.holds import source_paused
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.identity import MARKER_VARIABLE
from task_queue.store.event_log import EventLog
from tests.app.bench import A, Bench

B = TaskId("task-b")
VERBS: dict[Action, Callable[[Installation, TaskId], object]] = {
    Action.CANCEL: cancel,
    Action.RETRY: retry,
    Action.EDIT: lambda installation, task_id: edit(installation, opened(installation, task_id), "# Other"),
    Action.PRIORITY: lambda installation, task_id: prioritize(installation, task_id, 9),
    Action.MOVE: lambda installation, task_id: move(installation, task_id, "planned"),
    Action.RM: remove,
    Action.ACKNOWLEDGE: lambda installation, task_id: acknowledge(installation, [task_id]),
    Action.LAND: land,
    Action.UNDO: undo,
}


def add_to(
    installation: Installation, text: str, *, source_id: str = "ad-hoc", name: str | None = None
) -> Added:
    return add(installation, Draft(text, name), source=installation.entry(source_id))


def in_state(bench: Bench, state: TaskState) -> None:
    folder = {TaskState.COMPLETED: "completed", TaskState.FAILED: "failed"}.get(state, "pending")
    bench.place(folder)
    if state is TaskState.RUNNING:
        bench.claim()


def test_a_document_becomes_a_task_named_by_time_and_title(bench: Bench) -> None:
    added = add_to(bench.installation, "# Fix the login\n")

    document = bench.layout().pending / f"{added.task_id}.md"
    assert (added.source, added.daemon_runs) == ("ad-hoc", False)
    assert (added.directory, added.standing) == (bench.home, Standing(1, 1, "next"))
    assert added.task_id.endswith("-fix-the-login")
    assert f"{bench.clock.now().astimezone():%Y%m%d-%H%M%S}" in added.task_id
    assert document.read_text() == "# Fix the login\n"


def test_source_and_name_can_be_given(bench: Bench) -> None:
    bench.daemon_runs()

    added = add_to(bench.installation, "# x", source_id="planned", name="task-mine.md")

    assert (added.task_id, added.source, added.daemon_runs) == ("task-mine", "planned", True)


@pytest.mark.parametrize(
    "text", ["", "---\npriorty: 1\n---\nx", "---\npriority: 1\n---\n", "---\nexecutor: none-such\n---\nx"]
)
def test_a_document_that_could_not_run_is_refused(bench: Bench, text: str) -> None:
    with pytest.raises(TaskFileError):
        add_to(bench.installation, text)

    assert list(bench.layout().pending.iterdir()) == []


def test_a_full_queue_takes_nothing_more(bench: Bench) -> None:
    content = json.loads(bench.config.read_text())
    bench.write(bench.config, content | {"limits": {"max_pending": 1}})
    add_to(bench.anew(), "# One")

    with pytest.raises(QueueFull):
        add_to(bench.anew(), "# Two")


def test_a_source_has_a_limit_of_its_own(bench: Bench) -> None:
    """What runs does not count, and what is dropped is never refused. The refusal says what must happen first."""
    content = json.loads(bench.config.read_text())
    content["task_source_directories"][0]["max_pending"] = 2
    bench.write(bench.config, content | {"limits": {"max_pending": 1}})
    bench.place("pending")
    bench.claim()
    bench.daemon_runs()  # what it says of itself is a little older than its folders
    add_to(bench.anew(), "# One")
    add_to(bench.anew(), "# Two")

    with pytest.raises(QueueFull, match="queue full: 2 tasks wait") as full:
        add_to(bench.anew(), "# Three")
    assert re.fullmatch(
        r"there is room once task-a has ended and the next task starts, expected at about 2026-\d\d-\d\d \d\d:\d\d;"
        r" more may wait with: task-queue config set sources\.ad-hoc\.max_pending N",
        full.value.hint or "",
    ), full.value.hint
    pause(bench.anew(), sources_named(bench.anew(), "ad-hoc"))
    with pytest.raises(QueueFull) as held:
        add_to(bench.anew(), "# Three")
    assert source_paused("ad-hoc") in (held.value.hint or "")


@pytest.mark.parametrize("runs", [False, True])
def test_a_duplicate_is_refused_with_the_id_of_the_first(bench: Bench, runs: bool) -> None:
    """Of whichever source. Nothing is added, and nothing comes back; once the first has ended, both go."""
    text = "---\ndedupe_key: nightly\n---\n# Again"
    bench.place("pending", text=text, source="planned")
    bench.place("failed", B, text)
    if runs:
        bench.claim(source="planned")
    verb = "runs" if runs else "waits"
    reason = f"duplicate of task-a of source 'planned', which {verb} and has the same dedupe_key 'nightly'"

    with pytest.raises(DuplicateTask, match=reason):
        add_to(bench.anew(), text)
    with pytest.raises(DuplicateTask, match=reason):
        retry(bench.anew(), B)
    bench.move(A, "completed", source="planned")
    added = add_to(bench.anew(), text)
    with pytest.raises(DuplicateTask, match=added.task_id):
        retry(bench.anew(), B)


def test_an_unknown_source_is_refused_with_those_that_there_are(bench: Bench) -> None:
    with pytest.raises(TaskQueueError, match="no source 'web'") as caught:
        add_to(bench.installation, "# x", source_id="web")

    assert "ad-hoc, planned" in (caught.value.hint or "")


@pytest.mark.parametrize("verb", ["add", *Action])
def test_no_verb_obeys_a_configuration_that_others_can_write(bench: Bench, verb: str) -> None:
    bench.place("failed" if verb == "retry" else "pending")
    bench.config.chmod(0o666)

    with pytest.raises(ConfigError, match="not trusted"):
        add_to(bench.installation, "# x") if verb == "add" else VERBS[Action(verb)](bench.installation, A)


def test_a_person_learns_where_the_new_task_stands(bench: Bench) -> None:
    """What runs counts, priority decides, and a paused source says so."""
    bench.place("pending", "task-runs")
    bench.claim("task-runs")
    bench.place("pending", "task-low", "---\npriority: 1\n---\n# Low\n")

    urgent = add_to(bench.anew(), "---\npriority: 9\n---\n# Urgent")
    usual = add_to(bench.anew(), "# Usual")
    pause(bench.installation, sources_named(bench.installation, "planned"))
    paused = add_to(bench.anew(), "# Later", source_id="planned")

    assert urgent.standing == Standing(2, 3, "behind 1 other")
    assert usual.standing == Standing(3, 4, "behind 2 others")
    assert paused.standing == Standing(1, 1, source_paused("planned"))


def test_what_is_handed_in_is_text(tmp_path: Path) -> None:
    """A file's name that is a task's is kept; a missing file and other bytes are errors with a place."""
    path = tmp_path / "task-x.md"
    path.write_bytes(b"\xef\xbb\xbf# x")

    assert read_document(path) == "# x"
    assert (kept_name(path), kept_name(tmp_path / "x.md")) == ("task-x.md", None)
    with pytest.raises(TaskQueueError, match="No such file"):
        read_document(tmp_path / "none.md")
    with pytest.raises(TaskQueueError, match="standard input: byte 1 is not UTF-8"):
        decoded(b"x\xff", "standard input")
    with pytest.raises(TaskQueueError, match="is a file"):
        demand_no_file_name(str(path))


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("action", [action for action in Action if action is not Action.ACKNOWLEDGE])
def test_what_is_offered_works_and_nothing_else_does(bench: Bench, state: TaskState, action: Action) -> None:
    """List, show and the verbs have one answer."""
    in_state(bench, state)
    now = bench.installation.circumstances()
    shown = show_of(now, A)
    listed = list_of(now, now.sources, states=TaskState, limit=9).tasks
    assert shown is not None

    assert shown.available_actions == available_actions(state)
    assert [line.available_actions for line in listed] == [available_actions(state)]
    if action in shown.available_actions:
        VERBS[action](bench.installation, A)
    else:
        with pytest.raises(UnknownTaskError, match=state.value):
            VERBS[action](bench.installation, A)


@pytest.mark.parametrize("action", Action)
def test_a_task_that_is_not_there_is_unknown(bench: Bench, action: Action) -> None:
    with pytest.raises(UnknownTaskError, match="there is no task task-a"):
        VERBS[action](bench.installation, A)


def test_without_a_daemon_a_cancel_is_only_requested(bench: Bench) -> None:
    bench.place("pending")

    cancelled = cancel(bench.installation, A)

    assert cancelled == Cancelled(A, Cancelling.REQUESTED, ran=False)
    assert (bench.layout().pending / f".{A}.cancel").exists()


def test_without_a_daemon_the_agent_of_a_cancelled_task_goes_on(bench: Bench) -> None:
    bench.place("pending")
    bench.claim()

    assert cancel(bench.installation, A) == Cancelled(A, Cancelling.REQUESTED, ran=True, agent_goes_on=True)


@pytest.mark.parametrize(
    ("folder", "how"), [("failed", Cancelling.CANCELLED), ("completed", Cancelling.COMPLETED_BEFORE)]
)
def test_a_cancel_waits_until_the_task_has_ended(bench: Bench, folder: str, how: Cancelling) -> None:
    """And says whether it came too late."""
    bench.place("pending")
    bench.daemon_runs()
    bench.meanwhile = lambda: bench.move(A, folder) if bench.clock.seconds > 5 else None

    cancelled = cancel(bench.installation, A)

    assert cancelled == Cancelled(A, how, ran=False)
    assert 5 < bench.clock.seconds < 6


def test_a_cancel_waits_until_no_process_of_the_task_is_left(bench: Bench) -> None:
    """A real process that bears the mark of the attempt, and outlives the task's end."""
    bench.place("pending")
    bench.claim()
    bench.daemon_runs()
    child = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        env={**os.environ, MARKER_VARIABLE: f"ad-hoc:{A}:1:s"},
    )
    looks: list[bool] = []

    def end() -> None:
        looks.append(child.poll() is None)
        if len(looks) == 1:
            bench.move(A, "failed")
        if len(looks) == 3:
            child.communicate(b"\n")

    bench.meanwhile = end
    cancelled = cancel(bench.installation, A)

    assert cancelled == Cancelled(A, Cancelling.CANCELLED, ran=True)
    assert looks == [True] * 3


def test_a_cancel_that_takes_too_long_stands(bench: Bench) -> None:
    bench.place("pending")
    bench.daemon_runs()

    cancelled = cancel(bench.installation, A, timeout_s=20)

    assert cancelled.how is Cancelling.STILL_RUNNING
    assert 20 <= bench.clock.seconds < 21
    assert (bench.layout().pending / f".{A}.cancel").exists()


def test_a_task_that_is_claimed_just_then_is_not_withdrawn(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.place("pending")
    states: list[TaskState] = []

    def found_and_then_claimed(*given: Any) -> tuple[Any, TaskState]:
        listed, state = found(*given)
        states.append(state)
        if len(states) == 1:
            bench.claim()
        return listed, state

    monkeypatch.setattr(changing, "found", found_and_then_claimed)
    with pytest.raises(ActionUnavailableError) as refused:
        withdraw(bench.installation, A)

    assert states == [TaskState.PENDING, TaskState.RUNNING]
    assert refused.value.state is TaskState.RUNNING
    assert not (bench.layout().pending / f".{A}.cancel").exists()


def test_to_cancel_twice_is_one_request(bench: Bench) -> None:
    bench.place("pending")

    assert cancel(bench.installation, A) == cancel(bench.installation, A)


def test_a_retry_brings_the_document_back(bench: Bench) -> None:
    bench.place("failed", source="planned")

    retried = retry(bench.installation, A)

    assert (retried.task_id, retried.source) == (A, "planned")
    assert found(bench.installation.sources(), A)[1] is TaskState.PENDING


def test_wait_tells_each_end_as_it_comes(bench: Bench) -> None:
    """With outcome and error of the result; a task that is named twice ends once."""
    bench.place("pending", A)
    bench.place("pending", B)
    bench.write(bench.layout().result(A), {"outcome": "failed", "error": "exit code 7"})

    def end() -> None:
        if bench.clock.seconds > 10 and (bench.layout().pending / f"{A}.md").exists():
            bench.move(A, "failed")
        elif bench.clock.seconds > 5 and (bench.layout().pending / f"{B}.md").exists():
            bench.move(B, "completed")

    bench.meanwhile = end
    ended = list(wait(bench.installation, [A, B, A]))

    assert ended == [
        TaskEnd(B, TaskState.COMPLETED, None, None),
        TaskEnd(A, TaskState.FAILED, "failed", "exit code 7"),
    ]


@pytest.mark.parametrize("log", ["there", "not there yet", "unreadable"])
def test_wait_passes_on_what_happens_to_these_tasks(bench: Bench, log: str) -> None:
    """From when it began to look, before each end; a log that cannot be read keeps no one waiting."""
    about = EventLog(bench.installation.locations.events)
    if log == "there":
        about.emit(PhaseStarted("ad-hoc", A, 1, "earlier"))
    else:
        shutil.rmtree(bench.installation.locations.events)
    since = from_now_on(bench.installation, warn=lambda _: None)
    bench.place("pending", A)

    def work() -> None:
        about.emit(PhaseStarted("ad-hoc", B, 1, "audit"))
        about.emit(PhaseStarted("ad-hoc", A, 1, "implement"))
        bench.move(A, "completed")

    def spoil() -> None:
        bench.installation.locations.events.write_text("no folder")
        bench.move(A, "completed")

    bench.meanwhile = spoil if log == "unreadable" else work
    seen = list(wait(bench.installation, [A], since=since))
    since.close()
    about.close()

    assert seen[-1] == TaskEnd(A, TaskState.COMPLETED, None, None)
    said = [event.data for event in seen if isinstance(event, LoggedEvent)]
    assert said == ([] if log == "unreadable" else [{"phase": "implement"}])


def test_wait_gives_up_in_time_and_names_what_has_not_ended(bench: Bench) -> None:
    bench.place("completed", A)
    bench.place("pending", B)

    ended = list(wait(bench.installation, [A, B], timeout_s=30))

    assert ended == [TaskEnd(A, TaskState.COMPLETED, None, None), WaitTimedOut((B,))]
    assert 30 <= bench.clock.seconds < 31


def test_wait_for_a_task_that_vanishes_is_an_error(bench: Bench) -> None:
    path = bench.place("pending")
    bench.meanwhile = lambda: path.unlink(missing_ok=True)

    with pytest.raises(UnknownTaskError):
        list(wait(bench.installation, [A]))
