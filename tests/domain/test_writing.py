"""Keys that are given beside a document's text come into its front matter, and change nothing else of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document import frontmatter
from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.writing import absolute, with_keys
from task_queue.domain.errors import TaskFileError
from tests.domain.test_local_time import local_zone

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)


def given_in(text: str) -> dict[str, Given]:
    front, _ = frontmatter.split(text)
    fields, faults = frontmatter.read(front or "")
    assert not faults
    return {field.key: field.value for field in fields}


def test_a_text_without_front_matter_gets_one() -> None:
    assert with_keys("# Fix\n", {"priority": "8", "verify": "pytest -q"}) == (
        "---\npriority: 8\nverify: pytest -q\n---\n# Fix\n"
    )
    assert with_keys("# Fix\n", {}) == "# Fix\n"


def test_what_the_document_says_of_other_keys_stays_as_it_is_written() -> None:
    """Comments and lists, too; what a key said before is replaced in its place."""
    text = "---\n# why\npriority: 1  # low\nverify:\n  - a\n  - b\n\n# more\ntimeout: 2h\n---\n# Fix\n"

    assert with_keys(text, {"verify": ("make", "x, 'y'"), "model": "opus"}) == (
        "---\n# why\npriority: 1  # low\nverify: [make, 'x, ''y''']\n\n# more\ntimeout: 2h\nmodel: opus\n---\n# Fix\n"
    )


@pytest.mark.parametrize("text", ["---\n{priority: 1, timeout: 2h}\n---\nx", "---\na: b: c\n---\nx"])
def test_front_matter_that_cannot_be_changed_safely_is_left_alone(text: str) -> None:
    with pytest.raises(TaskFileError):
        with_keys(text, {"priority": "8"})


@given(TEXT, st.lists(TEXT, min_size=1, max_size=3).map(tuple))
def test_every_value_is_read_as_it_was_given(text: str, several: tuple[str, ...]) -> None:
    try:
        written = with_keys(
            "---\ntitle: x\nverify: |\n  a\n  b\n---\nBody\n", {"title": text, "allow": several}
        )
    except TaskFileError:
        assert any(not char.isprintable() for each in (text, *several) for char in each)
    else:
        assert given_in(written) == {"title": text, "verify": "a\nb\n", "allow": several}
        assert written.endswith("---\nBody\n")


@pytest.mark.parametrize(
    ("text", "now", "read"),
    [
        ("22:00", "2026-02-07T12:00:00-05:00", "2026-02-07T22:00:00-05:00"),
        ("22:00", "2026-02-07T22:00:00-05:00", "2026-02-08T22:00:00-05:00"),
        ("7:30:15", "2026-02-07T23:59:00-05:00", "2026-02-08T07:30:15-05:00"),
        ("02:30", "2027-03-13T12:00:00-05:00", "2027-03-14T03:30:00-04:00"),
        ("01:30", "2027-11-06T12:00:00-04:00", "2027-11-07T01:30:00-05:00"),
    ],
)
def test_a_time_of_day_is_the_next_one(text: str, now: str, read: str) -> None:
    """Also on the days on which the clocks change."""
    with local_zone("America/New_York"):
        assert absolute(text, datetime.fromisoformat(now)) == read


@pytest.mark.parametrize("text", ["2026-02-07T18:00", "24:00", "soon", "", "none"])
def test_other_times_stay_as_they_are(text: str) -> None:
    assert absolute(text, datetime(2026, 2, 7, tzinfo=UTC)) == text
