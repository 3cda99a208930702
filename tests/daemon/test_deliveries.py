"""One delivery, with real processes: what a command gets, how it ends, and a service that a URL of apprise names."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from task_queue.app.delivering import by_url
from task_queue.daemon.deliveries import DeliveryProcess
from task_queue.domain.notification import Notice
from task_queue.ports.notification import Delivered, Delivery, Notification
from tests.fakes import FakeClock
from tests.waiting import eventually

NOTICE = Notice(FakeClock().now(), "settled", "failed: it broke", "shop", "task-a", ("failed",))
MESSAGE = Notification("phone", "events", "task-a: failed", "- `task-a` failed\n", (NOTICE,))
SECRET = "sk-ant-of-the-agent"


def a_program(folder: Path, script: str) -> tuple[str, ...]:
    path = folder / "notify"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return (str(path), "an argument")


def delivered(
    command: tuple[str, ...] = (),
    *,
    url: str | None = None,
    message: Notification = MESSAGE,
    timeout_s: float = 20,
) -> Delivered:
    return DeliveryProcess(Delivery(message, command, url, timeout_s)).outcome()


def test_a_command_gets_the_message_on_standard_input_and_in_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no secret of the daemon's environment."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", SECRET)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    command = a_program(
        tmp_path, f'cat > {tmp_path}/stdin; env > {tmp_path}/env; echo "$1" > {tmp_path}/argument'
    )

    outcome = delivered(command)

    assert outcome == Delivered(True, "notify ended with exit code 0")
    assert json.loads((tmp_path / "stdin").read_text()) == {
        "target": "phone",
        "kind": "events",
        "title": "task-a: failed",
        "body": "- `task-a` failed\n",
        "events": [
            {
                "at": NOTICE.at.isoformat(),
                "type": "settled",
                "said": "failed: it broke",
                "source": "shop",
                "task_id": "task-a",
                "needs": ["failed"],
            }
        ],
        "more": 0,
        "schema_version": 1,
    }
    variables = (tmp_path / "env").read_text()
    assert "TASK_QUEUE_TITLE=task-a: failed\n" in variables
    assert {
        "TASK_QUEUE_TASK_ID=task-a",
        "TASK_QUEUE_COUNT=1",
        "TASK_QUEUE_KIND=events",
        "TASK_QUEUE_EVENT=settled",
    } <= set(variables.splitlines())
    assert f"XDG_RUNTIME_DIR={tmp_path}" in variables
    assert SECRET not in variables
    assert (tmp_path / "argument").read_text() == "an argument\n"


def test_a_command_that_does_not_read_and_says_much_is_delivered(tmp_path: Path) -> None:
    long = Notification("phone", "report", "much", "x" * 300_000)

    outcome = delivered(a_program(tmp_path, "head -c 300000 /dev/zero; sleep 60 & exit 0"), message=long)

    assert outcome.delivered


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo first; echo 'no such channel' >&2; exit 3", "notify ended with exit code 3: no such channel"),
        ("kill -9 $$", "notify ended with exit code -9"),
    ],
)
def test_a_command_that_fails_is_told_with_its_last_line(tmp_path: Path, script: str, said: str) -> None:
    assert delivered(a_program(tmp_path, script)) == Delivered(False, said)


def test_a_program_that_is_missing_is_told() -> None:
    said = "/nowhere/notify cannot be started: No such file or directory"

    assert delivered(("/nowhere/notify",)) == Delivered(False, said)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    command = a_program(tmp_path, f"trap '' TERM; (echo $$; exec sleep 300) & echo $! > {tmp_path}/pid; wait")

    outcome = delivered(command, timeout_s=1)

    assert outcome == Delivered(False, "it did not end within 1 s")
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not _lives(pid), what="what it started ends")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


class _Service(BaseHTTPRequestHandler):
    got: ClassVar[list[dict[str, Any]]] = []
    code: ClassVar[int] = 200

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.code)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
        """Nothing."""


@contextmanager
def a_service(*, code: int = 200) -> Iterator[str]:
    """A URL of apprise; what it gets is in ``_Service.got``."""
    _Service.got.clear()
    _Service.code = code
    with HTTPServer(("127.0.0.1", 0), _Service) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"json://user:{SECRET}@127.0.0.1:{server.server_port}/hook"
        server.shutdown()
        thread.join()


def test_a_url_of_apprise_gets_title_and_body() -> None:
    with a_service() as url:
        outcome = delivered(url=url)

    assert outcome == Delivered(True, "accepted by json")
    (got,) = _Service.got
    assert got["title"] == "task-a: failed"
    assert "task-a" in got["message"]


def test_a_service_that_refuses_is_told_without_the_secret_of_its_url() -> None:
    with a_service(code=403) as url:
        outcome = delivered(url=url)

    assert not outcome.delivered
    assert outcome.said.startswith("refused by json")
    assert SECRET not in outcome.said


def test_a_url_of_an_unknown_service_is_told() -> None:
    outcome = delivered(url="nosuch://token@place")

    assert outcome == Delivered(False, "apprise does not know the service of the URL nosuch:...")


def test_without_apprise_the_answer_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python takes None in this place for a module that is not there."""
    monkeypatch.setitem(sys.modules, "apprise", None)

    outcome = by_url("json://127.0.0.1", MESSAGE)

    assert not outcome.delivered
    assert "pip install 'task-queue[apprise]'" in outcome.said
