"""Scripts, style and icons, from the package alone. An address names its content, so each may be kept for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

from fastapi import APIRouter
from fastapi.responses import Response

from task_queue.api.problems import ProblemError

router = APIRouter(include_in_schema=False)
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
_FOR_EVER = "public, max-age=31536000, immutable"


def asset_url(name: str) -> str:
    return f"/assets/{_digest(name)}/{name}"


@router.get("/assets/{digest}/{name}")
def get_asset(digest: str, name: str) -> Response:
    if name not in _names() or digest != _digest(name):
        raise ProblemError(404, "not_found", "there is no such file")
    kind = _TYPES[f".{name.rpartition('.')[2]}"]
    return Response(_content(name), media_type=f"{kind}; charset=utf-8", headers={"cache-control": _FOR_EVER})


@cache
def _names() -> frozenset[str]:
    return frozenset(
        each.name for each in resources.files("task_queue.api.page").joinpath("assets").iterdir()
    )


@cache
def _content(name: str) -> bytes:
    return resources.files("task_queue.api.page").joinpath("assets", name).read_bytes()


@cache
def _digest(name: str) -> str:
    return hashlib.sha256(_content(name)).hexdigest()[:12]
