"""What an agent may do without a person to ask: from a task's profile and rules to the CLI's own options.

Nothing here asks: what is not allowed is denied at once. The queue's own folders are denied in every profile;
only the text of tasks that ran, and ran before, can be read in them. Deny rules win over allow rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

Mode = Literal["dontAsk", "bypassPermissions"]

PROFILES = ("guarded", "sandboxed", "readonly", "bypass")

_WORKING = ("Edit", "Write", "NotebookEdit", "Bash")
_READING = ("Read", "Glob", "Grep")
_HARMLESS = (
    *("Agent", "Task", "Skill", "WebFetch", "WebSearch", "ToolSearch", "ReportFindings"),
    *("TodoWrite", "TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "TaskOutput", "TaskStop"),
)
_LOOKING = ("Bash(git diff:*)", "Bash(git log:*)", "Bash(git show:*)", "Bash(git status:*)")
# Tools that wait for a person, for a later time, or that move the session to another directory.
_USELESS = (
    *("AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "ScheduleWakeup", "Monitor", "Workflow"),
    *("EnterWorktree", "ExitWorktree", "CronCreate", "CronDelete", "CronList", "SendMessage", "ListAgents"),
)
_DANGEROUS = (
    *("Bash(git push:*)", "Bash(sudo:*)", "Bash(git reset --hard:*)", "Bash(git clean:*)"),
    *("Read(**/.env)", "Read(**/.env.*)", "Read(~/.ssh/**)", "Read(~/.aws/**)"),
    *("Edit(~/.ssh/**)", "Edit(~/.aws/**)"),
)
_PRIVATE_FOLDERS = ("pending", "staging", "completed", "failed", "results", "reports", "planning")
_PRIVATE_FILES = ("transcript.jsonl", "run.json", "outcome.json")
_GLOB = re.compile(r"[\\*?\[\]!{}]")


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permission options of one session."""

    mode: Mode
    allowed_tools: tuple[str, ...]
    disallowed_tools: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """For ``--settings``: deny rules travel here, because a flag's value is split at commas and spaces."""
    sandbox: dict[str, Any] | None = None


def permissions_for(
    profile: str,
    *,
    allow: Iterable[str] = (),
    deny: Iterable[str] = (),
    queue_dirs: Iterable[str] = (),
    private_dirs: Iterable[str] = (),
) -> Permissions:
    """*queue_dirs* and *private_dirs* (the CLI's configuration) are absolute paths."""
    rules = [*deny, *(rule for path in queue_dirs for rule in _closed(path))]
    rules += [f"{verb}({_below(path)}/**)" for path in private_dirs for verb in ("Read", "Edit")]
    useless: tuple[str, ...] = _USELESS
    sandbox: dict[str, Any] | None = None
    mode: Mode = "dontAsk"
    if profile == "bypass":
        mode, allowed = "bypassPermissions", tuple(allow)
    elif profile == "readonly":
        allowed = (*_READING, *_HARMLESS, *_LOOKING, *allow)
        useless = (*_USELESS, *(tool for tool in _WORKING if tool != "Bash"))
        rules += _DANGEROUS
    else:
        allowed = (*_READING, *_WORKING, *_HARMLESS, *allow)
        rules += _DANGEROUS
    if profile == "sandboxed":
        # Without failIfUnavailable the CLI runs commands unconfined where bubblewrap or socat is missing.
        sandbox = {
            "enabled": True,
            "autoAllowBashIfSandboxed": True,
            "allowUnsandboxedCommands": False,
            "failIfUnavailable": True,
        }
    return Permissions(mode, allowed, useless, {"permissions": {"deny": rules}}, sandbox)


def _closed(path: str) -> list[str]:
    """Rules for one folder or file of the queue. ``Edit`` covers every file tool that writes (CLI 2.1.330)."""
    root = _below(path)
    return [
        f"Edit({root})",
        f"Edit({root}/**)",
        *(f"Read({root}/{folder}/**)" for folder in _PRIVATE_FOLDERS),
        *(f"Read({root}/logs/*/*/{name})" for name in _PRIVATE_FILES),
    ]


def _below(path: str) -> str:
    """*path* as rules spell absolute ones: a second slash in front, glob characters escaped."""
    return "/" + _GLOB.sub(lambda match: "\\" + match[0], path.rstrip("/"))
