"""The short form of the fault injection; ``make proof-faults`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proof.bench import NotHereError
from tests.proof.faults import CASES, calls
from tests.proof.tracer import why_not_here
from tests.sampling import short_and_long


@pytest.mark.parametrize("name", CASES)
def test_the_queue_goes_on_by_itself_after(name: str, tmp_path: Path) -> None:
    """See the docstring of each case."""
    try:
        problems = CASES[name](tmp_path)
    except NotHereError as reason:
        pytest.skip(str(reason))

    assert problems == []


@pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
@pytest.mark.parametrize(("every", "at_least"), short_and_long([(51, 2)], [(17, 5)]))
def test_a_call_that_fails_once_stops_nothing(tmp_path: Path, every: int, at_least: int) -> None:
    """A sample of the calls of both actors, each with another error."""
    struck, wrong = calls(tmp_path, every=every, first=5)

    assert struck >= at_least
    assert wrong == 0
