"""Where the API listens: addresses as the configuration spells them, and which of them need more protection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

UNIX = "unix"
_FORM = f"'{UNIX}', or an address and a port such as 127.0.0.1:8765 or [::1]:8765"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """``port`` 0: any that is free."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"


def tcp_address(text: str) -> TcpAddress | None:
    """The address that *text* spells, None for the unix socket. Raises ValueError, with the rest of a sentence."""
    if text == UNIX:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"must be {_FORM}, not '{text}'")
    try:
        return TcpAddress(ip_address(host.removeprefix("[").removesuffix("]")), int(port))
    except ValueError:
        raise ValueError(f"must be {_FORM}, not '{text}'") from None


def why_not_served(listen: Iterable[str], *, has_tls: bool, behind_proxy: bool) -> str | None:
    """Why the API must not listen at the addresses *listen*, as a sentence; None if it may."""
    for text in listen:
        address = tcp_address(text)
        if address is not None and not address.host.is_loopback and not has_tls and not behind_proxy:
            return (
                f"api.listen has {text}, which other machines reach, so that tokens and tasks would cross the"
                " network readable"
            )
    return None


def hosts_of(listen: Iterable[str]) -> frozenset[str]:
    """The names, without a port and in lower case, by which browsers on this machine reach the addresses."""
    named = {str(address.host) for address in map(tcp_address, listen) if address is not None}
    return frozenset({"localhost", "127.0.0.1", "::1", *named})


def host_in(header: str) -> str:
    """The host in a ``Host`` header or behind the ``//`` of an origin, without the port, in lower case."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")
