"""The model's answer at a usage limit, with the headers that the CLI reads (2.1.332)."""

from __future__ import annotations

import time

from task_queue.demo.scripted_model import ModelError


def in_an_hour() -> int:
    """Seconds since the epoch."""
    return int(time.time()) + 3600


def usage_limit(*, of: str = "five_hour", resets_at: int | None) -> ModelError:
    """*of* is the window that is used up; *resets_at* None: its end is not announced."""
    reset = {} if resets_at is None else {"anthropic-ratelimit-unified-reset": str(resets_at)}
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-representative-claim": of,
        "x-should-retry": "false",
        **reset,
    }
    return ModelError(429, "rate_limit_error", "limit", headers=headers)
