from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.bench import ApiBench


@pytest.fixture
def a_bench(tmp_path: Path) -> Iterator[Callable[..., ApiBench]]:
    """Makes benches whose processes end with the test."""
    made: list[ApiBench] = []

    def make(**config: Any) -> ApiBench:
        made.append(ApiBench(tmp_path / str(len(made)), **config))
        return made[-1]

    yield make
    for bench in made:
        bench.kill()
        bench.rig.close()


@pytest.fixture
def bench(a_bench: Callable[..., ApiBench]) -> ApiBench:
    """The API, started."""
    bench = a_bench()
    bench.start()
    return bench
