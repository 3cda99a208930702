"""What the forms of a task's page do. Each leads back to the page, which says what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.adding import DocumentField
from task_queue.api.page.refusals import refusal
from task_queue.api.page.visitors import ChangingVisitorNow, Visitor
from task_queue.api.problems import ProblemError, problem_of
from task_queue.app import acknowledging, changing, landing, retrying, undoing
from task_queue.app.installation import Installation
from task_queue.app.patching import TaskPatch, patch
from task_queue.app.tracked_task import TrackedTask
from task_queue.app.tracking import KeptDocuments, demand_change
from task_queue.domain.attempt.retry_wish import MOST_NOTE_CHARS, RetryFrom, RetryWish
from task_queue.domain.errors import TaskQueueError

router = APIRouter(prefix="/tasks/{task_id}", include_in_schema=False)


@dataclass(frozen=True, slots=True)
class TaskForm:
    """A form that came with the page's own token, and the task that it is about."""

    request: Request
    task_id: str
    visitor: Visitor
    installation: Installation
    kept: KeptDocuments

    def act(self, name: str, action: Callable[[TrackedTask], object], *, typed: str = "") -> Response:
        """Do *action*, which pages call *name*. *typed*: what must not be lost where it is refused."""
        try:
            action(demand_change(self.installation, self.task_id, self.visitor.caller, self.kept))
        except (TaskQueueError, ProblemError) as error:
            problem = error if isinstance(error, ProblemError) else problem_of(error)
            return refusal(self.request, problem, self.visitor, typed=typed)
        return RedirectResponse(f"/tasks/{self.task_id}?done={name}", 303)

    def patch(self, task: TrackedTask, wanted: TaskPatch, *, sha256: str | None = None) -> None:
        patch(self.installation, task.id, wanted, self.visitor.caller, self.kept, sha256=sha256)


def _task_form(
    request: Request, task_id: str, visitor: ChangingVisitorNow, installation: InstallationNow, kept: KeptNow
) -> TaskForm:
    return TaskForm(request, task_id, visitor, installation, kept)


_Form = Annotated[TaskForm, Depends(_task_form)]


@router.post("/cancel")
def cancel(form: _Form) -> Response:
    return form.act("cancel", lambda task: changing.cancel(form.installation, task.id, timeout_s=0))


@router.post("/retry")
def retry(
    form: _Form,
    way: Annotated[RetryFrom | Literal["fresh", ""], Form()] = "",
    note: Annotated[str, Form(max_length=MOST_NOTE_CHARS)] = "",
    model: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    begin_at = way if isinstance(way, RetryFrom) else None
    wish = RetryWish(fresh=way == "fresh", begin_at=begin_at, note=note, model=model.strip() or None)
    return form.act("retry", lambda task: retrying.retry(form.installation, task.id, wish), typed=note)


@router.post("/acknowledge")
def acknowledge(form: _Form) -> Response:
    return form.act("acknowledge", lambda task: acknowledging.acknowledge(form.installation, [task.id]))


@router.post("/land")
def land(form: _Form) -> Response:
    def landed(task: TrackedTask) -> None:
        answer = landing.land(form.installation, task.id)
        if not answer.is_in_target:
            raise TaskQueueError(f"it was not merged: {answer.said}")

    return form.act("land", landed)


@router.post("/undo")
def undo(form: _Form) -> Response:
    def undone(task: TrackedTask) -> None:
        answer = undoing.undo(form.installation, task.id)
        if not answer.is_undone:
            raise TaskQueueError(f"it was not undone: {answer.said}")

    return form.act("undo", undone)


@router.post("/priority")
def priority(form: _Form, priority: Annotated[int, Form(ge=1, le=10)]) -> Response:
    return form.act("priority", lambda task: form.patch(task, TaskPatch(priority=priority)))


@router.post("/move")
def move(form: _Form, source: Annotated[str, Form(max_length=300)]) -> Response:
    return form.act("move", lambda task: form.patch(task, TaskPatch(source=source)))


@router.post("/edit")
def edit(form: _Form, text: DocumentField, sha256: Annotated[str, Form(max_length=64)]) -> Response:
    wanted = TaskPatch(document=text.replace("\r\n", "\n"))
    return form.act("edit", lambda task: form.patch(task, wanted, sha256=sha256), typed=text)
