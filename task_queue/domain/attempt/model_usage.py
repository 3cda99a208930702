"""What each model was used for: the CLI counts a session from its start, and a task has several sessions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

ModelUsage: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By model, the CLI's own keys (``modelUsage`` of its result frame, 2.1.332)."""

_COUNTED = (
    "inputTokens",
    "outputTokens",
    "cacheReadInputTokens",
    "cacheCreationInputTokens",
    "webSearchRequests",
    "costUSD",
)
"""The keys that grow; others, such as the size of the context, are properties."""

_GIVEN = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")


def grown(before: ModelUsage, now: ModelUsage) -> dict[str, dict[str, Any]]:
    """What a session used since it had used *before*; *now* whole where it counts anew, as after a kill."""
    if any(_count(now, model, key) < _count(before, model, key) for model in before for key in _COUNTED):
        before = {}
    since = {
        model: {key: _less(value, before, model, key) for key, value in usage.items()}
        for model, usage in now.items()
    }
    return {model: usage for model, usage in since.items() if any(usage.get(key) for key in _COUNTED)}


def summed(usages: Iterable[ModelUsage]) -> dict[str, dict[str, Any]]:
    """All of *usages* together, in the order in which the models came first."""
    sums: dict[str, dict[str, Any]] = {}
    for usage in usages:
        for model, counts in usage.items():
            so_far = sums.get(model, {})
            added = {
                key: round(_number(so_far.get(key)) + _number(counts.get(key)), 6)
                for key in _COUNTED
                if key in counts
            }
            sums[model] = {**so_far, **counts, **added}
    return sums


def main_model(usage: ModelUsage) -> str | None:
    """The one that most was spent on; None where none was used."""
    spent = {model: _count(usage, model, "costUSD") for model in usage}
    return max(spent, key=spent.__getitem__, default=None)


def tokens_in(usage: ModelUsage) -> tuple[int, int] | None:
    """Of all models: what they were given, caches included, and what they answered; None where none was used."""
    if not usage:
        return None
    given = sum(_count(usage, model, key) for model in usage for key in _GIVEN)
    return int(given), int(sum(_count(usage, model, "outputTokens") for model in usage))


def _less(value: Any, before: ModelUsage, model: str, key: str) -> Any:
    return round(_number(value) - _count(before, model, key), 6) if key in _COUNTED else value


def _count(usage: ModelUsage, model: str, key: str) -> float:
    return _number(usage.get(model, {}).get(key))


def _number(value: Any) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
