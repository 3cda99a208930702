"""Keys outside the configuration: real files, real commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from task_queue.config.credentials import check_env_file, credentials, secret_places
from task_queue.config.schema import Agent
from task_queue.domain.errors import ExecutorError
from tests.processes import environments
from tests.waiting import eventually

KEY = "key-of-the-owner"


def env_file(folder: Path, text: str = f"ANTHROPIC_API_KEY={KEY}\n", *, mode: int = 0o600) -> Path:
    path = folder / "keys.env"
    path.write_text(text)
    path.chmod(mode)
    return path


def refused(agent: Agent, environ: dict[str, str] | None = None, **how: Any) -> ExecutorError:
    with pytest.raises(ExecutorError) as caught:
        credentials(agent, environ or {}, **how)
    assert KEY not in caught.value.in_full
    return caught.value


def test_lines_of_a_file_become_variables(tmp_path: Path) -> None:
    """Comments and blank lines count for nothing, one pair of quotes is taken off, a value may hold "="."""
    text = "# mine\n\nANTHROPIC_API_KEY='a key'\nexport GATEWAY=\"x=y\"\nEMPTY=\nPLAIN=a'b\n"
    agent = Agent(env_file=env_file(tmp_path, text))

    found = credentials(agent, {})

    assert found == {"ANTHROPIC_API_KEY": "a key", "GATEWAY": "x=y", "EMPTY": "", "PLAIN": "a'b"}
    assert secret_places(agent, {"CREDENTIALS_DIRECTORY": "/run/c"}) == (
        tmp_path / "keys.env",
        Path("/run/c"),
    )


@pytest.mark.parametrize(
    "what", ["group", "world", "written by others", "hard link", "link", "folder", "missing"]
)
def test_a_file_that_others_could_use_is_refused(tmp_path: Path, what: str) -> None:
    """Before the claim, too; the reason names the file, and the hint says what to do."""
    path = tmp_path / "keys.env"
    match what:
        case "group" | "world" | "written by others":
            env_file(tmp_path, mode={"group": 0o640, "world": 0o604, "written by others": 0o602}[what])
        case "hard link":
            (tmp_path / "second").hardlink_to(env_file(tmp_path))
        case "link":
            real = env_file(tmp_path).rename(tmp_path / "real")
            path.symlink_to(real)
        case "folder":
            path.mkdir()
        case _:
            pass
    agent = Agent(env_file=path)

    error = refused(agent)

    assert str(path) in str(error)
    assert error.hint
    with pytest.raises(ExecutorError):
        check_env_file(agent)


def test_a_file_in_a_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    assert "can be written by every user" in str(refused(Agent(env_file=env_file(tmp_path))))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_file_is_refused(tmp_path: Path) -> None:
    path = env_file(tmp_path)
    os.chown(path, 12345, 12345)

    assert "another user (uid 12345)" in str(refused(Agent(env_file=path)))


@pytest.mark.parametrize("text", [f"just {KEY}\n", f"1A={KEY}\n", f"A={KEY}\nB {KEY}\n"])
def test_a_line_that_is_none_is_named_by_its_number(tmp_path: Path, text: str) -> None:
    """Never by its text, which may be the key."""
    assert f"line {text.count(chr(10))}" in str(refused(Agent(env_file=env_file(tmp_path, text))))


def test_a_command_prints_the_key(tmp_path: Path) -> None:
    """In "/", with the queue's own environment; the file's key gives way."""
    script = (
        f"import os; print(os.environ['STORE'] + os.getcwd()); import sys; print('{KEY}', file=sys.stderr)"
    )
    agent = Agent(env_file=env_file(tmp_path), key_command=(sys.executable, "-IS", "-c", script))

    assert credentials(agent, {"STORE": "from "})["ANTHROPIC_API_KEY"] == "from /"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        (f"print('{KEY}'); raise SystemExit(3)", "exit code 3"),
        ("pass", "not one line"),
        (f"print('{KEY}'); print('{KEY}')", "not one line"),
        (f"import sys; sys.stdout.buffer.write(b'{KEY}' + bytes([255]))", "not one line"),
    ],
)
def test_a_command_without_an_answer_is_refused(script: str, why: str) -> None:
    """What it printed is in no message."""
    assert why in str(refused(Agent(key_command=(sys.executable, "-IS", "-c", script))))


def test_a_command_that_does_not_end_is_ended_with_its_children(tmp_path: Path) -> None:
    script = "import subprocess; subprocess.run(['sleep', '1000'])"
    environ = {"PATH": os.environ["PATH"], "MINE": str(tmp_path)}

    error = refused(Agent(key_command=(sys.executable, "-IS", "-c", script)), environ, command_timeout_s=1)

    assert "did not end within 1 s" in str(error)
    eventually(
        lambda: not [pid for pid, lines in environments() if f"MINE={tmp_path}".encode() in lines],
        what="no process of the command is left",
    )


def test_a_command_that_is_missing_is_refused() -> None:
    assert "cannot be started" in str(refused(Agent(key_command=("/nowhere/keys",))))


def test_credentials_of_systemd_are_found_by_name(tmp_path: Path) -> None:
    """Of all files in their folder, those that pay; the owner's file counts more."""
    for name in ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN", "other"):
        (tmp_path / name).write_text(f"{name} of systemd\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}

    assert credentials(Agent(), environ) == {
        "ANTHROPIC_API_KEY": "ANTHROPIC_API_KEY of systemd",
        "CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN of systemd",
    }
    assert credentials(Agent(env_file=env_file(tmp_path)), environ)["ANTHROPIC_API_KEY"] == KEY


def test_a_credential_that_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ANTHROPIC_API_KEY").mkdir()

    assert "cannot be read" in str(refused(Agent(), {"CREDENTIALS_DIRECTORY": str(tmp_path)}))
