"""What a file in ``schedules/`` says: its rule, the document of its tasks, and what is wrong with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document.writing import with_keys, without_keys
from task_queue.domain.errors import TaskFileError
from task_queue.domain.schedule.document import KEYS, read_schedule, why_not_named
from task_queue.domain.schedule.rule import CatchUp, Overlap


def faults(text: str) -> list[str]:
    with pytest.raises(TaskFileError) as raised:
        read_schedule(text.encode(), "x")
    return [f"{fault.line}: {fault.what}" for fault in raised.value.faults]


def test_the_document_of_its_tasks_is_all_but_its_own_keys() -> None:
    """Comments, order and line ends stay."""
    schedule = read_schedule(
        b"---\r\n# at night\r\nschedule: '30 2 * * 1-5'\r\ntimezone: Europe/Berlin\r\nverify:\r\n  - pytest -q\r\n"
        b"overlap: queue\r\ncatch_up: none\r\npriority: 8\r\n---\r\n# Check\r\n",
        "nightly",
    )

    assert (schedule.name, schedule.title) == ("nightly", "Check")
    assert schedule.rule.name == "30 2 * * 1-5 Europe/Berlin"
    assert (schedule.rule.overlap, schedule.rule.catch_up) == (Overlap.QUEUE, CatchUp.NONE)
    assert schedule.given == {"verify": ("pytest -q",), "priority": 8}
    assert (
        schedule.document
        == "---\r\n# at night\r\nverify:\r\n  - pytest -q\r\npriority: 8\r\n---\r\n# Check\r\n"
    )


def test_a_schedule_needs_no_more_than_its_times() -> None:
    schedule = read_schedule(b"---\nschedule: 0 3 * * 7\n---\nDo it.\n", "weekly")

    assert schedule.document == "Do it.\n"
    assert (schedule.rule.overlap, schedule.rule.catch_up, schedule.rule.until) == (
        Overlap.SKIP,
        CatchUp.ONE,
        None,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Do it.\n", ["None: schedule: is missing"]),
        ("", ["None: schedule: is missing"]),
        ("---\nschedule: '0 3 * * *'\n---\n", ["None: the document is empty"]),
        (
            "---\nschedule: 99 * * * *\noverlap: kill\ntimezone: Mars\nuntil: 1\npriority: 99\ncatchup: all\n---\nx\n",
            [
                "2: schedule: bad minute",
                "3: overlap: must be one of",
                "4: timezone: there is no time zone",
                "5: until: must be a date",
                "6: priority: must be a whole number",
                "7: unknown key 'catchup'",
            ],
        ),
        ("---\nschedule: [0 3 * * *, 0 4 * * *]\n---\nx\n", ["2: schedule: must be one text"]),
        ("---\nschedule: '0 3 * * *'\nschedule: '0 4 * * *'\n---\nx\n", ["3: 'schedule' is given twice"]),
    ],
)
def test_all_that_is_wrong_is_said_with_its_line(text: str, said: list[str]) -> None:
    found = faults(text)

    assert len(found) == len(said), found
    assert all(words in fault for words, fault in zip(said, found, strict=True)), found


@pytest.mark.parametrize("name", ["a", "nightly-2", "Übersicht", "9to5", "x_y"])
def test_names_that_can_be_used(name: str) -> None:
    assert why_not_named(name) is None


@pytest.mark.parametrize(
    "name", ["", "-x", "_x", "a b", "a.2", "a/b", "x\n", "x\x1b[2J", "\udcff", "x" * 101, "\u202ex"]
)
def test_names_that_cannot_be_used(name: str) -> None:
    assert why_not_named(name) is not None


_VALUES = st.text("abc 9:#'\"-", max_size=8)


@given(
    own=st.dictionaries(st.sampled_from(list(KEYS)), _VALUES, max_size=3),
    others=st.dictionaries(
        st.sampled_from(["title", "model", "verify"]), _VALUES | st.tuples(_VALUES, _VALUES), max_size=3
    ),
)
def test_keys_that_were_written_can_be_taken_out(
    own: dict[str, str], others: dict[str, str | tuple[str, str]]
) -> None:
    """In whatever order they are: what is left is the document that never had them."""
    text = "# Title\n\nText.\n"
    with_others = with_keys(text, others)

    assert without_keys(with_keys(with_others, own), KEYS) == with_others
    assert without_keys(with_keys(with_keys(text, own), others), KEYS) == with_others
