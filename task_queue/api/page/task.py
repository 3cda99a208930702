"""``/tasks/ID``: one task, its transcript, and the stream that keeps both true."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from markupsafe import Markup

from task_queue.api.callers import InstallationNow, KeptNow, served
from task_queue.api.page.live import Beginning, LivePart, first_sight, live
from task_queue.api.page.rendering import fragment, page
from task_queue.api.page.visitors import Visitor, VisitorNow
from task_queue.app.installation import Installation
from task_queue.app.task_page import TaskSight, task_sight
from task_queue.app.tracked_task import TaskStatus, TrackedTask
from task_queue.app.tracking import KeptDocuments, tracked
from task_queue.app.transcript_pages import MOST_FOUND, TranscriptPage, transcript_page

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
    begun = Beginning.now(installation)
    sight = task_sight(installation, task_id, visitor.caller, kept)
    part = _part_of(sight, installation, visitor)
    first = first_sight(request, _live_task(sight.task.id), visitor, part, begun)
    return page(request, "task.html", visitor, sight=sight, first=first, said=SAID.get(done, ""))


@router.get("/live/tasks/{task_id}")
async def follow_task(request: Request, task_id: str, visitor: VisitorNow) -> Response:
    """What changes of the task, again each time that it looks different."""

    def now(installation: Installation, seen: Visitor, kept: KeptDocuments) -> LivePart:
        return _part_of(task_sight(installation, task_id, seen.caller, kept), installation, seen)

    return live(served(request), request, _live_task(task_id), visitor, now)


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
    begun = Beginning.now(installation)
    task = tracked(installation, task_id, visitor.caller, kept)
    part = transcript_page(installation, task.id, attempt=attempt, before=before, text=text)
    shown = _transcript_part(task, part, installation)
    follows = shown.moves and not part.later and part.found is None
    address = _live_transcript(task.id, part.attempt)
    return page(
        request,
        "transcript.html",
        visitor,
        task=task,
        part=part,
        text=text,
        most=MOST_FOUND,
        entries=Markup(shown.html),  # noqa: S704 - a template's
        first=first_sight(request, address, visitor, shown, begun) if follows else None,
    )


@router.get("/live/tasks/{task_id}/transcript")
async def follow_transcript(
    request: Request, task_id: str, visitor: VisitorNow, attempt: Annotated[int, Query(ge=1)]
) -> Response:
    """The last part of the transcript, again each time that it has grown."""

    def now(installation: Installation, seen: Visitor, kept: KeptDocuments) -> LivePart:
        task = tracked(installation, task_id, seen.caller, kept)
        part = transcript_page(installation, task.id, attempt=attempt)
        return _transcript_part(task, part, installation)

    return live(served(request), request, _live_transcript(task_id, attempt), visitor, now)


def _part_of(sight: TaskSight, installation: Installation, seen: Visitor) -> LivePart:
    entries = installation.entries()
    sources = [entry.id for entry in entries if seen.caller.policy.allows_source(entry.id)]
    html = fragment("task_now.html", sight=sight, now=sight.now, visitor=seen, sources=sources)
    return LivePart(html, moves=sight.task.status is TaskStatus.RUNNING)


def _transcript_part(task: TrackedTask, part: TranscriptPage, installation: Installation) -> LivePart:
    html = fragment("entries.html", part=part, now=installation.now())
    return LivePart(html, moves=task.status is TaskStatus.RUNNING)


def _live_task(task_id: str) -> str:
    return f"/live/tasks/{task_id}"


def _live_transcript(task_id: str, attempt: int) -> str:
    return f"/live/tasks/{task_id}/transcript?attempt={attempt}"
