"""The process of the HTTP API: whether its configuration can be served, its start, and what it says of itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from task_queue import __version__
from task_queue.app.answers import ApiView
from task_queue.app.files import record, texts_in, time_in, whole_in
from task_queue.app.installation import Installation
from task_queue.domain.errors import ConfigError
from task_queue.platform import durable
from task_queue.platform.lockfile import is_held

if TYPE_CHECKING:
    from task_queue.config.api_settings import ApiSettings


def settings_to_serve(installation: Installation) -> ApiSettings:
    """The section ``api`` of the configuration. Raises ConfigError, also where other machines could listen in."""
    from task_queue.config.api_settings import ApiSettings
    from task_queue.domain.listening import why_not_served

    settings = installation.config.api or ApiSettings()
    why = why_not_served(
        settings.listen, has_tls=settings.tls is not None, behind_proxy=settings.behind_proxy
    )
    if why is not None:
        raise ConfigError(
            f"{installation.locations.config}: {why}",
            hint="set api.tls to a certificate and its key, or api.behind_proxy to true where a proxy encrypts",
        )
    return settings


def give_way(installation: Installation) -> NoReturn:
    """Let this process go on as that of the API. Raises ConfigError, OSError."""
    from task_queue.platform import isolated  # status does without it

    settings_to_serve(installation)
    isolated.give_way_to("task_queue.api", "--config", str(installation.locations.config))


def note_started(state: Path, *, pid: int, now: datetime, listen: Sequence[str]) -> None:
    """Write down where the API listens now. Raises OSError."""
    content = {
        "schema_version": 1,
        "pid": pid,
        "started_at": now.isoformat(),
        "version": __version__,
        "listen": list(listen),
    }
    durable.replace(state, json.dumps(content).encode() + b"\n")


def api_of(installation: Installation) -> ApiView | None:
    """None where the configuration has no section for it, and it does not run."""
    locations = installation.locations
    if is_held(locations.api_lock) is True:
        state = record(locations.api_state)
        said = state if isinstance(state, dict) else {}
        return ApiView(True, texts_in(said, "listen"), whole_in(said, "pid"), time_in(said, "started_at"))
    return ApiView(False) if isinstance(installation.content.get("api"), dict) else None
