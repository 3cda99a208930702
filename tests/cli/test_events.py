"""``events`` and ``reindex`` as a person and a script use them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.locations import locate
from task_queue.domain.event_record import EventRecord
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog
from task_queue.store.folder.layout import Layout
from tests.cli.bench import Bench, a_bench, write_json
from tests.waiting import eventually

READING = (("status",), ("status", "--json"), ("tasks", "list"), ("tasks", "list", "--limit", "1", "--json"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def the_log(bench: Bench) -> EventLog:
    return EventLog(locate(environ=bench.environ).events)


def append(bench: Bench, *records: EventRecord) -> None:
    log = the_log(bench)
    for record in records:
        assert log.append(record)
    log.close()


def as_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


SETTLED = EventRecord("settled", {"state": "completed", "reason": "all is well"}, "web", "task-a", 2)
STARTED = EventRecord("daemon_started", {"pid": 7, "version": "1"})


def test_each_event_is_a_line(bench: Bench) -> None:
    append(bench, SETTLED, STARTED)
    answer = bench.run("events", "--after", "end")

    assert (answer.code, answer.out, answer.err) == (0, "", "")
    lines = bench.run("events", "--type", "settled", "--type", "daemon_started").out.splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        'settled                web  task-a  attempt 2  state=completed reason="all is well"',
        "daemon_started         pid=7 version=1",
    ]


def test_json_has_one_object_a_line_that_can_be_gone_on_from(bench: Bench) -> None:
    append(bench, SETTLED, STARTED)
    first, second = as_json(
        bench.run("events", "--json", "--type", "settled", "--type", "daemon_started").out
    )

    assert {key: first[key] for key in first if key not in {"cursor", "at"}} == {
        "source": "web",
        "task_id": "task-a",
        "attempt": 2,
        "type": "settled",
        "data": {"state": "completed", "reason": "all is well"},
        "schema_version": 1,
    }
    assert as_json(bench.run("events", "--json", "--after", first["cursor"]).out) == [second]
    assert bench.run("events", "--json", "--task", "task-a", "--limit", "1").out.count("\n") == 1


def test_an_unknown_cursor_is_answered_first(bench: Bench) -> None:
    append(bench, SETTLED)
    types = [event["type"] for event in as_json(bench.run("events", "--json", "--after", "x").out)]

    assert types[0] == "cursor_reset"
    assert types[-1] == "settled"


def test_a_type_that_does_not_exist_is_a_mistake(bench: Bench) -> None:
    answer = bench.run("events", "--type", "setled")

    assert answer.code == 1
    assert "there is no type of event 'setled'" in answer.err
    assert "settled" in answer.err


def test_foreign_text_cannot_reach_the_terminal(bench: Bench) -> None:
    append(
        bench,
        EventRecord("file_ignored", {"name": "a\x1b[2J\nb", "x\x1b": "\u202e"}, "we\x07b", "task-\x9b", 1),
    )

    for out in (bench.run("events").out, bench.run("events", "--json").out):
        assert not any(char in out for char in "\x1b\x07\x9b\u202e")


def test_damage_is_named_on_stderr(bench: Bench) -> None:
    append(bench, SETTLED)
    (segment,) = locate(environ=bench.environ).events.glob("*/*.jsonl")
    with segment.open("ab") as file:
        file.write(b"rubbish\n")
    answer = bench.run("events", "--json")

    assert as_json(answer.out)[-1]["type"] == "settled"
    assert "cannot be read is skipped" in answer.err


def test_following_shows_what_comes_and_ends_with_its_reader(bench: Bench) -> None:
    """The reader goes away while nothing happens."""
    log = the_log(bench)
    with subprocess.Popen(
        [sys.executable, "-m", "task_queue.cli", "events", "--json", "--follow", "--after", "end"],
        cwd=bench.project,
        env=bench.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        os.set_blocking(follower.stdout.fileno(), False)

        def first_line() -> str:
            log.append(SETTLED)  # again and again: it may not stand at the end yet
            return follower.stdout.readline() if follower.stdout else ""

        assert json.loads(eventually(first_line))["task_id"] == "task-a"
        follower.stdout.close()
        assert follower.wait(timeout=30) == 0
        assert follower.stderr.read().strip() == ""
    log.close()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_following_ends_on_a_signal(bench: Bench, number: signal.Signals, code: int) -> None:
    append(bench, SETTLED)
    with subprocess.Popen(
        [sys.executable, "-m", "task_queue.cli", "events", "--follow"],
        cwd=bench.project,
        env=bench.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert follower.stderr is not None
        assert follower.stdout.readline()
        follower.send_signal(number)

        assert follower.wait(timeout=30) == code
        assert follower.stderr.read().strip() == ""


def test_reindex_tells_of_every_result(bench: Bench) -> None:
    append(bench, SETTLED)
    before = as_json(bench.run("events", "--json").out)[-1]["cursor"]
    for source in ("ad-hoc", "planned"):
        path = bench.pending(source).parent / "results" / "task-b.json"
        write_json(path, {"task_id": "task-b", "success": False, "completed_at": "2026-02-07T12:00:00Z"})

    assert bench.run("reindex").out == "rebuilt: 2 settled events\n"
    assert bench.run("reindex", "--json").json == {"settled": 2, "attention": 0, "schema_version": 1}
    events = as_json(bench.run("events", "--json", "--after", before).out)
    assert [(event["type"], event["source"]) for event in events[:3]] == [
        ("cursor_reset", None),
        ("settled", "ad-hoc"),
        ("settled", "planned"),
    ]


def test_reindex_finds_again_what_needs_a_person(bench: Bench) -> None:
    """After its index was deleted; ``status`` and ``list`` answer as before, and old results need nobody."""
    queue = bench.pending().parent
    for name, attention in (
        ("task-a", True),
        ("task-b", False),
        ("task-" + "x" * 240, True),
        ("task-d", None),
    ):
        (queue / "failed" / f"{name}.md").write_text("# It\n")
        command = f"task-queue tasks retry {name}"
        needs = [{"kind": "failed", "sentence": "it failed", "command": command}] if attention else []
        content = {"task_id": name, "success": False, "completed_at": "2026-02-07T12:00:00Z"}
        layout = Layout(bench.pending())
        write_json(layout.result(TaskId(name)), content | ({} if attention is None else {"attention": needs}))
        if attention:
            write_json(layout.needs(TaskId(name)), {})
    before = {command: bench.run(*command) for command in READING}
    assert "task-a: it failed" in before["status",].out
    entries = sorted(path.name for path in (queue / "results/.attention").iterdir())
    shutil.rmtree(queue / "results/.attention")
    assert "task-a: it failed" not in bench.run("status").out

    told = bench.run("reindex")
    assert (told.out, told.err) == ("rebuilt: 4 settled events, 2 of results that need a person\n", "")
    assert {command: bench.run(*command) for command in READING} == before
    assert sorted(path.name for path in (queue / "results/.attention").iterdir()) == entries
    assert bench.run("reindex", "--json").json["attention"] == 2
    kinds = [
        event["data"]["attention"]
        for event in as_json(bench.run("events", "--json", "--type", "settled").out)
    ]
    assert sorted(kinds) == [[], [], ["failed"], ["failed"]]


def test_reindex_of_a_folder_that_cannot_be_written_goes_on(bench: Bench) -> None:
    """A file in the place of the index: warned of, and the events are there."""
    queue = bench.pending().parent
    (queue / "results/.attention").write_text("in the way")
    content = {"task_id": "task-a", "success": False, "attention": [{"kind": "failed"}]}
    write_json(queue / "results/task-a.json", content)

    told = bench.run("reindex")
    assert (told.code, told.out) == (0, "rebuilt: 1 settled event\n")
    assert "results/task-a.json: " in told.err
