"""The short form of the fault injection; ``make proof-faults`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.bench import NotHereError
from tests.proof.faults import CASES, calls
from tests.proof.tracer import why_not_here


@pytest.mark.parametrize("name", CASES)
def test_the_queue_goes_on_by_itself_after(name: str, tmp_path: Path) -> None:
    """See the docstring of each case."""
    try:
        problems = CASES[name](tmp_path)
    except NotHereError as reason:
        pytest.skip(str(reason))

    assert problems == []


@pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
def test_a_call_that_fails_once_stops_nothing(tmp_path: Path) -> None:
    """A sample of the calls of both actors, each with another error."""
    struck, wrong = calls(tmp_path, every=17, first=5)

    assert struck >= 5
    assert wrong == 0
