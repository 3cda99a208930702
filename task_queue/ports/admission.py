"""The seam to what all sources share: places, the account, budgets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Protocol

from task_queue.domain.attempt.account import Account
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.model import Claim, Ending, Pause
from task_queue.domain.task import TaskId


class Admission(Protocol):
    """What all sources share: places for agents, the account, budgets, room on the disk."""

    def screen(self, source: str) -> Callable[[Waiting], str | None] | None:
        """Says of a task why it is held back while others of *source* may pass; None if none is.

        It depends on nothing but what ``domain.document.backlog`` groups tasks by.
        """
        ...

    def enter(self, source: str, task: Waiting, wake: Callable[[], None]) -> str | None:
        """Take a place for one attempt; or say why there is none, and call *wake* when that may have changed."""
        ...

    def count_in(
        self, source: str, task_id: TaskId, wanted_usd: float | None, *, task: Waiting | None = None
    ) -> None:
        """Let the attempt that an earlier process started in *source* take a place, be one free or not.

        *task_id* is the name of its document. It may still spend *wanted_usd*, None: whatever the day's budget leaves.
        *task* is None where its document does not say any more what it is.
        """
        ...

    def leave(self, source: str, task_id: TaskId) -> None: ...

    def pause(self, pause: Pause) -> datetime:
        """Let nothing start on the account; returns until when (a guess where that is unknown)."""
        ...

    def pause_model(self, source: str, name: str, pause: Pause, *, asked: str | None) -> datetime:
        """Let nothing start that uses the model, or class of models, *name*; returns until when.

        A task of *source* has met it that names the model *asked*, or none: others like it would, too.
        """
        ...

    def was_paused(self, before: datetime) -> bool:
        """Whether the account is paused, and was *before* already: an attempt begun then tried it."""
        ...

    def is_probing(self, source: str, task_id: TaskId) -> bool:
        """Whether the attempt of that task tries an account that was paused."""
        ...

    def account_works(self) -> None:
        """That attempt got an answer: the others may go on."""
        ...

    def ended(self, source: str, claim: Claim, ending: Ending) -> None:
        """Take note of what an attempt cost and showed. Idempotent."""
        ...


class AccountStore(Protocol):
    """Keeps the account's state; a person opens the account by removing what is kept."""

    def load(self) -> Account:
        """An open account if nothing is kept, or nothing readable."""
        ...

    def save(self, account: Account) -> None: ...

    def exists(self) -> bool: ...


class Spending(Protocol):
    """What was spent, in USD, an attempt once."""

    def enter(
        self, source: str, task_id: str, attempt: int, usd: float, *, at: datetime, estimated: float = 0.0
    ) -> None:
        """*estimated* is how much of it is not known for sure. Raises OSError if it cannot be kept."""
        ...

    def spent_on(self, day: date, source: str | None = None) -> float:
        """USD of a local *day*, of one source or of all."""
        ...
