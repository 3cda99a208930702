"""``--server``: commands speak to the queue of another machine, and show what they show there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rig import ROOT
from tests.api.bench import ApiBench
from tests.waiting import eventually
from tests.warm import PROGRAM, run_cli


class Elsewhere:
    """A machine without a queue, where a person has a token."""

    def __init__(self, home: Path, bench: ApiBench, *roles: str, **lists: str) -> None:
        self.home = home
        home.mkdir(exist_ok=True)
        self.token_file = home / "token"
        self.token_file.write_text(bench.token("afar", *(roles or ("admin",)), **lists))
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(ROOT),
            "TASK_QUEUE_SERVER": f"http://127.0.0.1:{bench.port}",
            "TASK_QUEUE_TOKEN_FILE": str(self.token_file),
        }

    def run(self, *words: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        said = run_cli(words, env={**self.environment, **environment}, cwd=self.home, given=stdin.encode())
        return subprocess.CompletedProcess(
            said.args, said.returncode, said.stdout.decode(), said.stderr.decode()
        )

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        assert done.returncode in {0, 3}, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def afar(bench: ApiBench, tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "elsewhere", bench)


def without_moments(content: Any) -> Any:
    """Times are spelled in two ways; what changes from one look to the next is left out."""
    if isinstance(content, dict):
        moving = {"since", "until", "silent_s", "starts_at", "ends_at", "empty_at", "links"}
        return {key: without_moments(value) for key, value in content.items() if key not in moving}
    if isinstance(content, list):
        return [without_moments(each) for each in content]
    if isinstance(content, str) and re.match(r"\d{4}-\d\d-\d\dT", content):
        return content.replace("Z", "+00:00")
    return content


READING = [
    ("tasks", "list"),
    ("tasks", "list", "--state", "failed", "--type", "general", "--dead"),
    ("tasks", "show", "waits"),
    ("history", "--outcome", "failed", "--limit", "1"),
    ("report", "--since", "2000-01-01"),
    ("jobs", "--status", "failed", "--source", "a"),
    ("jobs", "task-failed"),
]
SCREENS = [("status",), ("tasks", "show", "task-failed"), ("history",), ("jobs",)]


def test_what_is_read_from_afar_is_what_is_read_there(bench: ApiBench, afar: Elsewhere) -> None:
    """The same words for people, and the same JSON."""
    daemon = bench.rig.start()
    bench.rig.drop_command("task-good", "echo fine")
    bench.rig.drop_command("task-failed", "echo no; exit 1", max_attempts=1)
    bench.rig.result("task-good", timeout=30)
    bench.rig.result("task-failed", timeout=30)
    bench.rig.drop(
        "task-waits",
        "# Later\n\nNot now.",
    )
    eventually(lambda: bench.rig.cli("tasks", "show", "task-waits").returncode == 0, what="it is known")
    bench.rig.stop(daemon)

    for words in READING:
        assert without_moments(afar.json(*words)) == without_moments(bench.rig.json(*words)), words
    for words in SCREENS:
        there, here = afar.run(*words), bench.rig.cli(*words)
        kept = [line for line in here.stdout.splitlines() if not _is_of_this_machine(line)]
        assert there.stdout.splitlines() == kept, (words, there.stdout, here.stdout)
        assert there.returncode == here.returncode
    assert "fine" in afar.run("tasks", "logs", "task-good").stdout
    raw = afar.run("tasks", "logs", "task-good", "--raw").stdout
    assert raw == bench.rig.cli("tasks", "logs", "task-good", "--raw").stdout
    assert afar.run("events").stdout == bench.rig.cli("events").stdout
    assert afar.run("events", "--json", "--task", "task-good", "--limit", "2").stdout.count("\n") == 2


def _is_of_this_machine(line: str) -> bool:
    return line.startswith(("  document  ", "  result    ", "  report    "))


def test_what_is_changed_from_afar(bench: ApiBench, afar: Elsewhere) -> None:
    added = afar.run("tasks", "add", "Fix it\n\nWell.", "--priority", "9", "--source", "a")
    piped = afar.run("tasks", "add", stdin="# Piped\n\nDo.\n")
    task_id = added.stdout.strip()

    assert added.returncode == piped.returncode == 0, added.stderr + piped.stderr
    assert "queued in a of http" in added.stderr
    assert "priority: 9" in (bench.rig.pending() / f"{task_id}.md").read_text()
    assert afar.run("jobs", piped.stdout.strip(), "--cancel").stdout.startswith("requested: ")
    assert afar.run("tasks", "cancel", task_id).stdout == f"requested: {task_id}\n"
    daemon = bench.rig.start()
    bench.rig.result(task_id, timeout=30)
    bench.rig.drop_command("task-bad", "exit 1", max_attempts=1)
    bench.rig.result("task-bad", timeout=30)
    assert afar.run("tasks", "ack", "--all").stdout == "acknowledged: task-bad\n"
    bench.rig.stop(daemon)
    assert afar.run("tasks", "retry", "bad").stdout == "pending: task-bad\n"
    assert (bench.rig.pending() / "task-bad.md").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("tasks", "add", "x", "--edit"), "--edit works on the machine of the queue only"),
        (("tasks", "add", "x", "--wait"), "--wait works on the machine of the queue only"),
        (("tasks", "retry", "--all-dead"), "--all-dead works on the machine of the queue only"),
        (("tasks", "logs", "x", "--json"), "--json works on the machine of the queue only"),
        (("tasks", "show", "nothing"), "has no task 'nothing' that this credential sees"),
        (("jobs", "x", "--status", "failed"), "--status and --source are for the list"),
        (("jobs", "--cancel"), "--cancel needs the ID"),
        (("tasks", "add", "x", "--source", "none"), "source is not known: 'none'"),
        (("history", "--source", "none"), "none"),
    ],
)
def test_what_does_not_work_from_afar_says_so(afar: Elsewhere, words: tuple[str, ...], why: str) -> None:
    done = afar.run(*words)

    assert done.returncode in {1, 2}, done.stdout
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_the_owner_reaches_it_by_the_socket(bench: ApiBench, tmp_path: Path) -> None:
    afar = Elsewhere(tmp_path / "here", bench)
    words = ("jobs", "--server", f"unix:{bench.socket_path}")

    assert afar.run(*words, TASK_QUEUE_TOKEN_FILE="").stdout == "No jobs.\n"


@pytest.mark.long
def test_a_credential_that_does_not_see_everything_gets_jobs_only(bench: ApiBench, tmp_path: Path) -> None:
    bench.rig.drop("task-x", "# x")
    afar = Elsewhere(tmp_path / "elsewhere", bench, "read", sources="b")

    assert afar.run("jobs").stdout == "No jobs.\n"
    for words in (("status",), ("tasks", "list"), ("history",), ("report",)):
        done = afar.run(*words)
        assert done.returncode == 1
        assert "the policy of afar does not allow all of them" in done.stderr
        assert "tokens list" in done.stderr


def test_every_way_in_which_a_server_cannot_be_used(bench: ApiBench, afar: Elsewhere) -> None:
    """Each says what is in the way, and what to do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        unused = f"http://127.0.0.1:{free.getsockname()[1]}"
        nobody = afar.run("jobs", "--server", unused)
    (afar.home / "wrong").write_text("tq_wrong")
    tls = afar.environment["TASK_QUEUE_SERVER"].replace("http:", "https:")
    said = {
        "nobody": nobody,
        "socket": afar.run("jobs", "--server", "unix:/nowhere/api.sock"),
        "wrong token": afar.run("jobs", "--token-file", "wrong"),
        "no token": afar.run("jobs", TASK_QUEUE_TOKEN_FILE=""),
        "no file": afar.run("jobs", "--token-file", "missing"),
        "no address": afar.run("jobs", "--server", "queue"),
        "open": afar.run("jobs", "--server", "http://queue.example.org"),
        "tls": afar.run("jobs", "--server", tls),
        "alone": afar.run("jobs", "--token-file", "wrong", TASK_QUEUE_SERVER=""),
    }
    expected = {
        "nobody": ("no answer from", "does the API run there?"),
        "socket": ("no answer from /nowhere/api.sock", "does the API run there?"),
        "wrong token": ("wrong, revoked or expired", "holds no good token"),
        "no token": ("a credential is needed", "a token is needed"),
        "no file": ("cannot be read", ""),
        "no address": ("not the address of a server", "write https://HOST"),
        "open": ("would show the token", "use https"),
        "tls": ("no answer from https", "does not speak TLS"),
        "alone": ("--token-file goes with --server", ""),
    }
    for name, (what, hint) in expected.items():
        assert said[name].returncode in {1, 2}, name
        assert what in said[name].stderr, (name, said[name].stderr)
        assert hint in said[name].stderr, (name, said[name].stderr)
        assert said[name].stdout == ""


class _Other(BaseHTTPRequestHandler):
    """Of another release: it knows the health, and has no other of these operations."""

    def do_GET(self) -> None:
        known = self.path == "/v1/health"
        body = {"status": "ok", "version": "9.9"} if known else {"detail": "Not Found"}
        data = json.dumps(body).encode()
        self.send_response(200 if known else 404)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing."""


@pytest.fixture
def other_release() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Other)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_another_release_is_named(other_release: str, afar: Elsewhere) -> None:
    for words in (("jobs",), ("status",)):
        done = afar.run(*words, "--server", other_release)
        assert done.returncode == 1
        assert "the server is of release 9.9, this is" in done.stderr


@pytest.mark.long
def test_watching_ends_with_0_and_survives_a_restart_of_the_server(bench: ApiBench, afar: Elsewhere) -> None:
    bench.rig.drop("task-x", "# x")
    port = bench.port
    watching = _watching(afar.environment, afar.home, "jobs", "--watch")

    eventually(lambda: "task-x" in (afar.home / "watched").read_text(), what="it is shown")
    bench.stop()
    eventually(
        lambda: "no answer from" in (afar.home / "watched").read_text(), what="it says that it is gone"
    )
    bench.rig.config.write_text(bench.rig.config.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    bench.start()
    bench.rig.drop("task-y", "# y")
    eventually(lambda: "task-y" in (afar.home / "watched").read_text(), what="it goes on")
    watching.send_signal(signal.SIGINT)

    assert watching.wait(timeout=20) == 0


def test_watching_here(bench: ApiBench) -> None:
    bench.rig.drop("task-x", "# x")
    watching = _watching(
        bench.rig.environment, bench.rig.home, "--config", str(bench.rig.config), "jobs", "x", "--watch"
    )

    eventually(lambda: (bench.rig.home / "watched").read_text().count("task-x") > 1, what="it is drawn again")
    watching.send_signal(signal.SIGINT)

    assert watching.wait(timeout=20) == 0


def _watching(environment: Mapping[str, str], home: Path, *words: str) -> subprocess.Popen[bytes]:
    with (home / "watched").open("wb") as out:
        return subprocess.Popen(
            [*PROGRAM, *words], env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )


def test_following_the_events_of_a_server(bench: ApiBench, afar: Elsewhere) -> None:
    done = subprocess.Popen(
        [*PROGRAM, "events", "--follow", "--after", "end", "--type", "person_acted", "--limit", "1"],
        env=afar.environment,
        cwd=afar.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:

        def heard() -> bool:
            bench.rig.cli("sources", "pause", "a", check=True)
            return done.poll() is not None

        eventually(heard, what="an event arrives")
        out, _ = done.communicate(timeout=20)
    finally:
        done.kill()
    assert "person_acted" in out
