"""Delivers one message: to a command, or through apprise to the service that a URL names.

Started by ``platform/isolated.py`` for ``daemon/deliveries.py``: a ``Delivery`` on standard input, what came of it on
standard output. It ends with all that it started once its time is over, also where its daemon is gone.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from task_queue.platform import isolated
from task_queue.platform.records import decode, encode
from task_queue.ports.notification import Delivered, Delivery, Notification, variables_of

APPRISE_MISSING = (
    "the Python package apprise is not installed beside task-queue: pip install 'task-queue[apprise]'"
)
_TAIL = 2000
"""Bytes of what a command said at last."""


def main() -> int:
    """Raises UnreadableRecordError where standard input is not a delivery."""
    delivery = decode(Delivery, sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not the answer
    signal.signal(signal.SIGALRM, _end)
    signal.setitimer(signal.ITIMER_REAL, delivery.timeout_s)
    try:
        message = _with_report(delivery)
        delivered = by_url(delivery.url, message) if delivery.url else _by_command(delivery.command, message)
    except _TimeIsOverError:
        delivered = Delivered(False, f"it did not end within {delivery.timeout_s:g} s")
    out.write(encode(delivered))
    out.close()
    if not delivered.delivered:
        os.killpg(0, signal.SIGKILL)  # what a command has left running
    return 0


class _TimeIsOverError(Exception):
    """The delivery is given up."""


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _TimeIsOverError


def _with_report(delivery: Delivery) -> Notification:
    if delivery.report_since is None:
        return delivery.message
    from task_queue.app.installation import Installation
    from task_queue.app.report import report
    from task_queue.app.report_page import as_markdown, headline

    view = report(Installation(delivery.config), since=delivery.report_since)
    return replace(delivery.message, title=headline(view), body=as_markdown(view))


def _by_command(command: tuple[str, ...], message: Notification) -> Delivered:
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        given.write(encode(message))
        given.seek(0)
        try:
            done = subprocess.run(
                command,
                cwd=isolated.DIRECTORY,
                env={**os.environ, **variables_of(message)},
                stdin=given,
                stdout=said,
                stderr=said,
                check=False,
            )
        except OSError as error:
            return Delivered(False, f"{command[0]} cannot be started: {error.strerror}")
        said.seek(max(0, said.seek(0, os.SEEK_END) - _TAIL))
        words = said.read().decode(errors="replace").strip().splitlines()
    if done.returncode == 0:
        return Delivered(True, f"{Path(command[0]).name} ended with exit code 0")
    why = f": {words[-1]}" if words else ""
    return Delivered(False, f"{Path(command[0]).name} ended with exit code {done.returncode}{why}")


def by_url(url: str, message: Notification) -> Delivered:
    """Says nothing of the URL, which may hold a secret, but its scheme."""
    try:
        apprise: Any = importlib.import_module("apprise")
    except ModuleNotFoundError:
        return Delivered(False, APPRISE_MISSING)
    scheme = url.partition(":")[0]
    notifier = apprise.Apprise()
    if not notifier.add(url):
        return Delivered(False, f"apprise does not know the service of the URL {scheme}:...")
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:
        done = notifier.notify(body=message.body, title=message.title, body_format="markdown")
        lines = log.getvalue().strip().splitlines()
    if done:
        return Delivered(True, f"accepted by {scheme}")
    why = f": {lines[-1].replace(url, scheme)}" if lines else ""
    return Delivered(False, f"refused by {scheme}{why}")


if __name__ == "__main__":
    sys.exit(main())
