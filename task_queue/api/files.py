"""What a task consists of and left: document, result, report, transcript."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow
from task_queue.app.task_files import file_of, transcript_part
from task_queue.app.tracking import tracked

_Responses = dict[int | str, dict[str, Any]]
router = APIRouter(prefix="/v1/tasks/{task_id}", tags=["files"])
_MARKDOWN: _Responses = {200: {"content": {"text/markdown": {}}, "description": "The file as it is."}}
_JSON: _Responses = {200: {"content": {"application/json": {}}}}
_LINES: _Responses = {200: {"content": {"application/x-ndjson": {}}, "description": "Whole lines."}}


@router.get("/document", response_class=Response, responses=_MARKDOWN)
def get_document(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> Response:
    """The Markdown document. Its ETag is what a change of it needs as If-Match."""
    task = tracked(installation, task_id, caller, kept)
    file = file_of(installation, task.id, "document")
    return Response(file.data, media_type="text/markdown", headers={"etag": f'"{file.sha256}"'})


@router.get("/report", response_class=Response, responses=_MARKDOWN)
def get_report(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> Response:
    """The report of a task that has ended, for people."""
    task = tracked(installation, task_id, caller, kept)
    return Response(file_of(installation, task.id, "report").data, media_type="text/markdown")


@router.get("/result", response_class=Response, responses=_JSON)
def get_result(task_id: str, installation: InstallationNow, caller: CallerNow, kept: KeptNow) -> Response:
    """The result of a task that has ended, as its file has it."""
    task = tracked(installation, task_id, caller, kept)
    return Response(file_of(installation, task.id, "result").data, media_type="application/json")


@router.get("/transcript", response_class=Response, responses=_LINES)
def get_transcript(
    *,
    task_id: str,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    attempt: Annotated[int | None, Query(ge=1)] = None,
    offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
    limit: Annotated[int, Query(ge=1, le=2**22)] = 2**18,
) -> Response:
    """Lines of an attempt's transcript from *offset* on; the header `Next-Offset` says where to go on."""
    task = tracked(installation, task_id, caller, kept)
    part = transcript_part(installation, task.id, attempt=attempt, offset=offset, limit=limit)
    headers = {"next-offset": str(part.end), "attempt": str(part.attempt)}
    return Response(part.data, media_type="application/x-ndjson", headers=headers)
