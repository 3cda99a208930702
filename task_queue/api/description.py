"""The OpenAPI document: FastAPI's, with an example for every body and every answer, and our problems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from task_queue.api.problems import MEDIA_TYPE

_PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "What went wrong, for people and for programs.",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "details"],
    "properties": {
        "type": {"type": "string", "description": "The code, as a URN."},
        "title": {"type": "string", "description": "The name of the status."},
        "status": {"type": "integer", "description": "That of the answer."},
        "detail": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "For programs; stays the same between releases."},
        "details": {
            "type": "object",
            "additionalProperties": True,
            "description": "For programs, by code: `state` with each 409 of a task, `errors` with fields and lines.",
        },
    },
    "examples": [
        {
            "type": "urn:task-queue:problem:task_running",
            "title": "Conflict",
            "status": 409,
            "detail": "task task-20260207-120000-fix-login is running",
            "code": "task_running",
            "details": {"state": "running", "action": "cancel"},
        }
    ],
}
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused.", "content": _CONTENT},
    "5XX": {"description": "Not possible now.", "content": _CONTENT},
    422: {"description": "A field is wrong.", "content": _CONTENT},
}
"""Of every operation."""
_OF_FRAMEWORK = ("HTTPValidationError", "ValidationError")
_UNSAID = "Successful Response"
_BY_FORMAT = {"date-time": "2026-02-07T12:00:00+00:00"}
_BY_TYPE: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.0, "boolean": False, "null": None}


def description_of(app: FastAPI) -> dict[str, Any]:
    content = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas: dict[str, Any] = content["components"]["schemas"]
    for name in _OF_FRAMEWORK:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    for schema in schemas.values():
        if schema.get("properties"):
            schema.setdefault("examples", [_example_of(schema, schemas)])
    for operation in _operations(content):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for media in body.get("content", {}).values():
                if media.get("schema") and "example" not in media:
                    media["example"] = _example_of(media["schema"], schemas)
        for answer in operation["responses"].values():
            if answer["description"] == _UNSAID:
                answer["description"] = _said_of(answer, schemas)
    return content


def _operations(content: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in content["paths"].values():
        yield from path.values()


def _said_of(answer: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    """What its object says of itself."""
    for media in answer.get("content", {}).values():
        said = _resolved(media.get("schema", {}), schemas).get("description")
        if said:
            return str(said)
    return _UNSAID


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return schema if reference is None else schemas[reference.rpartition("/")[2]]


def _example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Its first example, else one that is put together from those of its parts."""
    found = _resolved(schema, schemas)
    if found.get("examples"):
        return found["examples"][0]
    for key in ("default", "const"):
        if key in found:
            return found[key]
    if found.get("enum"):
        return found["enum"][0]
    for key in ("anyOf", "oneOf"):
        if key in found:
            return _example_of(found[key][0], schemas)
    match found.get("type"):
        case "object":
            parts: Mapping[str, Any] = found.get("properties", {})
            needed = found.get("required", ())
            return {
                name: _example_of(part, schemas)
                for name, part in parts.items()
                if name in needed or part.get("examples")
            }
        case "array":
            return [_example_of(found["items"], schemas)] if found.get("items") else []
        case kind:
            return _BY_FORMAT.get(found.get("format", ""), _BY_TYPE.get(kind or "null"))
