"""Where the page is, for a browser on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from task_queue.app.api_process import api_of
from task_queue.app.installation import Installation
from task_queue.app.signing_in import make_link
from task_queue.domain.errors import TaskQueueError

_LISTEN_HINT = """task-queue config set api.listen '["unix", "127.0.0.1:8765"]'"""


@dataclass(frozen=True, slots=True)
class PageLink:
    """``link`` signs its reader in as the owner, once."""

    url: str
    link: str
    schema_version: int = 1


def page_link(installation: Installation) -> PageLink:
    """Raises TaskQueueError where no browser on this machine can reach the page, ConfigError, OSError."""
    api = api_of(installation)
    if api is None or not api.running:
        raise TaskQueueError(
            "the page is not served: the API does not run",
            hint=f"serve it with: {_LISTEN_HINT}, then: task-queue api (the daemon starts it, too)",
        )
    settings = installation.config.api
    scheme = "https" if settings is not None and settings.tls is not None else "http"
    addresses = [address.removeprefix("tcp:") for address in api.listen if not address.startswith("unix:")]
    if not addresses:
        raise TaskQueueError(
            "the page is not served: browsers cannot open a unix socket", hint=f"add a port: {_LISTEN_HINT}"
        )
    url = f"{scheme}://{_reachable(addresses[0])}"
    return PageLink(url, f"{url}/sign-in?link={make_link(installation)}")


def _reachable(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in {"0.0.0.0", "[::]"} else address  # noqa: S104 - what it says
