"""Artifacts: files that are handed in with a task or by who works on it, streamed, and resumed where they stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from task_queue.api.callers import CallerNow, InstallationNow, KeptNow, served
from task_queue.api.file_answer import FileAnswer
from task_queue.api.guard import discard_rest
from task_queue.api.paths import ArtifactPath, TaskPath
from task_queue.api.problems import ProblemError
from task_queue.app.artifacts import ArtifactHeaders, HandIn, Received, artifacts_of, opened_artifact
from task_queue.client.answers import ArtifactAnswer, ArtifactsAnswer, UploadAnswer
from task_queue.domain.artifacts import (
    MEDIA_TYPES,
    ArtifactError,
    StoredArtifact,
    digest_header,
    wanted_range,
)
from task_queue.domain.errors import TaskQueueError

router = APIRouter(prefix="/v1/tasks/{task_id}/artifacts", tags=["artifacts"])
_AT_ONCE = 2**20
_MEBIBYTE_TAKES_S = 60.0
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}, "example": "test"}
_HEAD: dict[int | str, dict[str, Any]] = {
    200: {"description": "It is here, whole."},
    204: {"description": "A part of it is here."},
}
_UPLOAD: dict[str, Any] = {
    "requestBody": {"required": True, "content": dict.fromkeys(sorted(MEDIA_TYPES), _BINARY)}
}
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": dict.fromkeys(sorted(MEDIA_TYPES), _BINARY), "description": "All of it."},
    206: {"content": dict.fromkeys(sorted(MEDIA_TYPES), _BINARY), "description": "What `Range` asks for."},
}
_MOST_CHARS = 700
_DIGEST = "sha-256=:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=:"


_STORED: dict[int | str, dict[str, Any]] = {
    200: {"model": ArtifactAnswer, "description": "In the place of what had this name."},
    201: {"model": ArtifactAnswer, "description": "Handed in."},
    202: {"model": UploadAnswer, "description": "A part is here, durably; go on at `offset`."},
}


@router.get("")
def list_artifacts(
    task_id: TaskPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> ArtifactsAnswer:
    """What was handed in, and what of it is not whole yet."""
    view = artifacts_of(installation, task_id, caller, kept)
    return ArtifactsAnswer(
        artifacts=tuple(map(_view, view.artifacts)),
        uploads=tuple(UploadAnswer(name=each.name, offset=each.offset) for each in view.uploads),
    )


@router.put("/{name}", response_class=Response, responses=_STORED, openapi_extra=_UPLOAD)
async def put_artifact(
    *,
    request: Request,
    task_id: TaskPath,
    name: ArtifactPath,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    content_range: Annotated[
        str | None,
        Header(max_length=_MOST_CHARS, description="Which part it is.", examples=["bytes 0-3/4"]),
    ] = None,
    repr_digest: Annotated[
        str | None,
        Header(max_length=_MOST_CHARS, description="Of the whole file.", examples=[_DIGEST]),
    ] = None,
    digest: Annotated[
        str | None,
        Header(
            max_length=_MOST_CHARS,
            description="The same, as older clients say it.",
            examples=[_DIGEST.replace("=:", "=").rstrip(":")],
        ),
    ] = None,
    task_queue_claim: Annotated[
        str | None,
        Header(max_length=_MOST_CHARS, description="By who works on the task.", examples=["c-8kq2;epoch=1"]),
    ] = None,
) -> Response:
    """Hand in a file: whole, or with `Content-Range` a part that begins where the last one ended.

    By who may change the task while it waits, or with `Task-Queue-Claim: ID;epoch=N` by who works on it. With
    `Repr-Digest: sha-256=:BASE64:` of the whole file, nothing else becomes visible under its name.
    """
    headers = ArtifactHeaders(
        request.headers.get("content-length"),
        content_range,
        request.headers.get("content-type"),
        repr_digest,
        digest,
        task_queue_claim,
    )
    try:
        hand_in = await run_in_threadpool(
            HandIn, installation, served(request).desk, (task_id, name), headers, caller=caller, kept=kept
        )
    except TaskQueueError:
        await _discard(request)
        raise
    try:
        async with aclosing(batches(request.stream())) as content:
            async for data in content:
                await run_in_threadpool(hand_in.write, data)
        handed_in = await run_in_threadpool(hand_in.finish)
    except ClientDisconnect:
        return Response(status_code=400)
    except TaskQueueError:
        await _discard(request)
        raise
    finally:
        hand_in.close()
    return _answer(handed_in)


@router.head("/{name}", status_code=204, response_class=Response, responses=_HEAD)
def head_artifact(
    task_id: TaskPath, name: ArtifactPath, installation: InstallationNow, caller: CallerNow, kept: KeptNow
) -> Response:
    """The headers of the artifact; 204 with `Upload-Offset` where only that much of it is here."""
    try:
        artifact, file = opened_artifact(installation, task_id, name, caller, kept)
    except ArtifactError as error:
        if error.code != "artifact_incomplete":
            raise
        offset = str(error.details["offset"])
        return Response(status_code=204, headers={"upload-offset": offset, "upload-complete": "?0"})
    file.close()
    return Response(headers=_headers(artifact) | {"content-length": str(artifact.size)})


@router.get("/{name}", response_class=Response, responses=_CONTENT)
def get_artifact(
    *,
    task_id: TaskPath,
    name: ArtifactPath,
    installation: InstallationNow,
    caller: CallerNow,
    kept: KeptNow,
    range: Annotated[  # noqa: A002 - the name of the header
        str | None, Header(max_length=_MOST_CHARS, description="Which bytes.", examples=["bytes=1024-"])
    ] = None,
) -> Response:
    """The file. With `Range: bytes=START-` what follows there."""
    artifact, file = opened_artifact(installation, task_id, name, caller, kept)
    try:
        wanted = wanted_range(range, artifact.size)
    except ArtifactError:
        file.close()
        raise
    start, end = wanted or (0, artifact.size)
    headers = _headers(artifact)
    if wanted is not None:
        headers["content-range"] = f"bytes {start}-{end - 1}/{artifact.size}"
    return FileAnswer(file, start, end, headers, 200 if wanted is None else 206)


async def batches(
    chunks: AsyncIterator[bytes], *, patience_s: float = _MEBIBYTE_TAKES_S
) -> AsyncGenerator[bytes, None]:
    """*chunks* in larger pieces, each of which must arrive within *patience_s*.

    What had arrived comes before ProblemError and ClientDisconnect, too.
    """
    parts: list[bytes] = []
    ended: Exception | None = None
    more = True
    while more:
        try:
            async with asyncio.timeout(patience_s):
                more = await _filled(parts, chunks)
        except TimeoutError:
            detail = f"less than 1 MiB arrived within {patience_s:g} s; go on later with Content-Range"
            ended = ProblemError(408, "too_slow", detail, headers={"connection": "close"})
        except ClientDisconnect as error:
            ended = error
        if parts:
            yield b"".join(parts)
            parts.clear()
        if ended is not None:
            raise ended


async def _filled(parts: list[bytes], chunks: AsyncIterator[bytes]) -> bool:
    """Whether there is more."""
    while sum(map(len, parts)) < _AT_ONCE:
        chunk = await anext(chunks, None)
        if chunk is None:
            return False
        parts.append(chunk)
    return True


async def _discard(request: Request) -> None:
    if "expect" not in request.headers:  # who waits for leave to send has sent nothing
        await discard_rest(request.receive)


def _headers(artifact: StoredArtifact) -> dict[str, str]:
    return {
        "repr-digest": digest_header(artifact.sha256),
        "accept-ranges": "bytes",
        "upload-complete": "?1",
        "content-disposition": "attachment",
        "content-security-policy": "sandbox",
        "content-type": artifact.media_type,
    }


def _answer(handed_in: Received) -> Response:
    if handed_in.artifact is not None:
        content = _view(handed_in.artifact).model_dump()
        return JSONResponse(content, 201 if handed_in.is_new else 200)
    assert handed_in.part is not None
    part = UploadAnswer(name=handed_in.part.name, offset=handed_in.part.offset)
    headers = {"upload-offset": str(part.offset), "upload-complete": "?0"}
    return JSONResponse(part.model_dump(), 202, headers)


def _view(artifact: StoredArtifact) -> ArtifactAnswer:
    return ArtifactAnswer(
        name=artifact.name, size=artifact.size, sha256=artifact.sha256, media_type=artifact.media_type
    )
