"""The fixtures of the acceptance tests: a machine in a folder, and real processes."""

from __future__ import annotations

from tests.acceptance.conftest import make_agent_rig, make_rig, rig

__all__ = ["make_agent_rig", "make_rig", "rig"]
