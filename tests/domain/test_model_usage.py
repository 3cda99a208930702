"""What each model was used for is that of the whole task: every session, each part of it once."""

from __future__ import annotations

from typing import Any

import pytest

from task_queue.domain.attempt.model_usage import ModelUsage, grown, summed


def used(tokens: int, usd: float, *, context: int = 200_000) -> dict[str, Any]:
    return {"inputTokens": tokens, "outputTokens": 1, "costUSD": usd, "contextWindow": context}


@pytest.mark.parametrize(
    ("before", "now", "since"),
    [
        pytest.param({}, {"opus": used(5, 0.5)}, {"opus": used(5, 0.5)}, id="a new session"),
        pytest.param(
            {"opus": used(5, 0.5)},
            {"opus": {**used(8, 0.75), "outputTokens": 4}},
            {"opus": {**used(3, 0.25), "outputTokens": 3}},
            id="what it has grown by",
        ),
        pytest.param(
            {"opus": used(5, 0.5)},
            {"opus": used(5, 0.5), "haiku": used(2, 0.01)},
            {"haiku": used(2, 0.01)},
            id="another model came in, and the first did nothing more",
        ),
        pytest.param(
            {"opus": used(5, 0.5)},
            {"opus": used(3, 0.2)},
            {"opus": used(3, 0.2)},
            id="less than before: a new count",
        ),
        pytest.param(
            {"opus": used(5, 0.5)}, {"haiku": used(3, 0.2)}, {"haiku": used(3, 0.2)}, id="gone: a new count"
        ),
        pytest.param({}, {"opus": {"costUSD": "much"}}, {}, id="no figure is no use"),
    ],
)
def test_what_a_session_used_since(before: ModelUsage, now: ModelUsage, since: ModelUsage) -> None:
    assert grown(before, now) == since


def test_sessions_are_added_up_by_model() -> None:
    """Properties of a model are those told last."""
    total = summed(
        [{"opus": used(5, 0.5)}, {}, {"haiku": used(1, 0.01), "opus": used(2, 0.1, context=1_000_000)}]
    )

    assert total == {
        "opus": {**used(7, 0.6, context=1_000_000), "outputTokens": 2},
        "haiku": used(1, 0.01),
    }
