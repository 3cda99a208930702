"""Reports to systemd how the service is doing (sd_notify(3)): datagrams to the socket that it named.

The environment is not read here: the address and the watchdog's settings are passed in.
"""

from __future__ import annotations

import socket
import time


class Notifier:
    """Sends states to *address* (the value of ``NOTIFY_SOCKET``); does nothing when it is None.

    A message that cannot be delivered is dropped: a service works on when no manager listens, and a
    manager that is alive but heard nothing acts by its own time-outs.
    """

    def __init__(self, address: str | None) -> None:
        # systemd writes an abstract address, which begins with a NUL byte, with "@" in its place.
        self._address = None if not address else "\0" + address[1:] if address.startswith("@") else address

    def ready(self) -> None:
        """Start-up, or a reload, is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; ``ready`` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def extend_timeout(self, seconds: float) -> None:
        """Starting or stopping takes longer than the unit says: wait at least *seconds* from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send("STATUS=" + " ".join(text.split()))

    def watchdog(self) -> None:
        """Still alive; to be sent from the loop whose life it proves."""
        self._send("WATCHDOG=1")

    def _send(self, *assignments: str) -> None:
        if self._address is None:
            return
        message = "\n".join(assignments).encode(errors="replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                # Never wait for a manager that does not read.
                out.setblocking(False)
                out.sendto(message, self._address)
        except OSError:
            return
