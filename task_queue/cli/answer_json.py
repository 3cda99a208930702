"""Answers as JSON (``--json``)."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


def as_json(view: Any, *, on_one_line: bool = False) -> str:
    """A view's keys as they stand. Everything beyond ASCII is escaped, so no control character gets through."""
    content = asdict(view) if is_dataclass(view) and not isinstance(view, type) else view
    return json.dumps(content, indent=None if on_one_line else 2, default=_plain)


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
