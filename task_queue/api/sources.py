"""Sources, workers and statistics."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.config import JsonDict

from task_queue.api.callers import CallerNow, InstallationNow
from task_queue.api.paths import SourcePath
from task_queue.api.problems import ProblemError
from task_queue.app import pausing
from task_queue.app.installation import Installation
from task_queue.app.sources import SourceLine, list_sources
from task_queue.app.statistics import StatsView, statistics
from task_queue.app.status import status
from task_queue.app.workers import WorkerLine, lines_of
from task_queue.domain.policy import AccessRole, Caller

router = APIRouter(tags=["sources"])
_SOURCE: JsonDict = {"id": "ad-hoc", "description": "", "state": "paused", "paused_by": "command"}
_WORKER: JsonDict = {
    "source": "ad-hoc",
    "state": "unserved",
    "why": "the daemon does not run",
    "task_id": "task-20260207-120000-fix-login",
}


class SourceAnswer(BaseModel):
    """A source, and whether it starts tasks."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [_SOURCE]})
    id: str
    """Unique."""
    description: str
    """For people."""
    state: str
    """`open`, `paused`, `draining` or `drained`."""
    paused_by: str | None
    """`command` or `configuration`; null while it is open."""


class SourceAnswers(BaseModel):
    """Those that the credential may see."""

    model_config = ConfigDict(
        use_attribute_docstrings=True, json_schema_extra={"examples": [{"sources": [_SOURCE]}]}
    )
    sources: tuple[SourceAnswer, ...]
    """In the order of the configuration."""


class WorkerAnswer(BaseModel):
    """What carries the tasks of a source out."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"examples": [_WORKER]})
    source: str
    """Which it serves."""
    state: str
    """`serving`, `unavailable`, `paused`, `draining`, `drained`, `stopped`, or `unserved` while no daemon serves it."""
    why: str | None
    """Why it does not serve."""
    task_id: str | None
    """What it works on; null also where the policy is limited."""


class WorkerAnswers(BaseModel):
    """Those of the sources that the credential may see."""

    model_config = ConfigDict(
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"daemon": True, "workers": [_WORKER]}]},
    )
    daemon: bool
    """Whether it runs."""
    workers: tuple[WorkerAnswer, ...]
    """One for each source."""


@router.get("/v1/sources")
def get_sources(installation: InstallationNow, caller: CallerNow) -> SourceAnswers:
    """The sources that the credential may see, and whether they start tasks."""
    caller.demand(AccessRole.READ)
    lines = [line for line in list_sources(installation).sources if caller.policy.allows_source(line.id)]
    return SourceAnswers(sources=tuple(map(_source, lines)))


@router.post("/v1/sources/{source_id}/pause")
def pause_source(source_id: SourcePath, installation: InstallationNow, caller: CallerNow) -> SourceAnswer:
    """Start nothing new of it; what runs goes on."""
    _demand_source(installation, source_id, caller)
    pausing.pause(installation, pausing.sources_named(installation, source_id))
    return _source_now(installation, source_id)


@router.post("/v1/sources/{source_id}/resume")
def resume_source(source_id: SourcePath, installation: InstallationNow, caller: CallerNow) -> SourceAnswer:
    """Let it go on; what the configuration pauses stays paused."""
    _demand_source(installation, source_id, caller)
    pausing.resume(installation, pausing.sources_named(installation, source_id))
    return _source_now(installation, source_id)


@router.post("/v1/sources/{source_id}/drain")
def drain_source(source_id: SourcePath, installation: InstallationNow, caller: CallerNow) -> SourceAnswer:
    """Start nothing new of it; its state is `drained` once nothing of it runs."""
    _demand_source(installation, source_id, caller)
    pausing.drain(installation, pausing.sources_named(installation, source_id))
    return _source_now(installation, source_id)


@router.get("/v1/workers")
def get_workers(installation: InstallationNow, caller: CallerNow) -> WorkerAnswers:
    """What the worker of each source does."""
    caller.demand(AccessRole.READ)
    view = lines_of(status(installation, now=installation.now(), waiting_shown=0))
    workers = [_worker(line, caller) for line in view.workers if caller.policy.allows_source(line.source)]
    return WorkerAnswers(daemon=view.daemon, workers=tuple(workers))


@router.get("/v1/stats")
def get_stats(
    installation: InstallationNow,
    caller: CallerNow,
    since: Annotated[
        AwareDatetime | None,
        Query(description="Only what ended then or later.", examples=["2026-02-01T00:00:00Z"]),
    ] = None,
    by: Annotated[
        Literal["source", "type", "model", "outcome", "day"] | None,
        Query(description="In groups by this, too.", examples=["type"]),
    ] = None,
) -> StatsView:
    """Counts, times, costs and success of what ended; for credentials whose policy allows every task."""
    caller.demand_everything("statistics")
    return statistics(installation, since=since, by=by)


def _demand_source(installation: Installation, source_id: str, caller: Caller) -> None:
    caller.demand(AccessRole.OPERATE)
    known = {entry.id for entry in installation.entries()}
    if source_id not in known or not caller.policy.allows_source(source_id):
        raise ProblemError(404, "source_not_found", f"there is no source '{source_id}'")


def _source_now(installation: Installation, source_id: str) -> SourceAnswer:
    lines = list_sources(installation.again()).sources
    return _source(next(line for line in lines if line.id == source_id))


def _source(line: SourceLine) -> SourceAnswer:
    return SourceAnswer(id=line.id, description=line.description, state=line.state, paused_by=line.paused_by)


def _worker(line: WorkerLine, caller: Caller) -> WorkerAnswer:
    seen = line.task_id if caller.policy.is_unlimited else None
    return WorkerAnswer(source=line.source, state=line.state, why=line.why, task_id=seen)
