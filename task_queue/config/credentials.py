"""Keys that stand outside the configuration: in a file, in a systemd credential, or in the answer of a command.

The queue reads them when an attempt begins, so that a key that was changed counts at once. No message holds a value.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from task_queue.config.schema import Agent
from task_queue.domain.errors import ExecutorError
from task_queue.platform import durable, trust

CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
"""Variables that pay; each is also the name of a systemd credential."""
_FOLDER = "CREDENTIALS_DIRECTORY"
_OF_COMMAND = "ANTHROPIC_API_KEY"
_COMMAND_TIMEOUT_S = 30.0
_LIMIT = 2**16
_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def credentials(
    agent: Agent, environ: Mapping[str, str], *, command_timeout_s: float = _COMMAND_TIMEOUT_S
) -> dict[str, str]:
    """Variables for the agent's process, all of them secret: of two with one name the later counts, in this order.

    systemd's credentials, ``agent.env_file``, ``agent.key_command``. Raises ExecutorError that says which cannot be
    used, and why.
    """
    found = _of_systemd(environ)
    if agent.env_file is not None:
        found.update(_in_file(agent.env_file))
    if agent.key_command:
        found[_OF_COMMAND] = _answer_of(agent.key_command, environ, command_timeout_s)
    return found


def check_env_file(agent: Agent) -> None:
    """Raises ExecutorError if ``agent.env_file`` cannot be used."""
    if agent.env_file is not None:
        _in_file(agent.env_file)


def secret_places(agent: Agent, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Files and folders with keys, which no agent may read."""
    folder = environ.get(_FOLDER)
    named = (agent.env_file, Path(folder) if folder else None)
    return tuple(path for path in named if path is not None)


def _of_systemd(environ: Mapping[str, str]) -> dict[str, str]:
    folder = environ.get(_FOLDER)
    if not folder:
        return {}
    found: dict[str, str] = {}
    for name in CREDENTIALS:
        path = Path(folder) / name
        try:
            data, _ = durable.read_regular(path, limit=_LIMIT)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ExecutorError(f"the credential {path} cannot be read: {error.strerror}") from error
        found[name] = _one_line(data, f"the credential {path}")
    return found


def _in_file(path: Path) -> dict[str, str]:
    what = f"agent.env_file {path}"
    try:
        data, about = durable.read_regular(path, limit=_LIMIT)
    except OSError as error:
        raise ExecutorError(
            f"{what} cannot be read: {error.strerror}",
            hint="it must be a regular file; a link is not followed",
        ) from error
    problem = _why_not_private(path, about)
    if problem is not None:
        raise ExecutorError(f"{what} is not used: {problem[0]}", hint=problem[1])
    found: dict[str, str] = {}
    try:
        lines = data.decode().splitlines()
    except UnicodeDecodeError as error:
        raise ExecutorError(f"{what} is not UTF-8 text") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or "\0" in line:
            raise ExecutorError(f"{what}: line {number} is not NAME=VALUE", hint="correct the line")
        quoted = _QUOTED.fullmatch(match[2])
        found[match[1]] = match[2] if quoted is None else quoted[1] or quoted[2] or ""
    return found


def _why_not_private(path: Path, about: os.stat_result) -> tuple[str, str] | None:
    """Why others could read or change the file, and what to do."""
    quoted = shlex.quote(str(path))
    if about.st_uid != os.geteuid():
        return f"it belongs to another user (uid {about.st_uid})", f"chown {os.geteuid()} {quoted}"
    mode = stat.S_IMODE(about.st_mode)
    if mode & 0o077:
        return f"others can use it (mode {mode:04o})", f"chmod 600 {quoted}"
    if about.st_nlink > 1:
        return (
            "it has a second name (a hard link)",
            f"find / -xdev -samefile {quoted}; then remove the others",
        )
    grave = trust.grave_problem(path)
    return None if grave is None else (grave.what, grave.fix)


def _answer_of(command: tuple[str, ...], environ: Mapping[str, str], timeout_s: float) -> str:
    """With the queue's own environment, which a password store may need; whatever it says on stderr is dropped."""
    what = f"agent.key_command {command[0]}"
    hint = "run it yourself to see what it says"
    try:
        process = subprocess.Popen(
            command,
            cwd="/",
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ExecutorError(f"{what} cannot be started: {error.strerror}", hint=hint) from error
    with process:
        try:
            data, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise ExecutorError(f"{what} did not end within {timeout_s:g} s", hint=hint) from error
    if process.returncode:
        raise ExecutorError(f"{what} ended with exit code {process.returncode}", hint=hint)
    return _one_line(data, f"the answer of {what}")


def _one_line(data: bytes, what: str) -> str:
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(text.splitlines()) > 1 or "\0" in text or len(data) > _LIMIT:
        raise ExecutorError(f"{what} is not one line of text")
    return text
