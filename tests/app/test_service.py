"""The unit file as it is written, and what is said where systemd is missing. The effects: tests/systemd."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from task_queue.app import service
from task_queue.app.service import ServiceError

ROOT = Path(__file__).parents[2]
COMMAND = ["/opt/tq/bin/task-queue"]


def systemctl(folder: Path, script: str) -> Path:
    """A `systemctl` that notes what it is asked and runs *script*."""
    folder.mkdir(exist_ok=True)
    fake = folder / "systemctl"
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {shlex.quote(str(folder))}/asked\n{script}\n')
    fake.chmod(0o755)
    return folder / "asked"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a willing systemctl was asked, one line each."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    return systemctl(tmp_path / "bin", "exit 0")


def test_the_unit_at_the_top_is_the_packaged_one() -> None:
    """Two places to find it, one text."""
    packaged = ROOT / "task_queue" / "task-queue.service"

    assert (ROOT / "task-queue.service").read_text() == packaged.read_text()


def test_both_commands_get_absolute_paths() -> None:
    text = service.render(COMMAND, environment={})

    assert 'ExecStart="/opt/tq/bin/task-queue" daemon\n' in text
    assert ' "/opt/tq/bin/task-queue" daemon --sweep\n' in text
    assert "%h" not in text


def test_the_environment_is_written_before_the_command() -> None:
    text = service.render(COMMAND, environment={"PATH": "/a b:/usr/bin", "XDG_STATE_HOME": "/x"})

    assert 'Environment="PATH=/a b:/usr/bin"\nEnvironment="XDG_STATE_HOME=/x"\nExecStart=' in text


def test_a_path_with_everything_in_it_is_quoted() -> None:
    """Spaces, specifiers, variables, quotes and backslashes mean themselves."""
    text = service.render(['/a b/100%/$HOME/"q"/\\n/task-queue', "-m", "$x"], environment={})

    assert 'ExecStart="/a b/100%%/$HOME/\\"q\\"/\\\\n/task-queue" "-m" "$$x" daemon\n' in text
    assert ' "/a b/100%%/$$HOME/\\"q\\"/\\\\n/task-queue" "-m" "$$x" daemon --sweep\n' in text


def test_a_path_that_no_unit_can_hold_is_refused() -> None:
    with pytest.raises(ServiceError, match="cannot hold"):
        service.render(["/a\nExecStartPre=/bin/evil"], environment={})


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    """`systemd-analyze verify` says it on stderr, not with its exit code."""
    program = tmp_path / "with space 100%" / "task-queue"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = tmp_path / "task-queue.service"
    unit.write_text(service.render([str(program)], environment={"PATH": os.environ["PATH"]}))

    done = subprocess.run(
        ["systemd-analyze", "--user", "verify", str(unit)],
        capture_output=True,
        text=True,
        env={"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        check=False,
    )

    complaints = [line for line in done.stderr.splitlines() if "task-queue" in line]
    assert complaints == []


def test_install_writes_enables_and_starts(tmp_path: Path, asked: Path) -> None:
    """In this order; a second time changes nothing but the paths."""
    units = [service.install(tmp_path / "user", COMMAND, environment={}) for _ in range(2)]
    unit = units[-1]

    assert unit.read_text() == service.render(COMMAND, environment={})
    assert asked.read_text().splitlines()[:4] == [
        "--user show --property=Version",
        "--user daemon-reload",
        "--user enable task-queue.service",
        "--user restart task-queue.service",
    ]


def test_a_unit_of_somebody_else_is_left_alone(tmp_path: Path, asked: Path) -> None:
    unit = tmp_path / "task-queue.service"
    unit.write_text("[Service]\nExecStart=/usr/bin/mine\n")

    for act in (
        lambda: service.install(tmp_path, COMMAND, environment={}),
        lambda: service.uninstall(tmp_path),
    ):
        with pytest.raises(ServiceError, match="was not written by task-queue"):
            act()
    assert unit.read_text() == "[Service]\nExecStart=/usr/bin/mine\n"


def test_uninstall_stops_and_removes(tmp_path: Path, asked: Path) -> None:
    unit = service.install(tmp_path, COMMAND, environment={})
    asked.unlink()

    assert service.uninstall(tmp_path)
    assert not unit.exists()
    told = [line for line in asked.read_text().splitlines() if " show " not in line]
    assert told == ["--user disable --now task-queue.service", "--user daemon-reload"]
    assert not service.uninstall(tmp_path)


def test_status_is_what_systemd_says(tmp_path: Path, asked: Path) -> None:
    properties = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "SubState": "running",
        "UnitFileState": "enabled",
        "FragmentPath": "/home/me/.config/systemd/user/task-queue.service",
        "MainPID": "42",
        "NRestarts": "1",
        "Result": "success",
        "StatusText": "2 running = busy",
        "ActiveEnterTimestamp": "Sat 2026-02-07 12:00:00 UTC",
    }
    systemctl(tmp_path / "bin", "\n".join(f"echo '{key}={value}'" for key, value in properties.items()))

    found = service.status()

    assert (found.installed, found.enabled, found.active, found.sub) == (True, True, "active", "running")
    assert (found.pid, found.restarts, found.says) == (42, 1, "2 running = busy")


def test_status_of_a_unit_that_is_not_there(tmp_path: Path, asked: Path) -> None:
    systemctl(tmp_path / "bin", "echo LoadState=not-found; echo ActiveState=inactive; echo MainPID=0")

    found = service.status()

    assert (found.installed, found.active, found.pid, found.unit) == (False, "inactive", None, None)


def test_without_systemd_the_hint_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written then."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ServiceError, match="does not run systemd") as caught:
        service.install(tmp_path / "user", COMMAND, environment={})
    assert "task-queue daemon" in (caught.value.hint or "")
    assert not (tmp_path / "user").exists()


def test_without_a_user_bus_the_hint_says_what_to_do(tmp_path: Path, asked: Path) -> None:
    systemctl(tmp_path / "bin", "echo 'Failed to connect to bus: No medium found' >&2; exit 1")

    with pytest.raises(ServiceError, match="cannot be reached") as caught:
        service.install(tmp_path / "user", COMMAND, environment={})
    assert "enable-linger" in (caught.value.hint or "")
    assert not (tmp_path / "user").exists()


def test_a_refusal_is_told_in_systemds_words(tmp_path: Path, asked: Path) -> None:
    systemctl(tmp_path / "bin", "echo 'Unit is masked.' >&2; exit 1")

    with pytest.raises(ServiceError, match=r"Unit is masked\."):
        service.status()
