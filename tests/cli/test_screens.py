"""Screens of a full queue: what a terminal has room for, what a pipe gets, and a screen that is drawn again."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from task_queue.cli.fitting import Extent, entries_shown, rows_of
from task_queue.cli.live_screen import LiveScreen
from tests.cli.bench import Bench, a_bench, write_json
from tests.cli.test_reading import fill
from tests.waiting import eventually

RUNNING = "task-20260207-110000-running"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """More of everything than 24 rows can show."""
    bench = a_bench(tmp_path)
    fill(bench)
    for number in range(12):
        (bench.pending() / f"task-20260208-1200{number:02}-waits.md").write_text(f"# Waits {number}\n")
        (bench.pending() / f"task-20260208-1300{number:02}-blocked.md").write_text(
            "---\ndepends_on: [task-20260207-115900-broken]\n---\n# Blocked\n"
        )
    attempt = bench.pending().parent / "logs" / RUNNING / "attempt-2"
    run = json.loads((attempt / "run.json").read_text())
    run["started_at"] = "2099-01-01T00:00:00+00:00"
    run["bounds"] = {
        "timeout_s": 7200,
        "max_turns": 20,
        "turns_before": 15,
        "max_budget_usd": 5,
        "usd_before": 2,
    }
    write_json(attempt / "run.json", run)
    transcript = attempt / "transcript.jsonl"
    phase = {
        "t": run["started_at"],
        "dir": "note",
        "raw": {"type": "phase", "phase": "implement 2", "rounds": 3},
    }
    transcript.write_text(f"{json.dumps(phase)}\n{transcript.read_text()}")
    os.utime(transcript, (4e9, 4e9))
    return bench


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize(
    ("name", "arguments"), [("status", ("status",)), ("list", ("tasks", "list"))], ids=["status", "list"]
)
def test_a_screen_fits_24_rows(bench: Bench, name: str, arguments: tuple[str, ...], columns: int) -> None:
    """With the prompt below it. What needs a person and what runs stays, of the rest there is a number."""
    shown = bench.on_a_terminal(*arguments, columns=columns, rows=24, NO_COLOR="1").out

    bench.agrees_with(f"{name}-{columns}x24", without_styles(shown))
    assert sum(rows_on_screen(line, columns) for line in shown.splitlines()) <= 23
    assert RUNNING in shown
    assert "needs attention" in shown


def test_a_pipe_gets_everything_with_one_fact_a_line(bench: Bench) -> None:
    """Also of what a terminal would cut; the same words without bars."""
    shown = bench.run("status").out

    bench.agrees_with("status-full-piped", shown)
    assert "attempt 2, implement 2/3, 0 s of 2 h, turn 17 of 20, Bash make" in shown
    assert shown.count("is blocked by") == 13


@pytest.mark.parametrize(
    "arguments", [("status", "--detailed"), ("tasks", "list", "--limit", "20")], ids=" ".join
)
def test_who_asks_for_more_gets_it_on_a_terminal_too(bench: Bench, arguments: tuple[str, ...]) -> None:
    shown = bench.on_a_terminal(*arguments, columns=120, rows=24).out

    assert "task-20260208-130011-blocked" in shown.partition("completed")[2] + shown
    assert "cut to" not in shown


@pytest.mark.parametrize("arguments", [("report", "--since", "24h"), ("history",)], ids=" ".join)
def test_report_and_history_fit_24_rows(bench: Bench, arguments: tuple[str, ...]) -> None:
    shown = bench.on_a_terminal(*arguments, columns=80, rows=24).out

    assert sum(rows_on_screen(line, 80) for line in without_styles(shown).splitlines()) <= 23


def test_watching_fits_the_window_and_ends_in_good_order(bench: Bench) -> None:
    """Ctrl-C gives the terminal back as it was: cursor, screen, no traceback."""
    with watching(bench, rows=20, columns=80) as (command, ours):
        first = eventually(lambda: drawn(ours, until=b"cut to 20 rows"), what="a screen")
        os.write(ours, b"\x03")
        rest = read_all(ours)

        code = command.wait(timeout=30)

    assert code == 130
    assert first.startswith("\x1b[?1049h\x1b[?25l")
    assert rest.partition("\x1b[?25h\x1b[?1049l")[1:] == ("\x1b[?25h\x1b[?1049l", "\r\n")
    assert "Traceback" not in first + rest
    assert RUNNING in first
    assert "\n" not in first  # which would scroll in the last row


def test_watching_as_json_is_one_document_a_line(bench: Bench) -> None:
    """Until its reader goes, which is no failure."""
    command = subprocess.Popen(
        [sys.executable, "-m", "task_queue.cli", "status", "--watch", "--json"],
        cwd=bench.project,
        env=bench.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert command.stdout is not None
    assert command.stderr is not None
    documents = [json.loads(command.stdout.readline()) for _ in range(2)]
    command.stdout.close()

    assert command.wait(timeout=30) == 0
    assert command.stderr.read() == b""
    assert [document["schema_version"] for document in documents] == [1, 1]
    command.stderr.close()


def test_only_lines_that_changed_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    live = LiveScreen()
    live.draw([("one", 1), ("two", 2), ("three", 1)], columns=20, rows=9)
    capsys.readouterr()

    live.draw([("one", 1), ("2", 2), ("three", 1)], columns=20, rows=9)
    changed = capsys.readouterr().out
    live.draw([("one", 1), ("2", 2), ("three", 1)], columns=20, rows=9)
    same = capsys.readouterr().out
    live.draw([("one", 1)], columns=20, rows=9)
    shorter = capsys.readouterr().out
    live.draw([("one", 1)], columns=30, rows=9)

    assert changed == "\x1b[2;1H\x1b[2K\x1b[3;1H\x1b[2K\x1b[2;1H2"
    assert same == ""
    assert shorter == "\x1b[2;1H\x1b[J"
    assert "one" in capsys.readouterr().out  # the window has another size


def test_a_screen_never_has_more_rows_than_the_window(capsys: pytest.CaptureFixture[str]) -> None:
    LiveScreen().draw([("one", 1), ("two", 2), ("three", 2)], columns=20, rows=4)

    written = capsys.readouterr().out
    assert "two" in written
    assert "three" not in written


EXTENTS = st.lists(
    st.builds(
        Extent,
        st.lists(st.integers(1, 4), min_size=1, max_size=8).map(tuple),
        rank=st.integers(0, 3),
        fixed=st.integers(0, 3),
        hidden=st.integers(0, 2),
        group=st.sampled_from([None, "a", "b"]),
        heading=st.just(2),
    ),
    max_size=6,
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(lists=EXTENTS, rows=st.integers(0, 60))
def test_what_is_shown_fits_and_nothing_that_fits_is_left_out(lists: list[Extent], rows: int) -> None:
    shown = entries_shown(lists, rows)

    assert rows_of(lists, shown) <= rows
    if rows_of(lists, [len(each.entries) for each in lists]) <= rows:
        assert shown == [len(each.entries) for each in lists]


def test_of_an_important_list_more_is_shown_before_more_of_another() -> None:
    """But one of each first."""
    important, other = Extent((1,) * 20, rank=0), Extent((1,) * 20, rank=1)

    assert entries_shown([other, important], 10) == [1, 7]
    assert entries_shown([other, important], 5) == [1, 2]


def test_equally_important_lists_share_the_rows() -> None:
    lists = [Extent((1,) * 20, rank=1), Extent((1,) * 20, rank=1)]

    assert entries_shown(lists, 10) == [4, 4]


@contextlib.contextmanager
def watching(bench: Bench, *, rows: int, columns: int) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    command = subprocess.Popen(
        [sys.executable, "-c", f"import os, fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); {WATCH}"],
        cwd=bench.project,
        env=bench.environ | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield command, ours
    finally:
        command.kill()
        command.wait()
        os.close(ours)


WATCH = "from task_queue.cli import main; import sys; sys.argv[1:] = ['status', '--watch']; sys.exit(main())"
_SEEN: dict[int, bytes] = {}


def drawn(fd: int, *, until: bytes) -> str:
    _SEEN[fd] = _SEEN.get(fd, b"") + os.read(fd, 65536)
    return _SEEN.pop(fd).decode() if until in _SEEN[fd] else ""


def read_all(fd: int) -> str:
    read = b""
    with contextlib.suppress(OSError):  # EIO: the other end is closed
        while more := os.read(fd, 65536):
            read += more
    return read.decode()


def without_styles(text: str) -> str:
    import re

    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def rows_on_screen(line: str, columns: int) -> int:
    return max(1, -(-len(without_styles(line)) // columns))


def test_a_report_is_no_alarm(bench: Bench) -> None:
    """Exit code 0, although ``status`` and ``tasks list`` exit with 3 for the same queue."""
    codes = {name: bench.run(*name.split()).code for name in ("status", "tasks list", "report", "history")}

    assert codes == {"status": 3, "tasks list": 3, "report": 0, "history": 0}
