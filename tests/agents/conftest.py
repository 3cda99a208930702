"""A rig for one attempt of an agent, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from task_queue.demo.scripted_model import ScriptedModel
from tests.agents.bench import Bench, MakeBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[MakeBench]:
    with ExitStack() as models:
        count = iter(range(100))
        yield lambda script: Bench(tmp_path / str(next(count)), models.enter_context(ScriptedModel(script)))
