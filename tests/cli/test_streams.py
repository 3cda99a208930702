"""Where output goes: readers that leave early, streams that are closed or full, and machines that forbid writing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from tests.cli.bench import Bench, a_bench

READING = (("status",), ("status", "--json"), ("tasks", "list"), ("doctor",), ("--help",), ("skill", "show"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


@pytest.fixture
def many(bench: Bench) -> Bench:
    """More to tell than a pipe holds."""
    for number in range(1200):
        (bench.pending() / f"task-{number:04}-{'x' * 150}.md").write_text("# Do it")
    return bench


@pytest.mark.parametrize("command", [("status", "--detailed"), ("tasks", "list", "--limit", "9999")])
def test_a_reader_that_leaves_early_is_no_failure(many: Bench, command: tuple[str, ...]) -> None:
    """``| head``, also under ``set -o pipefail``: no complaint, exit code 0."""
    with _start(many, *command, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stderr
        child.stdout.read(10)
        child.stdout.close()
        complaint = child.stderr.read()

    assert (complaint, child.returncode) == (b"", 0)


def test_work_goes_on_when_nobody_listens(bench: Bench) -> None:
    """``run --drain 2>&1 | head -1``, a terminal that is gone: every task is done all the same."""
    config = json.loads(bench.config.read_text())
    config["executors"] = {"sh": {"kind": "command", "argv": ["sh", "-s"]}}
    bench.config.write_text(json.dumps(config))
    for number in range(3):
        (bench.pending() / f"task-{number}.md").write_text("---\nexecutor: sh\n---\ntrue\n")
    with _start(bench, "run", "--drain", stdout=subprocess.DEVNULL) as child:
        assert child.stderr
        child.stderr.read(1)
        child.stderr.close()
        code = child.wait(60)

    assert code == 0
    assert len(list((bench.pending().parent / "completed").iterdir())) == 3


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_closed_streams_are_no_defect(bench: Bench, command: tuple[str, ...]) -> None:
    """``>&- 2>&- <&-``, as some supervisors start programs."""
    expected = bench.run(*command).code
    script = 'exec "$@" <&- >&- 2>&-'
    child = subprocess.run(
        ["sh", "-c", script, "sh", sys.executable, "-m", "task_queue.cli", *command],
        cwd=bench.project,
        env=bench.environ,
        timeout=60,
        check=False,
    )

    assert child.returncode == expected


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_full_disk_behind_stdout_is_said(bench: Bench, command: tuple[str, ...]) -> None:
    """An answer that nobody got is a failure, and the reason is one sentence."""
    with Path("/dev/full").open("wb") as full, _start(bench, *command, stdout=full) as child:
        assert child.stderr
        said = child.stderr.read().decode()

    assert child.returncode == 1
    assert said.startswith("error: No space left on device\n")
    assert "defect" not in said


@pytest.mark.parametrize("command", [("sources", "add", "new", "--id", "new"), ("stop",), ("run", "--drain")])
def test_a_read_only_home_is_said(bench: Bench, command: tuple[str, ...]) -> None:
    """What cannot be written, and that it is no defect."""
    home = str(bench.home)
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && cd "$0/project" && exec "$@"'
    argv = ["unshare", "-Urm", "sh", "-c", script, home, sys.executable, "-m", "task_queue.cli", *command]
    done = subprocess.run(
        argv, cwd=bench.project, env=bench.environ, capture_output=True, text=True, timeout=60, check=False
    )
    if "unshare:" in done.stderr or "mount:" in done.stderr:
        pytest.skip("mounting is not permitted here")

    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert home in done.stderr
    assert "defect" not in done.stderr


def test_a_file_given_as_text_is_not_taken_for_the_task(bench: Bench) -> None:
    """An agent would get nothing but the name, and guess."""
    (bench.project / "task fix.md").write_text("# Fix it")

    answer = bench.run("tasks", "add", "task fix.md")

    assert answer.code == 1
    assert "tasks add --file 'task fix.md'" in answer.err
    assert os.listdir(bench.pending()) == []  # noqa: PTH208 - names are enough


def _start(bench: Bench, *command: str, stdout: int | IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "task_queue.cli", *command],
        cwd=bench.project,
        env=bench.environ,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )
