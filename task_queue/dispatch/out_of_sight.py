"""What stands for runners and orders where a worker carries attempts out: nothing of it runs or can be ended here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import Claim, Journal, RunRecord, WorkProduct
from task_queue.domain.task import Task
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.executor import Order
from task_queue.ports.runner import Orders, RunningAttempt


class RunnersOutOfSight:
    """Implements ports.runner.Runners."""

    def start(self, order: Order) -> RunningAttempt:
        raise ExecutorError(f"{order.claim.task_id} is for workers: nothing starts it here")

    def adopt(self, run: RunRecord) -> RunningAttempt | None:  # noqa: ARG002 - the port's signature
        return None

    def find(self, marker: str) -> RunningAttempt | None:  # noqa: ARG002 - the port's signature
        return None

    def sweep(self, marker: str) -> int:  # noqa: ARG002 - the port's signature
        return 0


@dataclass(frozen=True, slots=True)
class OrdersOfWorkers:
    """Implements ports.runner.Orders: *own* says what the configuration does; a worker has its own programs."""

    own: Orders
    refuse: Callable[[], None] = lambda: None
    """Raises ExecutorError where nothing can be handed out."""

    def settings_of(self, task: Task) -> Settings:
        return self.own.settings_of(task)

    def check(self, task: Waiting) -> None:  # noqa: ARG002 - the port's signature
        self.refuse()

    def order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:
        return self.own.order_for(claim, task, journal, place)

    def compared(self, claim: Claim, task: Task, product: WorkProduct) -> WorkProduct:  # noqa: ARG002 - the port's signature
        return product

    def workspace_of(self, task: Task) -> str | None:
        return self.own.workspace_of(task)
