"""A source whose tasks have no directory to work in: refused when it is added, and shown as needing a person."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, write_json


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Without a configuration."""
    bench = Bench(tmp_path)
    bench.project.mkdir()
    return bench


def configure(bench: Bench, *, source: dict[str, Any] | None = None, **keys: Any) -> None:
    listed = {"id": "web", "path": str(bench.pending("web")), **(source or {})}
    for name in ("pending", "completed", "failed"):
        bench.pending("web").with_name(name).mkdir(parents=True, mode=0o700)
    write_json(bench.config, {"version": "2.1", "task_source_directories": [listed], **keys})


def test_a_source_without_a_workspace_is_refused(bench: Bench) -> None:
    """Nothing is made, and the error gives the command to type."""
    answer = bench.run("sources", "add", "tasks/my queue", "--id", "web")

    assert (answer.code, answer.out) == (1, "")
    assert "the source 'web' would have no workspace" in answer.err
    assert "task-queue sources add 'tasks/my queue' --id web --project-workspace DIRECTORY" in answer.err
    assert not bench.config.exists()
    assert list(bench.project.iterdir()) == []


def test_the_command_that_the_refusal_gives_works(bench: Bench) -> None:
    answer = bench.run("sources", "add", "tasks/web", "--id", "web", "--project-workspace", ".")

    listed = json.loads(bench.config.read_text())["task_source_directories"]
    assert (answer.code, listed[0]["project_workspace"]) == (0, str(bench.project))


@pytest.mark.parametrize(
    "keys",
    [{"project_workspace": "/tmp"}, {"defaults": {"workspace": "/tmp"}}, {"roots": ["/tmp"]}],
    ids=["project_workspace", "defaults", "roots"],
)
def test_a_workspace_of_the_configuration_will_do(bench: Bench, keys: dict[str, Any]) -> None:
    """With ``roots`` each task may name its own."""
    write_json(bench.config, {"version": "2.1", "task_source_directories": [], **keys})

    assert bench.run("sources", "add", "tasks/web", "--id", "web").code == 0


def test_status_says_that_a_person_must_name_a_workspace(bench: Bench) -> None:
    """Also while the daemon is down and nothing waits."""
    configure(bench)

    answer = bench.run("status")

    assert answer.code == 3
    assert "source 'web' is unavailable: it has no workspace; run in the project's folder" in answer.out
    assert bench.run("status", "--json").json["sources"][0]["state"] == "unavailable"


@pytest.mark.parametrize(
    ("source", "keys"),
    [
        ({"project_workspace": "/tmp"}, {}),
        ({"defaults": {"workspace": "/tmp"}}, {}),
        ({"paused": True}, {}),
        ({}, {"project_workspace": "/tmp"}),
        ({}, {"roots": ["/tmp"]}),
    ],
    ids=["own", "own-defaults", "paused", "common", "roots"],
)
def test_status_does_not_complain_without_a_reason(
    bench: Bench, source: dict[str, Any], keys: dict[str, Any]
) -> None:
    configure(bench, source=source, **keys)

    assert "workspace" not in bench.run("status").out
