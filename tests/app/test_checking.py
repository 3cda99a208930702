"""``check`` says of a document what ``add`` and the worker would say."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.app.adding import Draft, add
from task_queue.app.checking import check_files
from task_queue.domain.errors import TaskFileError
from tests.app.bench import Bench

WRONG = "---\npriorty: 1\ntimeout: soon\nexecutor: none-such\nallow: [Docker]\nlabel: &x a\n---\n"


@pytest.mark.parametrize(
    "text", ["", WRONG, "---\npriority: 1\n", "---\na: {b: c}\npriority: 99\n---\nx"], ids=repr
)
def test_add_check_and_the_worker_give_the_same_reasons(bench: Bench, text: str) -> None:
    """Every one, in the same order and words."""
    path = bench.place("pending", text=text)
    with pytest.raises(TaskFileError) as refused:
        add(bench.installation, Draft(text), source=bench.installation.entry("ad-hoc"))
    (checked,) = check_files(bench.installation, [path], source_id=None, directory=Path("/"))
    rejected = dict(bench.installation.circumstances().snapshots.survey("ad-hoc").rejected)

    assert [(fault.line, fault.what, fault.hint) for fault in checked.faults] == [
        (fault.line, fault.what, fault.hint) for fault in refused.value.faults
    ]
    assert rejected in ({"task-a": refused.value.in_full}, {})
    assert text == "" or rejected


def test_the_settings_of_the_source_apply_in_whose_queue_the_file_is(bench: Bench) -> None:
    path = bench.place("staging", source="planned")

    checked = check_files(bench.installation, [path], source_id=None, directory=Path("/"))
    elsewhere = check_files(bench.installation, [path], source_id="ad-hoc", directory=Path("/"))

    assert [each.source for each in (*checked, *elsewhere)] == ["planned", "ad-hoc"]


def test_without_a_source_the_document_itself_is_checked(bench: Bench) -> None:
    """In a project's own tests, where there is no queue."""
    bench.config.unlink()
    (bench.home / "x.md").write_text(WRONG)

    (checked,) = check_files(bench.anew(), [bench.home / "x.md"], source_id=None, directory=bench.home)

    assert checked.source is None
    assert [fault.line for fault in checked.faults] == [None, 2, 3, 5, 6]


def test_a_file_that_is_no_text_is_named_with_its_line(bench: Bench) -> None:
    path = bench.home / "latin.md"
    path.write_bytes(b"# Fix\n\xfcber\n")

    (checked,) = check_files(bench.installation, [path], source_id=None, directory=bench.home)

    assert [(fault.line, fault.what[:6]) for fault in checked.faults] == [(2, "byte 6")]


def test_a_file_that_cannot_be_read_is_a_fault_of_its_own(bench: Bench) -> None:
    (bench.home / "good.md").write_text("---\ndepends_on: task-none\n---\n# Good")
    paths = [bench.home / "none.md", bench.home / "good.md"]

    none, good = check_files(bench.installation, paths, source_id=None, directory=bench.home)

    assert "No such file" in none.faults[0].what
    assert (good.faults, good.title) == ((), "Good")
    assert [note.split()[0] for note in good.notes] == ["depends_on:"]
