"""With more descriptors than select(2) can count, everything that waits for a process or a pipe still works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.acceptance.rig import ROOT

_OPENED = 1100
_MANY = f"""
import os, resource, sys, pytest
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, ({4 * _OPENED}, hard))
opened = [os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range({_OPENED})]
assert opened[-1] > 1024
sys.exit(pytest.main(["-p", "no:cacheprovider", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    "tests",
    [
        ("git/test_repository.py::test_a_clean_repository",),
        ("git/test_repository.py::test_git_that_hangs_is_ended",),
        ("runner/test_verification.py::test_all_commands_run_and_all_must_pass",),
        ("runner/test_verification.py::test_a_command_that_never_ends_is_ended_with_all_it_started",),
        (
            "agents/test_executors.py::TestCommand::test_work_that_is_done_succeeds",
            "agents/test_executors.py::TestCommand::test_it_can_be_stopped",
        ),
        ("daemon/test_runners.py::TestProcessRunners::test_an_end_can_be_waited_for",),
    ],
    ids=lambda tests: tests[0].removesuffix(".py").rpartition("/")[2],
)
def test_it_works_beyond_1024_descriptors(tests: tuple[str, ...]) -> None:
    """The test of that name passes in a process that has 1,100 files open."""
    done = subprocess.run(
        [sys.executable, "-c", _MANY, *(f"{ROOT}/tests/{name}" for name in tests)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
