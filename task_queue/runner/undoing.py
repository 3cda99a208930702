"""Takes back what an ended task has landed, once the task's checks have passed on what its branch would become.

An ``UndoRequest`` comes in, an ``UndoAnswer`` goes out; where it gives up, the branch stays as it is.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from task_queue.domain.model import LandingState, WorkProduct
from task_queue.domain.work.commits import TASK_QUEUE_UNDOES, message_of
from task_queue.domain.work.undoing import CannotUndo, Undoing, Undone
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.landed_work import work_to_undo
from task_queue.git.landing import Unproven
from task_queue.git.undoing import UndoPlan, undo
from task_queue.platform.records import decode
from task_queue.ports.executor import Order
from task_queue.ports.undoing import UndoAnswer, UndoRequest
from task_queue.runner.checkout import Checkout
from task_queue.runner.committing import signature_of
from task_queue.runner.ended_task import WITHIN_S, EndedTask, answered


def main() -> int:
    """Raises UnreadableRecordError where standard input is not a request."""
    undoing = UndoTry(decode(UndoRequest, sys.stdin.buffer.read()))
    return answered(undoing.answer, stop=undoing.stop)


class UndoTry:
    """One try."""

    def __init__(self, request: UndoRequest) -> None:
        self._task = EndedTask(request.order, request.product)
        self._product = request.product
        self._why_not: str | None = "it was stopped"

    def stop(self) -> None:
        """Give up, and end the command that runs; safe from a signal handler."""
        self._task.stop()

    def answer(self) -> UndoAnswer:
        """Raises GitError."""
        product = self._task.alone(self._undo)
        return UndoAnswer(product, self._why_not)

    def _undo(self, checkout: Checkout) -> WorkProduct:
        assert checkout.owner is not None
        order = self._task.order
        work = work_to_undo(order.claim.task_id, self._product)
        notes: list[str] = []
        outcome = undo(
            checkout.owner,
            UndoPlan(
                work,
                lambda undoing: _message(order, undoing),
                beside=checkout.beside("merge"),
                marker=order.marker,
                prove=lambda commit: self._task.prove(checkout, commit),
                give_up=lambda: self._task.is_stopped,
            ),
            add_note=notes.append,
            signature=signature_of(order),
            within_s=HOOKS_TIMEOUT_S,
            wait_s=WITHIN_S,
        )
        match outcome:
            case CannotUndo(why=why):
                self._why_not = why
            case Unproven(findings=findings):
                first = next((line for line in findings.splitlines() if line.strip()), "").rstrip(":")
                self._why_not = f"without it, checks fail on {work.target}: {first}"
            case Undone():
                self._why_not = None
                return _undone(self._product, outcome, work.target, tuple(dict.fromkeys(notes)))
        return self._product


def _message(order: Order, undoing: Undoing) -> str:
    task_id = order.claim.task_id
    body = f"This takes back what the task {task_id} landed."
    return message_of(f"Undo {order.title}", body, {TASK_QUEUE_UNDOES: undoing.after})


def _undone(product: WorkProduct, outcome: Undone, target: str, notes: tuple[str, ...]) -> WorkProduct:
    said = f"it was undone: {outcome.said}"
    landing = {"state": LandingState.UNDONE, "target": target, "reason": said, "way": outcome.way}
    return replace(
        product,
        landed=said,
        landing=landing | ({"reverted_by": outcome.reverted_by} if outcome.reverted_by else {}),
        keep=(),
        undo=(),
        notes=(*product.notes, *notes),
    )


if __name__ == "__main__":
    sys.exit(main())
