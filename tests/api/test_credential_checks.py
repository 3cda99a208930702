"""Whether tokens of streams are still good: asked as seldom as possible, and never too early."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from task_queue.api import credential_checks
from task_queue.api.credential_checks import CredentialChecks
from task_queue.app.installation import Installation
from task_queue.domain.policy import AccessPolicy, Caller


class Tokens:
    """Each look is held until it is let go; what it says is how things stood when it began."""

    def __init__(self) -> None:
        self.good = True
        self.looks = 0
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def again(self) -> Tokens:
        return self

    def is_good(self, *_: object) -> bool:
        self.looks += 1
        good = self.good
        self.begun.release()
        assert self.go.acquire(timeout=20)
        return good


@pytest.fixture
def tokens(monkeypatch: pytest.MonkeyPatch) -> Tokens:
    tokens = Tokens()
    monkeypatch.setattr(credential_checks, "is_still_good", tokens.is_good)
    return tokens


def test_many_streams_with_news_at_once_need_two_looks(tokens: Tokens) -> None:
    """One that is under way when the token is revoked does not count for who asks after that."""

    async def ask() -> tuple[bool, list[bool]]:
        checks = CredentialChecks()
        caller = Caller("boss", cast("AccessPolicy", None), "t1", datetime(2999, 1, 1, tzinfo=UTC))
        installation = cast("Installation", cast("Any", tokens))
        first = asyncio.create_task(checks.is_good_from_now(installation, caller))
        assert await asyncio.to_thread(tokens.begun.acquire, timeout=20)
        tokens.good = False
        others = [asyncio.create_task(checks.is_good_from_now(installation, caller)) for _ in range(200)]
        await asyncio.sleep(0)
        tokens.go.release(2)
        return await first, await asyncio.gather(*others)

    first, others = asyncio.run(ask())

    assert (first, set(others), tokens.looks) == (True, {False}, 2)
