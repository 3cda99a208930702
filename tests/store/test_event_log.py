"""The event log: appended by many, read by cursor, whatever happens to its files."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import stat
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.event_record import EventRecord
from task_queue.store import event_files
from task_queue.store.event_log import EVENTS_LOST, EventLog
from task_queue.store.event_reader import CURSOR_RESET, END, EventReader, LoggedEvent
from tests.disks import memory_disk
from tests.proof import tracer
from tests.store.writer import ROOT, Writer
from tests.waiting import eventually

TINY = 300
"""Bytes of a segment: about three events."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "events"


def an_event(n: int = 0, *, task_id: str | None = None, type_: str = "written") -> EventRecord:
    return EventRecord(type_, {"n": n}, "web", task_id, 1)


def fill(folder: Path, count: int, *, segment_bytes: int = TINY) -> list[int]:
    """Numbers that *count* events got."""
    log = EventLog(folder, segment_bytes=segment_bytes)
    numbers = [log.append(an_event(n)) for n in range(count)]
    log.close()
    assert None not in numbers
    return [number for number in numbers if number is not None]


def read(folder: Path, after: str | None = None, **options: Any) -> list[LoggedEvent]:
    reader = EventReader(folder, after, warn=unexpected, **options)
    found = list(reader.events())
    reader.close()
    return found


def read_with_warnings(folder: Path) -> tuple[list[LoggedEvent], list[str]]:
    warnings: list[str] = []
    reader = EventReader(folder, warn=warnings.append)
    found = list(reader.events())
    reader.close()
    return found, warnings


def unexpected(warning: str) -> None:
    raise AssertionError(warning)


def ns(events: list[LoggedEvent]) -> list[int]:
    return [event.data["n"] for event in events]


def seq_of(event: LoggedEvent) -> int:
    return int(event.cursor.split(".")[1], 16)


def segments(folder: Path) -> list[Path]:
    epoch = (folder / "epoch").read_text().strip()
    return sorted((folder / epoch).glob("*.jsonl"))


# Writing and reading


def test_events_come_back_in_order_with_what_they_are_about(folder: Path) -> None:
    at = datetime(2026, 2, 7, 12, tzinfo=UTC)
    log = EventLog(folder, now=lambda: at)
    log.append(EventRecord("settled", {"state": "completed"}, "web", "task-ä", 2))
    log.append(EventRecord("daemon_started", {"pid": 7}))

    first, second = read(folder)

    assert (first.type, first.source, first.task_id, first.attempt) == ("settled", "web", "task-ä", 2)
    assert (first.at, first.data) == (at, {"state": "completed"})
    assert (second.source, second.task_id, second.attempt, second.data) == (None, None, None, {"pid": 7})
    log.close()


def test_a_cursor_gives_exactly_what_follows_it(folder: Path) -> None:
    """From each event of several segments."""
    fill(folder, 12)
    everything = read(folder)

    assert len(segments(folder)) > 3
    for place, event in enumerate(everything):
        assert read(folder, event.cursor) == everything[place + 1 :]


def test_nothing_before_the_cursor_is_read(folder: Path) -> None:
    """Otherwise going on would take the longer the older the log is."""
    fill(folder, 20)
    everything = read(folder)
    place = next(n for n, event in enumerate(everything) if seq_of(event) > 10)
    for path in segments(folder):
        if int(path.stem) + 4 < seq_of(everything[place]):
            path.unlink()

    assert len(segments(folder)) < 7
    assert read(folder, everything[place].cursor) == everything[place + 1 :]


def test_a_follower_crosses_rotations(folder: Path) -> None:
    """It is read on after each event, with segments of about three."""
    reader = EventReader(folder, warn=unexpected)
    log = EventLog(folder, segment_bytes=TINY)
    seen: list[int] = []
    for n in range(20):
        log.append(an_event(n))
        if n % 4 != 1:  # also several at once, over a rotation
            seen += ns(list(reader.events()))

    assert seen == list(range(20))
    assert len(segments(folder)) > 5
    reader.close()
    log.close()


def test_a_follower_misses_nothing_while_others_write(folder: Path) -> None:
    """Segments are left and begun all the time while it looks."""
    writer = Writer("w")
    writer.ask(folder, 1, 1500)
    reader = EventReader(folder, warn=unexpected)
    seen: list[int] = []

    def has_all() -> bool:
        seen.extend(map(seq_of, reader.events()))
        return len(seen) >= 1500

    eventually(has_all, what="every event was read")
    writer.hear()
    writer.close()
    reader.close()

    assert seen == list(range(1, 1501))


def test_a_segment_is_read_to_its_end_before_it_is_left(folder: Path) -> None:
    """An event that was appended after the reader came to the end, and before it looked for the next segment."""
    fill(folder, 1)

    class Slow(EventReader):
        """Once, another process writes just before it looks for the next segment."""

        overtaken = False

        def _following_segment(self) -> int | None:
            if self.overtaken:
                self.overtaken = False
                fill(folder, 1, segment_bytes=2**20)
                fill(folder, 1, segment_bytes=1)
            return super()._following_segment()

    reader = Slow(folder, warn=unexpected)
    list(reader.events())
    reader.overtaken = True

    assert [seq_of(event) for event in reader.events()] == [2, 3]
    reader.close()


def test_a_reader_can_stop_anywhere_and_go_on(folder: Path) -> None:
    """As ``--limit`` does."""
    fill(folder, 10)
    reader = EventReader(folder, warn=unexpected)

    assert [ns(list(itertools.islice(reader.events(), 3))) for _ in range(5)] == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 7, 8],
        [9],
        [],
    ]
    reader.close()


def test_from_the_end_only_what_comes_is_read(folder: Path) -> None:
    fill(folder, 5)
    reader = EventReader(folder, END, warn=unexpected)

    assert list(reader.events()) == []
    fill(folder, 1)
    assert ns(list(reader.events())) == [0]
    reader.close()


def test_a_log_that_does_not_exist_yet_is_empty(folder: Path) -> None:
    """A follower that was there first misses nothing."""
    reader = EventReader(folder, warn=unexpected)

    assert list(reader.events()) == []
    fill(folder, 2)
    assert ns(list(reader.events())) == [0, 1]
    reader.close()


def test_only_the_wanted_types_and_task_are_given(folder: Path) -> None:
    """A text in the data that looks like either is not taken for it; the cursor goes past what is not wanted."""
    log = EventLog(folder)
    odd = 'task-"a\\'
    log.append(an_event(0, task_id=odd))
    log.append(an_event(1, task_id="task-b"))
    log.append(an_event(2, task_id=odd, type_="other"))
    log.append(EventRecord("other", {"n": 3, "type": "written", "task_id": odd, "also": {"type": "written"}}))
    log.close()

    assert ns(read(folder, types=["written"])) == [0, 1]
    assert ns(read(folder, task_id=odd)) == [0, 2]
    assert ns(read(folder, types=["written"], task_id=odd)) == [0]
    reader = EventReader(folder, types=["nothing"], warn=unexpected)
    assert list(reader.events()) == []
    assert reader.cursor == read(folder)[-1].cursor
    reader.close()


def test_what_cannot_be_text_or_is_long_is_written_readably(folder: Path) -> None:
    """Names with bytes that are not UTF-8; an error message of a megabyte; more data than a line may have."""
    log = EventLog(folder)
    log.append(EventRecord("written", {"name": "a\udcff", "why": "x" * 2**20}))
    log.append(EventRecord("written", {str(n): "y" * 1000 for n in range(2000)}))
    log.append(an_event(7))
    log.close()

    odd, many, after = read(folder)

    assert odd.data["name"] == "a\\udcff"
    assert len(odd.data["why"]) < 5000
    assert many.data == {}
    assert after.data == {"n": 7}


def test_only_the_owner_can_read_it(folder: Path) -> None:
    """Files 0600, or 0400 once nothing is appended any more; folders 0700; whatever the umask."""
    before = os.umask(0)
    try:
        fill(folder, 8)
    finally:
        os.umask(before)
    modes = {oct(stat.S_IMODE(p.lstat().st_mode)) for p in (folder, *folder.rglob("*")) if p.is_dir()}
    file_modes = [stat.S_IMODE(path.lstat().st_mode) for path in segments(folder)]

    assert modes == {"0o700"}
    assert file_modes == [0o400] * (len(file_modes) - 1) + [0o600]
    assert {stat.S_IMODE((folder / name).lstat().st_mode) for name in ("lock", "epoch")} == {0o600}


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    """In the place of the lock or of a segment."""
    fill(folder, 1)
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (last,) = segments(folder)
    last.unlink()
    last.symlink_to(victim)
    warnings: list[str] = []
    log = EventLog(folder, warn=warnings.append)

    assert log.append(an_event()) is None
    assert len(warnings) == 1
    last.unlink()
    (folder / "lock").unlink()
    (folder / "lock").symlink_to(victim)
    assert log.append(an_event()) is None
    assert victim.read_text() == "mine"
    log.close()


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_a_regular_file_takes_events(folder: Path, kind: str) -> None:
    """A pipe could keep the writer waiting, and a device swallows what is written: they are counted as lost."""
    fill(folder, 1, segment_bytes=2**20)
    (last,) = segments(folder)
    last.unlink()
    if kind == "folder":
        last.mkdir()
    elif kind == "pipe":
        os.mkfifo(last)
    elif os.geteuid() == 0:
        os.mknod(last, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    else:
        pytest.skip("devices need root")
    log = EventLog(folder, warn=lambda _: None)

    assert [log.append(an_event()), log.append(an_event())] == [None, None]
    last.rmdir() if kind == "folder" else last.unlink()
    log.append(an_event())
    assert [record.data for record in read(folder) if record.type == EVENTS_LOST] == [{"count": 2}]
    log.close()


# Many writers


def test_threads_and_processes_share_one_numbering(folder: Path) -> None:
    """Four processes, one of them with four threads; tiny segments."""
    writers = [Writer(str(n)) for n in range(3)]
    for writer in writers:
        writer.ask(folder, TINY, 100)
    log = EventLog(folder, segment_bytes=TINY, patience_s=20)
    own: list[int | None] = []
    threads = [
        threading.Thread(target=lambda: own.extend(log.append(an_event(n)) for n in range(25)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for writer in writers:
        writer.hear()
        writer.close()
    numbers = [*own, *(seq for writer in writers for seq in writer.confirmed.values())]

    assert sorted(number or 0 for number in numbers) == list(range(1, 401))
    assert [seq_of(event) for event in read(folder)] == list(range(1, 401))
    log.close()


def test_a_writer_with_a_rotated_segment_open_notices(folder: Path) -> None:
    """Also where the others' segments are of another size, so that its own would not be full."""
    small, large = EventLog(folder, segment_bytes=TINY), EventLog(folder, segment_bytes=2**20)
    numbers = [log.append(an_event(n)) for n in range(12) for log in (large, small, small)]

    assert numbers == list(range(1, 37))
    assert [seq_of(event) for event in read(folder)] == numbers
    small.close()
    large.close()


def test_a_forked_child_writes_beside_its_parent(folder: Path) -> None:
    """An inherited lock would keep neither of them out."""
    log = EventLog(folder, segment_bytes=TINY, patience_s=20)
    log.append(an_event())
    child = os.fork()
    if child == 0:
        os._exit(0 if all(log.append(an_event(n)) for n in range(200)) else 1)
    ours = [log.append(an_event(n)) for n in range(200)]

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert None not in ours
    assert [seq_of(event) for event in read(folder)] == list(range(1, 402))
    log.close()


# What cannot be written


def test_a_stuck_lock_costs_a_moment_and_the_events(folder: Path) -> None:
    """Another process holds it, as a stopped one would. Only the first event is waited for."""
    log = EventLog(folder, patience_s=0.2, warn=lambda _: None)
    log.append(an_event(0))
    with (folder / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        began = time.monotonic()
        lost = [log.append(an_event(n)) for n in range(1, 11)]
        took = time.monotonic() - began
    log.append(an_event(11))

    assert lost == [None] * 10
    assert 0.2 <= took < 2
    assert [(event.type, event.data) for event in read(folder)] == [
        ("written", {"n": 0}),
        (EVENTS_LOST, {"count": 10}),
        ("written", {"n": 11}),
    ]
    log.close()


def test_a_full_disk_costs_the_events_and_says_how_many(folder: Path) -> None:
    """No call raises, no half of a line is left, and one ``events_lost`` follows once there is room."""
    warnings: list[str] = []
    folder.mkdir(parents=True)
    with memory_disk(folder, "size=64k"):
        ballast = folder / "ballast"
        ballast.write_bytes(b"x" * 8192)
        log = EventLog(folder, warn=warnings.append)
        answers = [log.append(an_event(n)) for n in range(2000)]
        full = read(folder)
        kept = [answer for answer in answers if answer is not None]
        ballast.unlink()
        log.append(an_event(2000))
        log.append(an_event(2001))
        lost, *written = read(folder, full[-1].cursor)

        assert 0 < len(kept) < 2000
        assert [seq_of(event) for event in full] == kept
        assert (lost.type, lost.data) == (EVENTS_LOST, {"count": 2000 - len(kept)})
        assert [event.data for event in written] == [{"n": 2000}, {"n": 2001}]
        assert len(warnings) == 1
        log.close()


def test_a_folder_that_cannot_be_made_costs_the_events(folder: Path) -> None:
    """As on a read-only file system; it is made as soon as it can be."""
    folder.parent.mkdir()
    folder.write_text("in the way")
    log = EventLog(folder, warn=lambda _: None)

    assert [log.append(an_event()), log.append(an_event())] == [None, None]
    folder.unlink()
    assert log.append(an_event()) == 2
    assert [event.data for event in read(folder)] == [{"count": 2}, {"n": 0}]
    log.close()


def test_a_log_that_was_deleted_is_begun_again(folder: Path, tmp_path: Path) -> None:
    """Under a writer that has its files open; also where only the folder's name is gone."""
    log = EventLog(folder)
    log.append(an_event(1))
    last = read(folder)[-1].cursor
    folder.rename(tmp_path / "aside")
    log.append(an_event(2))

    assert [event.type for event in read(folder, last)] == [CURSOR_RESET, "written"]
    assert ns(read(folder)) == [2]
    assert fill(folder, 1) == [2]
    log.close()


def test_a_lock_in_a_folder_that_was_moved_away_protects_nothing(folder: Path, tmp_path: Path) -> None:
    """The writer that has it open takes the lock that the others take."""
    log = EventLog(folder, patience_s=0.05, warn=lambda _: None)
    log.append(an_event(1))
    folder.rename(tmp_path / "aside")
    fill(folder, 1)
    with (folder / "lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert log.append(an_event(2)) is None
    assert log.append(an_event(3)) == 3
    log.close()


# Damaged files


def test_a_torn_tail_is_skipped_and_its_number_is_not_used_again(folder: Path) -> None:
    """The beginning of the next event is left by a killed writer; a follower does not take it for one."""
    numbers = fill(folder, 2, segment_bytes=2**20)
    reader = EventReader(folder, warn=unexpected)
    list(reader.events())
    with segments(folder)[-1].open("ab") as file:
        file.write(event_files.line_of(3, datetime.now(UTC), event_files.encoded(an_event(9)))[:-5])

    assert list(reader.events()) == []
    after = fill(folder, 2, segment_bytes=2**20)
    assert len(segments(folder)) == 1
    events, warnings = read_with_warnings(folder)
    assert after[0] > 3
    assert [seq_of(event) for event in events] == [*numbers, *after]
    assert len(warnings) == 1
    reader.close()


def test_a_torn_tail_before_a_rotation_is_skipped(folder: Path) -> None:
    """It stays at the end of a segment to which nothing is appended."""
    fill(folder, 2, segment_bytes=2**20)
    with segments(folder)[-1].open("ab") as file:
        file.write(b'{"seq":3,')
    fill(folder, 2, segment_bytes=1)

    events, warnings = read_with_warnings(folder)

    assert ns(events) == [0, 1, 0, 1]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "rubbish",
    [b"\0" * 40, b"{}", b"[" * 30, b'{"seq":"x"}', b"\xff\xfe", b""],
    ids=["zeros", "no keys", "open brackets", "another type", "not UTF-8", "empty"],
)
def test_a_line_that_cannot_be_read_is_skipped(folder: Path, rubbish: bytes) -> None:
    fill(folder, 3, segment_bytes=2**20)
    (path,) = segments(folder)
    first, second, third, _ = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([first, rubbish.ljust(len(second)) if rubbish else b"", third, b""]))

    events, warnings = read_with_warnings(folder)

    assert ns(events) == [0, 2]
    assert len(warnings) == 1


def test_an_event_that_was_copied_is_given_once(folder: Path) -> None:
    """By a hand, or by a restored backup."""
    fill(folder, 3, segment_bytes=2**20)
    (path,) = segments(folder)
    path.write_bytes(path.read_bytes() * 2)

    events, warnings = read_with_warnings(folder)

    assert ns(events) == [0, 1, 2]
    assert len(warnings) == 3


@pytest.mark.parametrize("kept", [0, 1, 40])
def test_no_number_is_used_twice_where_the_tail_is_overwritten(folder: Path, kept: int) -> None:
    """As by a disk that answers with zeros: what stood there is unknown, line ends included."""
    numbers = fill(folder, 60, segment_bytes=2**20)
    (path,) = segments(folder)
    lines = path.read_bytes().splitlines(keepends=True)
    rest = sum(map(len, lines[kept:]))
    path.write_bytes(b"".join(lines[:kept]) + b"\0" * rest)

    after = fill(folder, 1)
    assert after[0] > max(numbers)
    assert seq_of(read_with_warnings(folder)[0][-1]) == after[0]


def test_a_line_without_end_does_not_stop_the_reader(folder: Path) -> None:
    """A megabyte that some program has put there."""
    fill(folder, 1, segment_bytes=2**30)
    (path,) = segments(folder)
    with path.open("ab") as file:
        file.write(b"x" * 2**20 + b"\n")
    fill(folder, 1, segment_bytes=2**30)

    events, warnings = read_with_warnings(folder)

    assert ns(events) == [0, 0]
    assert warnings


@pytest.mark.parametrize("after", ["rubbish", "", "0.0.0.0", "00000000.1.0.0", "deadbeef.0.0.0"])
def test_an_unknown_cursor_is_answered_with_a_reset(folder: Path, after: str) -> None:
    fill(folder, 2)
    reset, *rest = read(folder, after)

    assert (reset.type, reset.source, reset.task_id, reset.attempt, reset.data) == (
        CURSOR_RESET, None, None, None, {},
    )  # fmt: skip
    assert ns(rest) == [0, 1]
    assert read(folder, reset.cursor) == rest


def test_a_cursor_of_an_event_that_is_gone_is_answered_with_a_reset(folder: Path) -> None:
    """A restored backup has the numbers again, for other events."""
    fill(folder, 2)
    backup = segments(folder)[0].read_bytes()
    fill(folder, 1, segment_bytes=2**20)
    cursor = read(folder)[-1].cursor
    segments(folder)[0].write_bytes(backup)
    log = EventLog(folder)
    log.append(EventRecord("written", {"n": 8}, "web", None, 1))
    log.close()

    assert ns(read(folder)) == [0, 1, 8]
    assert [event.type for event in read(folder, cursor)] == [CURSOR_RESET] + ["written"] * 3


@pytest.mark.parametrize("name", [b"", b"../../etc\n", b"0badcafe\n", b"\xff" * 100])
def test_an_epoch_that_cannot_be_understood_is_followed_by_a_new_one(folder: Path, name: bytes) -> None:
    """What it named stays where it is."""
    fill(folder, 2)
    old = segments(folder)[0].parent
    (folder / "epoch").write_bytes(name)

    assert read(folder) == []
    assert fill(folder, 1) == [1]
    assert ns(read(folder)) == [0]
    assert len(list(old.iterdir())) == 1


# Killed writers


@pytest.mark.skipif(tracer.why_not_here() is not None, reason=tracer.why_not_here() or "")
def test_a_writer_may_be_killed_before_any_call(folder: Path, tmp_path: Path) -> None:
    """Each life of a writer ends before its n-th call on the log's files; all that was confirmed is there once.

    The lives go on with what the earlier ones left, so that each state is also one to recover from.
    """
    confirmed: list[int] = []
    lives = 0
    for nth in itertools.count(1):
        log = tmp_path / f"calls-{nth}"
        spec = {"watch": [str(folder.parent)], "log": str(log), "kill": ["daemon", nth]}
        done = subprocess.run(
            [
                sys.executable, "-m", "tests.proof.tracer", json.dumps(spec),
                sys.executable, "-m", "tests.store.writer", str(nth),
            ],
            input=f"{folder}\t{TINY}\t5\n",
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )  # fmt: skip
        confirmed += [int(line.split()[1]) for line in done.stdout.splitlines() if line[0].isdigit()]
        lives += 1
        if "done" in done.stdout:
            break
        assert '"killed"' in log.read_text()
    events, _ = read_with_warnings(folder)
    numbers = [seq_of(event) for event in events]

    assert lives > 8
    assert len(set(confirmed)) == len(confirmed)
    assert numbers == sorted(set(numbers))
    assert set(confirmed) <= set(numbers)
    assert len(numbers) <= len(confirmed) + lives


def test_reading_needs_no_library(folder: Path) -> None:
    """``events`` starts as quickly as ``status``."""
    fill(folder, 1)
    script = (
        "import sys, pathlib; from task_queue.store.event_reader import EventReader;"
        "assert list(EventReader(pathlib.Path(sys.argv[1])).events());"
        "print(sorted({'pydantic', 'rich', 'watchdog', 'psutil', 'claude_agent_sdk'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"
