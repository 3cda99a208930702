"""From an order to the SDK's options, the prompt and the launcher: how an unattended session is set up."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import claude_agent_sdk
from claude_agent_sdk import ClaudeAgentOptions

from task_queue.agents.attached import attached
from task_queue.agents.claude.checks_tool import CALLED, SERVER, Bench, server_for
from task_queue.agents.claude.gate import hooks_for
from task_queue.agents.claude.launcher import handed_over
from task_queue.agents.mcp_servers import publish
from task_queue.domain.document.title import with_title
from task_queue.domain.errors import ExecutorError
from task_queue.domain.permission.mcp_servers import ServerConfig
from task_queue.domain.permission.profiles import Permissions, permissions_for
from task_queue.platform import durable
from task_queue.platform.identity import MARKER_VARIABLE
from task_queue.ports.executor import Order

_LAUNCHER = Path(__file__).with_name("launcher.py")
_MAX_BUFFER_BYTES = 64 * 2**20
_ALWAYS = {
    # A result must not come before the work of subagents and background shells.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_STARTUP_FAILURE_RESULTS": "1",
    "DISABLE_AUTOUPDATER": "1",
}
# For these the CLI takes a file descriptor instead (2.1.330); for ANTHROPIC_AUTH_TOKEN and a cloud's there is none.
_HIDDEN_LOGINS = {
    "ANTHROPIC_API_KEY": "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
}
_SESSION_SCOPED = ("CLAUDECODE", "CLAUDE_AGENT_SDK_", "CLAUDE_CODE_SESSION", "CLAUDE_CODE_ENTRYPOINT")
_RECORDS = ("projects", "session-env", "shell-snapshots")
_UNATTENDED = (
    "You work unattended in a task queue: no person can answer questions or grant permissions. Decide what a"
    " careful engineer would decide, say so, and go on until the task is done or cannot be done. If a tool is"
    " denied, do not work around it; say what you would have needed. Never touch the queue's own folders:"
)


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What sets one conversation of an attempt apart; the order says all the rest."""

    resume: bool
    prompt: str | None = None
    """None: the task itself, or for a continued session that it goes on."""
    append: str = ""
    """Added to the system prompt."""
    schema: Mapping[str, Any] | None = None
    """JSON schema of a structured answer that is wanted."""
    plugin: Path | None = None
    audits: bool = False
    """It judges what an agent did under these settings, and writes nothing."""
    bench: Bench | None = None
    """Runs the commands that an auditor asks for; None: there are none."""


def environment_of(order: Order) -> dict[str, str]:
    """The whole environment of the CLI: what the order says, our switches and the attempt's marker."""
    kept = {name: value for name, value in order.env.items() if not name.startswith(_SESSION_SCOPED)}
    config_dir = order.agent.config_dir
    return {
        **kept,
        **({"CLAUDE_CONFIG_DIR": str(config_dir)} if config_dir else {}),
        **switches_of(order),
    }


def publish_copy(order: Order) -> None:
    """The task's document where the agent can read it; its text from the order if the snapshot is gone."""
    try:
        data, _ = durable.read_regular(order.document, limit=_MAX_BUFFER_BYTES)
    except OSError:
        data = f"{with_title(order.title, order.body)}\n".encode()
    durable.make_directory(order.agent_copy.parent)
    durable.replace(order.agent_copy, data)


def switches_of(order: Order) -> dict[str, str]:
    """What holds in every session. ``--settings`` repeats it, because ``env`` of a project's settings would win."""
    # Stripping credentials from the environment of tools puts Bash under bubblewrap: without it the CLI does
    # not start, and with it empty .env, package.json and the like are left in the workspace (CLI 2.1.330).
    scrub = {"CLAUDE_CODE_SUBPROCESS_ENV_SCRUB": "1"} if order.agent.scrub_env else {}
    return {**_ALWAYS, **scrub, MARKER_VARIABLE: order.marker}


@dataclass(frozen=True, slots=True)
class Launch:
    """How the CLI is started; see ``launcher``."""

    words: tuple[str, ...]
    """Before the CLI's own command."""
    handed_over: str
    """First on its standard input."""


def launch_of(order: Order) -> Launch:
    """No file is written for it: an agent that was there before could have put a link in its place."""
    hidden = _HIDDEN_LOGINS if order.agent.hide_login else {}
    words = (sys.executable, "-IS", str(_LAUNCHER), str(os.getpid()))
    return Launch(words, handed_over(environment_of(order), hidden))


def close_records(environment: Mapping[str, str]) -> None:
    """Close to other users the folders in which the CLI records what its sessions did: it makes files of 0644 there.

    Not by a umask, which would also be that of the files that the agent makes in the workspace. Raises ExecutorError.
    """
    home = environment.get("CLAUDE_CONFIG_DIR") or os.path.join(environment.get("HOME", ""), ".claude")  # noqa: PTH118 - text
    for folder in (Path(home) / name for name in _RECORDS):
        if folder.is_symlink():  # the owner's own arrangement
            continue
        try:
            durable.make_directory(folder)
            folder.chmod(stat.S_IRWXU)
        except OSError as error:
            raise ExecutorError(
                f"{folder} cannot be closed to other users: {error.strerror}",
                hint=f"look at it with: ls -ld {shlex.quote(str(folder))}",
            ) from error


def rules_in_force(order: Order, request: SessionRequest, servers: Mapping[str, ServerConfig]) -> Permissions:
    """What the agent of this session may do, with the MCP *servers* that it gets."""
    settings = order.settings
    return permissions_for(
        settings.permissions,
        allow=settings.allow,
        allow_only=order.agent.allow_only,
        deny=settings.deny,
        task_deny=order.agent.task_deny,
        queue_dirs=(*map(str, order.queue_dirs), *_own_places(environment_of(order))),
        closed_dirs=tuple(map(str, order.closed_dirs)),
        own_copies=dict.fromkeys(map(str, (order.agent_copy, order.agent_copy.resolve()))),
        mcp_servers=servers,
        audits=request.audits,
        own_tools=() if request.bench is None else (CALLED,),
    )


def options_for(
    order: Order,
    request: SessionRequest,
    *,
    stderr: Callable[[str], None],
    servers: Mapping[str, ServerConfig],
) -> ClaudeAgentOptions:
    """Options of the session that carries out *order*; raises ExecutorError where the CLI is missing.

    *servers*: the MCP servers that it gets.
    """
    settings = order.settings
    permissions = rules_in_force(order, request, servers)
    queue_dirs = ", ".join(map(str, order.queue_dirs)) or "none"
    return ClaudeAgentOptions(
        cwd=str(order.workspace),
        cli_path=_cli_of(order),
        env={MARKER_VARIABLE: order.marker},  # of the launcher, which gets the CLI's by itself
        session_id=None if request.resume else order.claim.session_id,
        resume=order.claim.session_id if request.resume else None,
        system_prompt={
            "type": "preset",
            "preset": "claude_code",
            "append": f"{_UNATTENDED} {queue_dirs}.\n\n{request.append}".rstrip(),
        },
        output_format={"type": "json_schema", "schema": dict(request.schema)} if request.schema else None,
        plugins=[{"type": "local", "path": str(request.plugin)}] if request.plugin else [],
        setting_sources=list(order.agent.setting_sources),
        permission_mode=permissions.mode,
        allowed_tools=list(permissions.allowed_tools),
        disallowed_tools=list(permissions.disallowed_tools),
        settings=json.dumps(
            {
                **permissions.settings,
                "env": switches_of(order),
                **({} if order.agent.runs_hooks else {"disableAllHooks": True}),
            }
        ),
        hooks=hooks_for(permissions, order.workspace),
        sandbox=cast(Any, permissions.sandbox),  # the SDK's type lacks failIfUnavailable
        mcp_servers=publish(servers, order)
        or ({} if request.bench is None else {SERVER: server_for(request.bench)}),
        strict_mcp_config=True,
        model=settings.model,
        fallback_model=settings.fallback_model,
        effort=settings.effort.value if settings.effort else None,
        max_turns=settings.max_turns - order.turns_used,
        max_budget_usd=_remaining_usd(order),
        max_buffer_size=_MAX_BUFFER_BYTES,
        stderr=stderr,
    )


def prompt_for(order: Order, *, resumes: bool, session_lost: bool = False) -> str:
    """The prompt that the agent gets; a continued session has the task already."""
    cause = order.interruption or "it was interrupted"
    if resumes:
        return (
            f"Your work on this task did not end: {cause}. Look at what is on disk (git status, git diff)"
            " before you go on, because the last step may have taken effect in part or in full. Do not repeat"
            f" side effects that are finished. Then continue the task in {order.agent_copy} to its end."
            f"{attached(order)}{said_by_person(order)}"
        )
    note = (
        f"\n\nAn earlier attempt at this task ended without a result ({cause}), and its conversation is lost."
        " Look at what it left on disk (git status, git log); do not repeat side effects that are finished."
        if session_lost
        else ""
    )
    head = f"Carry out this task. Its text is also in {order.agent_copy}.{note}"
    return f"{head}\n\n{with_title(order.title, order.body)}{attached(order)}{said_by_person(order)}"


def said_by_person(order: Order) -> str:
    """What the person who had the task tried again wants the agent to know; empty where that is nothing."""
    if not order.person_note:
        return ""
    return f"\n\nThe person who has this task tried again says: {order.person_note}"


def session_lost_prompt(order: Order, prompt: str) -> str:
    """*prompt* for a fresh session that takes the place of a lost one: the task's text is needed again."""
    return f"{prompt_for(order, resumes=False, session_lost=True)}\n\n---\n\n{prompt}"


def _own_places(env: Mapping[str, str]) -> tuple[str, ...]:
    """Where the CLI keeps its login and its sessions; ``.claude.json`` is beside the folder of that name."""
    folder = env.get("CLAUDE_CONFIG_DIR")
    return (folder,) if folder else ("~/.claude", "~/.claude.json")


def _remaining_usd(order: Order) -> float | None:
    cap = order.settings.max_budget_usd
    bounds = [order.allowance_usd, None if cap is None else cap - order.spent_usd]
    return min((bound for bound in bounds if bound is not None), default=None)


def _cli_of(order: Order) -> Path:
    configured = order.agent.cli_path
    bundled = Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude"
    found = shutil.which(str(configured or bundled), path=order.env.get("PATH", ""))
    if found is None and configured is None:
        found = shutil.which("claude", path=order.env.get("PATH", ""))
    if found is None:
        raise ExecutorError(
            f"the agent's program is missing: {configured or 'claude'}",
            hint="set agent.cli_path, or reinstall claude-agent-sdk, which brings one along",
        )
    return Path(found)
