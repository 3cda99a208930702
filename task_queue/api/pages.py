"""``/docs``: the description of the API for people, without a script and without anything from another server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#8881}pre{padding:.7rem;overflow:auto}
h2{border-top:1px solid #8885;padding-top:1rem}table{border-collapse:collapse}td,th{padding:.2rem .8rem .2rem 0;
text-align:left;vertical-align:top}:root{color-scheme:light dark}"""


@router.get("/docs", response_class=HTMLResponse)
def docs(request: Request) -> HTMLResponse:
    description: dict[str, Any] = request.app.openapi()
    page = "\n".join(_page(description))
    return HTMLResponse(page, headers={"content-security-policy": _POLICY})


def _page(description: Mapping[str, Any]) -> Iterator[str]:
    title = escape(str(description["info"]["title"]))
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
    yield f"<p>{escape(description['info']['description'])}</p>"
    yield '<p>For programs: <a href="/v1/openapi.json">openapi.json</a></p>'
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            yield from _operation(f"{method.upper()} {path}", operation)
    yield "<h1>Objects</h1>"
    for name, schema in description["components"]["schemas"].items():
        yield f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(schema.get("description", ""))}</p>'
        yield from _fields(schema)
        for example in schema.get("examples", ()):
            yield f"<pre>{escape(json.dumps(example, indent=2))}</pre>"


def _operation(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2><code>{escape(name)}</code></h2><p>{escape(operation.get('description', ''))}</p>"
    parameters = operation.get("parameters", ())
    if parameters:
        rows = "".join(
            f"<tr><td><code>{escape(each['name'])}</code><td>{escape(each['in'])}<td>{_kind(each['schema'])}"
            f"<td>{escape(each.get('description', ''))}"
            for each in parameters
        )
        yield f"<table><tr><th>parameter<th>in<th>type<th>meaning{rows}</table>"
    body = operation.get("requestBody", {}).get("content", {})
    yield from (f"<p>Request: {_kind(each.get('schema', {}))}</p>" for each in body.values())
    for status, answer in operation["responses"].items():
        kinds = ", ".join(
            _kind(each["schema"]) if each.get("schema") else f"<code>{escape(kind)}</code>"
            for kind, each in answer.get("content", {}).items()
        )
        yield f"<p>{escape(status)}: {escape(answer['description'])} {kinds}</p>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    properties = schema.get("properties")
    if properties:
        rows = "".join(
            f"<tr><td><code>{escape(name)}</code><td>{_kind(each)}<td>{escape(each.get('description', ''))}"
            for name, each in properties.items()
        )
        yield f"<table><tr><th>field<th>type<th>meaning{rows}</table>"


def _kind(schema: Mapping[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return f'<a href="#{escape(name)}">{escape(name)}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_kind, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "any"))
