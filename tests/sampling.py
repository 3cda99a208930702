"""Some cases of a behaviour are its witnesses in every check; the others are for ``make test``, which has the time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def short_and_long(short: Iterable[Any], long: Iterable[Any]) -> list[Any]:
    """The cases of a ``parametrize``; those of *long* are marked so. A tuple has one value for each argument."""
    return [
        *short,
        *(
            pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.long)
            for case in long
        ),
    ]
