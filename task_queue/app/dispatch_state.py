"""What the API's process last said of the sources that workers serve (``dispatch.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from task_queue.app.files import Record, record
from task_queue.config.locations import Locations
from task_queue.platform.lockfile import is_held


def said_of_workers(locations: Locations) -> Mapping[str, Record]:
    """By source; nothing of a process that does not run counts."""
    if is_held(locations.api_lock) is not True:
        return {}
    state = record(locations.dispatch_state)
    said: object = state.get("sources") if isinstance(state, dict) else None
    if not isinstance(said, dict):
        return {}
    sources = cast("dict[str, object]", said)
    return {name: cast("Record", words) for name, words in sources.items() if isinstance(words, dict)}
