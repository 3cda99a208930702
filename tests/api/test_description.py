"""The OpenAPI document: valid, and every part of it described, with examples that are as they are described."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any
from unittest.mock import Mock

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from task_queue.api.application import application
from task_queue.api.settings import ServedApi
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.config.api_settings import ApiSettings

_SAYS_NOTHING = {"", "Successful Response", "Validation Error"}


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    served = ServedApi(Installation(), ApiSettings(), asyncio.Event(), Mock(WorkerDesk))
    return dict(application(served).openapi())


def operations(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, found in described["paths"].items():
        yield from ((f"{method.upper()} {path}", operation) for method, operation in found.items())


def bodies(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every kind of content of every request and answer."""
    for name, operation in operations(described):
        given = operation.get("requestBody", {}).get("content", {})
        yield from ((f"{name} {kind}", media) for kind, media in given.items())
        for status, answer in operation["responses"].items():
            for kind, media in answer.get("content", {}).items():
                yield f"{name} {status} {kind}", media


def checked(described: dict[str, Any], schema: dict[str, Any], example: Any) -> list[str]:
    whole = {**schema, "components": described["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(example)]


def test_it_is_openapi(described: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(described).validate()

    assert described["openapi"].startswith("3.1")
    assert not re.search("HTTPValidationError|cdn", json.dumps(described))


def test_every_operation_says_what_it_does_and_how_it_refuses(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        assert operation["description"], name
        assert {"4XX", "5XX"} <= operation["responses"].keys(), name
        for status, answer in operation["responses"].items():
            assert answer["description"] not in _SAYS_NOTHING, (name, status)
            for header, about in answer.get("headers", {}).items():
                assert about["description"], (name, status, header)


def test_every_parameter_is_described_with_an_example(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        for parameter in operation.get("parameters", ()):
            schema = parameter["schema"]
            known = schema.get("examples") or "default" in schema or "enum" in schema
            assert parameter.get("description"), (name, parameter["name"])
            assert known or "example" in parameter, (name, parameter["name"])
            for example in schema.get("examples", ()):
                assert checked(described, schema, example) == [], (name, parameter["name"])


def test_every_field_is_described(described: dict[str, Any]) -> None:
    for name, schema in described["components"]["schemas"].items():
        assert schema.get("description"), name
        for field, about in schema.get("properties", {}).items():
            assert about.get("description"), (name, field)


def test_every_body_has_an_example_that_is_as_described(described: dict[str, Any]) -> None:
    found = dict(bodies(described))
    for name, media in found.items():
        assert "example" in media, name
        assert checked(described, media["schema"], media["example"]) == [], name
    for name, schema in described["components"]["schemas"].items():
        for example in schema.get("examples", ()):
            assert checked(described, schema, example) == [], name

    assert len(found) > 100


def test_an_example_that_is_not_as_described_would_be_found(described: dict[str, Any]) -> None:
    reference = {"$ref": "#/components/schemas/TrackedTask"}
    example = described["components"]["schemas"]["TrackedTask"]["examples"][0]

    assert checked(described, reference, example) == []
    assert checked(described, reference, example | {"status": "odd"}) != []
