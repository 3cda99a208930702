"""What arrives at a socket like systemd's."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from task_queue.platform.notify import Notifier


@pytest.fixture(params=["a path", "an abstract name"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """An address as systemd writes it, and the socket that listens there."""
    if request.param == "a path":
        address = bound = str(tmp_path / "notify")
    else:
        name = secrets.token_hex(8)
        address, bound = f"@task-queue-{name}", f"\0task-queue-{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.settimeout(2)
        listener.bind(bound)
        yield address, listener


@pytest.mark.parametrize(
    ("say", "heard"),
    [
        (Notifier.ready, b"READY=1"),
        (Notifier.stopping, b"STOPPING=1"),
        (lambda n: n.extend_timeout(1.5), b"EXTEND_TIMEOUT_USEC=1500000"),
        (lambda n: n.status("2 running"), b"STATUS=2 running"),
        (Notifier.watchdog, b"WATCHDOG=1"),
    ],
)
def test_each_message(
    manager: tuple[str, socket.socket], say: Callable[[Notifier], None], heard: bytes
) -> None:
    address, listener = manager

    say(Notifier(address))

    assert listener.recv(4096) == heard


def test_a_reload_carries_the_time_at_which_it_began(manager: tuple[str, socket.socket]) -> None:
    """systemd tells a late message from a new one by it."""
    address, listener = manager
    before = time.monotonic_ns() // 1000

    Notifier(address).reloading()

    state, stamp = listener.recv(4096).decode().split("\n")
    assert state == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_a_status_cannot_smuggle_in_another_message(manager: tuple[str, socket.socket]) -> None:
    """A line end in a task's title does not become an assignment."""
    address, listener = manager

    Notifier(address).status("runs task-a\nSTOPPING=1")

    assert listener.recv(4096) == b"STATUS=runs task-a STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "/nowhere/at/all"])
def test_without_a_manager_nothing_happens(address: str | None) -> None:
    Notifier(address).ready()


def test_a_manager_that_does_not_read_is_not_waited_for(manager: tuple[str, socket.socket]) -> None:
    address, _listener = manager
    notifier = Notifier(address)

    for _ in range(2_000):
        notifier.watchdog()
