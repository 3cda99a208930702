"""Reading commands: what they say, while the daemon is down, and how quick they are."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from task_queue.platform.identity import own_identity
from tests.cli.bench import Bench, a_bench, write_json

STARTED = "2026-02-07T12:00:00+00:00"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def fill(bench: Bench) -> None:
    """One task in each state, and everything odd that a folder can hold."""
    pending = bench.pending()
    (pending / "task-20260207-120000-first.md").write_text("# The first\n\nDo it.\n")
    (pending / "task-20260207-120001-late.md").write_text("---\nnot_before: 2099-01-01 08:00\n---\n# Late\n")
    (pending / "task-20260207-120002-after.md").write_text(
        "---\ndepends_on: [task-20260207-115900-broken]\n---\n# After\n"
    )
    (pending / "task-20260207-120003-wrong.md").write_text("---\npriorty: 3\n---\n# Wrong\n")
    (pending / "no\x1b[2Jtes.md").write_text("x")
    (pending / "task-link.md").symlink_to("/etc/hostname")
    write_json(
        pending / ".task-20260101-000000-old.lock",
        {
            "task_id": "task-20260101-000000-old",
            "worker": "w",
            "thread_id": 1,
            "pid": 4_000_000,
            "started_at": "x",
        },
    )
    (pending / ".task-20260101-000001-torn.lock").write_text("{")
    a_running_task(bench)
    queue = pending.parent
    (queue / "failed" / "task-20260207-115900-broken.md").write_text("# Broken\n\nx\n")
    write_json(
        queue / "results" / "task-20260207-115900-broken.json",
        {
            "success": False,
            "output": "I tried\x1b]0;evil\x07.\nTwice.",
            "error": "verification failed",
            "started_at": STARTED,
            "completed_at": "2026-02-07T12:30:00+00:00",
            "total_cost_usd": 0.5,
            "num_turns": 7,
            "outcome": "verify_failed",
            "evidence": ["pytest exited with 1"],
            "attempts": [
                {
                    "number": 1,
                    "outcome": "verify_failed",
                    "reason": "pytest exited with 1",
                    "counted": True,
                    "started_at": STARTED,
                    "ended_at": "2026-02-07T12:30:00+00:00",
                    "total_cost_usd": 0.5,
                }
            ],
            "dead_letter": True,
        },
    )


def a_running_task(bench: Bench) -> None:
    """A claim, whose runner is this very process, and the beginning of its transcript."""
    me = own_identity()
    task_id = "task-20260207-110000-running"
    identity = {"pid": me.pid, "pid_start_ticks": me.pid_start_ticks, "boot_id": me.boot_id}
    (bench.pending() / f"{task_id}.md").write_text("# It runs\n")
    claim = {
        "task_id": task_id,
        "worker": "ad-hoc",
        "thread_id": 7,
        "started_at": "2099-01-01T00:00:00+00:00",
        "attempt": 2,
        "session_id": "s",
        "document": f"{task_id}.md",
        **identity,
    }
    write_json(bench.pending() / f".{task_id}.lock", claim)
    attempt = bench.pending().parent / "logs" / task_id / "attempt-2"
    write_json(attempt / "run.json", {"task_id": task_id, "attempt": 2, "started_at": STARTED, **identity})
    (attempt / "task.md").write_text("# It runs\n")
    used = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "make \x1b[31mtest"}}
    frames = [
        {"type": "assistant", "message": {"id": "m1", "content": [{"type": "text", "text": "Let me see."}]}},
        {"type": "assistant", "message": {"id": "m2", "content": [used]}},
    ]
    lines = [json.dumps({"t": STARTED, "seq": n, "dir": "in", "raw": raw}) for n, raw in enumerate(frames)]
    (attempt / "transcript.jsonl").write_text("\n".join(lines) + "\n")
    os.utime(attempt / "transcript.jsonl", (4e9, 4e9))  # never silent, however slow the machine


def test_status_tells_everything_at_a_glance(bench: Bench) -> None:
    """Counts, what runs, what waits and why, what is ignored and why, what needs a person."""
    fill(bench)

    answer = bench.run("status")

    assert answer.code == 3
    bench.agrees_with("status", answer.out)


def test_status_of_a_healthy_queue_needs_no_attention(bench: Bench) -> None:
    """A live daemon and sources that are served: exit code 0."""
    a_live_daemon(bench)

    answer = bench.run("status")

    assert (answer.code, answer.err) == (0, "")
    bench.agrees_with("status-healthy", answer.out)


_SAME = (
    ("status",),
    ("status", "--json"),
    ("status", "--detailed"),
    ("tasks", "list"),
    ("tasks", "list", "--json"),
    ("tasks", "list", "--limit", "1", "--state", "completed"),
    ("tasks", "list", "--source", "ad-hoc"),
)


@pytest.mark.parametrize("blocked", [0, 1, 7])
def test_the_exit_code_does_not_depend_on_what_is_shown(bench: Bench, blocked: int) -> None:
    """More are blocked than ``status`` shows; others wait before them."""
    a_live_daemon(bench)
    for number in range(12):
        (bench.pending() / f"task-a{number:02}.md").write_text("---\npriority: 9\n---\n# First\n")
    (bench.pending().parent / "failed" / "task-broken.md").write_text("# Broken\n")
    for number in range(blocked):
        text = "---\ndepends_on: [task-broken]\n---\n# After\n"
        (bench.pending() / f"task-b{number}.md").write_text(text)
    answers = {command: bench.run(*command) for command in _SAME}

    assert {answer.code for answer in answers.values()} == {3 if blocked else 0}
    for command in (("status", "--json"), ("tasks", "list", "--json")):
        told = answers[command].json["attention"]
        assert [(each["kind"], each["task_id"]) for each in told] == [
            ("blocked", f"task-b{number}") for number in range(blocked)
        ]
    if blocked:
        shown = bench.run("tasks", "show", "task-b0", "--json")
        assert [each["kind"] for each in shown.json["attention"]] == ["blocked"]
        assert shown.code == 0  # what was asked for was shown


def a_live_daemon(bench: Bench) -> None:
    """The state file of a daemon that is this very process."""
    me = own_identity()
    served = {"state": "serving", "why": None, "watch": "events", "thread_id": 1, "task_id": None}
    state = {
        "schema_version": 1,
        "pid": me.pid,
        "pid_start_ticks": me.pid_start_ticks,
        "boot_id": me.boot_id,
        "started_at": STARTED,
        "version": "0.1.0",
        "config_error": None,
        "warnings": [],
        "sources": {"ad-hoc": served, "planned": served},
    }
    from task_queue.config.locations import locate

    write_json(locate(environ=bench.environ).daemon_state, state)


def test_workers_status_says_more_than_workers_list(bench: Bench) -> None:
    """Since when, what runs in which attempt, what comes next and why not yet."""
    fill(bench)
    a_live_daemon(bench)

    answer = bench.run("workers", "status")
    worker, idle = bench.run("workers", "status", "--json").json["workers"]
    listed = bench.run("workers", "list", "--json").json["workers"][0]

    assert (answer.code, answer.err) == (0, "")
    bench.agrees_with("workers-status", answer.out)
    assert listed.items() < worker.items()
    assert (worker["since"], worker["pending"]) == (STARTED, 4)
    assert [(task["task_id"], task["attempt"]) for task in worker["running"]] == [
        ("task-20260207-110000-running", 2)
    ]
    assert worker["next"]["task_id"] == "task-20260207-120000-first"
    assert (idle["running"], idle["next"], idle["pending"]) == ([], None, 0)


def test_workers_status_without_a_daemon_needs_attention(bench: Bench) -> None:
    """It still says what waits."""
    fill(bench)

    answer = bench.run("workers", "status")

    assert answer.code == 3
    assert "the daemon does not run" in answer.err
    assert "task-20260207-120000-first" in answer.out


def test_detailed_status_lists_what_ended_last(bench: Bench) -> None:
    """The newest first, with outcome, cost and time; at most five of a source, and none without the flag."""
    fill(bench)
    queue = bench.pending().parent
    for number in range(1, 8):
        (queue / "completed" / f"task-2026010{number}-000000-early.md").write_text("# Early\n")
    failed = queue / "failed" / "task-20260207-115900-broken.md"
    failed.rename(queue / "failed" / "elsewhere")
    (queue / "failed" / "elsewhere").rename(failed)  # it was moved last

    detailed = bench.run("status", "--detailed")
    ended = bench.run("status", "--detailed", "--json").json["sources"][0]["ended"]

    bench.agrees_with("status-detailed", detailed.out)
    assert len(ended) == 5
    assert (ended[0]["task_id"], ended[0]["state"], ended[0]["note"], ended[0]["cost_usd"]) == (
        "task-20260207-115900-broken",
        "failed",
        "verify_failed: verification failed",
        0.5,
    )
    assert bench.run("status", "--json").json["sources"][0]["ended"] == []


def test_list_shows_every_state(bench: Bench) -> None:
    """Running, waiting in its order, failed; title and note below each id."""
    fill(bench)

    bench.agrees_with("list", bench.run("tasks", "list").out)


@pytest.mark.parametrize(
    "task", ["task-20260207-115900-broken", "task-20260207-110000-running", "task-20260207-120002-after"]
)
def test_show_tells_all_of_one_task(bench: Bench, task: str) -> None:
    """Failed with its evidence, running, waiting."""
    fill(bench)

    answer = bench.run("tasks", "show", f"{task}.md")

    assert answer.code == 0
    bench.agrees_with(f"show-{task.rpartition('-')[2]}", answer.out)


def test_logs_render_the_transcript(bench: Bench) -> None:
    """Words and tools as lines."""
    fill(bench)

    answer = bench.run("tasks", "logs", "task-20260207-110000-running")

    bench.agrees_with("transcript", answer.out)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "--detailed"),
        ("tasks", "list"),
        ("tasks", "show", "task-20260207-115900-broken"),
        ("tasks", "logs", "task-20260207-110000-running"),
        ("status", "--json"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_no_control_character_gets_through(bench: Bench, arguments: tuple[str, ...]) -> None:
    """Names, titles, output and commands of an agent cannot rewrite the screen."""
    fill(bench)

    answer = bench.run(*arguments)

    assert not [char for char in answer.out + answer.err if ord(char) < 0x20 and char != "\n"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("sources", "list"),
        ("tasks", "list"),
        ("tasks", "show", "task-20260207-120000-first"),
        ("workers", "list"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_reading_commands_have_json(bench: Bench, arguments: tuple[str, ...]) -> None:
    """With a schema_version, whatever lies in the folder."""
    fill(bench)

    assert bench.run(*arguments, "--json").json["schema_version"] == 1


def test_status_survives_an_invalid_unrelated_value(bench: Bench) -> None:
    """The daemon would refuse it; looking is still possible."""
    content = json.loads(bench.config.read_text())
    content["limits"] = {"running": "many"}
    bench.config.write_text(json.dumps(content))

    assert "ad-hoc" in bench.run("status").out


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        ("unknown-task", ("tasks", "show", "task-none"), 1),
        ("unknown-command", ("stauts",), 2),
        ("unknown-source", ("tasks", "list", "--source", "web"), 1),
        ("missing-config", ("--config", "none.json", "status"), 1),
        ("same-source", ("sources", "add", "tasks/ad-hoc", "--id", "again"), 1),
    ],
)
def test_a_mistake_is_one_sentence_and_one_hint(
    bench: Bench, name: str, arguments: tuple[str, ...], code: int
) -> None:
    """On stderr, with the exit code that the contract names."""
    answer = bench.run(*arguments)

    assert (answer.code, answer.out) == (code, "")
    bench.agrees_with(f"error-{name}", answer.err)


@pytest.mark.parametrize("group", [(), ("service",), ("worktrees",)], ids=" ".join)
def test_a_command_without_its_subcommand_shows_the_help(bench: Bench, group: tuple[str, ...]) -> None:
    """The first thing that anybody types: lines that can be read, and wrong usage for a script."""
    answer = bench.run(*group)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == bench.run(*group, "--help").out


def test_doctor_names_a_key_that_has_no_effect(bench: Bench) -> None:
    content = json.loads(bench.config.read_text())
    content |= {"limit": {"running": 1}}
    bench.config.write_text(json.dumps(content))

    said = bench.run("doctor").out

    assert "limit" in said


def test_a_syntax_error_in_the_configuration_is_placed(bench: Bench) -> None:
    """And the file stays as it is."""
    bench.config.write_text('{\n  "version": "2.1"\n  "x": 1\n}')

    answer = bench.run("status")

    assert answer.code == 1
    assert "line 3, column 3" in answer.err


def test_status_is_quick(bench: Bench) -> None:
    """At most three times what importing click costs, the best of several runs of each."""
    fast = [sys.executable, "-c", "import click"]
    status = [sys.executable, "-m", "task_queue.cli", "status"]

    assert any(best_of(bench, status) <= 3 * best_of(bench, fast) for _ in range(3))


def best_of(bench: Bench, command: list[str], *, runs: int = 5) -> float:
    """CPU seconds, which do not depend on what else runs."""
    taken: list[float] = []
    for _ in range(runs):
        before = _cpu_s_of_children()
        subprocess.run(command, env=bench.environ, cwd=bench.project, capture_output=True, check=False)
        taken.append(_cpu_s_of_children() - before)
    return min(taken)


def _cpu_s_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize(
    ("arguments", "laid_out"),
    [
        (("status",), "rich"),
        (("tasks", "list"), "rich"),
        (("status", "--json"), ""),
        (("logs",), ""),
        (("--help",), ""),
    ],
    ids=str,
)
def test_reading_imports_nothing_heavy(bench: Bench, arguments: tuple[str, ...], laid_out: str) -> None:
    """No pydantic, no YAML while no document has front matter, and rich only where something is laid out."""
    (bench.pending() / "task-a.md").write_text("# Plain\n")
    program = (
        "import sys; from task_queue.cli.commands import cli;"
        f"cli.main({list(arguments)!r}, standalone_mode=False);"
        "print(*sorted({'pydantic', 'yaml', 'rich', 'psutil', 'watchdog'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=bench.environ,
        cwd=bench.project,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.splitlines()[-1] == laid_out
