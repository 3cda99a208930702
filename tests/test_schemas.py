"""The published schemas are those of the models, and real documents agree with them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from task_queue import schemas
from task_queue.domain.model import (
    Attempt,
    Ending,
    Journal,
    Outcome,
    OutcomeKind,
    Result,
    Work,
    WorkProduct,
)
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform.records import encode
from task_queue.store.folder.records import LockFile, RunFile

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
ID = TaskId("task-a")
ATTEMPT = Attempt(1, OutcomeKind.SUCCEEDED, "done", counted=True, started_at=NOW, ended_at=NOW)
SAMPLES: dict[str, Any] = {
    "lock": LockFile(ID, "w", "1", 2, NOW, 1, "s", False, 3, "b", "c", 4, 5, "task-a.md"),
    "run": RunFile(ID, 1, "m", 2, 3, "b", NOW),
    "outcome": Ending(ID, 1, Outcome(OutcomeKind.SUCCEEDED, "done"), Work(), NOW, NOW, "runner"),
    "journal": Journal(ID, (ATTEMPT,), NOW),
    "result": Result(
        success=True,
        output="",
        error="",
        task_id=ID,
        started_at=NOW,
        completed_at=NOW,
        duration_ms=1,
        duration_api_ms=1,
        total_cost_usd=None,
        usage={},
        session_id=None,
        num_turns=1,
        state=TaskState.COMPLETED,
        outcome=OutcomeKind.SUCCEEDED,
        evidence=(),
        attempts=(ATTEMPT,),
        source="ad-hoc",
        worker="w",
        product=WorkProduct(None),
    ),
}


@pytest.mark.parametrize("name", schemas.MODELS)
def test_the_committed_schema_is_current(name: str) -> None:
    """Else run: python -m task_queue.schemas"""
    assert (FOLDER / f"{name}.schema.json").read_text(encoding="utf-8") == schemas.schema_of(name)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_we_write_agrees_with_its_schema(name: str) -> None:
    """A record as it goes to the disk."""
    schema = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))

    jsonschema.validate(json.loads(encode(SAMPLES[name])), schema)


def test_a_2_1_configuration_agrees_with_its_schema() -> None:
    """The document of the original system."""
    schema = json.loads((FOLDER / "config.schema.json").read_text(encoding="utf-8"))
    content = json.loads((Path(__file__).parent / "data" / "2.1" / "config.json").read_text())

    jsonschema.validate(content, schema)
