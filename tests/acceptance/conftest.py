"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from task_queue.demo.scripted_model import Script
from tests.acceptance.agents import AgentRig
from tests.acceptance.rig import Rig


class MakeRig(Protocol):
    def __call__(self, *, sources: tuple[str, ...] = ("a",), **config: Any) -> Rig: ...


class MakeAgentRig(Protocol):
    def __call__(self, script: Script, *, sources: tuple[str, ...] = ("a",), **config: Any) -> AgentRig: ...


@pytest.fixture
def make_rig(tmp_path: Path) -> Iterator[MakeRig]:
    """A rig as the test configures it; everything it started is ended with the test."""
    made: list[Rig] = []

    def make(*, sources: tuple[str, ...] = ("a",), **config: Any) -> Rig:
        made.append(Rig(tmp_path / f"home-{len(made)}", sources=sources, **config))
        return made[-1]

    yield make
    for rig in made:
        rig.close()


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    return make_rig()


@pytest.fixture
def make_agent_rig(tmp_path: Path) -> Iterator[MakeAgentRig]:
    """A rig with the real agent, whose model answers as the script says."""
    made: list[AgentRig] = []

    def make(script: Script, *, sources: tuple[str, ...] = ("a",), **config: Any) -> AgentRig:
        made.append(AgentRig(tmp_path / f"agent-{len(made)}", script, sources=sources, **config))
        return made[-1]

    yield make
    for rig in made:
        rig.close()
