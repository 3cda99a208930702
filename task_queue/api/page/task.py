"""``/tasks/ID``: one task, its transcript, and the stream that keeps both true."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow, served
from task_queue.api.page.live import LivePart, live
from task_queue.api.page.rendering import fragment, page
from task_queue.api.page.visitors import Visitor, VisitorNow
from task_queue.app.installation import Installation
from task_queue.app.task_page import task_sight
from task_queue.app.tracked_task import TaskStatus
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.app.transcript_pages import MOST_FOUND, transcript_page

router = APIRouter(include_in_schema=False)
SAID = {
    "cancel": "A cancel was asked for: the task ends, and nothing of it is left running.",
    "retry": "The task waits again.",
    "acknowledge": "What it needed is acknowledged.",
    "priority": "Its priority was changed.",
    "edit": "Its document was changed.",
    "move": "It waits in another source now.",
    "add": "The task was accepted.",
    "land": "Its branch is merged.",
    "undo": "What it had landed was taken back.",
}
"""What a page says of the action that led to it."""


@router.get("/tasks/{task_id}")
def get_task(
    *,
    request: Request,
    task_id: str,
    visitor: VisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    sight = task_sight(installation, task_id, visitor.caller, kept)
    sources = _sources(installation, visitor)
    said = SAID.get(done, "")
    return page(request, "task.html", visitor, sight=sight, now=sight.now, said=said, sources=sources)


@router.get("/live/tasks/{task_id}")
async def follow_task(request: Request, task_id: str, visitor: VisitorNow) -> Response:
    """What changes of the task, again each time that it looks different."""

    def now(installation: Installation, seen: Visitor, kept: KeptDocuments) -> LivePart:
        sight = task_sight(installation, task_id, seen.caller, kept)
        sources = _sources(installation, seen)
        html = fragment("task_now.html", sight=sight, now=sight.now, visitor=seen, sources=sources)
        return LivePart(html, moves=sight.task.status is TaskStatus.RUNNING)

    return live(served(request), request, visitor, now)


@router.get("/tasks/{task_id}/transcript")
def get_transcript(
    *,
    request: Request,
    task_id: str,
    visitor: VisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    attempt: Annotated[int | None, Query(ge=1)] = None,
    before: Annotated[int | None, Query(ge=0, le=2**40)] = None,
    text: Annotated[str, Query(max_length=300)] = "",
) -> Response:
    task = tracked(installation, task_id, visitor.caller, kept)
    part = transcript_page(installation, task.id, attempt=attempt, before=before, text=text)
    return page(
        request,
        "transcript.html",
        visitor,
        task=task,
        part=part,
        text=text,
        most=MOST_FOUND,
        now=installation.now(),
    )


@router.get("/live/tasks/{task_id}/transcript")
async def follow_transcript(
    request: Request, task_id: str, visitor: VisitorNow, attempt: Annotated[int, Query(ge=1)]
) -> Response:
    """The last part of the transcript, again each time that it has grown."""

    def now(installation: Installation, seen: Visitor, kept: KeptDocuments) -> LivePart:
        task = tracked(installation, task_id, seen.caller, kept)
        part = transcript_page(installation, task.id, attempt=attempt)
        html = fragment("entries.html", part=part, now=installation.now())
        return LivePart(html, moves=task.status is TaskStatus.RUNNING)

    return live(served(request), request, visitor, now)


def _sources(installation: Installation, seen: Visitor) -> list[str]:
    """To which it may be moved."""
    return [entry.id for entry in installation.entries() if seen.caller.policy.allows_source(entry.id)]
