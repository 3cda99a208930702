"""``/add``: hand in a task from a form or as a document, with the checks of ``tasks check``."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from task_queue.api.callers import InstallationNow, KeptNow
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import ChangingVisitorNow, Visitor, VisitorNow
from task_queue.api.problems import problem_of
from task_queue.app.checking import CheckedDocument, check
from task_queue.app.installation import Installation
from task_queue.app.submitting import Submission, submit
from task_queue.app.templates import template, templates
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.policy import AccessRole

router = APIRouter(include_in_schema=False)
DocumentField = Annotated[str, Form(max_length=1_100_000)]
_START = "# What is to be done\n\nWhat the agent has to know, and how it can be seen that the work is good.\n"


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
    return _form(request, visitor, installation, source=source, text=text)


@router.post("/add")
def add(
    *,
    request: Request,
    visitor: ChangingVisitorNow,
    installation: InstallationNow,
    kept: KeptNow,
    source: Annotated[str, Form(max_length=300)],
    text: DocumentField,
    only_check: Annotated[bool, Form()] = False,
    key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """*key*: a form that is sent twice makes one task."""
    visitor.caller.demand(AccessRole.SUBMIT)
    document = text.replace("\r\n", "\n")
    if only_check:
        checked = check(installation, document.encode(), file="", source=installation.entry(source))
        return _form(request, visitor, installation, source=source, text=document, checked=checked, key=key)
    try:
        submission = Submission(source=source, document=document)
        answer = submit(installation, submission, visitor.caller, kept, key=key or None)
    except TaskQueueError as error:
        problem = problem_of(error)
        return _form(
            request,
            visitor,
            installation,
            source=source,
            text=document,
            problem=problem.detail,
            status=problem.status,
            key=key,
        )
    return RedirectResponse(f"/tasks/{answer.task.id}?done=add", 303)


def _form(
    request: Request,
    visitor: Visitor,
    installation: Installation,
    *,
    source: str,
    text: str,
    checked: CheckedDocument | None = None,
    problem: str = "",
    status: int = 200,
    key: str = "",
) -> Response:
    sources = [entry for entry in installation.entries() if visitor.caller.policy.allows_source(entry.id)]
    return page(
        request,
        "add.html",
        visitor,
        status=status,
        sources=sources,
        source=source,
        text=text,
        checked=checked,
        problem=problem,
        templates=templates(installation),
        key=key or secrets.token_urlsafe(12),
    )
