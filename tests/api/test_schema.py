"""Requests made from the OpenAPI document, right and wrong ones: no server error, every answer as declared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.bench import ApiBench
from tests.api.test_tasks import submitted

EXAMPLES = int(os.environ.get("TASK_QUEUE_API_EXAMPLES", "0"))
"""Of each kind, right and wrong, for each operation; 0: the short form."""
_CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture
def served(a_bench: Callable[..., ApiBench]) -> Iterator[tuple[ApiBench, str]]:
    """With tasks of every kind that needs no daemon, and a credential for everything."""
    bench = a_bench(sources=("a", "b"), limits={"max_pending": 1_000_000})
    bench.start()
    submitted(bench, source="a", labels={"team": "web"})
    submitted(bench, source="b", type="review", not_before="2099-01-01T00:00:00Z")
    yield bench, bench.token("boss", "admin")
    assert "Traceback" not in bench.errors(), bench.errors()


def tried(bench: ApiBench, token: str, *, examples: int) -> int:
    """How many requests were made."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{bench.port}/v1/openapi.json")
    headers = {"Authorization": f"Bearer {token}"}
    made = 0

    def ask(case: Case[Any]) -> None:
        nonlocal made
        made += 1
        # A stream does not end by itself, and has tests of its own.
        for name in [name for name in case.headers if name.lower() == "accept"]:
            case.headers[name] = "application/json"
        reply = case.call(headers=headers, timeout=60)
        case.validate_response(reply, checks=_CHECKS, headers=headers)

    for found in schema.get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            strategy = operation.as_strategy(generation_mode=mode)
            run = settings(
                max_examples=examples,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=[
                    HealthCheck.too_slow,
                    HealthCheck.filter_too_much,
                    HealthCheck.data_too_large,
                    HealthCheck.large_base_example,
                ],
                phases=[Phase.explicit, Phase.generate],
            )
            run(given(case=strategy)(ask))()
    return made


def test_every_answer_is_as_declared(served: tuple[ApiBench, str]) -> None:
    """The short form; ``make proof-api`` has the long one."""
    bench, token = served

    assert tried(bench, token, examples=EXAMPLES or 3) > 100
    assert bench.get("/v1/health").json["status"] == "no_daemon"
