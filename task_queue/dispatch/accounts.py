"""What keeps a worker from getting tasks: its own account, within what bounds all attempts.

Each worker has an account of its own, which is not known here. So what an attempt says of it holds for the tasks of
that worker alone, for as long as this process lives.
"""

from __future__ import annotations

from task_queue.daemon.admission import SharedAdmission, SharedLimits
from task_queue.domain.attempt.account import Account


class _NotKept:
    """Implements ports.admission.AccountStore: what is known ends with the process."""

    def load(self) -> Account:
        return Account()

    def save(self, account: Account) -> None: ...

    def exists(self) -> bool:
        return True


class WorkerAccounts:
    """Of all workers. Not thread-safe."""

    def __init__(self, limits: SharedLimits) -> None:
        self.limits = limits
        self._of: dict[str, SharedAdmission] = {}

    def of(self, worker: str) -> SharedAdmission:
        """What one worker carries out."""
        if worker not in self._of:
            self._of[worker] = SharedAdmission(self.limits, _NotKept())
        return self._of[worker]
