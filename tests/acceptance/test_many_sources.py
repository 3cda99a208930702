"""More sources than a process may have files open at first."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.waiting import eventually
from tests.warm import PROGRAM

LIMITS = "import resource; print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
SHARED_THREADS = 8
"""Of a daemon, however many sources it has: the main one, the watcher, schedules, landings, notifications and the like.
Beside them each source has one."""


def limited(soft: int, hard: int) -> Sequence[str]:
    return ("prlimit", f"--nofile={soft}:{hard}", *PROGRAM)


def all_done(rig: Rig, names: Sequence[str]) -> None:
    for name in names:
        rig.drop_command(f"task-{name}", f"echo {name} >> log", source=name)
    eventually(lambda: len(rig.side_effects("log")) >= len(names), timeout=200, what="each has run")
    assert sorted(rig.side_effects("log")) == sorted(names)


def test_the_soft_limit_is_raised_and_given_back_to_what_is_started(make_rig: MakeRig) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    names = tuple(f"s{number}" for number in range(80))
    rig = make_rig(sources=names)
    daemon = rig.start(program=limited(128, hard))
    assert resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)[0] > 128
    all_done(rig, names[:2] + names[-2:])
    assert len(list(Path(f"/proc/{daemon.pid}/task").iterdir())) <= len(names) + SHARED_THREADS
    rig.drop_command("task-limits", f"{sys.executable} -c '{LIMITS}' >> limits", source="s1")
    rig.started("limits")
    assert rig.side_effects("limits") == [f"128 {hard}"]


@pytest.mark.long
def test_sources_beyond_the_hard_limit_are_served_by_the_sweep(make_rig: MakeRig) -> None:
    names = tuple(f"s{number}" for number in range(80))
    rig = make_rig(sources=names, sweep_seconds=1)
    rig.start(program=limited(256, 256))
    assert "open files are allowed" in rig.cli("status").stdout
    assert "open files are allowed" in rig.cli("doctor").stdout
    all_done(rig, names)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_two_thousand_sources(make_rig: MakeRig) -> None:
    names = tuple(f"s{number}" for number in range(2000))
    rig = make_rig(sources=names, sweep_seconds=5)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 5000:
        pytest.skip(f"only {hard} files may be open here")
    rig.start(program=limited(1024, hard))
    assert "open files are allowed" not in rig.cli("status").stdout
    all_done(rig, names[:3] + names[-3:])
