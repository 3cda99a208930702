"""Sources, workers and statistics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import AwareDatetime

from task_queue.api.callers import CallerNow, InstallationNow, served
from task_queue.api.paths import SourcePath
from task_queue.api.problems import ProblemError
from task_queue.api.settings import ServedApi
from task_queue.app import pausing
from task_queue.app.installation import Installation
from task_queue.app.sources import SourceLine, list_sources
from task_queue.app.statistics import StatsView, statistics
from task_queue.app.status import status
from task_queue.app.workers import WorkerLine, lines_of
from task_queue.client.answers import (
    RemoteClaimAnswer,
    RemoteWorkerAnswer,
    SourceAnswer,
    SourceAnswers,
    WorkerAnswer,
    WorkerAnswers,
)
from task_queue.domain.policy import AccessRole, Caller

router = APIRouter(tags=["sources"])


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
def get_workers(installation: InstallationNow, caller: CallerNow, request: Request) -> WorkerAnswers:
    """What the worker of each source does, and what those hold that claim tasks through the API."""
    caller.demand(AccessRole.READ)
    view = lines_of(status(installation, now=installation.now(), waiting_shown=0))
    workers = [_worker(line, caller) for line in view.workers if caller.policy.allows_source(line.source)]
    remote = tuple(remote_workers(served(request), caller))
    return WorkerAnswers(daemon=view.daemon, workers=tuple(workers), remote=remote)


def remote_workers(api: ServedApi, caller: Caller) -> Iterator[RemoteWorkerAnswer]:
    """Who holds claims that *caller* may see, and what of them."""
    held = [each for each in api.desk.held() if caller.policy.allows_source(each.source)]
    may_see = [each for each in held if caller.policy.is_unlimited or each.worker == caller.name]
    for worker in dict.fromkeys(each.worker for each in may_see):
        its = [each for each in may_see if each.worker == worker]
        claims = tuple(
            RemoteClaimAnswer(
                source=each.source,
                task_id=each.claim.task_id,
                attempt=each.claim.attempt,
                lease_expires_at=each.lease_expires_at,
                progress_percent=each.progress.percent,
                step=each.progress.step,
                last_frame_at=each.progress.last_frame_at,
            )
            for each in its
        )
        yield RemoteWorkerAnswer(
            worker_id=worker, last_seen=max(each.last_seen for each in its), claims=claims
        )


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
