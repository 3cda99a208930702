"""``/add``: hand in tasks from the editor or as files, with the checks of ``tasks check``."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from fastapi.responses import RedirectResponse

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.guard import LARGEST_BODY
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import ChangingVisitorNow, Visitor, VisitorNow
from task_queue.api.problems import problem_of
from task_queue.app.checking import CheckedDocument, check
from task_queue.app.installation import Installation
from task_queue.app.submitting import Submission, submit
from task_queue.app.templates import template, templates
from task_queue.app.tracked_task import TrackedTask
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessRole

router = APIRouter(include_in_schema=False)
DocumentField = Annotated[str, Form(max_length=1_100_000)]
_START = "# What is to be done\n\nWhat the agent has to know, and how it can be seen that the work is good.\n"
_MOST_FILES = 100


@dataclass(frozen=True, slots=True)
class _Offered:
    """What came with the form. *name*: of its file; empty for the text of the editor."""

    name: str
    data: bytes


@router.get("/add")
def get_form(
    *,
    request: Request,
    visitor: VisitorNow,
    installation: InstallationNow,
    source: Annotated[str, Query(max_length=300)] = "",
    from_template: Annotated[str, Query(alias="template", max_length=200)] = "",
) -> Response:
    visitor.caller.demand(AccessRole.SUBMIT)
    text = template(installation, from_template) if from_template else _START
    return _form(request, visitor, installation, source=source, text=text, chosen=from_template)


@router.post("/add")
def add(
    *,
    request: Request,
    visitor: ChangingVisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    source: Annotated[str, Form(max_length=300)],
    text: DocumentField = "",
    files: Annotated[list[UploadFile], File(max_length=_MOST_FILES)] = [],  # noqa: B006 - as FastAPI has it
    from_template: Annotated[str, Form(alias="template", max_length=200)] = "",
    what: Annotated[str, Form(max_length=20)] = "add",
    key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """*what*: ``add``, only ``check``, or ``begin`` with a template. *key*: a form sent twice adds nothing twice.

    Files are taken in place of the text; where one of them could not run, none is added.
    """
    visitor.caller.demand(AccessRole.SUBMIT)
    if what == "begin":
        asked = {name: value for name, value in (("template", from_template), ("source", source)) if value}
        return RedirectResponse(f"/add?{urlencode(asked)}", 303)
    document = text.replace("\r\n", "\n")
    given = [_Offered(file.filename, file.file.read()) for file in files if file.filename]
    given = given or [_Offered("", document.encode())]
    entry = installation.entry(source)
    checked = [check(installation, each.data, file=each.name, source=entry) for each in given]
    again = partial(_form, request, visitor, installation, source=source, text=document, key=key)
    if what == "check" or any(each.faults for each in checked):
        return again(checked=checked, status=200 if what == "check" else 422)
    try:
        added = _added(installation, visitor, kept, given, source=source, key=key)
    except TaskQueueError as error:
        problem = problem_of(error)
        return again(problem=problem.detail, status=problem.status)
    if len(added) == 1:
        return RedirectResponse(f"/tasks/{added[0].id}?done=add", 303)
    return page(request, "added.html", visitor, tasks=added)


def _added(
    installation: Installation,
    visitor: Visitor,
    kept: KeptDocuments,
    given: Sequence[_Offered],
    *,
    source: str,
    key: str,
) -> list[TrackedTask]:
    """Raises as ``submit``."""
    return [
        submit(
            installation,
            Submission(source=source, document=each.data.decode(errors="replace")),
            visitor.caller,
            kept,
            key=f"{key}.{number}" if key else None,
        ).task
        for number, each in enumerate(given)
    ]


def _form(
    request: Request,
    visitor: Visitor,
    installation: Installation,
    *,
    source: str,
    text: str,
    chosen: str = "",
    checked: Sequence[CheckedDocument] = (),
    problem: str = "",
    status: int = 200,
    key: str = "",
) -> Response:
    """*chosen*: the name of the template that *text* is from."""
    sources = [entry for entry in installation.entries() if visitor.caller.policy.allows_source(entry.id)]
    return page(
        request,
        "add.html",
        visitor,
        status=status,
        sources=sources,
        source=source,
        text=text,
        chosen=chosen,
        checked=checked,
        problem=problem,
        templates=templates(installation),
        most_bytes=LARGEST_BODY,
        key=key or secrets.token_urlsafe(12),
    )
