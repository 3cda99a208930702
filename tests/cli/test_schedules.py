"""``schedules list``, ``next`` and ``run``, as text and as JSON, with the daemon down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def write(bench: Bench, name: str, schedule: str, *keys: str, source: str = "ad-hoc") -> Path:
    folder = bench.pending(source).parent / "schedules"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{name}.md"
    front = "\n".join(("---", f"schedule: '{schedule}'", *keys, "---", ""))
    path.write_text(f"{front}# Look after {name}\n")
    return path


def test_init_makes_the_folder(bench: Bench) -> None:
    bench.run("init")

    assert (bench.pending().parent / "schedules").stat().st_mode & 0o777 == 0o700


def test_without_any_it_says_where_they_are_written(bench: Bench) -> None:
    assert "schedules/ beside a pending/ folder" in bench.run("schedules").out
    assert bench.run("schedules", "list", "--json").json["schedules"] == []


def test_each_is_listed_with_its_next_time(bench: Bench) -> None:
    write(bench, "yearly", "30 2 1 1 *", "timezone: UTC", "until: 2099-12-31")
    answer = bench.run("schedules", "list")
    view = bench.run("schedules", "list", "--json").json["schedules"][0]

    assert answer.code == 0
    assert "yearly of source ad-hoc: Look after yearly" in answer.out
    assert "30 2 1 1 * (UTC), until 2099-12-31 23:59:59; overlap skip, catch_up one" in " ".join(
        answer.out.split()
    )
    assert view["next_due"].endswith("-01-01T02:30:00+00:00")
    assert (view["trouble"], view["told"]) == (None, [])
    assert f"yearly at {view['next_due'][:10]} 02:30" in bench.run("status").out


def test_broken_ones_are_named_and_harmless(bench: Bench) -> None:
    """Whatever is in the file, and in its name."""
    write(bench, "good", "0 3 * * *")
    write(bench, "bad", "61 * * * *\x1b[2J")
    write(bench, "unknown", "0 3 * * *", "executor: nowhere")
    (bench.pending().parent / "schedules" / "x\x1b[2J.md").write_text("x")
    answer = bench.run("schedules", "list")

    assert answer.code == 3
    assert "\x1b" not in answer.out
    assert "executor 'nowhere' is not configured" in answer.out
    troubles = {
        view["name"]: view["trouble"] for view in bench.run("schedules", "list", "--json").json["schedules"]
    }
    assert [name for name, trouble in troubles.items() if trouble is None] == ["good"]
    kinds = [each["kind"] for each in bench.run("status", "--json").json["attention"]]
    assert kinds.count("schedule") == 3
    assert "schedule 'bad'" in bench.run("doctor").out


def test_the_next_times_of_all_are_in_one_order(bench: Bench) -> None:
    write(bench, "a", "0 3 * * *")
    write(bench, "b", "0 4 * * *", source="planned")
    times = bench.run("schedules", "next", "--count", "4", "--json").json["times"]

    assert sorted(time["name"] for time in times) == ["a", "a", "b", "b"]
    assert times == sorted(times, key=lambda time: time["due"])
    only = bench.run("schedules", "next", "b", "--count", "2").out.splitlines()
    assert len(only) == 3
    assert "planned" in only[1]


def test_one_is_run_now_beside_those_that_are_due(bench: Bench) -> None:
    write(bench, "nightly", "30 2 * * *", "priority: 8")
    first = bench.run("schedules", "run", "nightly")
    second = bench.run("schedules", "run", "nightly", "--json").json

    assert {first.out.strip(), second["task_id"]} == {path.stem for path in bench.pending().glob("task-*.md")}
    assert (
        bench.pending() / f"{second['task_id']}.md"
    ).read_text() == "---\npriority: 8\n---\n# Look after nightly\n"
    told = bench.run("schedules", "list", "--json").json["schedules"][0]["told"]
    assert [each["what"] for each in told] == ["by_hand", "by_hand"]
    events = [json.loads(line) for line in bench.run("events", "--json").out.splitlines()]
    assert [
        event["data"]["options"] for event in events if event["data"].get("command") == "schedules run"
    ] == [{"schedule": "nightly"}] * 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "nowhere"), "there is no schedule 'nowhere'"),
        (("next", "nowhere"), "known schedules: both, broken"),
        (("run", "both"), "several sources have a schedule 'both': ad-hoc, planned"),
        (("run", "broken"), "schedule 'broken' cannot be used: line 2: schedule: bad minute"),
        (("list", "--source", "nowhere"), "there is no source 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_said(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    write(bench, "both", "0 3 * * *")
    write(bench, "both", "0 3 * * *", source="planned")
    write(bench, "broken", "61 * * * *")
    answer = bench.run("schedules", *arguments)

    assert answer.code == 1
    assert said in answer.err
    assert list(bench.pending().glob("task-*.md")) == []
