"""What runs at the same time: never more than the caps, never two tasks that touch one file; no other is refused."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from task_queue.daemon.admission import Bounds
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.task import TaskId
from task_queue.domain.together import NO_REPOSITORY, Caps
from task_queue.git.location import repository_at
from tests.daemon.test_admission import GateBench
from tests.domain.test_path_patterns import means
from tests.fakes import FakeClock

SOURCES = ("a", "b", "c")
_HERE = ("src/a.py", "src/a.md", "src/api/b.py", "docs/a.md", "docs/b.py", "a.md")
FILES = (*_HERE, *(f"{folder}/{file}" for folder in ("sub", "inner") for file in _HERE))
"""Also below the folders in which other tasks work."""
TASKS = st.builds(
    lambda workspace, in_place, touches: Waiting(
        TaskId("task-x"),
        FakeClock().now(),
        executor="sh",
        workspace=workspace,
        in_place=in_place,
        touches=touches,
    ),
    st.sampled_from([None, "sub", "../linked", "../other", "../plain", "../plain/inner"]),
    st.booleans(),
    st.lists(st.sampled_from(["src", "src/*.py", "docs/**", "*.md", "/a.md", "**"]), max_size=2).map(tuple),
)


class Machine(RuleBasedStateMachine):
    """One repository with a second working tree, another one, and folders outside of any."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="tq-together-"))
        (self.root / "repository" / ".git" / "worktrees" / "linked").mkdir(parents=True)
        (self.root / "repository" / "sub").mkdir()
        (self.root / "repository" / ".git" / "worktrees" / "linked" / "commondir").write_text("../..\n")
        (self.root / "linked").mkdir()
        (self.root / "linked" / ".git").write_text(f"gitdir: {self.root}/repository/.git/worktrees/linked\n")
        (self.root / "other" / ".git").mkdir(parents=True)
        (self.root / "plain" / "inner").mkdir(parents=True)
        (self.root / "state").mkdir()
        self.bench = GateBench(self.root / "state")
        self.caps = Caps()
        self.running: dict[str, Waiting] = {}
        self.configure(Caps())

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    @rule(
        caps=st.builds(
            Caps, per_workspace=st.none() | st.integers(1, 2), per_repository=st.none() | st.integers(1, 2)
        )
    )
    def configure(self, caps: Caps) -> None:
        if self.running:
            return
        self.caps = caps
        workspaces = {source: str(self.root / "repository") for source in SOURCES}
        self.bench.admission.limits.configure(Bounds(places=9, caps=caps, workspaces=workspaces))

    @rule(source=st.sampled_from(SOURCES), task=TASKS)
    def enter(self, source: str, task: Waiting) -> None:
        if source in self.running:
            return
        screen = self.bench.admission.screen(source)
        screened = None if screen is None else screen(task)

        refused = self.bench.admission.enter(source, task, lambda: None)

        assert refused == screened, "the choice and the last word agree"
        assert (refused is not None) == self.is_in_the_way(task)
        assert self.bench.admission.holds_one(source) == (refused is not None)
        if refused is None:
            self.running[source] = task

    @rule(source=st.sampled_from(SOURCES))
    def leave(self, source: str) -> None:
        if self.running.pop(source, None) is not None:
            self.bench.admission.leave(source, TaskId("task-x"))

    @invariant()
    def nothing_runs_beside_what_it_must_not(self) -> None:
        for source, task in self.running.items():
            others = [other for name, other in self.running.items() if name != source]
            assert not any(self.touch_one_file(task, other) for other in others)

    def is_in_the_way(self, task: Waiting) -> bool:
        others = self.running.values()
        here, repository = self.directory(task), self.repository(task)
        in_place = sum(
            task.in_place
            and other.in_place
            and (here.is_relative_to(self.directory(other)) or self.directory(other).is_relative_to(here))
            for other in others
        )
        of_repository = sum(
            repository != NO_REPOSITORY and self.repository(other) == repository for other in others
        )
        return (
            in_place >= (self.caps.per_workspace or 99)
            or of_repository >= (self.caps.per_repository or 99)
            or any(self.touch_one_file(task, other) for other in others)
        )

    def touch_one_file(self, one: Waiting, other: Waiting) -> bool:
        return bool(self.touched(one) & self.touched(other))

    def touched(self, task: Waiting) -> set[tuple[str, str]]:
        """Files by their repository, or by where they are."""
        repository, below = repository_at(self.directory(task))
        return {
            (repository, f"{below}/{file}".strip("/"))
            for file in FILES
            for pattern in task.touches
            if means(pattern, file)
        }

    def directory(self, task: Waiting) -> Path:
        return (self.root / "repository" / (task.workspace or ".")).resolve()

    def repository(self, task: Waiting) -> str:
        return repository_at(self.directory(task))[0]


TestTogether = Machine.TestCase
TestTogether.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)


def test_a_directory_is_in_the_repository_that_git_finds(tmp_path: Path) -> None:
    """Also in a linked working tree, and in a submodule it is another one."""
    repository, linked = tmp_path / "repository", tmp_path / "linked"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    for words in (
        ("init", "-q", str(repository)),
        (
            *("-C", str(repository), "-c", "user.name=x", "-c", "user.email=x@x"),
            *("commit", "-q", "--allow-empty", "-m", "x"),
        ),
        ("-C", str(repository), "worktree", "add", "-q", str(linked)),
    ):
        subprocess.run(["git", *words], env=env, check=True)
    (linked / "sub").mkdir()

    assert repository_at(repository) == (str(repository / ".git"), "")
    assert repository_at(linked / "sub") == (str(repository / ".git"), "sub")
    assert repository_at(tmp_path) == (NO_REPOSITORY, str(tmp_path))


def test_starts_are_apart(tmp_path: Path) -> None:
    """By `limits.start_gap`; who waits is woken when it is over."""
    bench = GateBench(tmp_path, Bounds(start_gap=timedelta(seconds=10)))
    first, second = bench.enter("a"), bench.enter("b")
    bench.clock.advance(9)
    bench.admission.limits.look_at_start_gap()
    woken_too_early = list(bench.wakeups)
    bench.clock.advance(1)
    bench.admission.limits.look_at_start_gap()

    assert first is None
    assert second == "starts are 10s apart (limits.start_gap); the next one at 12:00:10"
    assert woken_too_early == []
    assert bench.wakeups == ["b"]
    assert bench.enter("b") is None


def test_before_a_source_was_looked_at_nothing_starts_that_might_meet_what_runs_there(tmp_path: Path) -> None:
    """After a restart; a task that touches nothing in particular starts at once. A dead source holds for 30 s."""
    bench = GateBench(tmp_path, Bounds(workspaces={"a": "/w", "b": "/w"}))
    bench.admission.limits.expect("b")
    held = bench.enter("a", touches=("src",))
    free = bench.enter("c")
    bench.admission.count_in("b", TaskId("task-x"), None, task=bench.task(touches=("src/x.py",)))
    met = bench.enter("a", touches=("src",))
    bench.admission.leave("b", TaskId("task-x"))

    assert held == "what runs in source 'b' is not known yet"
    assert free is None
    assert met == "task-x of source 'b' runs and may touch the same files (/w/src/** and /w/src/x.py)"
    assert bench.enter("a", touches=("src",)) is None
    bench.admission.limits.expect("d")
    bench.clock.advance(31)
    assert bench.enter("e", touches=("docs",)) is None
