"""What ``daemon``, ``run`` and ``init`` say to the person who typed them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.locations import locate
from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = a_bench(tmp_path)
    change(bench, executors={"sh": {"kind": "command", "argv": ["sh", "-s"]}})
    return bench


def change(bench: Bench, **more: Any) -> None:
    content = json.loads(bench.config.read_text())
    bench.config.write_text(json.dumps(content | more))


def test_the_daemon_says_where_it_logs_what_it_serves_and_that_it_is_ready(bench: Bench) -> None:
    """On stderr; nothing is on stdout."""
    command = [sys.executable, "-m", "task_queue.cli", "daemon"]
    with subprocess.Popen(
        command,
        cwd=bench.project,
        env=bench.environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stdout
        assert daemon.stderr
        try:
            said = [daemon.stderr.readline(), daemon.stderr.readline()]
        finally:
            daemon.send_signal(signal.SIGTERM)
        rest = daemon.stdout.read()

    log = locate(environ=bench.environ).log
    assert said == [
        f"the daemon starts; its log: {log}\n",
        "ready; it serves ad-hoc, planned; end it with Ctrl-C\n",
    ]
    assert (rest, daemon.returncode) == ("", 0)
    assert "serving sources=2" in log.read_text()


def test_run_says_what_happens(bench: Bench) -> None:
    """Claimed, each phase, and the end with its outcome and its duration; each line with its time."""
    document = "---\nexecutor: sh\nverify: 'true'\n---\ntrue\n"
    (bench.pending() / "task-a.md").write_text(document)

    answer = bench.run("run", "--drain")

    told = [re.sub(r"after \d+ s", "after N s", line) for line in answer.err.splitlines()]
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in told), answer.err
    assert (answer.code, answer.out) == (0, "")
    about = [line[10:] for line in told if "task-a" in line]
    assert about[0] == "task-a: attempt 1 begins"
    assert about[1] == "task-a: attempt 1: command"
    assert about[-1] == "task-a: completed: exit code 0, and verification passed (after N s)"


def test_run_is_quiet_on_request(bench: Bench) -> None:
    """What was not done is said all the same."""
    (bench.pending() / "task-a.md").write_text("---\nexecutor: sh\n---\ntrue\n")
    (bench.pending() / "task-b.md").write_text("---\ndepends_on: [task-none]\n---\n# Waits\n")

    answer = bench.run("run", "--drain", "--quiet")

    assert answer.code == 3
    assert answer.err.startswith("error: not done: task-b in source 'ad-hoc'")
    assert "task-a" not in answer.err


def test_init_ends_with_what_is_missing(bench: Bench) -> None:
    """Each with what to type."""
    said = bench.run("init").out

    missing = said[said.index("still missing:") : said.index("next:")].splitlines()
    assert [line.partition(":")[0].strip() for line in missing[1:]] == [
        "no login of the agent was found",
        "no command proves the work (verify)",
        "no service starts the tasks",
    ]
    program = shlex.split(missing[1].partition(": ")[2])[0]
    assert shutil.which(program, path=bench.environ["PATH"]), "the program to log in with is there"
    command = missing[2].partition(": ")[2]
    done = subprocess.run(
        ["sh", "-c", command.replace("task-queue", f"{sys.executable} -m task_queue.cli")],
        cwd=bench.project,
        env=bench.environ,
        check=False,
    )
    assert done.returncode == 0
    assert "(verify)" not in bench.run("init").out


@pytest.mark.parametrize(
    "agent",
    [
        {"env": {"ANTHROPIC_API_KEY": "x"}},
        {"env": {"CLAUDE_CODE_USE_BEDROCK": "1"}},
        {"key_command": ["/bin/k"]},
    ],
    ids=["key", "cloud", "command"],
)
def test_init_misses_nothing_that_is_there(bench: Bench, agent: dict[str, Any]) -> None:
    """A key in the configuration, a verify command of a source, the unit."""
    change(bench, agent=agent, defaults={"verify": ["true"]})
    unit = bench.home / ".config" / "systemd" / "user" / "task-queue.service"
    unit.parent.mkdir(parents=True)
    unit.touch()

    assert "still missing" not in bench.run("init").out


def test_init_sees_the_login_of_the_cli(bench: Bench) -> None:
    (bench.home / ".claude").mkdir()
    (bench.home / ".claude" / ".credentials.json").write_text("{}")

    assert "no login" not in bench.run("init").out
