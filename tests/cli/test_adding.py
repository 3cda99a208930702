"""``tasks add``: keys as options, several files, and what would happen."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import pytest

from task_queue.cli.document_keys import option_of
from task_queue.cli.tasks_add import add
from task_queue.domain.document.settings import KEYS
from task_queue.domain.document.taskfile import parse
from task_queue.domain.task import Task, TaskId
from tests.cli.bench import Answer, Bench, a_bench

TYPED: dict[str, str] = {
    "title": "A title: of its own",
    "priority": "8",
    "type": "coding",
    "depends_on": "task-x",
    "not_before": "2030-02-07T18:00",
    "timeout": "45m",
    "idle_timeout": "5m",
    "max_attempts": "2",
    "retry_delay": "1m",
    "max_turns": "20",
    "max_budget_usd": "2.50",
    "model": "opus",
    "fallback_model": "sonnet",
    "effort": "high",
    "workflow": "audited",
    "max_iterations": "2",
    "verify": "pytest -q --deselect 'a, b'",
    "workspace": "/tmp",
    "isolation": "worktree",
    "permissions": "readonly",
    "allow": "Read",
    "deny": "Bash(git push *)",
    "capabilities": "gpu",
    "on_dependency_failure": "run",
    "on_lost_session": "rerun",
    "landing": "merge",
    "dedupe_key": "nightly",
    "executor": "claude",
    "labels": '{"team":"web"}',
    "submitted_by": "ci",
    "touches": "src/**",
}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def task_in(bench: Bench, answer: Answer) -> Task:
    task_id = answer.out.strip()
    return parse((bench.pending() / f"{task_id}.md").read_bytes(), TaskId(task_id))


def test_every_key_of_a_document_has_an_option() -> None:
    """The options are made from the list of keys; those that take a list can be repeated."""
    options = {option.opts[0]: option for option in add.params if isinstance(option, click.Option)}

    assert {option_of(key) for key in KEYS} <= options.keys()
    assert [key.name for key in KEYS if options[option_of(key)].multiple] == [
        "depends_on",
        "verify",
        "allow",
        "deny",
        "capabilities",
        "touches",
    ]
    assert set(TYPED) == {key.name for key in KEYS}


def test_each_option_says_what_the_key_would_say(bench: Bench) -> None:
    arguments = [part for key in KEYS for part in (option_of(key), TYPED[key.name])]
    bench.run("config", "set", "capabilities", '["gpu"]')

    answer = bench.run("tasks", "add", "Do it", *arguments)

    assert answer.code == 0, answer.err
    task = task_in(bench, answer)
    assert task.given == {key.name: key.read(TYPED[key.name]) for key in KEYS}
    assert task.body == "Do it"


def test_lists_a_time_of_day_and_keys_of_a_file(bench: Bench) -> None:
    """An option wins over the document, and what else is in it stays."""
    (bench.project / "fix.md").write_text("---\npriority: 2\nverify: make\ntimeout: 1h\n---\n# Fix\n")
    options = ("--verify", "make lint", "--verify", "make test", "--priority", "8", "--not-before", "22:00")

    given = task_in(bench, bench.run("tasks", "add", "--file", "fix.md", *options)).given

    assert (given["priority"], given["verify"]) == (8, ("make lint", "make test"))
    assert given["timeout"].total_seconds() == 3600
    assert (given["not_before"].hour, given["not_before"] > datetime.now(given["not_before"].tzinfo)) == (
        22,
        True,
    )


def test_a_wrong_option_is_wrong_usage_and_all_are_named(bench: Bench) -> None:
    answer = bench.run("tasks", "add", "x", "--priority", "11", "--effort", "hgih", "--not-before", "soon")

    assert answer.code == 2
    assert all(
        said in answer.err for said in ("--priority: must", "did you mean 'high'", "--not-before: must")
    )
    assert list(bench.pending().iterdir()) == []


def test_several_files_and_patterns_are_added_in_their_order(bench: Bench) -> None:
    """A name that is a task's is kept; no file twice; stdout has an id a line."""
    for number in (2, 10, 1):
        (bench.project / f"task-{number}.md").write_text(f"# Number {number}\n")
    (bench.project / "[odd].md").write_text("# Odd\n")

    answer = bench.run(
        "tasks", "add", "--file", "task-*.md", "--file", "task-2.md", "-f", "[odd].md", "--json"
    )

    added = answer.json["tasks"]
    assert [task["task_id"] for task in added[:3]] == ["task-1", "task-2", "task-10"]
    assert added[3]["task_id"].endswith("-odd")
    assert [task["place"] for task in added[:3]] == [1, 2, 3]
    assert len(answer.err.splitlines()) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--file", "none-*.md"), "none-*.md: No such file"),
        (("--file", "good.md", "--file", "bad.md"), "bad.md: line 2: unknown key"),
        (("--file", "good.md", "--file", "bad.md", "--priority", "3"), "bad.md: line 2: unknown key"),
    ],
)
def test_one_bad_file_keeps_all_from_being_added(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    (bench.project / "good.md").write_text("# Good\n")
    (bench.project / "bad.md").write_text("---\npriorty: 1\n---\n# Bad\n")

    answer = bench.run("tasks", "add", *arguments)

    assert (answer.code, said in answer.err) == (1, True), answer.err
    assert list(bench.pending().iterdir()) == []


def test_a_dry_run_prints_the_document_and_changes_nothing(bench: Bench) -> None:
    """And where it would wait: before the task of less priority."""
    (bench.pending() / "task-a.md").write_text("---\npriority: 3\n---\n# A\n")
    arguments = ("tasks", "add", "Do it", "--priority", "8", "--name", "task-mine.md", "--dry-run")
    before = sorted(path for path in bench.home.rglob("*"))

    said, listed = bench.run(*arguments), bench.run(*arguments, "--json")

    assert said.out == "---\npriority: 8\n---\nDo it\n"
    assert said.err == ("nothing is added; task-mine would be queued in ad-hoc (~/project), 1st of 2: next\n")
    document: dict[str, Any] = listed.json
    assert (document["dry_run"], document["task_id"], document["place"]) == (True, "task-mine", 1)
    assert json.loads(listed.out)["document"] == said.out.removesuffix("\n")
    assert sorted(path for path in bench.home.rglob("*")) == before
