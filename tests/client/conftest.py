from __future__ import annotations

from tests.api.conftest import a_bench, bench

__all__ = ["a_bench", "bench"]
