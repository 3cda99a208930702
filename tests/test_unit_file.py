"""The unit at the top of the checkout, copied as it is: what it starts, from where, and with which environment."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from task_queue.app import service
from tests.acceptance.rig import ROOT, Rig

UNIT = ROOT / "task-queue.service"
PLACES = (".local/bin", ".venvs/task-queue/bin")
"""Below the home; the second is what README.md makes."""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def words(key: str, home: Path) -> list[str]:
    """The command line of *key*, its specifiers expanded as systemd does: after the words were separated."""
    lines = [line for line in UNIT.read_text().splitlines() if line.startswith(f"{key}=")]
    assert len(lines) == 1
    return [word.replace("%h", str(home)) for word in shlex.split(lines[0].partition("=")[2])]


def install(home: Path, place: str, script: str = 'echo "$0" "$@"; echo "$PATH"; echo $$') -> Path:
    program = home / place / "task-queue"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o700)
    return program


def run(command: list[str], **environment: str) -> tuple[subprocess.Popen[str], str, str]:
    process = subprocess.Popen(
        command,
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    out, err = process.communicate(timeout=30)
    return process, out, err


def test_it_is_a_file_of_its_own_and_equal_to_the_packaged_one() -> None:
    """``cp`` without options, an archive and a checkout on any system have the same text."""
    assert stat.S_ISREG(UNIT.lstat().st_mode)
    assert UNIT.read_bytes() == (ROOT / "task_queue" / service.UNIT).read_bytes()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("home", ["home", "a 'home' with $HOME and \"%\""])
def test_it_starts_the_program_where_it_is_installed(tmp_path: Path, place: str, home: str) -> None:
    """As the very process that systemd watches, and with the PATH that it has without the unit."""
    program = install(tmp_path / home, place)

    process, out, err = run(words("ExecStart", tmp_path / home))

    assert out.splitlines() == [f"{program} daemon", "/usr/bin:/bin", str(process.pid)]
    assert (process.returncode, err) == (0, "")


def test_the_readmes_installation_is_one_of_the_places() -> None:
    assert f"~/{PLACES[1]}/pip install" in (ROOT / "README.md").read_text()
    assert (
        f"cp {service.UNIT} ~/.config/systemd/user/" in (ROOT / "docs" / "guide" / "service.md").read_text()
    )


def test_of_two_installations_the_usual_place_wins(tmp_path: Path) -> None:
    usual, _ = (install(tmp_path, place) for place in PLACES)

    _, out, _ = run(words("ExecStart", tmp_path))

    assert out.startswith(f"{usual} daemon\n")


def test_without_an_installation_it_says_what_to_type(tmp_path: Path) -> None:
    process, out, err = run(words("ExecStart", tmp_path))

    assert (process.returncode, out) == (127, "")
    assert "task-queue service install" in err


@pytest.mark.parametrize(("result", "said"), [("timeout", "daemon --sweep"), ("success", None)])
def test_only_a_stop_that_timed_out_is_swept(tmp_path: Path, result: str, said: str | None) -> None:
    program = install(tmp_path, PLACES[1])

    process, out, err = run(words("ExecStopPost", tmp_path), SERVICE_RESULT=result)

    assert out.splitlines()[:1] == ([f"{program} {said}"] if said else [])
    assert (process.returncode, err) == (0, "")


def test_it_sets_no_environment() -> None:
    """Whatever it set, the daemon would have, and with PATH the agents."""
    keys = {line.partition("=")[0] for line in UNIT.read_text().splitlines()}

    assert "ExecStart" in keys
    assert not keys & {
        "Environment",
        "EnvironmentFile",
        "PassEnvironment",
        "UnsetEnvironment",
        "ExecSearchPath",
    }


def test_its_daemon_gives_the_agents_its_own_path(rig: Rig) -> None:
    """The real one, started as the unit does: a task sees neither the shell nor the places of the program."""
    path = os.environ["PATH"]
    arguments = shlex.join([sys.executable, "-m", "task_queue.cli", "--config", str(rig.config)])
    install(rig.home, PLACES[1], f'exec {arguments} "$@"')
    rig.drop_command("task-env", "env")
    with (rig.home / "daemon.err").open("w") as errors:
        daemon = subprocess.Popen(words("ExecStart", rig.home), env=rig.environment, stderr=errors)
    try:
        seen = rig.result("task-env")["output"].splitlines()
    finally:
        daemon.terminate()
        daemon.wait(timeout=60)

    assert f"PATH={path}" in seen
    assert not [line for line in seen if line.startswith(("PYTHONPATH=", "OLDPWD=", "program="))]


def test_it_works_where_no_agent_can_write() -> None:
    """Not in the home, where systemd starts a user's units by itself."""
    assert "WorkingDirectory=/" in UNIT.read_text().splitlines()
    assert "WorkingDirectory=/" in service.render(["/bin/task-queue"], environment={}).splitlines()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    """After ``cp task-queue.service ~/.config/systemd/user/``; what it finds it says on stderr, with exit code 0."""
    install(tmp_path, PLACES[1])
    copied = tmp_path / ".config" / "systemd" / "user" / service.UNIT
    copied.parent.mkdir(parents=True)
    shutil.copy(UNIT, copied)

    clean = verify(copied, tmp_path)
    copied.write_text(copied.read_text().replace("/bin/sh -c", "/bin/there-is-no-shell -c"))
    broken = verify(copied, tmp_path)

    assert (clean.returncode, clean.stdout, clean.stderr) == (0, "", "")
    assert "there-is-no-shell" in broken.stderr


def verify(unit: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        env={"PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_the_service_command_writes_is_verified_too(tmp_path: Path) -> None:
    """Absolute paths, and no search."""
    text = service.render(["/bin/true"], environment={"PATH": "/usr/bin:/bin"})
    (tmp_path / service.UNIT).write_text(text)

    assert 'ExecStart="/bin/true" daemon\n' in text
    assert "for program" not in text
    if shutil.which("systemd-analyze"):
        assert verify(tmp_path / service.UNIT, tmp_path).stderr == ""


def test_a_copied_unit_is_taken_for_one_of_ours() -> None:
    """So that ``service install`` may replace it: both begin with the same line."""
    rendered = service.render(["/bin/true"], environment={})

    assert rendered.splitlines()[0] == UNIT.read_text().splitlines()[0]


def test_the_shell_of_the_unit_is_portable() -> None:
    """Neither of its scripts uses what only some shells know: dash, the usual /bin/sh of Debian, parses them."""
    for key in ("ExecStart", "ExecStopPost"):
        shell, option, script, *_ = words(key, Path("/home/me"))
        checked = subprocess.run([shell, "-n", option, script], capture_output=True, text=True, check=False)

        assert (checked.returncode, checked.stderr) == (0, "")
