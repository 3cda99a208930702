"""What needs a person is one answer: whatever a command shows besides, and however much of that it cuts off."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from task_queue.app.answers import AttentionView, needs_attention
from task_queue.app.listing import list_of, show_of
from task_queue.app.overview import status_of
from task_queue.domain.task import TaskId, TaskState
from tests.app.bench import Bench

FAILED = "task-broken"
_homes = itertools.count()


@dataclass(frozen=True)
class State:
    """How a queue is; ``blocked`` and ``failed`` are numbers of tasks."""

    daemon: bool
    blocked: int = 0
    delayed: bool = False
    loop: bool = False
    """The daemon will reject the task that closed it."""
    failed: int = 0
    clean: int = 0
    torn: bool = False
    """A lock that cannot be read is in the source."""

    @property
    def needs(self) -> dict[str, int]:
        """How many things of each kind a person has to do with."""
        kinds = {
            "daemon": int(not self.daemon),
            "blocked": self.blocked,
            "failed": self.failed,
            "lock": int(self.torn),
        }
        return {kind: number for kind, number in kinds.items() if number}


STATES = st.builds(
    State,
    daemon=st.booleans(),
    blocked=st.sampled_from([0, 0, 1, 6, 23]),
    delayed=st.booleans(),
    loop=st.booleans(),
    failed=st.sampled_from([0, 0, 1, 21, 25]),
    clean=st.integers(0, 2),
    torn=st.booleans(),
)


def set_up(bench: Bench, state: State) -> None:
    if state.daemon:
        bench.daemon_runs()
    if state.blocked:
        bench.place("failed", FAILED)  # of an earlier release: nothing is known of it
    delay = "not_before: 2099-01-01T00:00:00\n" if state.delayed else ""
    for number in range(state.blocked):
        bench.place("pending", f"task-b{number:02}", f"---\n{delay}depends_on: {FAILED}\n---\n# It\n")
    if state.loop:
        bench.place("pending", "task-l1", "---\ndepends_on: task-l2\n---\n# It\n")
        bench.place("pending", "task-l2", "---\ndepends_on: task-l1\n---\n# It\n")
    for number in range(state.failed):
        settle(bench, f"task-f{number:02}")
    for number in range(state.clean):
        bench.place("pending", f"task-w{number}")
        bench.place("completed", f"task-c{number}")
    if state.torn:
        (bench.layout().pending / ".task-torn.lock").write_text("{")


def settle(bench: Bench, task_id: str, *, kind: str = "failed", command: str = "x") -> None:
    need = {"kind": kind, "sentence": "it is so", "command": command}
    bench.place("failed", task_id)
    bench.write(bench.layout().result(TaskId(task_id)), {"task_id": task_id, "attention": [need]})
    bench.write(bench.layout().needs(TaskId(task_id)), {})


def counted(attention: tuple[AttentionView, ...]) -> dict[str, int]:
    """How many of each kind are named or counted."""
    found: dict[str, int] = {}
    for each in attention:
        kind, number = each.kind, 1
        if kind == "more":
            match = re.match(r"(\d+) more (task|result)", each.sentence)
            assert match is not None
            kind, number = {"task": "blocked", "result": "failed"}[match[2]], int(match[1])
        found[kind] = found.get(kind, 0) + number
    return found


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # each example has a home of its own
@given(
    state=STATES,
    shown=st.sampled_from([0, 1, 5, 10**6]),
    limit=st.sampled_from([1, 20, 1000]),
    states=st.sets(st.sampled_from(TaskState)),
)
@pytest.mark.usefixtures("bench")
def test_every_command_gives_the_same_answer(
    tmp_path: Path, state: State, shown: int, limit: int, states: set[TaskState]
) -> None:
    """Against a rule that knows how the folder was made; only status counts a daemon that does not run."""
    bench = Bench(tmp_path / str(next(_homes)))
    set_up(bench, state)
    now = bench.anew().circumstances()

    status = status_of(now, config=bench.config, waiting_shown=shown).attention
    listed = list_of(now, now.sources, states=states, limit=limit).attention
    other = [source for source in now.sources if source.id != "ad-hoc"]
    elsewhere = list_of(now, other, states=states, limit=limit).attention

    of_tasks = {kind: number for kind, number in state.needs.items() if kind != "daemon"}
    assert (counted(status), counted(listed), counted(elsewhere)) == (state.needs, of_tasks, {})
    assert (needs_attention(status), needs_attention(listed)) == (bool(state.needs), bool(of_tasks))


def test_show_says_of_one_task_what_status_says(bench: Bench) -> None:
    """Of a waiting one and of one that failed; nothing of others."""
    set_up(bench, State(daemon=True, blocked=1, failed=1, clean=1))
    now = bench.anew().circumstances()
    everything = status_of(now, config=bench.config).attention

    for task_id in ("task-b00", "task-f00", "task-w0", "task-c0"):
        shown = show_of(now, TaskId(task_id))
        assert shown is not None
        told = [(each.kind, each.sentence, each.command) for each in shown.attention]
        assert told == [
            (each.kind, each.sentence, each.command) for each in everything if each.task_id == task_id
        ]
    assert {each.task_id for each in everything} == {"task-b00", "task-f00"}


def test_the_command_for_the_others_names_them_all(bench: Bench) -> None:
    """More than a command names on its own wait for a person."""
    set_up(bench, State(daemon=True, blocked=30))
    now = bench.anew().circumstances()
    *_, more = status_of(now, config=bench.config).attention

    assert more.command == "task-queue tasks list --source ad-hoc --limit 30 --state pending"
    named = list_of(now, now.sources, states=[TaskState.PENDING], limit=30).attention
    assert [each.task_id for each in named] == [f"task-b{number:02}" for number in range(30)]


@pytest.mark.parametrize("how", ["merge", "delete", "not yet", "another branch", "gone"])
def test_a_branch_needs_a_person_until_it_is_merged_or_given_up(bench: Bench, how: str) -> None:
    """By git itself, in a folder whose name has to be quoted; where git cannot say it, it still needs one."""
    repository = bench.home / "my work"
    repository.mkdir()
    git(repository, "init", "-q", "-b", "main")
    commit = ("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x")
    git(repository, *commit)
    for branch in ("task-queue/task-f00", "task-queue/task-f01"):
        git(repository, "checkout", "-q", "-b", branch)
        git(repository, *commit)
        git(repository, "checkout", "-q", "main")
    merge = f"git -C {shlex.quote(str(repository))} merge task-queue/task-f00"
    settle(bench, "task-f00", kind="not_landed", command=merge)
    bench.daemon_runs()
    if how == "merge":
        subprocess.run(["sh", "-c", merge], check=True, capture_output=True)
    elif how == "delete":
        git(repository, "branch", "-D", "task-queue/task-f00")
    elif how == "another branch":
        git(repository, "merge", "-q", "task-queue/task-f01")
        git(repository, "reset", "-q", "--hard", "HEAD~")
    elif how == "gone":
        shutil.rmtree(repository)

    now = bench.anew().circumstances()
    kinds = [each.kind for each in status_of(now, config=bench.config).attention]
    shown = show_of(now, TaskId("task-f00"))
    assert shown is not None
    assert kinds == [each.kind for each in shown.attention]
    assert kinds == ([] if how in {"merge", "delete"} else ["not_landed"])


def git(directory: Path, *arguments: str) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *arguments], cwd=directory, env=environment, check=True, capture_output=True)


def test_a_retry_frees_what_it_blocked(bench: Bench) -> None:
    """As soon as the failed task waits again."""
    set_up(bench, State(daemon=True, blocked=2))
    failed = bench.layout().ended(TaskState.FAILED) / f"{FAILED}.md"
    failed.rename(bench.layout().pending / failed.name)
    now = bench.anew().circumstances()

    assert status_of(now, config=bench.config).attention == ()
