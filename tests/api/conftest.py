from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.api.bench import ApiBench


@pytest.fixture
def a_bench() -> Iterator[Callable[..., ApiBench]]:
    """Makes benches whose processes end with the test, in a folder whose path is short enough for a socket."""
    made: list[ApiBench] = []
    with TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:

        def make(**config: Any) -> ApiBench:
            made.append(ApiBench(Path(folder) / str(len(made)), **config))
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
