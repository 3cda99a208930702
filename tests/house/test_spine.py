"""The walk-through in docs/architecture.md leads from a task's drop to its result, through code that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.spine import DOCUMENT, files_of, spine, steps
from tests.house.tables import ROOT

STEPS = steps(DOCUMENT.read_text())
_CALLED = re.compile(r"`(\w+)\(\)`")
PAGE = """# Page

## How a task travels

Read.

1. **One.** `first()` in [`a.py`](../a.py), and [why](why.md).
2. **Two.** It
   goes on in [`b.py`](b.py).

Not [a step](c.py).

## Modules

1. Not [a step](d.py) either.
"""


def title_of(step: str) -> str:
    return step.split("**")[1].strip(".")


def test_it_begins_with_the_drop_and_ends_with_the_result() -> None:
    """In the order of their numbers, with none left out."""
    assert [step.partition(".")[0] for step in STEPS] == [str(number) for number in range(1, len(STEPS) + 1)]
    assert (title_of(STEPS[0]), title_of(STEPS[-1])) == ("Dropped", "Settled")


@pytest.mark.parametrize("step", STEPS, ids=title_of)
def test_each_step_links_to_what_is_to_be_read(step: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", step)

    assert links
    assert [link for link in links if not (DOCUMENT.parent / link).exists()] == []


@pytest.mark.parametrize("step", STEPS, ids=title_of)
def test_each_function_of_a_step_is_in_a_file_of_the_step(step: str) -> None:
    code = "\n".join(path.read_text() for path in files_of(step))

    assert [name for name in _CALLED.findall(step) if f"def {name}(" not in code] == []


def test_only_files_that_are_counted_name_functions() -> None:
    """All steps but the first are shown in code; the spine counts each file once."""
    assert all(files_of(step) and _CALLED.findall(step) for step in STEPS[1:])
    assert list(spine()) == list(dict.fromkeys(path for step in STEPS for path in files_of(step)))
    assert all(path.is_relative_to(ROOT / "task_queue") for path in spine())


def test_steps_end_where_the_list_ends() -> None:
    """Over several lines, and without links to other documents or from other sections."""
    first, second = steps(PAGE)

    assert files_of(first, Path("/docs")) == (Path("/a.py"),)
    assert files_of(second, Path("/docs")) == (Path("/docs/b.py"),)
    assert steps("# Page\n\n1. No [walk](a.py)\n") == ()
