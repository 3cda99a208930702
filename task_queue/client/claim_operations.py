"""What workers ask and say: claims, signs of life, files that they hand in, how an attempt ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from task_queue.app.claiming import ClaimAnswer, PulseAnswer, ReportAnswer
from task_queue.client.answers import FramesAnswer
from task_queue.client.operation import HttpAnswer, Operation, asking, part, reading, telling

_WAITING_TAKES_S = 30.0
_REPORTING_TAKES_S = 120.0
_UPLOADING_TAKES_S = 600.0
_PARTLY_THERE = (200, 204, 404)


def claim(
    *,
    worker_id: str | None = None,
    lease_seconds: float = 300,
    sources: Sequence[str] | None = None,
    types: Sequence[str] | None = None,
    capabilities: Sequence[str] = (),
    executors: Sequence[str] | None = None,
    repositories: Sequence[str] | None = None,
    except_repositories: Sequence[str] = (),
    wait_seconds: float = 0,
    idempotency_key: str | None = None,
) -> Operation[ClaimAnswer]:
    """The first task in order that fits; without one, the answer comes after *wait_seconds*.

    Without *idempotency_key* a new one is used: an answer that gets lost loses no claim. Give one that is kept where
    the program itself may be started again, and a new one once the answer has a claim.
    """
    content = {
        "worker_id": worker_id,
        "lease_seconds": lease_seconds,
        "sources": sources,
        "types": types,
        "capabilities": capabilities,
        "executors": executors,
        "repositories": repositories,
        "except_repositories": except_repositories,
        "wait_seconds": wait_seconds,
    }
    return telling(
        "POST",
        "/v1/claims",
        reading(ClaimAnswer),
        content,
        headers={"idempotency-key": idempotency_key or uuid4().hex},
        repeatable=True,
        takes_s=wait_seconds + _WAITING_TAKES_S,
    )


def heartbeat(
    claim_id: str,
    epoch: int,
    *,
    progress: Mapping[str, object] | None = None,
    last_frame_at: datetime | None = None,
) -> Operation[PulseAnswer]:
    """Renew the lease, and hear what is to be done."""
    content = {"epoch": epoch, "progress": progress, "last_frame_at": last_frame_at}
    return telling("POST", _at(claim_id, "heartbeat"), reading(PulseAnswer), content, repeatable=True)


def frames(claim_id: str, epoch: int, offset: int, lines: Sequence[str]) -> Operation[FramesAnswer]:
    """Add *lines* to the transcript after the first *offset*."""
    content = {"epoch": epoch, "offset": offset, "lines": lines}
    return telling("POST", _at(claim_id, "frames"), reading(FramesAnswer), content, repeatable=True)


def complete(
    claim_id: str,
    epoch: int,
    outcome: Mapping[str, Any],
    *,
    work: Mapping[str, Any] | None = None,
    handed_in: Mapping[str, str] | None = None,
) -> Operation[ReportAnswer]:
    """It succeeded. *handed_in*: ``bundle`` (the name of an artifact), ``tip`` and ``base_commit``."""
    return _report(claim_id, "complete", epoch=epoch, outcome=outcome, work=work, handed_in=handed_in)


def fail(
    claim_id: str,
    epoch: int,
    outcome: Mapping[str, Any],
    *,
    work: Mapping[str, Any] | None = None,
    handed_in: Mapping[str, str] | None = None,
) -> Operation[ReportAnswer]:
    """It did not succeed."""
    return _report(claim_id, "fail", epoch=epoch, outcome=outcome, work=work, handed_in=handed_in)


def release(
    claim_id: str,
    epoch: int,
    reason: str,
    *,
    kind: str = "interrupted",
    resets_at: datetime | str | None = None,
    work: Mapping[str, Any] | None = None,
    handed_in: Mapping[str, str] | None = None,
) -> Operation[ReportAnswer]:
    """Give it back, at the cost of no attempt. *handed_in* as in ``complete``."""
    return _report(
        claim_id,
        "release",
        epoch=epoch,
        reason=reason,
        kind=kind,
        resets_at=resets_at,
        work=work,
        handed_in=handed_in,
    )


def base(claim_id: str) -> Operation[bytes]:
    """A git bundle with the commit on which the work begins."""
    return asking(_at(claim_id, "base"), lambda reply: reply.data, takes_s=_UPLOADING_TAKES_S)


def uploaded(task_id: str, name: str) -> Operation[int | None]:
    """How many bytes of an artifact are there; None once it is whole."""
    return Operation("HEAD", _artifact(task_id, name), _offset, repeatable=True, good=_PARTLY_THERE)


def upload(
    task_id: str, name: str, data: bytes, *, start: int, total: int, digest: str, claim: str
) -> Operation[None]:
    """One piece of an artifact that begins where the last one ended. *claim*: ``ID;epoch=N``."""
    end = start + len(data) - 1
    headers = {
        "content-type": "application/octet-stream",
        "content-range": f"bytes {start}-{end}/{total}" if data else f"bytes */{total}",
        "repr-digest": digest,
        "task-queue-claim": claim,
    }
    path = _artifact(task_id, name)
    return Operation("PUT", path, lambda _: None, (), data, headers, takes_s=_UPLOADING_TAKES_S)


def _report(claim_id: str, verb: str, **content: object) -> Operation[ReportAnswer]:
    return telling(
        "POST",
        _at(claim_id, verb),
        reading(ReportAnswer),
        content,
        repeatable=True,
        takes_s=_REPORTING_TAKES_S,
    )


def _offset(reply: HttpAnswer) -> int | None:
    if reply.status == 404:
        return 0
    return None if reply.status == 200 else int(reply.headers["upload-offset"])


def _at(claim_id: str, verb: str) -> str:
    return f"/v1/claims/{part(claim_id)}/{verb}"


def _artifact(task_id: str, name: str) -> str:
    return f"/v1/tasks/{part(task_id)}/artifacts/{part(name)}"
