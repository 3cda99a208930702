from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.worker.bench import WorkerBench


@pytest.fixture
def make_bench() -> Iterator[Callable[..., WorkerBench]]:
    """Makes benches whose processes end with the test; the server runs, the worker not yet."""
    made: list[WorkerBench] = []
    with TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:

        def make(**settings: Any) -> WorkerBench:
            made.append(WorkerBench(Path(folder) / str(len(made)), **settings))
            return made[-1]

        yield make
        for bench in made:
            bench.close()
