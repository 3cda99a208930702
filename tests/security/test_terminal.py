"""No control character of a file, a name or an agent reaches a terminal, whichever command shows it."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from typing import Any

import click
import pytest

from task_queue.cli.commands import cli
from tests.acceptance.rig import Rig
from tests.warm import run_cli

HOSTILE = (
    "\x1b[2J\x1b]0;title\x07 \x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\ \x9b31m \x08\x08 \r overwritten "
    "\u202egnp.exe \u2066\u200b \u2028 \u2029 \x7f \x00 end"
)
ON_ONE_LINE = HOSTILE.replace("\r", "").replace("\x00", "")
NAME = "task-evil\u202e\u2066x"
RAW_NAME = "note\x1b[31m\n\x9bs.md"


def assert_harmless(output: bytes, *, what: str) -> None:
    text = output.decode()
    bad = {
        f"U+{ord(c):04X}" for c in text if c != "\n" and unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp"}
    }

    assert not bad, f"{what} lets {bad} through: {text!r}"


@pytest.fixture
def hostile(rig: Rig) -> Rig:
    """A queue in which every text that others can write is hostile, settled by a real run."""
    for name in ("results", "logs", "failed", "completed"):
        (rig.queue() / name).mkdir(mode=0o700)
    script = f"printf '%s\\n' '{ON_ONE_LINE}'; printf '%s\\n' '{ON_ONE_LINE}' >&2; exit 3"
    title = ON_ONE_LINE.replace("\u2028", "").replace("\u2029", "")
    rig.drop_command(NAME, f"# {title}\n{script}", max_attempts=1)
    rig.drop("task-bad", f"---\n{HOSTILE.replace(chr(13), '')}: 1\n---\n{HOSTILE}")
    (rig.pending() / RAW_NAME).write_text("x")
    return rig


def raw(rig: Rig, *arguments: str) -> bytes:
    done = run_cli(("--config", str(rig.config), *arguments), env=rig.environment, cwd=rig.home)
    assert b"Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


READING = [
    ("status",),
    ("status", "--detailed"),
    ("status", "--json"),
    ("tasks", "list"),
    ("tasks", "list", "--json"),
    ("tasks", "show", NAME),
    ("tasks", "show", NAME, "--json"),
    ("tasks", "show", "task-bad"),
    ("tasks", "logs", NAME),
    ("tasks", "logs", NAME, "--raw"),
    ("tasks", "check", f"tasks/a/pending/{NAME}.md", "tasks/a/pending/task-bad.md", ON_ONE_LINE),
    ("tasks", "templates"),
    ("tasks", "templates", ON_ONE_LINE),
    ("tasks", "wait", NAME, "task-bad", "--timeout", "0"),
    ("tasks", "show", "task-" + ON_ONE_LINE),
    ("sources", "list"),
    ("jobs",),
    ("jobs", "--json"),
    ("jobs", NAME),
    ("jobs", ON_ONE_LINE),
    ("jobs", "--server", ON_ONE_LINE),
    ("tokens", "list"),
    ("mcp", "--source", ON_ONE_LINE),
    ("web", "--print"),
    ("worker", "--server", ON_ONE_LINE),
    ("workers", "list"),
    ("logs",),
    ("events",),
    ("events", "--json"),
    ("events", "--after", ON_ONE_LINE, "--type", ON_ONE_LINE),
    ("report", "--since", "2000-01-01"),
    ("report", "--since", "2000-01-01", "--format", "markdown"),
    ("report", "--since", "2000-01-01", "--format", "html"),
    ("report", "--json"),
    ("history",),
    ("history", "--json"),
    ("history", ON_ONE_LINE),
    ("plan",),
    ("plan", "--json"),
    ("schedules", "list"),
    ("schedules", "next"),
    ("tasks", "tree"),
    ("tasks", "tree", NAME),
    ("stats",),
    ("stats", "--by", "source"),
    ("stats", "--since", ON_ONE_LINE),
    ("plan",),
    ("plan", "--rehearse"),
    ("plan", "--rehearse", "--json"),
    ("plan", "--rehearse", ON_ONE_LINE),
    ("worktrees", "list"),
    ("worktrees", "open", NAME),
    ("doctor",),
    ("completion", "bash"),
    ("completion", ON_ONE_LINE),
    ("config", "path"),
    ("config", "get", "sources"),
    ("config", "get", ON_ONE_LINE),
    ("config", "check"),
]
CHANGING = [
    ("jobs", NAME, "--cancel"),
    ("tasks", "retry", NAME),
    ("tasks", "land", NAME),
    ("tasks", "undo", NAME),
    ("tasks", "diff", NAME),
    ("tasks", "open", NAME),
    ("tasks", "ack", NAME),
    ("tasks", "ack", "--all"),
    ("tasks", "edit", NAME, "--file", ON_ONE_LINE),
    ("tasks", "priority", NAME, "9"),
    ("tasks", "priority", "task-bad", ON_ONE_LINE),
    ("tasks", "move", NAME, ON_ONE_LINE),
    ("tasks", "rm", NAME),
    ("tasks", "cancel", NAME),
    ("tasks", "add", "--source", "a", f"---\nexecutor: sh\n---\n# {ON_ONE_LINE}", "--name", ON_ONE_LINE),
    ("tasks", "add", "--source", "a", "x", "--title", ON_ONE_LINE, "--verify", ON_ONE_LINE, "--dry-run"),
    ("tasks", "resume-account"),
    ("sources", "add", f"somewhere-{NAME}", "--id", "b", "--description", ON_ONE_LINE),
    ("tokens", "create", "--name", ON_ONE_LINE, "--role", "read"),
    ("tokens", "revoke", ON_ONE_LINE),
    ("sources", "pause", "b"),
    ("schedules", "run", ON_ONE_LINE),
    ("sources", "drain", "b"),
    ("sources", "drain", ON_ONE_LINE),
    ("sources", "resume", ON_ONE_LINE),
    ("sources", "rm", "--source-id", "b"),
    ("workers", "status"),
    ("worktrees", "prune", "--dry-run"),
    ("worktrees", "prune"),
    ("prune", "--dry-run"),
    ("prune",),
    ("reindex",),
    ("notify", "test", ON_ONE_LINE),
    ("fleet", "init", "--db", f"host=/{ON_ONE_LINE}", "--schema", ON_ONE_LINE),
    ("fleet", "host", "add", ON_ONE_LINE, "--db", "host=/", "--capabilities", ON_ONE_LINE),
    ("fleet", "status", "--db", f"host=/{ON_ONE_LINE}", "--schema", ON_ONE_LINE),
    ("fleet", "drain", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("fleet", "resume", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("fleet", "host", "revoke", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("fleet", "join", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}", "--credential-file", ON_ONE_LINE),
    ("fleet", "import", "--source", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("fleet", "export", "--source", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("fleet", "prune", "--older-than", ON_ONE_LINE, "--db", f"host=/{ON_ONE_LINE}"),
    ("stop",),
    ("resume",),
    ("init", f"project-{NAME}"),
    ("skill", "plugin"),
    ("skill", "which"),
    ("skill", "show", ON_ONE_LINE),
    ("skill", "eject", ON_ONE_LINE),
    ("skill", "plugin"),
    ("notify", "test"),
    ("notify", "test", ON_ONE_LINE),
    ("service", "status"),
    ("service", "install", ON_ONE_LINE),
    ("service", "uninstall", ON_ONE_LINE),
    ("config", "set", "sources.a.description", ON_ONE_LINE),
    ("config", "get", "sources.a.description"),
    ("config", "set", ON_ONE_LINE, ON_ONE_LINE),
    ("config", "unset", "sources.a.description"),
    ("config", "unset", ON_ONE_LINE),
    ("config", "edit", "--file", ON_ONE_LINE),
    ("run", ON_ONE_LINE),
    ("daemon", ON_ONE_LINE),
    ("tasks", "logs", NAME, "--follow"),
    ("tasks", "rm", NAME, "--yes"),
]


def test_every_command_is_tried() -> None:
    """All but those that show nothing foreign: the demo, and the API, which serves until it is stopped."""
    tried = {command[:length] for command in (*READING, *CHANGING) for length in (1, 2, 3)}

    assert {name for name in _commands(cli) if name not in tried} == {("api",), ("demo",)}


@pytest.mark.long
def test_what_changes_something_is_harmless(hostile: Rig) -> None:
    """It tells which task, source or file it changed, or why it could not."""
    raw(hostile, "run", "--drain")
    for command in CHANGING:
        assert_harmless(raw(hostile, *command), what=str(command))


def test_a_run_and_every_reading_command_are_harmless(hostile: Rig) -> None:
    """Hostile file names, titles, keys, output, errors and log lines, after they ran."""
    run = raw(hostile, "run", "--drain")
    hostile.start()  # so that there is a daemon's log
    ended = {command: raw(hostile, *command) for command in READING}

    assert b"attempt 1 begins" in run
    assert_harmless(run, what="run")
    for command, output in ended.items():
        assert_harmless(output, what=str(command))
    assert b"\\x1b" in ended["tasks", "show", NAME], run.decode()
    assert b"\\u202e" in ended["status", "--detailed"] + ended["tasks", "list"]


@pytest.mark.long
def test_every_reading_command_is_harmless_while_they_wait(hostile: Rig) -> None:
    for command in READING:
        assert_harmless(raw(hostile, *command), what=str(command))


def test_an_agents_words_and_tools_are_harmless(rig: Rig) -> None:
    """A transcript as the agent's CLI writes it, hostile in each field that is shown, while it runs."""
    attempt = rig.queue() / "logs" / "task-a" / "attempt-1"
    attempt.mkdir(parents=True, mode=0o700)
    (attempt / "task.md").write_text(f"# {ON_ONE_LINE}")
    frames: list[dict[str, Any]] = [
        {"type": "system", "subtype": "init", "session_id": HOSTILE, "model": HOSTILE},
        {"type": "system", "subtype": "api_retry", "attempt": HOSTILE, "error": HOSTILE, "error_status": 529},
        {"type": "system", "subtype": "permission_denied", "tool_name": HOSTILE},
        _said({"type": "text", "text": HOSTILE}),
        _said(
            {
                "type": "tool_use",
                "id": "1",
                "name": f"Bash{HOSTILE}",
                "input": {"command": HOSTILE, HOSTILE: 1},
            }
        ),
        _said({"type": "tool_result", "tool_use_id": "1", "content": HOSTILE, "is_error": True}, by="user"),
        _said({"type": "tool_use", "id": "2", "name": HOSTILE, "input": {"file_path": HOSTILE}}),
        {"type": "result", "subtype": HOSTILE, "num_turns": HOSTILE},
    ]
    lines = [json.dumps({"t": HOSTILE, "seq": 1, "dir": "in", "raw": f}, ensure_ascii=False) for f in frames]
    (attempt / "transcript.jsonl").write_text("\n".join([*lines, HOSTILE, '"\x1b[2J"', f"[{HOSTILE}"]) + "\n")
    (rig.pending() / "task-a.md").write_text(f"# {ON_ONE_LINE}")
    _publish_claim(rig)

    for command in (("tasks", "logs", "task-a"), ("tasks", "logs", "task-a", "--raw"), ("status",)):
        assert_harmless(raw(rig, *command), what=str(command))
    assert_harmless(raw(rig, "tasks", "show", "task-a"), what="show")


def test_a_hostile_configuration_and_state_are_harmless(rig: Rig) -> None:
    """Ids, paths, descriptions and what a daemon's state file says of itself."""
    document = json.loads(rig.config.read_text())
    document["task_source_directories"].append(
        {"id": HOSTILE, "path": f"/nowhere/{HOSTILE}", "description": HOSTILE}
    )
    document[HOSTILE] = HOSTILE
    rig.config.write_text(json.dumps(document))
    for command in (
        ("status",),
        ("sources", "list"),
        ("doctor",),
        ("workers", "list"),
        ("daemon",),
        ("tasks", "list"),
    ):
        assert_harmless(raw(rig, *command), what=str(command))


def test_hostile_arguments_are_told_harmlessly(rig: Rig) -> None:
    """What a script passes on may come from anywhere."""
    for command in (
        (ON_ONE_LINE,),
        ("tasks", ON_ONE_LINE),
        ("--config", ON_ONE_LINE, "status"),
        (f"--{ON_ONE_LINE}",),
    ):
        assert_harmless(raw(rig, *command), what=str(command))


def _commands(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from _commands(command, *path, name)
        else:
            yield (*path, name)


def _said(block: dict[str, Any], *, by: str = "assistant") -> dict[str, Any]:
    return {"type": by, "message": {"content": [block]}}


def _publish_claim(rig: Rig) -> None:
    claim = {
        "task_id": "task-a",
        "worker": HOSTILE,
        "thread_id": 1,
        "pid": os.getpid(),
        "started_at": HOSTILE,
        "attempt": 1,
        "session_id": HOSTILE,
        "pid_start_ticks": 1,
        "boot_id": HOSTILE,
    }
    (rig.pending() / ".task-a.lock").write_text(json.dumps(claim))
