"""``/v1/claims``: workers claim tasks, show signs of life, and say how an attempt ended."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.file_answer import FileAnswer
from task_queue.api.paths import ClaimPath
from task_queue.api.tasks import with_links
from task_queue.app.claiming import (
    ClaimAnswer,
    HandedInBundle,
    PulseAnswer,
    ReportAnswer,
    ToldProgress,
    WantedTask,
    WorkerDesk,
    demand_kind,
    report_from,
)
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.client.answers import FramesAnswer
from task_queue.domain.artifacts import BUNDLE_TYPE
from task_queue.domain.lease import LONGEST_S, SHORTEST_S, USUAL_S
from task_queue.domain.model import OutcomeKind
from task_queue.domain.policy import Caller

router = APIRouter(prefix="/v1/claims", tags=["claims"])
_MOST_FRAMES = 5000
_RELEASED = (OutcomeKind.LIMITED, OutcomeKind.UNAVAILABLE, OutcomeKind.ACCOUNT, OutcomeKind.INTERRUPTED)
_Tag = Annotated[str, Field(max_length=300)]
_Tags = Annotated[tuple[_Tag, ...], Field(max_length=100)]
_BUNDLE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {BUNDLE_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        "description": "The bundle.",
    }
}
_COMMIT = r"^[0-9a-f]{40}([0-9a-f]{24})?$"
_Epoch = Annotated[int, Field(ge=0, le=2**31, strict=True)]


class ClaimRequest(BaseModel):
    """What a worker would carry out."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"worker_id": "builder", "capabilities": ["gpu"], "wait_seconds": 30}]
        },
    )
    worker_id: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """The name of the credential, as without it; the owner, over the socket, may use any."""
    lease_seconds: Annotated[float, Field(ge=SHORTEST_S, le=LONGEST_S, strict=True, allow_inf_nan=False)] = (
        USUAL_S
    )
    """For how long without a sign of life."""
    sources: _Tags | None = None
    """Of these only; without it, of every source that workers serve. So with `types` and `executors`."""
    types: _Tags | None = None
    """Of these only."""
    capabilities: _Tags = ()
    """What the worker has."""
    executors: _Tags | None = None
    """`claude`, and the names of its commands."""
    repositories: _Tags | None = None
    """HOST/OWNER/NAME that it may fetch, `*` for all; without it, all. It is not offered tasks of others."""
    except_repositories: _Tags = ()
    """Of these, those that it cannot reach now."""
    wait_seconds: Annotated[float, Field(ge=0, le=60, strict=True, allow_inf_nan=False)] = 0
    """How long to wait for a task where there is none."""


class ProgressRequest(BaseModel):
    """How far the worker has come; what it leaves out stays as it was."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    percent: Annotated[float, Field(ge=0, le=100, strict=True, allow_inf_nan=False)] | None = None
    """What is smaller than before changes nothing."""
    step: Annotated[str, Field(max_length=300)] | None = None
    """What it does, for people."""
    turns: Annotated[int, Field(ge=0, le=10**9, strict=True)] | None = None
    """Of the agent, in this attempt."""
    cost_usd: Annotated[float, Field(ge=0, le=10**6, strict=True, allow_inf_nan=False)] | None = None
    """Of this attempt so far."""


class HeartbeatRequest(BaseModel):
    """A sign of life."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"epoch": 1, "progress": {"percent": 40, "step": "verify"}}]},
    )
    epoch: _Epoch
    """That of the claim."""
    progress: ProgressRequest | None = None
    """How far it has come."""
    last_frame_at: AwareDatetime | None = None
    """When the agent last said anything."""


class FramesRequest(BaseModel):
    """Lines of the transcript, after the first `offset`."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={"examples": [{"epoch": 1, "offset": 0, "lines": ['{"t": "x", "seq": 1}']}]},
    )
    epoch: _Epoch
    """That of the claim."""
    offset: Annotated[int, Field(ge=0, le=10**9, strict=True)]
    """How many lines come before."""
    lines: Annotated[
        tuple[Annotated[str, Field(max_length=200_000, pattern=r"^\{[^\r\n]*\}$")], ...],
        Field(max_length=_MOST_FRAMES),
    ]
    """Each a JSON object, as `transcript.jsonl` has them."""


class HandedInCommits(BaseModel):
    """Commits, in an artifact that is a git bundle."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    bundle: Annotated[str, Field(min_length=1, max_length=180, examples=["work.bundle"])]
    """The name of the artifact."""
    tip: Annotated[str, Field(pattern=_COMMIT, examples=["9fceb02d0ae598e95dc970b74767f19372d61af8"])]
    """The last of the commits."""
    base_commit: Annotated[str, Field(pattern=_COMMIT, examples=["e83c5163316f89bfbde7d9ab23ca2e25604af290"])]
    """That of the order, on which they build."""


class ReportRequest(BaseModel):
    """How the attempt ended, as the worker saw it; the queue decides what follows."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [
                {
                    "epoch": 1,
                    "outcome": {"kind": "succeeded", "reason": "done"},
                    "work": {"output": "It works.", "num_turns": 3, "total_cost_usd": 0.12},
                }
            ]
        },
    )
    epoch: _Epoch
    """That of the claim."""
    outcome: dict[str, Any]
    """`kind`, `reason`, and what else `outcome.json` has."""
    work: dict[str, Any] = Field(default={})
    """`output`, `usage`, `total_cost_usd`, `num_turns`, and what else `outcome.json` has."""
    handed_in: HandedInCommits | None = None
    """Commits; the queue checks and lands them."""


class ReleaseRequest(BaseModel):
    """Gives the task back; that costs it no attempt."""

    model_config = ConfigDict(
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra={
            "examples": [{"epoch": 1, "reason": "the worker is shut down", "kind": "interrupted"}]
        },
    )
    epoch: _Epoch
    """That of the claim."""
    reason: Annotated[str, Field(max_length=2000)]
    """For people."""
    kind: str = "interrupted"
    """`limited`, `unavailable`, `account` or `interrupted`."""
    resets_at: AwareDatetime | None = None
    """With `limited`: from when on the worker's account may be used again."""
    work: dict[str, Any] = Field(default={})
    """As in `complete`."""
    handed_in: HandedInCommits | None = None
    """Commits that were made until then; they come to the task's branch."""


@router.post("")
async def claim_task(
    *,
    request: Request,
    body: ClaimRequest,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    idempotency_key: Annotated[
        str | None,
        Header(
            max_length=200,
            min_length=1,
            description="Your own name of this question, at random: with it, it can be repeated.",
            examples=["6f1f3e0c8b0a4e9f9d0c5f7a2b6d4c11"],
        ),
    ] = None,
) -> ClaimAnswer:
    """The first task in order that fits and may start now, on a lease. No task is given twice.

    While the claim is live, the same `Idempotency-Key` of the same worker leads to it again.
    """
    api, loop = served(request), asyncio.get_running_loop()
    wanted = WantedTask(
        body.worker_id or caller.name,
        body.lease_seconds,
        body.sources,
        body.types,
        body.capabilities,
        body.executors,
        idempotency_key,
        body.repositories,
        body.except_repositories,
    )
    until = loop.time() + body.wait_seconds
    while True:
        change = api.change()
        if await request.is_disconnected():
            return ClaimAnswer(None, None)  # who waited is gone: it gets none
        answer = await run_in_threadpool(_desk(request).claim, installation, wanted, caller, kept)
        if answer.task is not None:
            with_links(answer.task)
        left = until - loop.time()
        if answer.claim is not None or left <= 0 or api.ends.is_set():
            return answer
        await asyncio.wait([change], timeout=left)
        installation = installation.again()


@router.post("/{claim_id}/heartbeat")
def heartbeat(
    claim_id: ClaimPath, body: HeartbeatRequest, request: Request, caller: CallerNow
) -> PulseAnswer:
    """Renew the lease, and hear what is to be done."""
    told = body.progress or ProgressRequest()
    progress = ToldProgress(told.percent, told.step, told.turns, told.cost_usd, body.last_frame_at)
    return _desk(request).heartbeat(claim_id, body.epoch, progress, caller)


@router.post("/{claim_id}/frames")
def add_frames(claim_id: ClaimPath, body: FramesRequest, request: Request, caller: CallerNow) -> FramesAnswer:
    """Add to the transcript. Lines that are there already are left as they are."""
    offset = _desk(request).frames(claim_id, body.epoch, body.offset, body.lines, caller)
    return FramesAnswer(offset=offset)


@router.get("/{claim_id}/base", response_class=Response, responses=_BUNDLE)
def get_base(
    claim_id: ClaimPath,
    request: Request,
    installation: InstallationNow,
    caller: CallerNow,
    have: Annotated[
        list[Annotated[str, Field(pattern=_COMMIT)]] | None,
        Query(
            max_length=100,
            description="Commits that are there already.",
            examples=[["0" * 40]],
        ),
    ] = None,
) -> Response:
    """A git bundle with the commit on which the work begins, for a clone that lacks it."""
    file, size = _desk(request).base_bundle(installation, claim_id, have or (), caller)
    return FileAnswer(file, 0, size, {"content-type": BUNDLE_TYPE}, 200)


@router.post("/{claim_id}/complete")
def complete(
    *,
    claim_id: ClaimPath,
    body: ReportRequest,
    request: Request,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
) -> ReportAnswer:
    """It succeeded. Said once more, nothing changes."""
    kinds = (OutcomeKind.SUCCEEDED,)
    return _report(request, claim_id, body, kinds, installation=installation, caller=caller, kept=kept)


@router.post("/{claim_id}/fail")
def fail(
    *,
    claim_id: ClaimPath,
    body: ReportRequest,
    request: Request,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
) -> ReportAnswer:
    """It did not succeed; whether it is tried again follows from the outcome."""
    kinds = tuple(kind for kind in OutcomeKind if kind is not OutcomeKind.SUCCEEDED)
    return _report(request, claim_id, body, kinds, installation=installation, caller=caller, kept=kept)


@router.post("/{claim_id}/release")
def release(
    *,
    claim_id: ClaimPath,
    body: ReleaseRequest,
    request: Request,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
) -> ReportAnswer:
    """Give it back: the worker cannot carry it out now."""
    outcome: dict[str, Any] = {"kind": body.kind, "reason": body.reason}
    if body.resets_at is not None:
        outcome["resets_at"] = body.resets_at.isoformat()
    report = ReportRequest(epoch=body.epoch, outcome=outcome, work=body.work, handed_in=body.handed_in)
    return _report(request, claim_id, report, _RELEASED, installation=installation, caller=caller, kept=kept)


def _report(
    request: Request,
    claim_id: ClaimPath,
    body: ReportRequest,
    kinds: tuple[OutcomeKind, ...],
    *,
    installation: Installation,
    caller: Caller,
    kept: KeptDocuments,
) -> ReportAnswer:
    given = body.handed_in
    handed_in = None if given is None else HandedInBundle(given.bundle, given.tip, given.base_commit)
    report = report_from(body.outcome, body.work, handed_in, installation.now())
    demand_kind(report, kinds)
    answer = _desk(request).report(installation, claim_id, body.epoch, report, caller=caller, kept=kept)
    with_links(answer.task)
    return answer


def _desk(request: Request) -> WorkerDesk:
    return served(request).desk
