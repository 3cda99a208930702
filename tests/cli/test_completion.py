"""Completion of words, in the real shells: what is offered, and what never reaches a command line."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.bench import ROOT, Bench, a_bench

ID = "task-20260207-120000-fix-auth"
HOSTILE = (
    "task-$(touch x)",
    "task-a;reboot",
    "task-`id`",
    "task-\x1b[31m",
    "task-\u202ex",
    "task-*",
    "task-a b",
)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = a_bench(tmp_path)
    program = bench.home / "bin" / "task-queue"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m task_queue.cli "$@"\n')
    program.chmod(0o700)
    for folder, task_id in (("pending", ID), ("completed", "task-done"), ("failed", "task-wrong")):
        place(bench, folder, task_id)
    schedules = bench.pending().with_name("schedules")
    schedules.mkdir(exist_ok=True)
    for name in ("nightly", "$(touch x)"):
        (schedules / f"{name}.md").write_text("")
    return bench


def place(bench: Bench, folder: str, task_id: str) -> None:
    (bench.pending().with_name(folder) / f"{task_id}.md").write_text("# Fix\n")


def in_bash(bench: Bench, *words: str) -> list[str]:
    """What a real bash offers in place of the last of *words*, with the script that the command prints."""
    quoted = " ".join(map(shlex.quote, words))
    script = f"""
        eval "$(task-queue completion bash)"
        COMP_WORDS=(task-queue {quoted}) COMP_CWORD={len(words)}
        complete -p task-queue >/dev/null && _task_queue_completion task-queue
        [ -z "$COMPREPLY" ] || printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return said_by(bench, "bash", "--norc", "--noprofile", "-c", script)


def said_by(bench: Bench, *command: str) -> list[str]:
    done = subprocess.run(
        command,
        cwd=bench.project,
        env=bench.environ | {"PATH": f"{bench.home / 'bin'}:{bench.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("tas",), ["tasks"]),
        (("tasks", "pri"), ["priority"]),
        (("tasks", "show", "task-2"), [ID]),
        (("tasks", "show", "auth"), [ID]),
        (("tasks", "show", "task-"), ["task-wrong", "task-done", ID]),
        (("tasks", "edit", ""), [ID]),
        (("tasks", "retry", "task-w"), ["task-wrong"]),
        (("tasks", "retry", "task-d"), []),
        (("tasks", "wait", ID, "task-d"), ["task-done"]),
        (("tasks", "add", "--depends-on", "auth"), [ID]),
        (("events", "--task", "auth"), [ID]),
        (("tasks", "move", ID, "p"), ["planned"]),
        (("sources", "pause", ""), ["ad-hoc", "planned"]),
        (("tasks", "list", "--source", "a"), ["ad-hoc"]),
        (("schedules", "run", ""), ["nightly"]),
        (("tasks", "add", "--template", "fix"), ["fix-bug"]),
        (("tasks", "show", "--js"), ["--json"]),
        (("tasks", "show", "nothing-like-it"), []),
        (("--config", "none.json", "tasks", "show", ""), []),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else None,
)
def test_bash_offers_what_may_stand_there(bench: Bench, words: tuple[str, ...], offered: list[str]) -> None:
    """A part of an id that only one has becomes the id; nothing is offered where nothing can be read."""
    assert in_bash(bench, *words) == offered


def test_no_name_that_a_shell_would_carry_out_is_offered(bench: Bench) -> None:
    for name in HOSTILE:
        place(bench, "pending", name)

    assert in_bash(bench, "tasks", "show", "task-") == ["task-wrong", "task-done", ID]
    assert not (bench.project / "x").exists()


@pytest.mark.parametrize(("shell", "check"), [("zsh", "-n"), ("fish", "--no-execute")])
def test_the_other_shells_take_their_scripts(bench: Bench, shell: str, check: str) -> None:
    script = bench.home / "script"
    script.write_text(bench.run("completion", shell).out)

    assert "task-queue" in script.read_text()
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert said_by(bench, shell, check, str(script)) == []


@pytest.mark.parametrize(
    ("shell", "words"), [("zsh", "task-queue tasks show auth"), ("fish", "task-queue tasks show")]
)
def test_the_other_shells_are_answered(bench: Bench, shell: str, words: str) -> None:
    """In the form that click's scripts for them read."""
    word = "auth" if shell == "fish" else "3"

    answer = bench.run(_TASK_QUEUE_COMPLETE=f"{shell}_complete", COMP_WORDS=words, COMP_CWORD=word)

    assert ID in answer.out.split("\n" if shell == "zsh" else ",")[1]


def test_completion_reads_no_document(bench: Bench) -> None:
    """Names of files alone: nothing of pydantic, rich or YAML is imported for it."""
    code = (
        "import sys\nfrom task_queue.app.completion import task_ids\n"
        "from task_queue.app.installation import Installation\n"
        "from task_queue.domain.task import TaskState\n"
        "print(*task_ids(Installation(), 'auth', TaskState))\n"
        "print(*{'pydantic', 'rich', 'yaml', 'task_queue.domain.model'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=bench.environ, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == [ID]


def test_a_dependency_is_named_by_a_part_of_its_id(bench: Bench) -> None:
    """One that is still to come is taken as it is typed; a part of several is refused."""
    known = bench.run("tasks", "add", "--source", "ad-hoc", "--dry-run", "x", "--depends-on", "fix-auth")
    to_come = bench.run("tasks", "add", "--source", "ad-hoc", "--dry-run", "x", "--depends-on", "task-later")
    several = bench.run("tasks", "add", "--source", "ad-hoc", "--dry-run", "x", "--depends-on", "task-")

    assert f"depends_on: [{ID}]" in known.out or f"depends_on: {ID}" in known.out
    assert f"it depends on {ID}" in known.err
    assert "task-later" in to_come.out
    assert (several.code, "is part of the ids of 3 tasks" in several.err) == (1, True)
