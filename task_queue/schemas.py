"""JSON Schemas of every file that others read, generated from the models: ``python -m task_queue.schemas``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from task_queue.app.answers import StatusView
from task_queue.config.schema import Config
from task_queue.domain.attempt.result_file import KEYS
from task_queue.domain.model import Ending, Journal, Result
from task_queue.store.folder.records import LockFile, RunFile

MODELS: dict[str, Any] = {
    "config": Config,
    "lock": LockFile,
    "result": Result,
    "run": RunFile,
    "outcome": Ending,
    "journal": Journal,
    "status": StatusView,
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> str:
    """The schema of the kind of file called *name*, as text that ends with a newline."""
    adapter: TypeAdapter[Any] = TypeAdapter(MODELS[name])
    content = adapter.json_schema(mode="validation")
    if name == "result":
        _flatten(content)
    return json.dumps({"$schema": _DIALECT, **content}, indent=2, sort_keys=True) + "\n"


def _flatten(content: dict[str, Any]) -> None:
    """The keys of the work's product among the result's own, as its file has them."""
    product = content["$defs"].pop("WorkProduct")
    properties = {**content["properties"], **product["properties"]}
    content["properties"] = {key: properties[key] for key in KEYS}
    required = {*content["required"], *product["required"]}
    content["required"] = [key for key in KEYS if key in required]


def write_to(folder: Path) -> None:
    """Write ``<name>.schema.json`` for every kind of file."""
    for name in MODELS:
        (folder / f"{name}.schema.json").write_text(schema_of(name), encoding="utf-8")


if __name__ == "__main__":
    write_to(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/schemas"))
