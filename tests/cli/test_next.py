"""What comes next, and why the others wait: the same task in the same words in every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.locations import locate
from task_queue.platform.identity import own_identity
from tests.cli.bench import Bench, a_bench, write_json

A, B, C = "task-20260207-120000-a", "task-20260207-120001-b", "task-20260207-120002-c"
STOPPED = "everything is stopped; go on with: task-queue resume"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def drop(bench: Bench, task: str, *keys: str, source: str = "ad-hoc") -> None:
    front = "\n".join(["---", *keys, "---", ""]) if keys else ""
    (bench.pending(source) / f"{task}.md").write_text(f"{front}# {task}\n")


def ended(bench: Bench, task: str, state: str, source: str = "ad-hoc") -> None:
    (bench.pending(source).parent / state / f"{task}.md").write_text("# Ended\n")


def configure(bench: Bench, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(bench.config.read_text())
    change(content)
    bench.config.write_text(json.dumps(content))


def source_of(content: dict[str, Any], source: str = "ad-hoc") -> dict[str, Any]:
    return next(each for each in content["task_source_directories"] if each["id"] == source)


def whys(bench: Bench, source: str = "ad-hoc") -> dict[str, str]:
    """Why each task of *source* waits, in order; ``status``, ``list``, ``show`` and ``plan`` agree on it."""
    status = bench.run("status", "--json").json
    view = next(view for view in status["sources"] if view["id"] == source)
    told = {task["task_id"]: task["why"] for task in view["waiting"]}
    listed = bench.run("tasks", "list", "--json", "--state", "pending", "--source", source).json

    assert [(line["task_id"], line["note"]) for line in listed["tasks"]] == list(told.items())
    for task_id, why in told.items():
        assert bench.run("tasks", "show", task_id, "--json").json["waiting"]["why"] == why
    planned = {
        task["task_id"]: task["why"]
        for task in bench.run("plan", "--json").json["tasks"]
        if task["source"] == source
    }
    not_planned = ("will be rejected: ", "cancelled, ")
    assert planned == {task: why for task, why in told.items() if not why.startswith(not_planned)}
    return told


def a_daemon_that_says(bench: Bench, **words: object) -> None:
    """The state file of a live daemon: this very process."""
    me = own_identity()
    served = {"state": "serving", "why": None, "holds": None, "watch": "events"}
    write_json(
        locate(environ=bench.environ).daemon_state,
        {
            "pid": me.pid,
            "pid_start_ticks": me.pid_start_ticks,
            "boot_id": me.boot_id,
            "started_at": "2026-02-07T12:00:00+00:00",
            "sources": {"ad-hoc": served | words, "planned": served},
        },
    )


@pytest.mark.parametrize("of_source", [False, True], ids=["of the configuration", "of the source"])
def test_defaults_count_in_the_order(bench: Bench, of_source: bool) -> None:
    """``defaults: {priority: 9}``: a task that says 5 comes after the younger one that says nothing."""
    configure(
        bench,
        lambda content: (source_of(content) if of_source else content).update({"defaults": {"priority": 9}}),
    )
    drop(bench, A, "priority: 5")
    drop(bench, B)

    assert list(whys(bench).items()) == [(B, "next"), (A, "behind 1 other")]


def test_a_source_overrules_the_configuration(bench: Bench) -> None:
    """As for the worker: the source's own defaults are laid over the configuration's."""

    def change(content: dict[str, Any]) -> None:
        content["defaults"] = {"priority": 2, "on_dependency_failure": "fail"}
        source_of(content)["defaults"] = {"priority": 7}

    configure(bench, change)
    ended(bench, "task-x", "failed")
    drop(bench, A, "priority: 6")
    drop(bench, B)
    drop(bench, C, "priority: 1", "depends_on: task-x")

    assert whys(bench) == {
        B: "next",
        A: "behind 1 other",
        C: "will fail: it depends on task-x, which failed",
    }


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("completed", "next"),
        ("failed", "blocked by task-x (failed)"),
        ("pending", "waits for task-x"),
    ],
)
def test_a_dependency_may_be_in_another_source(bench: Bench, state: str, why: str) -> None:
    """Also where only one source is asked for."""
    if state == "pending":
        drop(bench, "task-x", source="planned")
    else:
        ended(bench, "task-x", state, source="planned")
    drop(bench, A, "depends_on: task-x")

    assert whys(bench) == {A: why}


def test_a_cycle_over_sources_is_told(bench: Bench) -> None:
    """The task that came last closed it."""
    drop(bench, A, f"depends_on: {B}")
    drop(bench, B, f"depends_on: {A}", source="planned")

    assert whys(bench) == {A: f"waits for {B}"}
    assert whys(bench, "planned") == {
        B: f"will be rejected: depends_on closes a cycle: {B} -> {A} -> {B}; correct one of these, then:"
        f" task-queue tasks retry {B}"
    }


def test_a_dependency_may_have_a_numbered_record(bench: Bench) -> None:
    """The task failed; one dropped again under its name was recorded as ``task-x.2`` and is completed."""
    ended(bench, "task-x", "failed")
    ended(bench, "task-x.2", "completed")
    drop(bench, A, "depends_on: task-x")

    assert whys(bench) == {A: "next"}


def _with_make(content: dict[str, Any]) -> None:
    content["executors"] = {"make": {"kind": "command", "argv": ["make"]}}
    content["defaults"] = {"executor": "make"}


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("timeout: soon",), "line 2: timeout: must be a duration"),
        (("executor: make", "max_budget_usd: 3"), "max_budget_usd cannot be kept with executor make"),
        (("model: x", "fallback_model: x", "permissions: bypass"), "fallback_model is the same as model"),
    ],
)
def test_a_document_that_no_configuration_fits_is_ahead_of_none(
    bench: Bench, keys: tuple[str, ...], words: str
) -> None:
    """It is settled as rejected before anything else; the next task is the next."""
    configure(bench, _with_make)
    drop(bench, A, *keys)
    drop(bench, B)

    told = whys(bench)
    assert told[B] == "next"
    assert told[A].startswith("will be rejected: ")
    assert words in told[A]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("permissions: bypass", "permissions: bypass is more than the owner's configuration allows"),
        ("allow: Mcp", "allow: Mcp is more than the owner's configuration allows"),
        ("executor: mkae", "executor 'mkae' is not configured; did you mean 'make'?"),
        ("max_budget_usd: 3", "max_budget_usd cannot be kept with executor make"),
        (
            "capabilities: [gpu, git-lfs]",
            "this machine does not have 'gpu'; if it does, add that to capabilities",
        ),
        ("workspace: /etc", "the workspace /etc is outside the directories that a task may name"),
        ("workspace: ~nobody-here", "is outside the directories that a task may name"),
    ],
)
def test_what_the_configuration_lacks_holds_its_task(bench: Bench, key: str, words: str) -> None:
    """It needs a person, and is ahead of none; the line is named."""
    configure(bench, _with_make)
    configure(
        bench,
        lambda content: content.update({"roots": [str(bench.home / "allowed")], "capabilities": ["git-lfs"]}),
    )
    drop(bench, A, "priority: 9", key)
    drop(bench, B)

    told = whys(bench)
    assert told[B] == "next"
    assert told[A].startswith("waits: line 3: ")
    assert words in told[A]
    for command in (("status",), ("tasks", "list"), ("tasks", "show", A)):
        (need,) = [each for each in bench.run(*command, "--json").json["attention"] if each.get("task_id")]
        assert (need["kind"], need["task_id"]) == ("not_configured", A)
        assert words in need["sentence"]
    assert bench.run("tasks", "list").code == 3


def test_what_was_lacking_is_there(bench: Bench) -> None:
    """The task is one like others once the configuration has it."""
    drop(bench, A, "executor: make")
    assert whys(bench)[A].startswith("waits: ")

    configure(bench, _with_make)

    assert whys(bench) == {A: "next"}


def test_a_cancelled_task_is_ahead_of_none(bench: Bench) -> None:
    """It ends before the next one starts."""
    drop(bench, A)
    drop(bench, B)
    (bench.pending() / f".{A}.cancel").touch()

    assert whys(bench) == {B: "next", A: "cancelled, as soon as the daemon runs"}


def test_nothing_is_next_while_everything_is_stopped(bench: Bench) -> None:
    """The order is still shown behind the one that would be next."""
    drop(bench, A)
    drop(bench, B)
    bench.run("stop")

    assert whys(bench) == {A: STOPPED, B: "behind 1 other"}
    bench.run("resume")
    assert whys(bench) == {A: "next", B: "behind 1 other"}


def test_nothing_is_next_in_a_paused_source(bench: Bench) -> None:
    """In the other one it is."""
    drop(bench, A)
    drop(bench, B, source="planned")
    bench.run("sources", "pause", "--source-id", "ad-hoc")

    assert whys(bench) == {A: "the source is paused; go on with: task-queue sources resume ad-hoc"}
    assert whys(bench, "planned") == {B: "next"}


def test_no_agent_is_next_while_the_account_is_paused(bench: Bench) -> None:
    """A command is: it needs no account."""
    until = datetime.now(UTC) + timedelta(hours=2)
    account = {
        "paused_until": until.isoformat(),
        "since": (until - timedelta(hours=3)).isoformat(),
        "why": "5 h limit",
    }
    write_json(locate(environ=bench.environ).accounts, account)
    configure(
        bench, lambda content: content.update({"executors": {"make": {"kind": "command", "argv": ["make"]}}})
    )
    drop(bench, A, "priority: 9")
    drop(bench, B, "executor: make")

    paused = f"account paused until {until:%Y-%m-%d %H:%M}: 5 h limit"
    assert whys(bench) == {A: paused, B: "next"}


def test_low_priorities_wait_while_the_limit_is_near(bench: Bench) -> None:
    """``hold_above_utilization`` and ``hold_below_priority``, by what the account's file says."""
    write_json(
        locate(environ=bench.environ).accounts,
        {"utilization": 0.95, "told_at": datetime.now(UTC).isoformat()},
    )
    limits = {"hold_above_utilization": 0.9, "hold_below_priority": 6}
    configure(bench, lambda content: content.update({"limits": limits}))
    drop(bench, A)
    drop(bench, B, "priority: 6")

    assert whys(bench) == {
        B: "next",
        A: "95% of the usage limit are used: only priority 6 and above starts",
    }


@pytest.mark.parametrize("of_source", [False, True], ids=["of all", "of the source"])
def test_no_agent_is_next_once_the_budget_is_spent(bench: Bench, of_source: bool) -> None:
    """By what the ledger says of today."""
    entry = {"at": datetime.now(UTC).isoformat(), "source": "ad-hoc", "task_id": "task-x", "attempt": 1}
    write_json(locate(environ=bench.environ).ledger, entry | {"usd": 2.5})
    with locate(environ=bench.environ).ledger.open("a") as ledger:
        ledger.write("\n")
    budget = {"daily_budget_usd": 2.0}
    configure(
        bench,
        lambda content: (source_of(content) if of_source else content.setdefault("limits", {})).update(
            budget
        ),
    )
    drop(bench, A)
    drop(bench, B, source="planned")

    spent = "the daily budget is spent (2.50 USD today); goes on at midnight"
    assert whys(bench) == {A: spent}
    assert whys(bench, "planned") == {B: "next" if of_source else spent}


@pytest.mark.parametrize(
    ("words", "of_agent", "of_command"),
    [
        ({"why": "all 4 places are taken", "holds": "everything"}, "behind 1 other", "all 4 places are taken"),
        ({"why": "budget is set aside", "holds": "agents"}, "budget is set aside", "next"),
        ({"why": "no workspace", "state": "unavailable", "holds": "everything"}, "behind 1 other", "no workspace"),
        ({"why": STOPPED, "holds": "everything"}, "behind 1 other", "next"),
    ],
    ids=["places", "agents only", "unavailable", "an old stop"],
)  # fmt: skip
def test_what_only_the_daemon_knows_comes_from_its_state_file(
    bench: Bench, words: dict[str, object], of_agent: str, of_command: str
) -> None:
    """Full places, the breaker, a source in trouble; not that everything is stopped, which files say sooner."""
    configure(
        bench, lambda content: content.update({"executors": {"make": {"kind": "command", "argv": ["make"]}}})
    )
    drop(bench, A)
    drop(bench, B, "executor: make", "priority: 6")
    a_daemon_that_says(bench, **words)

    assert whys(bench) == {B: of_command, A: of_agent}


def test_broken_defaults_are_one_sentence(bench: Bench) -> None:
    """The rest of them counts, and every command still answers."""

    def change(content: dict[str, Any]) -> None:
        content["defaults"] = {"priority": 9, "timeout": "soon"}
        source_of(content)["defaults"] = ["x"]

    configure(bench, change)
    drop(bench, A, "priority: 5")
    drop(bench, B)

    assert list(whys(bench)) == [B, A]
    attention = bench.run("status", "--json").json["attention"]
    assert any(each["sentence"].startswith("defaults: timeout: ") for each in attention)
    assert any("[0].defaults: must be an object" in each["sentence"] for each in attention)


def test_a_next_try_that_waits_under_a_numbered_record(bench: Bench) -> None:
    """The history beside the document names another record: its delay and its tries count."""
    until = datetime.now(UTC) + timedelta(hours=1)
    ended_at = (until - timedelta(hours=1)).isoformat()
    history = {
        "task_id": f"{A}.2",
        "attempts": [{"number": 1, "ended_at": ended_at}],
        "not_before": until.isoformat(),
    }
    write_json(bench.pending() / f".{A}.attempts.json", history)
    drop(bench, A)
    drop(bench, B)

    told = whys(bench)
    assert told == {A: f"delayed until {until:%Y-%m-%d %H:%M:%S}", B: "next"}


def test_more_documents_than_are_read_have_no_known_order(bench: Bench) -> None:
    """Names are shown, and that their order is not the one in which they run."""
    for number in range(501):
        drop(bench, f"task-{number:04}", *(["priority: 9"] if number == 500 else []))

    source = bench.run("status", "--json").json["sources"][0]
    first = bench.run("tasks", "show", "task-0000", "--json").json["waiting"]["why"]

    assert source["order_known"] is False
    assert {task["why"] for task in source["waiting"]} == {"in the order of names"}
    assert first == "in the order of names"


def test_hours_of_a_source_hold_all_of_its_tasks(bench: Bench) -> None:
    """Also without a daemon, and as one text instead of a list; until when is said."""
    day = datetime.now().astimezone() + timedelta(days=3)
    configure(bench, lambda content: source_of(content).update({"windows": f"{day:%a} 10:00-11:00"}))
    drop(bench, A)
    drop(bench, B)
    why = f"outside the hours of the source: it starts nothing before {day:%Y-%m-%d} 10:00"

    assert whys(bench) == {A: why, B: "behind 1 other"}
    a_daemon_that_says(bench, why=why, holds="everything")
    assert whys(bench) == {A: why, B: "behind 1 other"}
    configure(bench, lambda content: source_of(content).pop("windows"))
    a_daemon_that_says(bench)
    assert whys(bench) == {A: "next", B: "behind 1 other"}


def test_a_lock_that_is_no_claim_is_ahead_of_none(bench: Bench) -> None:
    drop(bench, A)
    (bench.pending() / ".task-torn.lock").write_text("{")

    assert whys(bench) == {A: "next"}
