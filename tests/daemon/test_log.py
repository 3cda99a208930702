"""The daemon's log: where records go, what an event looks like, and how a reader sees it."""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import stat
import subprocess
import sys
import threading
import typing
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import pytest

from task_queue.daemon import log as logs
from task_queue.domain import events
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from tests.waiting import eventually

TASK = TaskId("task-a")
DUE = datetime(2026, 2, 7, 2, 30, tzinfo=UTC)
SAMPLES: list[tuple[events.Event, int, str]] = [
    (
        events.TaskProgress("web", TaskId("task-a"), 1, 40.0, "tests", "builder"),
        logging.INFO,
        "task progress source=web task=task-a attempt=1 percent=40.0 step=tests by=builder",
    ),
    (
        events.TaskLog("web", TaskId("task-a"), 1, "info", "it builds", "builder"),
        logging.INFO,
        'task log source=web task=task-a attempt=1 level=info message="it builds" by=builder',
    ),
    (
        events.TaskNote("web", TaskId("task-a"), None, "seen", "ada"),
        logging.INFO,
        "task note source=web task=task-a attempt=unknown message=seen by=ada",
    ),
    (
        events.SourceOpened("web", "/q/web/pending"),
        logging.INFO,
        "source opened source=web path=/q/web/pending",
    ),
    (events.SourceClosed("web"), logging.INFO, "source closed source=web"),
    (
        events.SourceUnavailable("web", "disk full"),
        logging.ERROR,
        'source unavailable source=web why="disk full"',
    ),
    (events.SourceRecovered("web"), logging.INFO, "source recovered source=web"),
    (
        events.TaskClaimed("web", TASK, 2, resumes=True),
        logging.INFO,
        "task claimed source=web task=task-a attempt=2 resumes=True",
    ),
    (events.TaskAdopted("web", TASK, 1), logging.INFO, "task adopted source=web task=task-a attempt=1"),
    (
        events.TaskRecovered("web", TASK, "settled"),
        logging.WARNING,
        "task recovered source=web task=task-a repair=settled",
    ),
    (
        events.TaskSettled(
            "web",
            TASK,
            2,
            TaskState.COMPLETED,
            OutcomeKind.SUCCEEDED,
            "verified",
            took=timedelta(seconds=90),
            turns=7,
            cost_usd=0.25,
            dead_letter=False,
            attention=("denied", "changed_judges"),
        ),
        logging.INFO,
        (
            "task settled source=web task=task-a attempt=2 state=completed outcome=succeeded reason=verified"
            " took=0:01:30 turns=7 cost_usd=0.25 dead_letter=False attention=denied,changed_judges"
        ),
    ),
    (
        events.TaskReleased(
            "web", TASK, 1, OutcomeKind.CRASHED, "", counted=True, delay=timedelta(seconds=30)
        ),
        logging.INFO,
        'task released source=web task=task-a attempt=1 outcome=crashed reason="" counted=True delay=0:00:30',
    ),
    (
        events.TaskRejected("web", TASK, "line 2: unknown key"),
        logging.WARNING,
        'task rejected source=web task=task-a reason="line 2: unknown key"',
    ),
    (
        events.FileIgnored("web", "a\x1b[2J.md", "no task"),
        logging.INFO,
        'file ignored source=web name=a\\x1b[2J.md reason="no task"',
    ),
    (
        events.AccountPaused("web", "limit", datetime(2026, 2, 7, 12, tzinfo=UTC)),
        logging.WARNING,
        "account paused source=web why=limit until=2026-02-07T12:00:00+00:00",
    ),
    (events.WatchDegraded("web", "nfs"), logging.WARNING, "watch degraded source=web why=nfs"),
    (events.WatchRestored("web"), logging.INFO, "watch restored source=web"),
    (events.SourcePaused("web"), logging.INFO, "source paused source=web"),
    (events.SourceDrained("web"), logging.INFO, "source drained source=web"),
    (events.SourceResumed("web"), logging.INFO, "source resumed source=web"),
    (
        events.ScheduleFired("web", TASK, "nightly", DUE, "late"),
        logging.INFO,
        "schedule fired source=web task=task-a schedule=nightly due=2026-02-07T02:30:00+00:00 why=late",
    ),
    (
        events.ScheduleSkipped("web", "nightly", DUE, "task-a still waits"),
        logging.INFO,
        'schedule skipped source=web schedule=nightly due=2026-02-07T02:30:00+00:00 why="task-a still waits"',
    ),
    (
        events.ScheduleMissed("web", "nightly", DUE, DUE, 1, "nothing ran"),
        logging.WARNING,
        (
            "schedule missed source=web schedule=nightly first=2026-02-07T02:30:00+00:00"
            ' last=2026-02-07T02:30:00+00:00 count=1 why="nothing ran"'
        ),
    ),
    (
        events.TaskStuck("web", TASK, "blocked", "blocked by task-b (failed)"),
        logging.WARNING,
        'task stuck source=web task=task-a kind=blocked why="blocked by task-b (failed)"',
    ),
    (
        events.BaseBroken("web", TASK, "main is broken"),
        logging.WARNING,
        'base broken source=web task=task-a why="main is broken"',
    ),
    (
        events.ScheduleBroken("web", "nightly", "line 2"),
        logging.WARNING,
        'schedule broken source=web schedule=nightly why="line 2"',
    ),
    (events.TaskDropped("web", TASK), logging.DEBUG, "task dropped source=web task=task-a"),
    (
        events.AttemptStarted("web", TASK, 1, "claude", resumes=False),
        logging.INFO,
        "attempt started source=web task=task-a attempt=1 executor=claude resumes=False",
    ),
    (
        events.PhaseStarted("web", TASK, 1, "audit 1"),
        logging.INFO,
        'phase started source=web task=task-a attempt=1 phase="audit 1"',
    ),
    (
        events.PhaseEnded("web", TASK, 1, "audit 1", took=timedelta(seconds=2)),
        logging.INFO,
        'phase ended source=web task=task-a attempt=1 phase="audit 1" took=0:00:02',
    ),
    (
        events.TurnTaken("web", TASK, 1, "implement", 3, "Bash"),
        logging.INFO,
        "turn taken source=web task=task-a attempt=1 phase=implement turn=3 tool=Bash",
    ),
    (events.TaskRetried("web", TASK), logging.INFO, "task retried source=web task=task-a"),
    (
        events.TaskLanded("web", TASK, "in main"),
        logging.INFO,
        'task landed source=web task=task-a said="in main"',
    ),
    (
        events.TaskUndone("web", TASK, "main was moved back"),
        logging.INFO,
        'task undone source=web task=task-a said="main was moved back"',
    ),
    (events.CancelAsked("web", TASK), logging.INFO, "cancel asked source=web task=task-a"),
    (
        events.TaskEdited("web", TASK, 1, "edited-task-a.md"),
        logging.INFO,
        "task edited source=web task=task-a attempt=1 kept_as=edited-task-a.md",
    ),
    (
        events.TaskLimited("web", TASK, 1, "usage limit", None),
        logging.WARNING,
        'task limited source=web task=task-a attempt=1 reason="usage limit" resets_at=unknown',
    ),
    (events.AccountResumed("its time has come"), logging.INFO, 'account resumed why="its time has come"'),
    (events.QueueStopped(now=True), logging.DEBUG, "queue stopped now=True"),
    (events.QueueResumed(), logging.DEBUG, "queue resumed"),
    (
        events.ConfigurationChanged(("web", "docs")),
        logging.DEBUG,
        "configuration changed sources=web,docs",
    ),
    (events.ConfigurationChanged(()), logging.DEBUG, "configuration changed sources=none"),
    (events.DaemonStarted(7, "1.0"), logging.DEBUG, "daemon started pid=7 version=1.0"),
    (events.DaemonStopped(7), logging.DEBUG, "daemon stopped pid=7"),
    (
        events.PersonActed("tasks cancel", "web", TASK, {"now": True}),
        logging.INFO,
        'person acted command="tasks cancel" source=web task=task-a options="{\'now\': True}"',
    ),
    (
        events.WorkerCrashed("web", "Traceback:\n  ValueError: x\x07\n"),
        logging.ERROR,
        "worker crashed source=web\n  | Traceback:\n  |   ValueError: x\\x07",
    ),
]


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in root.handlers[:]:
        if handler not in handlers:
            root.removeHandler(handler)
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.mark.parametrize(("event", "level", "line"), SAMPLES, ids=lambda value: type(value).__name__)
def test_each_event_is_a_line(event: events.Event, level: int, line: str) -> None:
    assert logs.describe(event) == (level, line)


def test_no_event_is_forgotten() -> None:
    assert {type(event) for event, _, _ in SAMPLES} == set(typing.get_args(events.Event))


def test_a_name_cannot_forge_a_line_or_a_key() -> None:
    """Line ends are escaped, and what has spaces is quoted with its quotes escaped."""
    _, line = logs.describe(events.FileIgnored("web", 'x\n<3>fake reason="ok" b=1', "no"))

    assert line == 'file ignored source=web name="x\\x0a<3>fake reason=\\"ok\\" b=1" reason=no'


def test_without_a_journal_it_goes_to_a_private_file(tmp_path: Path) -> None:
    """Mode 0600 in a folder 0700, with local time and offset; rotated files too."""
    os.umask(before := os.umask(0o022))
    logs.set_up(tmp_path / "state", journal_stream=None)
    logs.record(events.SourceClosed("web"))
    handler = logging.getLogger().handlers[0]
    assert isinstance(handler, RotatingFileHandler)
    handler.doRollover()
    logs.record(events.SourceClosed("shop"))

    log = tmp_path / "state" / "daemon.log"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} INFO    source closed source=shop\n", log.read_text()
    )
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.with_name("daemon.log.1").stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700
    assert (handler.maxBytes, handler.backupCount) == (5 * 1024 * 1024, 4)
    assert os.umask(before) == before


def test_under_a_journal_it_goes_to_stderr_with_priorities(tmp_path: Path) -> None:
    """Every line carries its own priority, and no time: the journal has it."""
    said = run_with_stderr(tmp_path, matches=True)

    assert said == "<4>watch degraded source=web why=x\n<3>worker crashed source=web\n<3>  | a\n<3>  | b\n"
    assert not (tmp_path / "state").exists()


def test_a_stderr_that_was_redirected_is_no_journal(tmp_path: Path) -> None:
    """JOURNAL_STREAM is inherited by children whose stderr goes elsewhere."""
    assert run_with_stderr(tmp_path, matches=False) == ""
    assert "watch degraded" in (tmp_path / "state" / "daemon.log").read_text()


def run_with_stderr(tmp_path: Path, *, matches: bool) -> str:
    """What a process writes to its stderr that logs two events with JOURNAL_STREAM set."""
    script = """
import os, sys
from pathlib import Path
from task_queue.daemon import log as logs
from task_queue.domain import events
status = os.fstat(2)
ino = status.st_ino if sys.argv[2] == "True" else status.st_ino + 1
logs.set_up(Path(sys.argv[1]), journal_stream=f"{status.st_dev}:{ino}")
logs.record(events.WatchDegraded("web", "x"))
logs.record(events.WorkerCrashed("web", "a\\nb"))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "state"), str(matches)],
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    return done.stderr


def test_tail_gives_the_last_lines(tmp_path: Path) -> None:
    """Also from a file of many blocks, and without a line that is not finished yet."""
    log = tmp_path / "daemon.log"
    log.write_text("".join(f"line {n} {'x' * 100}\n" for n in range(5_000)) + "unfinished")

    assert [line.split(" ")[1] for line in logs.tail(log, 3)] == ["4997", "4998", "4999"]
    assert logs.tail(log, 0) == []
    assert len(logs.tail(log, 10_000)) == 5_000


def test_tail_goes_on_into_the_rotated_file(tmp_path: Path) -> None:
    log = tmp_path / "daemon.log"
    log.with_name("daemon.log.1").write_text("one\ntwo\n")
    log.write_text("three\n")

    assert logs.tail(log, 2) == ["two", "three"]


@pytest.mark.parametrize("content", [None, ""])
def test_tail_of_nothing_is_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "daemon.log").write_text(content)

    assert logs.tail(tmp_path / "daemon.log", 5) == []


def test_follow_tells_new_lines_across_a_rotation(tmp_path: Path) -> None:
    """Waits for the file, tells no line twice, loses none, and waits for a line to be finished."""
    log = tmp_path / "daemon.log"
    told: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in logs.follow(log, lines=1):
            told.put(line)
            if line == "end":
                return

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    log.write_text("one\ntw")
    assert told.get(timeout=20) == "one"
    with log.open("a") as out:
        out.write("o\nthree\n")
    log.rename(log.with_name("daemon.log.1"))
    log.write_text("four\nend\n")
    reader.join(20)

    assert [told.get(timeout=1) for _ in range(4)] == ["two", "three", "four", "end"]


def test_waiting_for_lines_costs_next_to_nothing(tmp_path: Path) -> None:
    """A follower that nobody feeds uses less than 10 % of a processor."""
    log = tmp_path / "daemon.log"
    log.write_text("one\n")
    script = "import sys; from pathlib import Path; from task_queue.daemon import log as logs\n"
    script += "for line in logs.follow(Path(sys.argv[1])): print(line, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(log)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "one\n"
        before = cpu_seconds(child.pid)
        waited = threading.Event()
        waited.wait(1.0)
        used = cpu_seconds(child.pid) - before
        child.kill()

    assert used < 0.1


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_journal_is_read_through_its_own_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines come as they are written, and closing the reader ends the program."""
    pid_file, fake = tmp_path / "pid", tmp_path / "bin" / "journalctl"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho $$ > {pid_file}\necho "$@"\necho second\nexec sleep 60\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")

    lines: Any = logs.journal(7, follow=True)
    first = next(lines)
    assert next(lines) == "second"
    lines.close()

    assert first == "--user -u task-queue -o cat -n 7 --no-pager -f"
    pid = int(pid_file.read_text())
    eventually(lambda: not Path(f"/proc/{pid}").exists())


def test_reading_needs_none_of_the_slow_modules() -> None:
    """`logs` and `status` start quickly."""
    script = "import sys, json; import task_queue.daemon.log; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )

    assert not {"pydantic", "yaml", "watchdog", "rich", "logging.handlers"} & set(json.loads(done.stdout))
