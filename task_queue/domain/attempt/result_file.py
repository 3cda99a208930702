"""The form in which an attempt's ending and a task's result are kept: flat keys, and what earlier releases wrote.

Pure: from a value's own fields to the keys of its file, and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, cast

from task_queue.domain.model import Result, WorkProduct

KEYS = (
    # Those of the original system come first.
    *("success", "output", "error", "task_id", "started_at", "completed_at", "duration_ms"),
    *("duration_api_ms", "total_cost_usd", "usage", "session_id", "num_turns"),
    *("state", "outcome", "evidence", "attempts", "source", "worker", "workspace", "isolation"),
    *("base_commit", "commits", "branch", "audit", "verification", "model_usage", "permission_denials"),
    *("billed_to", "dead_letter", "landed", "prompts", "cost_by_phase", "seconds_by_phase"),
    *("cost_incomplete", "changed_judges", "estimated_cost_usd", "see", "keep", "undo", "notes"),
    "attention",
    "baseline",
    "landing",
    *("subjects", "stat", "files", "file_count", "uncommitted"),
    *("task_type", "executor", "waited_ms"),
    "failed_rounds",
    "schema_version",
)
"""Of a result's file, in its order."""
OF_PRODUCT = tuple(field.name for field in fields(WorkProduct) if field.name in KEYS)
"""Which of them are those of ``Result.product``; what only its report shows is not kept."""


def content_of(result: Result) -> dict[str, Any]:
    """What the file of *result* holds."""
    return {key: getattr(result.product if key in OF_PRODUCT else result, key) for key in KEYS}


def result_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a result whose file holds *content*, whichever release wrote it."""
    given = dict(content)
    product = {key: given.pop(key) for key in OF_PRODUCT if key in given}
    if given.get("error", "") is None:  # until 0.1.0 there was no error on success
        given["error"] = ""
    return {**given, "product": product}


def ending_fields(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same for ``outcome.json``; until 0.1.0 a work's product was its delivery, with one commit of the queue."""
    given = dict(content)
    work = given.get("work")
    if isinstance(work, dict) and "delivery" in work:
        earlier = cast("dict[str, Any]", work)
        product = dict(earlier["delivery"])
        ours = product.pop("ours", None)
        given["work"] = {**earlier, "product": {**product, "by_queue": [ours] if ours else []}}
    return given
