"""Every reader of a JSON file that agents, people or a power cut may have left: it neither blocks, nor follows a
link, nor reads without end, nor raises anything but what its caller expects. What is understood is understood."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app.account import AccountFiles, account_from
from task_queue.app.files import record
from task_queue.daemon.admission.ledger import Ledger
from task_queue.daemon.drops import Drops
from task_queue.domain.model import Journal
from task_queue.domain.task import TaskId
from task_queue.platform.json_files import (
    json_object,
    last_lines,
    number_in,
    object_in,
    records_in,
    text_in,
    time_in,
    whole_in,
)
from task_queue.platform.records import encode
from task_queue.store.folder.claim_notes import ClaimNotes
from task_queue.store.folder.files import read_record
from task_queue.store.folder.foreign import is_stale_foreign_lock
from task_queue.store.folder.reading import read_history
from task_queue.store.folder.unfinished import unfinished_in

pytestmark = pytest.mark.timeout(30)
NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
_MB = 2**20


def made(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def fifo(_: bytes, path: Path) -> None:
    os.mkfifo(path)


def link(content: bytes, path: Path) -> None:
    (path.parent / "elsewhere").write_bytes(content)
    path.symlink_to("elsewhere")


def directory(_: bytes, path: Path) -> None:
    path.mkdir()


def huge(content: bytes, path: Path) -> None:
    """Without a limit it would be understood."""
    path.write_bytes(content.rstrip(b"\n") + b" " * (65 * _MB))


def deep(_: bytes, path: Path) -> None:
    path.write_bytes(b'{"task_id":' + b"[" * 200_000 + b"\n")


def no_utf8(content: bytes, path: Path) -> None:
    path.write_bytes(content.replace(b"task", b"\xff\xfe\xff", 1))


def torn(content: bytes, path: Path) -> None:
    path.write_bytes(content.rstrip(b"\n")[:-2])


def a_list(content: bytes, path: Path) -> None:
    path.write_bytes(b"[" + content.rstrip(b"\n") + b"]\n")


def empty(_: bytes, path: Path) -> None:
    path.touch()


UNREADABLE = [fifo, link, directory]
NOT_UNDERSTOOD = [deep, torn, a_list, empty]


def of_drops(path: Path) -> bool:
    return not Drops(path, path.parent / "events").is_new("task", TaskId("task-a"), 5)


def of_trust(path: Path) -> bool:
    try:
        return SettingsTrust(path).workspaces() == (Path("/task"),)
    except ValueError:
        return False


def of_unfinished(path: Path) -> bool:
    try:
        return bool(unfinished_in(path.parent))
    except ValueError:
        return False


def of_ledger(path: Path) -> bool:
    return Ledger(path).spent_on(NOW.astimezone().date()) == 0.25


def of_account(path: Path) -> bool:
    files = AccountFiles(path.parent / "accounts", path, path.parent / "stopped")
    return account_from(files, expected=None, budget_usd=None, now=NOW).view.spent_today_usd == 0.25


def of_notes(path: Path) -> bool:
    return ClaimNotes(path).noted(("a", "task-a", 1)) == "proof"


RECORDS: list[tuple[Callable[[Path], bool], dict[str, Any]]] = [
    (lambda path: isinstance(json_object(path), dict), {"task": 1}),
    (lambda path: isinstance(record(path), dict), {"task": 1}),
    (
        is_stale_foreign_lock,
        {"task_id": "task-a", "worker": "a", "thread_id": "1", "pid": -1, "started_at": ""},
    ),
    (lambda path: read_history(path).tries == 1, {"task_id": "task-a", "attempts": [{}]}),
    (of_unfinished, {"task_id": "task-a"}),
    (of_drops, {"task": 7}),
    (of_trust, {"workspaces": {"/task": {}}, "texts": {}}),
    (
        lambda path: isinstance(read_record(Journal, path), Journal),
        json.loads(encode(Journal(TaskId("task-a")))),
    ),
]
ENTRY = {"at": NOW.isoformat(), "source": "a", "task_id": "task-a", "attempt": 1, "usd": 0.25}
LINES: list[tuple[Callable[[Path], bool], dict[str, Any]]] = [
    (of_ledger, ENTRY),
    (of_account, ENTRY),
    (of_notes, {"source": "a", "task_id": "task-a", "attempt": 1, "proof": "proof"}),
]
NAMES = ["json_object", "record", "foreign", "read_history", "unfinished", "drops", "trust", "read_record"]
LINE_NAMES = ["ledger", "account", "claim_notes"]
read_by = partial(pytest.mark.parametrize, ("understands", "content"))


@read_by([*RECORDS, *LINES], ids=[*NAMES, *LINE_NAMES])
def test_what_is_whole_is_understood(
    tmp_path: Path, understands: Callable[[Path], bool], content: dict[str, Any]
) -> None:
    """Else the other tests would show nothing."""
    made(json.dumps(content).encode() + b"\n", tmp_path / ".task-a.lock")

    assert understands(tmp_path / ".task-a.lock")


@pytest.mark.parametrize("make", [*UNREADABLE, *NOT_UNDERSTOOD, no_utf8, huge])
@read_by(RECORDS, ids=NAMES)
def test_a_record_that_cannot_be_understood_is_none(
    tmp_path: Path,
    understands: Callable[[Path], bool],
    content: dict[str, Any],
    make: Callable[[bytes, Path], None],
) -> None:
    make(json.dumps(content).encode() + b"\n", tmp_path / ".task-a.lock")

    assert not understands(tmp_path / ".task-a.lock")


@pytest.mark.parametrize("make", NOT_UNDERSTOOD)
@read_by(LINES, ids=LINE_NAMES)
def test_a_line_that_cannot_be_understood_is_passed_over(
    tmp_path: Path,
    understands: Callable[[Path], bool],
    content: dict[str, Any],
    make: Callable[[bytes, Path], None],
) -> None:
    """It counts for nothing; a whole one after it counts."""
    path = tmp_path / "lines"
    line = json.dumps(content).encode() + b"\n"
    make(line, path)
    before = understands(path)
    with path.open("ab") as file:
        file.write(b"\n\xff\xfe\n{}\n" + line)

    assert (before, understands(path)) == (False, True)


@pytest.mark.parametrize("make", UNREADABLE)
@read_by(LINES, ids=LINE_NAMES)
def test_lines_are_read_from_a_regular_file_only(
    tmp_path: Path,
    understands: Callable[[Path], bool],
    content: dict[str, Any],
    make: Callable[[bytes, Path], None],
) -> None:
    """At once: OSError for the daemon, which must not count wrongly; for people nothing is there."""
    make(json.dumps(content).encode() + b"\n", tmp_path / "lines")
    try:
        found = understands(tmp_path / "lines")
    except OSError:
        found = False

    assert not found


@read_by(LINES, ids=LINE_NAMES)
def test_only_the_end_of_many_lines_is_read(
    tmp_path: Path, understands: Callable[[Path], bool], content: dict[str, Any]
) -> None:
    """The first is too far from the end; the last counts."""
    path = tmp_path / "lines"
    line = json.dumps(content).encode() + b"\n"
    path.write_bytes(line + b" " * (65 * _MB) + b"\n")
    before = understands(path)
    with path.open("ab") as file:
        file.write(line)

    assert (before, understands(path)) == (False, True)


@pytest.mark.parametrize("usd", ["NaN", "Infinity", "-Infinity", "1e999", "1" + "0" * 400, "true", '"1"'])
def test_a_cost_that_is_no_number_is_not_added(tmp_path: Path, usd: str) -> None:
    """NaN in a sum would let every budget through."""
    path = tmp_path / "lines"
    strange = json.dumps(ENTRY | {"attempt": 2}).replace("0.25", usd)
    path.write_text(f"{strange}\n{json.dumps(ENTRY)}\n")

    assert (of_ledger(path), of_account(path)) == (True, True)


def test_values_of_another_type_are_none() -> None:
    content = object_in(
        '{"text": 1, "whole": true, "number": NaN, "large": 1e999, "time": "2026-13-01", "list": [1, {"a": 1}]}'
    )
    assert isinstance(content, dict)

    assert (text_in(content, "text"), whole_in(content, "whole"), time_in(content, "time")) == (None,) * 3
    assert [number_in(content, name) for name in ("number", "large", "whole", "missing")] == [None] * 4
    assert list(records_in(content, "list")) == [{"a": 1}]


def test_what_is_wrong_can_be_said(tmp_path: Path) -> None:
    """A missing file is none of it."""
    (tmp_path / "list").write_text("[]")
    (tmp_path / "large").write_text("{}   ")

    assert json_object(tmp_path / "missing") is None
    assert json_object(tmp_path / "list") == "is not a JSON object"
    assert json_object(tmp_path) == "cannot be read: not a regular file"
    assert json_object(tmp_path / "large", limit=4) == "is larger than 4 bytes"
    assert object_in(b"\xff") == object_in("{") == "is not JSON"


def test_lines_of_the_end(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\nthree")

    assert last_lines(path, limit=100) == (["one", "two", "three"], True)
    assert last_lines(path, limit=100, unended=False) == (["one", "two"], True)
    assert last_lines(path, limit=10) == (["two", "three"], False)


def test_a_torn_line_takes_no_later_one_with_it(tmp_path: Path) -> None:
    """What a power cut left of a line is ended before the next is written."""
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"at": "2026-02')
    Ledger(path).enter("a", "task-a", 1, 0.25, at=NOW)
    notes = ClaimNotes(tmp_path / "claims.jsonl")
    (tmp_path / "claims.jsonl").write_text('{"source": "a')
    notes.note(("a", "task-a", 1), "proof")

    assert path.read_text().count("\n") == 2
    assert of_ledger(path)
    assert of_notes(tmp_path / "claims.jsonl")


@pytest.mark.parametrize("make", UNREADABLE)
def test_nothing_is_appended_to_what_is_no_file(tmp_path: Path, make: Callable[[bytes, Path], None]) -> None:
    make(b"", tmp_path / "ledger.jsonl")
    ledger = Ledger(tmp_path / "none yet")
    ledger._path = tmp_path / "ledger.jsonl"

    with pytest.raises(OSError, match=r"not a regular|Is a|Too many"):
        ledger.enter("a", "task-a", 1, 0.25, at=NOW)
