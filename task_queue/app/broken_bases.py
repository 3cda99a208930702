"""Sources that are held because a check fails on their target which passed before, as the daemon noted it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from task_queue.app.files import record, text_in
from task_queue.platform import durable


def why_held(folder: Path, source_id: str) -> str | None:
    """Why the source waits for its target to be mended; None if it does not."""
    found = record(_file(folder, source_id))
    if not isinstance(found, dict) or found.get("resumed") is True:
        return None
    from task_queue.domain.holds import base_broken  # where a source is held

    listed: object = found.get("commands")
    commands = cast("list[object]", listed) if isinstance(listed, list) else []
    return base_broken(
        source_id,
        target=text_in(found, "target") or "",
        repository=text_in(found, "repository") or "",
        commit=text_in(found, "commit") or "",
        commands=[str(command) for command in commands],
        task_id=text_in(found, "task_id") or "",
    )


def let_go_on(folder: Path, source_id: str) -> None:
    """A person lets the source go on although its target is broken. Raises OSError."""
    path = _file(folder, source_id)
    found = record(path)
    if isinstance(found, dict):
        durable.replace(path, json.dumps({**found, "resumed": True}, indent=1).encode() + b"\n")


def _file(folder: Path, source_id: str) -> Path:
    return folder / f"{source_id}.json"
