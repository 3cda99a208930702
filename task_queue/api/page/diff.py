"""``/tasks/ID/diff``: what the commits of a task change, file by file."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import VisitorNow
from task_queue.app.highlighting import highlight
from task_queue.app.patch_view import files_of
from task_queue.app.task_diff import diff_of
from task_queue.app.tracking import tracked

router = APIRouter(include_in_schema=False)


@router.get("/tasks/{task_id}/diff")
def get_diff(
    request: Request, task_id: str, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    task = tracked(installation, task_id, visitor.caller, kept)
    diff = diff_of(installation, task.id)
    files = files_of(diff.patch)
    highlight(files)
    return page(request, "diff.html", visitor, task=task, diff=diff, files=files)
