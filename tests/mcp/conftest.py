from __future__ import annotations

from tests.acceptance.conftest import make_agent_rig, make_rig, rig
from tests.api.conftest import a_bench, bench

__all__ = ["a_bench", "bench", "make_agent_rig", "make_rig", "rig"]
