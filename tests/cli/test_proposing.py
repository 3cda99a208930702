"""``init`` and ``sources add``: commands for what is found, written only once agreed, and a queue that git ignores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, write_json

PACKAGE = '{"scripts": {"test": "vitest run"}, "devDependencies": {"vitest": "3"}}'
SAFE = {"isolation": "worktree", "landing": "merge"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A project in git, with npm's files and without a queue."""
    bench = Bench(tmp_path)
    bench.project.mkdir()
    git(bench, "init", "-qb", "main")
    (bench.project / "package.json").write_text(PACKAGE)
    (bench.project / "package-lock.json").write_text("{}")
    return bench


def git(bench: Bench, *arguments: str) -> str:
    return subprocess.run(
        ("git", *arguments), cwd=bench.project, env=bench.environ, check=True, capture_output=True, text=True
    ).stdout


def source(bench: Bench, name: str) -> dict[str, Any]:
    listed = json.loads(bench.config.read_text())["task_source_directories"]
    (found,) = [each for each in listed if each["id"] == name]
    return dict(found)


def test_init_proposes_and_writes_nothing_unasked(bench: Bench) -> None:
    """Each command with why; a program that is not asked is told what to type."""
    answer = bench.run("init")

    assert answer.code == 0
    assert "proposed for ad-hoc, planned:\n" in answer.out
    assert "  setup: npm ci  (there is package-lock.json)\n" in answer.out
    assert "  verify: npm test  (package.json has the script test)\n" in answer.out
    assert "(verify): write what is proposed: task-queue init --yes\n" in answer.out
    assert "npm" not in bench.config.read_text()


def test_init_writes_them_when_told(bench: Bench) -> None:
    """For both sources, in order; they are not proposed again."""
    answer = bench.run("init", "--yes")
    again = bench.run("init", "--yes")

    for name in ("ad-hoc", "planned"):
        assert source(bench, name)["setup"] == ["npm ci"]
        assert source(bench, name)["defaults"] == {"verify": ["npm test"]}
    assert "(verify)" not in answer.out
    assert "proposed" not in again.out
    assert bench.run("config", "check").code == 0


@pytest.mark.parametrize(("typed", "written"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_init_asks_on_a_terminal(bench: Bench, typed: str, *, written: bool) -> None:
    answer = bench.on_a_terminal("init", typed=typed)

    assert answer.code == 0
    assert "write them into the configuration? [y/N]" in answer.out
    assert ("npm ci" in bench.config.read_text()) is written


def test_what_a_source_says_itself_stands(bench: Bench) -> None:
    """A source with a verify command is left alone; a set-up of its own is kept where only that is missing."""
    bench.run("init")
    content = json.loads(bench.config.read_text())
    content["task_source_directories"][0]["defaults"] = {"verify": ["true"]}
    content["task_source_directories"][1]["setup"] = ["make ready"]
    write_json(bench.config, content)

    answer = bench.run("init", "--yes")

    assert "proposed for planned:" in answer.out
    assert source(bench, "ad-hoc")["defaults"] == {"verify": ["true"]}
    assert "setup" not in source(bench, "ad-hoc")
    assert source(bench, "planned")["setup"] == ["make ready"]
    assert source(bench, "planned")["defaults"] == {"verify": ["npm test"]}


def test_a_common_verify_command_counts(bench: Bench) -> None:
    bench.run("init")
    bench.run("config", "set", "defaults.verify", '["true"]')

    assert "proposed" not in bench.run("init").out


def test_sources_add_proposes_the_same(bench: Bench) -> None:
    """What it says to type writes it, beside the defaults of a git project."""
    answer = bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".")
    _, _, offered = answer.out.partition("to write them:\n")
    write, _, lacking = offered.partition("still missing:\n")
    assert "no login of the agent was found" in lacking
    assert "write what is proposed, as above" in lacking
    for line in write.splitlines():
        program = f"{sys.executable} -m task_queue.cli"
        command = line.strip().replace("task-queue", program, 1)
        done = subprocess.run(["sh", "-c", command], cwd=bench.project, env=bench.environ, check=False)
        assert done.returncode == 0

    assert "proposed for web:" in answer.out
    assert source(bench, "web")["setup"] == ["npm ci"]
    assert source(bench, "web")["defaults"] == {**SAFE, "verify": ["npm test"]}


def test_sources_add_writes_them_when_told(bench: Bench) -> None:
    answer = bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".", "--yes")

    assert answer.code == 0
    assert source(bench, "web")["defaults"] == {**SAFE, "verify": ["npm test"]}


def test_workers_set_up_their_own_machines(bench: Bench) -> None:
    bench.run("init", "--yes")

    assert "proposed" not in bench.run("sources", "add", "tasks/far", "--id", "far", "--for-workers").out


def test_git_never_shows_the_queue(bench: Bench) -> None:
    """From the start, and without a change of a file that is the project's."""
    bench.run("init")
    bench.run("sources", "add", "more/web", "--id", "web")
    (bench.pending() / "task-a.md").write_text("# A\n")
    (bench.pending("planned").with_name("planning") / "plan.md").write_text("# Plan\n")
    (bench.project / "more/web/pending/task-b.md").write_text("# B\n")

    assert git(bench, "status", "--porcelain").split() == ["??", "package-lock.json", "??", "package.json"]


def test_a_queue_that_git_shows_is_said(bench: Bench) -> None:
    """Here the file that would hide it leads elsewhere; the queue is made."""
    exclude = bench.project / ".git" / "info" / "exclude"
    exclude.unlink(missing_ok=True)
    exclude.parent.mkdir(exist_ok=True)
    exclude.symlink_to(bench.home / "elsewhere")

    answer = bench.run("init")

    assert answer.code == 0
    assert "warning: git shows the queue's files:" in answer.err
    assert bench.pending().is_dir()
    assert not (bench.home / "elsewhere").exists()


def test_a_project_is_read_within_bounds(bench: Bench) -> None:
    """No link is followed, a FIFO is not waited for, and a huge file is left out."""
    outside = bench.home / "outside"
    outside.mkdir()
    (outside / "test_x.py").write_text("import pytest\n")
    (outside / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    (bench.project / "package.json").write_text(PACKAGE + " " * 2**20)
    (bench.project / "pyproject.toml").symlink_to(outside / "pyproject.toml")
    (bench.project / "tests").symlink_to(outside)
    os.mkfifo(bench.project / "Makefile")

    assert "proposed" not in bench.run("init").out


def committed(bench: Bench, *files: str) -> None:
    git(bench, "add", *files)
    git(bench, "-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "Change it")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        pytest.param(
            ("broken",), 1, "verify failed with exit code 2 before any work: make test", id="it fails"
        ),
        pytest.param(
            (),
            0,
            "tried once, on a copy: the set-up and 1 check pass",
            id="it passes",
            marks=pytest.mark.long,
        ),
    ],
)
def test_what_is_written_is_tried_once_if_wanted(
    bench: Bench, files: tuple[str, ...], code: int, said: str
) -> None:
    """On a copy of what is committed: the owner's files stay as they are, and no task is left."""
    for name in ("package.json", "package-lock.json"):
        (bench.project / name).unlink()
    (bench.project / "Makefile").write_text("test:\n\ttouch ran\n\ttest ! -e broken\n")
    for name in files:
        (bench.project / name).touch()
    committed(bench, "Makefile", *files)

    answer = bench.run("init", "--yes", "--try")

    assert (answer.code, said in answer.out) == (code, True), answer
    assert git(bench, "status", "--porcelain") == ""
    assert list(bench.pending().glob("task-*")) == []


def test_there_is_nothing_to_try(bench: Bench) -> None:
    answer = bench.run("init", "--try")

    assert answer.code == 1
    assert "nothing to try: no verify command is written" in answer.err
