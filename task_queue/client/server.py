"""Where a server is, and the credential for it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from task_queue.domain.errors import TaskQueueError

_UNIX = "unix:"
_LONGEST_TOKEN = 2**16


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """``url`` has no slash at its end; ``socket`` is the path of a unix socket, None if it is reached by TCP."""

    url: str
    socket: str | None = None
    token: str | None = None
    token_file: Path | None = None

    @property
    def is_here(self) -> bool:
        """On this machine."""
        return self.socket is not None or _is_loopback(urlsplit(self.url).hostname or "")

    def authorization(self) -> dict[str, str]:
        """The header of a request. The file is read each time, so that a new token counts at once.

        Raises TaskQueueError.
        """
        token = self.token if self.token_file is None else _token_in(self.token_file)
        return {} if token is None else {"authorization": f"Bearer {token}"}


def server_at(
    address: str, *, token: str | None = None, token_file: Path | str | None = None
) -> ServerAddress:
    """*address*: an URL, or ``unix:/PATH``. Raises TaskQueueError."""
    file = None if token_file is None else Path(token_file)
    if address.startswith((_UNIX, "/")):
        return ServerAddress("http://localhost", address.removeprefix(_UNIX), token, file)
    scheme, host = _scheme_and_host(address)
    if not host or scheme not in {"http", "https"}:
        raise TaskQueueError(
            f"'{address}' is not the address of a server",
            hint="write https://HOST, http://127.0.0.1:PORT, or unix:/PATH of the socket",
        )
    if scheme == "http" and not _is_loopback(host):
        raise TaskQueueError(
            f"http to {host} would show the token to every machine on the way",
            hint="use https; see docs/api.md on api.tls and api.behind_proxy",
        )
    return ServerAddress(address.rstrip("/"), None, token, file)


def _scheme_and_host(address: str) -> tuple[str, str | None]:
    """No host where the rest of the address is not that of a server either."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "", None
    is_plain = not parts.query and not parts.fragment and parts.username is None
    return parts.scheme, host if is_plain else None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _token_in(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST_TOKEN)
    except OSError as error:
        raise TaskQueueError(f"the token file {path} cannot be read: {error.strerror}") from error
    token = data.decode("latin-1").strip()
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise TaskQueueError(f"{path} does not hold a token in one line")
    return token
