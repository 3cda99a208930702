"""``sources add``: safe defaults for a git project; what could not work is refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, write_json

SAFE = {"isolation": "worktree", "landing": "merge"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Without a configuration, in a project that is a git repository."""
    bench = Bench(tmp_path)
    (bench.project / ".git").mkdir(parents=True)
    return bench


def listed(bench: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(bench.config.read_text())["task_source_directories"]
    return found


def test_a_git_project_gets_the_defaults_of_init(bench: Bench) -> None:
    """Also from a folder in it; the answer says so."""
    (bench.project / "deep").mkdir()

    answer = bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", "deep")

    assert (answer.code, listed(bench)[0]["defaults"]) == (0, SAFE)
    assert "isolation: worktree" in answer.out


def test_the_workspace_of_the_configuration_counts(bench: Bench) -> None:
    write_json(
        bench.config,
        {"version": "2.1", "task_source_directories": [], "project_workspace": str(bench.project)},
    )

    assert bench.run("sources", "add", "tasks/web", "--id", "web").code == 0
    assert listed(bench)[0]["defaults"] == SAFE


@pytest.mark.parametrize("isolation", ["none", "worktree"])
def test_what_the_configuration_says_of_isolation_stands(bench: Bench, isolation: str) -> None:
    keys = {"project_workspace": str(bench.project), "defaults": {"isolation": isolation}}
    write_json(bench.config, {"version": "2.1", "task_source_directories": [], **keys})

    assert bench.run("sources", "add", "tasks/web", "--id", "web").code == 0
    assert "defaults" not in listed(bench)[0]


def test_a_project_without_git_gets_none(bench: Bench) -> None:
    (bench.project / ".git").rmdir()

    assert bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".").code == 0
    assert "defaults" not in listed(bench)[0]


@pytest.mark.parametrize("path", [".", "pending", ".."])
def test_a_queue_around_its_workspace_is_refused(bench: Bench, path: str) -> None:
    """Every edit of its agents would be denied. The command that the hint gives works."""
    answer = bench.run("sources", "add", path, "--id", "web", "--project-workspace", ".")

    assert answer.code == 1
    assert "in which agents may not change files" in answer.err
    assert f"task-queue sources add {bench.project}/tasks/web --id web" in answer.err
    assert not (bench.project / "pending").exists()
    assert bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".").code == 0


def test_a_workspace_in_the_queue_of_another_source_is_refused(bench: Bench) -> None:
    assert bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".").code == 0
    (bench.project / "tasks/web/sub").mkdir()

    answer = bench.run("sources", "add", "../q", "--id", "q", "--project-workspace", "tasks/web/sub")

    assert (answer.code, len(listed(bench))) == (1, 1)
    assert "is inside the queue folder" in answer.err


def test_doctor_names_a_queue_around_a_workspace(bench: Bench) -> None:
    """Where a person wrote it into the configuration."""
    for name in ("pending", "completed", "failed"):
        (bench.project / name).mkdir(mode=0o700)
    source = {"id": "web", "path": str(bench.project / "pending")}
    keys = {"project_workspace": str(bench.project), "task_source_directories": [source]}
    write_json(bench.config, {"version": "2.1", **keys})

    answer = bench.run("doctor")

    assert "is inside the queue folder" in " ".join(answer.out.split())


@pytest.mark.parametrize("source_id", ["bad id", "a;b", "-x", ".x", "a\tb", "a/b", "", "$(x)", "x" * 101])
def test_an_id_that_needs_quotes_is_refused(bench: Bench, source_id: str) -> None:
    answer = bench.run("sources", "add", "tasks/web", f"--id={source_id}", "--project-workspace", ".")

    assert (answer.code, bench.config.exists()) == (1, False)
    assert "use letters, digits and '-'" in answer.err


@pytest.mark.parametrize("source_id", ["web", "Büro_2.neu-x", "7"])
def test_an_id_of_letters_and_digits_is_accepted(bench: Bench, source_id: str) -> None:
    assert bench.run("sources", "add", "tasks/web", f"--id={source_id}", "--project-workspace", ".").code == 0


@pytest.mark.parametrize("path", ["", "file", "file/queue", "/proc/queue", "/dev/null", "x" * 300])
def test_a_path_that_cannot_be_is_refused(bench: Bench, path: str) -> None:
    """With what is wrong, and not as a defect; nothing is written."""
    (bench.project / "file").touch()

    answer = bench.run("sources", "add", path, "--id", "web", "--project-workspace", ".")

    assert (answer.code, bench.config.exists()) == (1, False)
    assert "--debug" not in answer.err
    assert "hint:" in answer.err
