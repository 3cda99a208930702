"""Working trees go by time while no task lands, in every source, whatever one of them suffers from."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from task_queue.config.locations import locate
from task_queue.config.schema import Config, load
from task_queue.daemon.housekeeping import Housekeeping
from task_queue.domain.document.naming import copy_of
from task_queue.domain.errors import ConfigError
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.worktree import create
from tests.fakes import FakeClock

DAY_S = 86_400.0


class House:
    """Two sources on one repository, each with a finished working tree."""

    def __init__(self, home: Path, **git: object) -> None:
        home.mkdir(exist_ok=True)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home)}
        self.repository = home / "repository"
        self.locations = locate(home / "config.json", environ=self.env)
        self.clock = FakeClock()
        self.clock.time = datetime.now(UTC)
        self.write(home, git)
        self.repository.mkdir()
        (home / ".gitconfig").write_text("[user]\n\tname = Person\n\temail = p@example.org\n")
        for command in (["init", "-qb", "main"], ["commit", "-q", "--allow-empty", "-m", "First"]):
            subprocess.run(["git", *command], cwd=self.repository, env=self.env, check=True)
        self.trees = [self.tree(source, f"task-{source}") for source in ("a", "b")]

    def write(self, home: Path, git: dict[str, object]) -> None:
        sources = [{"id": name, "path": str(home / name / "pending")} for name in ("a", "b")]
        for source in sources:
            Path(source["path"]).mkdir(parents=True)
        document = {"version": "2.1", "task_source_directories": sources, "git": git}
        self.locations.config.write_text(json.dumps(document))

    def tree(self, source: str, name: str) -> Path:
        directory = self.locations.worktrees / source / name
        return create(
            Git(self.repository, self.env), TaskId(name), directory=directory, base="main"
        ).directory

    def config(self) -> Config:
        return load(self.locations.config)

    def look(self) -> list[bool]:
        """Which of the trees are left."""
        Housekeeping(self.locations, self.config, clock=self.clock).look()
        return [tree.exists() for tree in self.trees]


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def test_trees_go_once_their_time_is_over(tmp_path: Path) -> None:
    house = House(tmp_path, keep_worktrees_for="7d")

    house.clock.advance(6 * DAY_S)
    assert house.look() == [True, True]
    house.clock.advance(2 * DAY_S)
    assert house.look() == [False, False]


def test_number_and_size_count_without_a_time(tmp_path: Path) -> None:
    """Also where no task ends."""
    assert House(tmp_path / "1", keep_worktrees=1).look() == [True, True], "one for each source"
    assert House(tmp_path / "2", keep_worktrees=0).look() == [False, False]
    assert House(tmp_path / "3", keep_worktrees_mb=0).look() == [False, False]


def test_without_a_limit_that_counts_they_stay(tmp_path: Path) -> None:
    house = House(tmp_path, keep_worktrees_mb=None)

    house.clock.advance(4000 * DAY_S)
    assert house.look() == [True, True]


@pytest.mark.parametrize("name", [".task-a.lock", ".task-a.attempts.json"])
def test_a_task_that_is_not_over_keeps_its_tree(tmp_path: Path, name: str) -> None:
    """It runs, or will be tried again; a record that nobody can read may be of any task."""
    house = House(tmp_path, keep_worktrees_for="1h")
    record = tmp_path / "a" / "pending" / name
    house.clock.advance(DAY_S)

    record.write_text(json.dumps({"task_id": "task-a"}))
    assert house.look() == [True, False]
    record.write_text("torn")
    assert house.look() == [True, False]
    record.unlink()
    assert house.look() == [False, False]


def test_copies_that_killed_runners_left_go_with_the_end_of_their_task(tmp_path: Path) -> None:
    """While a task runs, or will be tried again, its agent may read its copy."""
    house = House(tmp_path)
    folder = house.locations.documents / "a"
    folder.mkdir(parents=True)
    over, runs = (copy_of(TaskId(name), source="a") for name in ("task-a", "task-runs"))
    for name in (over, runs):
        (folder / name).write_text("Do it.")
    lock = tmp_path / "a" / "pending" / ".task-runs.lock"
    lock.write_text(json.dumps({"task_id": "task-runs"}))

    house.look()

    assert [path.name for path in folder.iterdir()] == [runs]


def test_one_sources_trouble_is_not_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And it is told."""
    house = House(tmp_path, keep_worktrees_for="1h")
    house.trees[0].with_name(".task-a.checkout.json").write_text("torn")
    house.clock.advance(DAY_S)

    with caplog.at_level(logging.WARNING):
        assert house.look() == [True, False]
    assert "source=a" in caplog.text


def test_a_time_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"git\.keep_worktrees_for.*duration such as"):
        House(tmp_path, keep_worktrees_for="a while").config()
