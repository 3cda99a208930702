"""``/schedules``, ``/workers`` and ``/settings``: what comes by itself, who works, how all is set."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from task_queue.api.callers import InstallationNow, served
from task_queue.api.page.rendering import page
from task_queue.api.page.visitors import ChangingVisitorNow, VisitorNow
from task_queue.api.sources import remote_workers
from task_queue.app import pausing
from task_queue.app.configuration import shown_whole
from task_queue.app.doctor.checks import examine
from task_queue.app.schedules import run_by_hand, schedules
from task_queue.app.sources import list_sources
from task_queue.app.status import status
from task_queue.app.workers import workers_of
from task_queue.domain.policy import AccessRole

router = APIRouter(include_in_schema=False)


@router.get("/schedules")
def get_schedules(request: Request, visitor: VisitorNow, installation: InstallationNow) -> Response:
    visitor.demand_whole_sources()
    known = [
        each for each in schedules(installation).schedules if visitor.caller.policy.allows_source(each.source)
    ]
    return page(request, "schedules.html", visitor, schedules=known, now=installation.now())


@router.post("/schedules/run")
def run_schedule(
    *,
    visitor: ChangingVisitorNow,
    installation: InstallationNow,
    name: Annotated[str, Form(max_length=300)],
    source: Annotated[str, Form(max_length=300)],
) -> Response:
    visitor.caller.demand(AccessRole.OPERATE)
    visitor.demand_whole_sources()
    visitor.caller.demand_source(source)
    made = run_by_hand(installation, name, source_id=source)
    return RedirectResponse(f"/tasks/{made.task_id}?done=add", 303)


@router.get("/workers")
def get_workers(request: Request, visitor: VisitorNow, installation: InstallationNow) -> Response:
    visitor.demand_everything()
    now = installation.now()
    view = workers_of(status(installation, now=now, waiting_shown=1))
    sources = {line.id: line for line in list_sources(installation).sources}
    remote = tuple(remote_workers(served(request), visitor.caller))
    return page(request, "workers.html", visitor, view=view, sources=sources, remote=remote, now=now)


@router.post("/sources/{source_id}/{verb}")
def change_source(
    source_id: str,
    verb: Literal["pause", "resume", "drain"],
    visitor: ChangingVisitorNow,
    installation: InstallationNow,
) -> Response:
    visitor.caller.demand(AccessRole.OPERATE)
    visitor.caller.demand_source(source_id)
    verbs = {"pause": pausing.pause, "resume": pausing.resume, "drain": pausing.drain}
    verbs[verb](installation, pausing.sources_named(installation, source_id))
    return RedirectResponse("/workers", 303)


@router.get("/settings")
def get_settings(request: Request, visitor: VisitorNow, installation: InstallationNow) -> Response:
    visitor.caller.demand(AccessRole.ADMIN)
    return page(
        request,
        "settings.html",
        visitor,
        checks=examine(installation).checks,
        content=shown_whole(installation),
        path=installation.locations.config,
    )
