"""What the thread sends: from a real event log, by a fake clock, whatever is killed in between."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.locations import locate
from task_queue.config.schema import Config, validate
from task_queue.daemon.notifications import Notifications, read_state
from task_queue.domain.events import Event, SourceOpened, TaskSettled
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId, TaskState
from task_queue.ports.notification import Delivered, Delivery
from task_queue.store.event_files import EventFolder
from task_queue.store.event_log import EventLog
from tests.fakes import FakeClock

PROGRAM = {"command": ["/bin/true"]}
FAILS = Delivered(False, "no network")


class Killed(BaseException):
    """As kill -9, seen from inside."""


def failed(task_id: str) -> TaskSettled:
    return TaskSettled(
        "a",
        TaskId(task_id),
        1,
        TaskState.FAILED,
        OutcomeKind.FAILED,
        "it broke",
        timedelta(seconds=1),
        1,
        0.1,
        False,
        ("failed",),
    )


class Ended:
    """Implements daemon.notifications.RunningDelivery."""

    def __init__(self, outcome: Delivered) -> None:
        self._outcome = outcome

    def stop(self) -> None: ...

    def outcome(self) -> Delivered:
        return self._outcome


class Post:
    """The notifications of a daemon, and who got what."""

    def __init__(self, home: Path, **targets: dict[str, Any]) -> None:
        self.locations = locate(home / "config.json", environ={"HOME": str(home)})
        self.locations.state_dir.mkdir(parents=True)
        self.clock = FakeClock()
        self.log = EventLog(self.locations.events)
        self.log.emit(SourceOpened("a", "/a"))
        self.sent: list[Delivery] = []
        self.outcome = Delivered(True, "")
        self.killed_before_start = False
        self.set_targets(**targets)
        self.restart()
        self.notifications.look()

    def set_targets(self, **targets: dict[str, Any]) -> None:
        self.targets = {name: {**PROGRAM, **target} for name, target in targets.items()}

    def config(self) -> Config:
        return validate(
            {"version": "2.1", "task_source_directories": [], "notifications": self.targets},
            Path("config.json"),
        )

    def restart(self) -> None:
        self.notifications = Notifications(self.locations, self.config, clock=self.clock, start=self._start)

    def _start(self, delivery: Delivery) -> Ended:
        if self.killed_before_start:
            raise Killed
        self.sent.append(delivery)
        return Ended(self.outcome)

    def look(self, *events: Event) -> list[str]:
        """What is sent now: the target and the tasks, or the kind."""
        for event in events:
            self.log.emit(event)
        before = len(self.sent)
        self.wait_s = self.notifications.look()
        return [_shown(delivery) for delivery in self.sent[before:]]


def _shown(delivery: Delivery) -> str:
    message = delivery.message
    what = [event.task_id or event.type for event in message.events] or [message.kind]
    return f"{message.target}: {' '.join(what)}"


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path, phone={})


def test_what_happened_before_there_was_a_target_is_not_sent(tmp_path: Path) -> None:
    post = Post(tmp_path)
    assert post.look(failed("task-a")) == []
    assert post.wait_s is None

    post.set_targets(phone={})

    assert post.look() == []
    assert post.look(failed("task-b")) == ["phone: task-b"]


def test_each_target_gets_what_it_asks_for(tmp_path: Path) -> None:
    post = Post(tmp_path, phone={}, log={"on": ["source_opened", "failed"]}, quiet={"on": ["not_landed"]})

    sent = post.look(SourceOpened("b", "/b"), failed("task-a"))

    assert sent == ["phone: task-a", "log: source_opened task-a"]


def test_what_is_held_is_sent_when_its_time_comes_also_by_the_next_daemon(post: Post) -> None:
    assert post.look(failed("task-a")) == ["phone: task-a"]
    assert post.look(failed("task-b")) == []
    post.restart()
    assert post.look(failed("task-c")) == []

    post.clock.advance(590)
    assert post.look() == []
    assert post.wait_s == 10
    post.clock.advance(10)

    assert post.look() == ["phone: task-b task-c"]
    post.restart()
    assert post.look() == []


def test_what_happens_while_no_daemon_runs_is_sent_by_the_next_one(post: Post) -> None:
    post.log.emit(failed("task-a"))
    post.restart()

    assert post.look() == ["phone: task-a"]


def test_a_daemon_that_is_killed_before_the_delivery_starts_sends_it_never(post: Post) -> None:
    """At most once: nobody can know whether the program had done its work."""
    post.killed_before_start = True
    with pytest.raises(Killed):
        post.look(failed("task-a"))
    post.killed_before_start = False
    post.restart()

    assert post.look() == []
    assert post.look(failed("task-b")) == []
    post.clock.advance(600)
    assert post.look() == ["phone: task-b"]


def test_nothing_is_sent_that_could_be_sent_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state cannot be written: what happened waits until it can."""
    with monkeypatch.context() as patch:
        patch.setattr("task_queue.platform.durable.replace", _no_space)
        with pytest.raises(OSError, match="No space"):
            post.look(failed("task-a"))
    assert post.sent == []
    post.restart()

    assert post.look() == ["phone: task-a"]


def _no_space(path: Path, data: bytes) -> None:
    raise OSError(28, "No space left on device")


def test_a_failed_delivery_is_not_repeated_but_counted_and_named(post: Post) -> None:
    post.outcome = FAILS
    post.look(failed("task-a"))
    state = read_state(post.locations.notifications)
    assert state is not None
    assert (state.targets["phone"].lost, state.targets["phone"].trouble) == (1, "no network")

    post.outcome = Delivered(True, "")
    post.clock.advance(600)

    assert post.look() == []
    assert post.look(failed("task-b")) == ["phone: task-b"]
    assert "1 earlier message could not be delivered" in post.sent[-1].message.body
    state = read_state(post.locations.notifications)
    assert state is not None
    assert state.targets["phone"].trouble is None


def test_a_log_that_was_built_anew_is_not_sent_again(post: Post) -> None:
    post.look(failed("task-a"))
    post.clock.advance(600)
    EventFolder(post.locations.events).epoch.unlink()
    post.log.emit(failed("task-a"))
    post.log.emit(failed("task-b"))

    assert post.look() == []
    assert post.look(failed("task-c")) == ["phone: task-c"]


def test_an_unreadable_state_is_kept_and_begun_anew(post: Post) -> None:
    post.locations.notifications.write_text("{")
    post.restart()

    assert post.look() == []
    assert post.look(failed("task-a")) == ["phone: task-a"]
    assert post.locations.notifications.with_suffix(".unreadable").read_text() == "{"


def test_the_daily_report_is_asked_of_the_process_once(tmp_path: Path) -> None:
    post = Post(tmp_path, phone={"report_at": f"{FakeClock().now().astimezone() + timedelta(hours=1):%H:%M}"})
    begun = post.clock.now()
    assert post.look() == []
    assert post.wait_s == 30, "the sweep, which finds what other processes wrote"

    post.clock.advance(3600)

    assert post.look() == ["phone: report"]
    assert (post.sent[0].report_since, post.sent[0].config) == (begun, str(post.locations.config))
    post.restart()
    assert post.look() == []


def test_without_targets_nothing_is_kept(post: Post) -> None:
    post.look(failed("task-a"), failed("task-b"))
    post.set_targets()

    assert post.look() == []
    assert not post.locations.notifications.exists()


def test_the_state_is_for_its_user_alone(post: Post) -> None:
    post.look(failed("task-a"))

    assert post.locations.notifications.stat().st_mode & 0o777 == 0o600
    assert json.loads(post.locations.notifications.read_text())["schema_version"] == 1
