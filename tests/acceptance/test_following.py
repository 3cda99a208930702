"""Commands that go on showing what happens: logs, a task's transcript, status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from tests.acceptance.rig import Rig
from tests.processes import runs
from tests.sampling import short_and_long
from tests.waiting import eventually, within

INTERRUPTED = 130
_HEEDS_CTRL_C = ("env", "--default-signal=INT")
"""Where the tests run in the background it is ignored, and so it would be by what they start."""


class Follower:
    """A command that goes on, and what it has written so far."""

    def __init__(self, rig: Rig, *arguments: str, **environment: str) -> None:
        self.errors = rig.home / "follower.err"
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(
                [
                    *_HEEDS_CTRL_C,
                    sys.executable,
                    "-m",
                    "task_queue.cli",
                    "--config",
                    str(rig.config),
                    *arguments,
                ],
                env=rig.environment | environment,
                cwd=rig.home,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.text = ""
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.text += line

    def shows(self, text: str, *, after: int = 0) -> int:
        """Wait until *text* stands behind the first *after* characters; returns where it ends."""
        assert within(60, lambda: self.text.find(text, after) >= 0), f"{text!r} in {self.text[after:]!r}"
        return self.text.find(text, after) + len(text)

    def ends(self) -> int:
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=60)
        return code

    def interrupted(self) -> int:
        """As by Ctrl-C."""
        return self.ended_by(signal.SIGINT)

    def ended_by(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.ends()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.ends()
        assert self.process.stdout is not None
        self.process.stdout.close()


Follow = Callable[..., Follower]


@pytest.fixture
def follow(rig: Rig) -> Iterator[Follow]:
    """Starts followers, and ends them with the test."""
    started: list[Follower] = []

    def start(*arguments: str, **environment: str) -> Follower:
        started.append(Follower(rig, *arguments, **environment))
        return started[-1]

    yield start
    for follower in started:
        follower.close()


@contextmanager
def held(rig: Rig, name: str) -> Iterator[str]:
    """A line of a script that waits until the block ends."""
    gate = rig.home / name
    os.mkfifo(gate)
    try:
        yield f"read line < {gate}"
    finally:
        # Opened for both, so that it never blocks: there may be no reader any more.
        opened = os.open(gate, os.O_RDWR)
        os.write(opened, b"go\n")
        eventually(lambda: not rig.locks(), timeout=60, what="what was held has ended")
        os.close(opened)


def test_logs_follow_a_live_daemon(rig: Rig, follow: Follow) -> None:
    """First what is there, then each line as the daemon writes it, until Ctrl-C."""
    rig.start()
    rig.drop_command("task-before", "true")
    rig.result("task-before")

    logs = follow("logs", "--follow")
    logs.shows("task settled source=a task=task-before")
    rig.drop_command("task-after", "true")

    logs.shows("task settled source=a task=task-after")
    assert logs.interrupted() == INTERRUPTED
    assert logs.errors.read_text().strip() == ""


def test_logs_follow_the_log_that_a_new_daemon_writes(rig: Rig, follow: Follow) -> None:
    """A follower that was there first waits for the file, and survives a restart of the daemon."""
    logs = follow("logs", "--follow")
    daemon = rig.start()
    rig.drop_command("task-one", "true")
    read = logs.shows("task settled source=a task=task-one")
    rig.stop(daemon)
    rig.start()
    rig.drop_command("task-two", "true")

    logs.shows("task settled source=a task=task-two", after=read)


@pytest.mark.parametrize(
    "number", short_and_long([signal.SIGINT], [signal.SIGTERM]), ids=["ctrl-c", "sigterm"]
)
def test_logs_follow_the_journal(rig: Rig, follow: Follow, number: signal.Signals) -> None:
    """For a daemon that logs there: what journalctl tells of the unit, made harmless, and its child goes with us."""
    programs = rig.home / "bin"
    programs.mkdir()
    journalctl = programs / "journalctl"
    journalctl.write_text(
        f"#!/bin/sh\necho $$ > {rig.home}/child\necho \"asked: $*\"\nprintf 'red \\033[31m\\n'\nexec sleep 600\n"
    )
    journalctl.chmod(0o700)
    _log_to_the_journal(rig)

    logs = follow("logs", "--follow", "--lines", "7", PATH=f"{programs}:{os.environ['PATH']}")

    logs.shows("red \\x1b[31m")
    asked = logs.text.splitlines()[0]
    assert asked.startswith("asked: --user -u task-queue")
    assert "-n 7" in asked
    assert asked.endswith(" -f")
    assert logs.ended_by(number) == 128 + number
    child = int((rig.home / "child").read_text())
    eventually(lambda: not runs(child), what="journalctl has ended")


def test_a_journal_without_journalctl_is_said(rig: Rig) -> None:
    """What is missing, not that we are broken."""
    _log_to_the_journal(rig)
    rig.environment["PATH"] = str(rig.home)

    done = rig.cli("logs")

    assert done.returncode == 1
    assert "journalctl cannot be started" in done.stderr
    assert "defect" not in done.stderr


def _log_to_the_journal(rig: Rig) -> None:
    """As the last daemon did, where it ran as a unit."""
    rig.stop(rig.start())
    state = next(rig.home.glob(".local/state/task-queue/*/daemon.json"))
    state.write_text(state.read_text().replace('"log": "file"', '"log": "journal"'))


def test_a_transcript_is_followed_while_its_task_runs(rig: Rig, follow: Follow) -> None:
    """Each line as the task says it; the command ends by itself, with the attempt."""
    rig.start()
    with held(rig, "gate") as wait:
        rig.drop_command("task-slow", f"echo first words\n{wait}\necho last words")
        eventually(rig.locks, what="it runs")
        transcript = follow("tasks", "logs", "task-slow", "--follow")
        transcript.shows("first words")

        assert "last words" not in transcript.text
        assert transcript.process.poll() is None
    transcript.shows("last words")
    assert transcript.ends() == 0


def test_a_transcript_is_followed_before_its_task_runs(rig: Rig, follow: Follow) -> None:
    """It waits for the task's turn."""
    rig.drop_command("task-later", "echo here it is")
    transcript = follow("tasks", "logs", "task-later", "--follow")
    rig.start()

    transcript.shows("here it is")
    assert transcript.ends() == 0


def test_following_a_task_that_never_runs_ends_with_it(rig: Rig, follow: Follow) -> None:
    """Cancelled while it waited: only the paths are shown, and there is nothing to wait for."""
    rig.drop_command("task-never", "true", not_before="2099-01-01")
    transcript = follow("tasks", "logs", "task-never", "--follow")
    rig.start()
    rig.cli("tasks", "cancel", "task-never", check=True)

    assert transcript.ends() == 0
    assert [line.split()[0] for line in transcript.text.splitlines() if line] == ["document", "result"]


def test_status_is_shown_again_and_again(rig: Rig, follow: Follow) -> None:
    """Each screen tells what is so by then: idle, a task that runs, a task that is done."""
    rig.start()
    screens = follow("status", "--watch", COLUMNS="100")
    idle = screens.shows("a       serving        0        0          0       0")
    with held(rig, "gate") as wait:
        rig.drop_command("task-slow", wait)
        running = screens.shows("running  task-slow", after=idle)

    screens.shows("a       serving        0        0          1       0", after=running)
    assert screens.interrupted() == INTERRUPTED
    assert screens.errors.read_text().strip() == ""


def test_who_adds_and_waits_sees_what_happens_and_then_the_end(rig: Rig) -> None:
    """Lines on stderr as it happens; on stdout one document with the outcome, which the exit code tells, too."""
    rig.start()
    options = ("--source", "a", "--executor", "sh", "--max-attempts", "1", "--wait")

    good = rig.cli("tasks", "add", "true", *options, "--json")
    bad = rig.cli("tasks", "add", "exit 7", *options, "--json")
    plain = rig.cli("tasks", "add", "true", *options)

    assert (good.returncode, bad.returncode, plain.returncode) == (0, 1, 0)
    ends = [json.loads(answer.stdout) for answer in (good, bad)]
    assert [(end["state"], end["outcome"]) for end in ends] == [
        ("completed", "succeeded"),
        ("failed", "failed"),
    ]
    assert "exit code 7" in ends[1]["error"]
    lines = [line[10:] for line in bad.stderr.splitlines()[1:]]
    assert lines == ["attempt 1 begins", "attempt 1: command"]
    task_id, last = plain.stdout.splitlines()
    assert (task_id.startswith("task-"), last.split()[:3]) == (True, ["completed", task_id, "succeeded"])
