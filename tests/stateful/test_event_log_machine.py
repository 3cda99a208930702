"""Random lives of the event log: several processes append, some are killed, the files are damaged, it is rebuilt.

After every step the log is read from its beginning, and must hold what the writers had confirmed: each event once,
under the number that the writer was given. A follower that reads on from time to time, over rotations and new
epochs, must have seen the same.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from task_queue.store.event_reader import CURSOR_RESET, EventReader, LoggedEvent
from task_queue.store.event_rebuild import reindex
from tests.store.writer import Writer

SEGMENT = 700
"""Bytes: about five events."""
LOGS = int(os.environ.get("TASK_QUEUE_EVENT_LOGS", "20"))
NUMBER = st.integers(0, 2)
Key = tuple[str, int]
_names = itertools.count()
_writers: list[Writer] = []
"""Processes outlive an example, unless they are killed in it; their numbers go on."""


@pytest.fixture(autouse=True, scope="module")
def _processes() -> Iterator[None]:
    _writers[:] = [_new_writer() for _ in range(3)]
    yield
    for writer in _writers:
        writer.close()


def _new_writer() -> Writer:
    return Writer(f"w{next(_names)}")


class EventLogMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="events-"))
        self.folder = self.home / "events"
        self.results = self.home / "results"
        self.results.mkdir()
        self.filed = 0
        self.confirmed: dict[Key, int] = {}
        """Of this epoch, with the numbers that they were given."""
        self.possible: set[Key] = set()
        """What may be there as well: it was written and not confirmed, or while the epoch changed."""
        self.damaged: set[Key] = set()
        self.ever_confirmed: set[Key] = set()
        self.follower = EventReader(self.folder, warn=ignore)
        self.followed: list[list[Key]] = [[]]
        """What the follower has seen, by epoch."""
        self.old_cursor: str | None = None
        self.write(0, 1)
        self.take(self.follower.events())  # from here on it stands in an epoch

    # What happens

    @rule(which=NUMBER, count=st.integers(1, 6))
    def write(self, which: int, count: int) -> None:
        self.ask(which, count)
        self.hear(which)

    @rule(count=st.integers(1, 12))
    def write_together(self, count: int) -> None:
        for which in range(3):
            self.ask(which, count)
        for which in range(3):
            self.hear(which)

    @rule(which=NUMBER, after=st.integers(0, 8), others=st.integers(0, 5))
    def kill(self, which: int, after: int, others: int) -> None:
        """In the middle of writing without end, while another one writes, too."""
        writer, other = _writers[which], (which + 1) % 3
        known = dict(writer.confirmed)
        self.ask(which, 0)
        if others:
            self.ask(other, others)
        writer.hear(after)
        writer.kill()
        new = {(writer.name, n): seq for n, seq in writer.confirmed.items() if n not in known}
        self.note(new)
        self.possible.add((writer.name, max(writer.confirmed, default=-1) + 1))
        _writers[which] = _new_writer()
        if others:
            self.hear(other)

    @rule(cut=st.integers(1, 60))
    def tear(self, cut: int) -> None:
        """A fragment stands at the end, as a killed writer or a power cut leaves it."""
        events = self.read()
        number = int(events[-1].cursor.split(".")[1], 16) + 1 if events else 1
        text = b'{"seq":%d,"at":"2026-02-07T12:00:00+00:00","type":"written","source":null' % number
        self.append(text[:cut])

    @rule()
    def add_rubbish(self) -> None:
        self.append(b"\0\0\0 rubbish\n")

    @rule(choice=st.integers(0, 10**6))
    def damage(self, choice: int) -> None:
        """One byte of a line is another one, wherever in the log."""
        events = self.read()
        if not events:
            return
        event = events[choice % len(events)]
        if event.type != "written":
            return
        _, seq, offset, _ = (int(part, 16) for part in event.cursor.split("."))
        path = max(path for path in self.segments() if int(path.stem) <= seq)
        mode = path.stat().st_mode
        path.chmod(0o600)
        with path.open("r+b") as file:
            file.seek(offset + 20)
            file.write(b"\0")
        path.chmod(mode)
        self.damaged.add(key_of(event))

    @rule(most=st.integers(1, 30))
    def follow(self, most: int) -> None:
        self.take(itertools.islice(self.follower.events(), most))

    @rule(which=NUMBER, count=st.integers(0, 10))
    def rebuild(self, which: int, count: int) -> None:
        """While a writer goes on. The follower is up to date: what two changes of the epoch skip is not promised."""
        self.take(self.follower.events())
        if events := self.read():
            self.old_cursor = events[-1].cursor
        task_id = f"task-{self.filed}"
        self.filed += 1
        content = {
            "task_id": task_id,
            "success": True,
            "completed_at": f"2026-02-07T12:{self.filed:02}:00+00:00",
        }
        (self.results / f"{task_id}.json").write_text(json.dumps(content))
        before = set(_writers[which].confirmed)
        if count:
            self.ask(which, count)

        assert reindex(self.folder, {"web": self.results}, segment_bytes=SEGMENT, warn=ignore) == self.filed
        if count:
            self.hear(which)
        writer = _writers[which]
        self.possible = {(writer.name, n) for n in writer.confirmed if n not in before}
        self.confirmed = {}
        self.take(self.follower.events())

    @rule(choice=st.integers(0, 10**6))
    def come_back(self, choice: int) -> None:
        """A reader goes on from any event that was given once; a cursor of an earlier epoch is answered."""
        events = self.read()
        if events:
            place = choice % len(events)
            assert self.read(events[place].cursor) == events[place + 1 :]
        if self.old_cursor is not None:
            reset, *rest = self.read(self.old_cursor)
            assert reset.type == CURSOR_RESET
            assert rest == events

    # What holds

    @invariant()
    def each_confirmed_event_is_there_once(self) -> None:
        events = self.read()
        numbers = [int(event.cursor.split(".")[1], 16) for event in events]
        found = {
            key_of(event): number for event, number in zip(events, numbers, strict=True) if is_written(event)
        }

        assert numbers == sorted(set(numbers))
        assert len(found) == sum(map(is_written, events))
        assert {key: seq for key, seq in self.confirmed.items() if key not in self.damaged} == {
            key: seq for key, seq in found.items() if key in self.confirmed
        }
        assert set(found) <= self.confirmed.keys() | self.possible

    @invariant()
    def settled_events_are_those_of_the_results(self) -> None:
        tasks = [event.task_id for event in self.read() if event.type == "settled"]

        assert tasks == [f"task-{n}" for n in range(self.filed)]

    def teardown(self) -> None:
        try:
            self.take(self.follower.events())
            for keys in self.followed:
                assert len(keys) == len(set(keys)), "a follower was given an event twice"
            seen = set(itertools.chain.from_iterable(self.followed))
            assert self.ever_confirmed - self.damaged <= seen
        finally:
            self.follower.close()
            shutil.rmtree(self.home)

    # How

    def ask(self, which: int, count: int) -> None:
        _writers[which].ask(self.folder, SEGMENT, count)

    def hear(self, which: int) -> None:
        writer = _writers[which]
        known = set(writer.confirmed)
        writer.hear()
        self.note({(writer.name, n): seq for n, seq in writer.confirmed.items() if n not in known})

    def note(self, new: dict[Key, int]) -> None:
        self.confirmed |= new
        self.ever_confirmed |= new.keys()

    def read(self, after: str | None = None) -> list[LoggedEvent]:
        reader = EventReader(self.folder, after, warn=ignore)
        events = list(reader.events())
        reader.close()
        return events

    def take(self, events: Iterator[LoggedEvent]) -> None:
        for event in events:
            if event.type == CURSOR_RESET:
                self.followed.append([])
            elif is_written(event):
                self.followed[-1].append(key_of(event))

    def segments(self) -> list[Path]:
        try:
            epoch = (self.folder / "epoch").read_text().strip()
        except FileNotFoundError:
            return []
        return sorted((self.folder / epoch).glob("*.jsonl"))

    def append(self, data: bytes) -> None:
        """To the segment that is written now."""
        if paths := self.segments():
            with paths[-1].open("ab") as file:
                file.write(data)


def ignore(warning: str) -> None:
    """What is damaged is skipped with one; ``tests/store`` looks at them."""


def is_written(event: LoggedEvent) -> bool:
    return event.type == "written"


def key_of(event: LoggedEvent) -> Key:
    return event.data["writer"], event.data["n"]


EventLogMachine.TestCase.settings = settings(
    max_examples=LOGS,
    stateful_step_count=25,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # processes are never the same twice
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestEventLog = EventLogMachine.TestCase
