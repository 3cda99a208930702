"""File names: which are tasks, and what lies beside a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document import naming
from task_queue.domain.task import TaskId

LONGEST = "task-" + "x" * (255 - len("task-.md")) + ".md"


@pytest.mark.parametrize(
    "name",
    [
        "task-20260207-120000-fix-auth.md",
        "task-a.md",
        "task-with spaces.md",
        'task-it\'s "quoted".md',
        "task-#42.md",
        "task--leading.md",
        "task-größe-日本語-🚀.md",
        "task-v1.2.3.md",
        "task-a.md.md",
        "task-~.md",
        "task-$(reboot).md",
        LONGEST,
    ],
)
def test_a_task_name_may_hold_whatever_a_file_name_may(name: str) -> None:
    assert naming.why_not_a_task(name) is None
    assert naming.is_task_id(naming.task_id_of(name))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.md", "name does not start with task-"),
        ("-task-a.md", "name does not start with task-"),
        ("Task-a.md", "name does not start with task-"),
        ("edited-task-a.md", "name does not start with task-"),
        ("task-a.txt", "name does not end with .md"),
        ("task-a.MD", "name does not end with .md"),
        ("task-a", "name does not end with .md"),
        ("task-.md", "name has nothing between task- and .md"),
        ("task-a\nb.md", "name contains a control character"),
        ("task-\x1b[2J.md", "name contains a control character"),
        ("task-\x00.md", "name contains a control character"),
        ("task-\x9b.md", "name contains a control character"),
        ("task-\udcff.md", "name is not valid UTF-8"),
        ("task-/../../etc/x.md", "name contains a slash"),
        (".task-a.md", "hidden file"),
    ],
)
def test_what_is_no_task_says_why(name: str, why: str) -> None:
    assert naming.why_not_a_task(name) == why


@pytest.mark.parametrize(
    "name",
    [
        ".task-a.md.swp",
        ".task-a.md.swo",
        ".task-a.md.swx",
        ".task-a.md.swpx",
        "task-a.md~",
        ".task-a.md~",
        ".#task-a.md",
        "#task-a.md#",
        "4913",
        ".task-a.md.kate-swp",
        "task-a.md___jb_tmp___",
        "task-a.md___jb_old___",
        "~$task-a.md",
        ".~lock.task-a.md#",
        ".~task-a.md",
        "~syncthing~task-a.md.tmp",
        ".syncthing.task-a.md.tmp",
        "task-a.md.bak",
        "task-a.md.orig",
        "task-a.md.tmp",
        "task-a.md.part",
        "task-a.md.partial",
        "task-a.md.filepart",
        "task-a.md.crdownload",
        "task-a.md.opdownload",
        "task-a.md.download",
        ".task-a.md.Xy12Zq",
    ],
)
def test_litter_of_editors_and_transfers_is_named_as_such(name: str) -> None:
    assert naming.why_not_a_task(name) == "temporary file of an editor or a transfer"


@given(st.text(max_size=300))
def test_any_text_can_be_asked_about(text: str) -> None:
    """An accepted id never leaves its folder, and all its files have names that a file system takes."""
    if naming.is_task_id(text):
        document = naming.document_of(TaskId(text))
        for name in (
            document,
            naming.lock_of(document),
            naming.journal_of(document),
            naming.cancel_of(document),
            naming.result_of(TaskId(text)),
        ):
            assert "/" not in name
            assert "\0" not in name
            assert name not in {".", ".."}
            assert len(name.encode()) <= 255


def test_companions_carry_the_id() -> None:
    assert naming.lock_of("task-a.md") == ".task-a.lock"
    assert naming.journal_of("task-a.md") == ".task-a.attempts.json"
    assert naming.cancel_of("task-a.md") == ".task-a.cancel"
    assert naming.result_of(TaskId("task-a")) == "task-a.json"


def test_companions_of_a_very_long_id_are_shortened_with_a_digest() -> None:
    """180 bytes of the id, never half a character, and eight digits that keep two long ids apart."""
    one = TaskId("task-" + "é" * 120)
    other = TaskId(one[:-1] + "è")

    assert len(naming.key_of(one).encode()) <= 180 + 1 + 8
    assert naming.key_of(one) != naming.key_of(other)
    assert naming.key_of(TaskId("task-" + "x" * 195)) == "task-" + "x" * 195


def test_a_record_with_a_number_fits_a_file_name_and_keeps_its_key() -> None:
    record = naming.numbered(naming.task_id_of(LONGEST), 2)
    document = naming.document_of(record)

    assert len(document.encode()) <= 255
    assert naming.is_task_id(record)
    assert naming.key_of(naming.task_id_of(document)) == naming.key_of(record)


@pytest.mark.parametrize(
    ("record", "dropped"),
    [
        ("task-a.2", "task-a"),
        ("task-a.10", "task-a"),
        ("task-a.1", "task-a.1"),
        ("task-a.02", "task-a.02"),
        ("task-a", "task-a"),
        ("task-.2", "task-.2"),
    ],
)
def test_the_number_of_a_record_comes_off_again(record: str, dropped: str) -> None:
    assert naming.unnumbered(TaskId(record)) == dropped


@pytest.mark.parametrize(
    "document",
    ["task-20260207-120000-fix-auth.md", "task-20260207-120000.md", "task-20260207-120000_x.md"],
)
def test_the_time_in_a_name_is_local_time(document: str) -> None:
    assert naming.time_in(document) == datetime(2026, 2, 7, 12).astimezone()


@pytest.mark.parametrize(
    "document",
    [
        "task-a.md",
        "task-20261301-120000-a.md",
        "task-20260207-250000-a.md",
        "task-20260207-1200000.md",
        "task-00000000-000000-a.md",
        "task-٢٠٢٦٠٢٠٧-١٢٠٠٠٠-a.md",
        "my-task-20260207-120000.md",
    ],
)
def test_a_name_without_a_real_time_has_none(document: str) -> None:
    assert naming.time_in(document) is None


@given(st.from_regex(r"\Atask-[0-9]{8}-[0-9]{6}\Z"))
def test_no_digits_crash_the_time(name: str) -> None:
    moment = naming.time_in(name + ".md")

    assert moment is None or moment.tzinfo is not None


def test_of_one_second_what_was_written_first_was_dropped_first() -> None:
    """A file that was written at another time, or edited since, is as old as its name says."""
    named = datetime(2026, 2, 7, 12).astimezone(UTC)
    document = "task-20260207-120000-fix-auth.md"

    def dropped(*, later: float) -> timedelta:
        return naming.dropped_at(document, written_at=named + timedelta(seconds=later)) - named

    assert [dropped(later=each).total_seconds() for each in (-0.1, 0.25, 1.5, 2, 600)] == [0, 0.25, 1.5, 0, 0]
    assert naming.dropped_at("task-a.md", written_at=named) == named


@pytest.mark.parametrize("hidden", ["\u200b", "\u202e", "\u2066", "\ufeff", "\u3164", "\u2028", "\U000e0041"])
def test_what_is_not_seen_is_seen_in_a_branch(hidden: str) -> None:
    """Two branches that look alike would be taken for one."""
    part = naming.ref_part_of(TaskId(f"task-a{hidden}b"))

    assert part.isascii()
    assert part != naming.ref_part_of(TaskId("task-ab"))
    assert unquote(part) == f"task-a{hidden}b"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("task-2", "task-10"),
        ("task-2-b", "task-10-a"),
        ("task-a", "task-a-2"),
        ("task-a-2", "task-a-10"),
        ("task-007", "task-10"),
        ("task-1.9", "task-1.10"),
        ("task-9", "task-a"),
        ("task-20260207-120000-x", "task-20260207-120000-x-2"),
    ],
)
def test_names_sort_as_a_person_counts(first: str, second: str) -> None:
    assert naming.natural(first) < naming.natural(second)
