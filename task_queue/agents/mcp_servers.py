"""The MCP servers of an agent: those that its owner lets it load, passed on as they were accepted.

The CLI itself looks for none. So nothing is loaded that was not compared with what the owner accepted, and no question
of the CLI's (which a project's own settings could answer) stands between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.document.choices import Profile
from task_queue.domain.permission.mcp_servers import ServerConfig, command_of, named_in, servers_in
from task_queue.platform import durable
from task_queue.platform.json_files import object_in
from task_queue.ports.executor import AgentSetup, Order

PROJECT_FILE = ".mcp.json"
_USER_FILE = ".claude.json"
_LIMIT = 64 * 2**20


@dataclass(frozen=True, slots=True)
class LoadedServers:
    servers: Mapping[str, ServerConfig]
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def servers_for(order: Order) -> LoadedServers:
    """For an agent that works on *order*; a project's server wins over one of the user's with the same name."""
    notes: list[str] = []
    found: dict[str, ServerConfig] = {}
    if order.agent.mcp_servers in {"user", "both"}:
        found.update(_in_file(_users_file(order.agent, order.env), None, notes))
    if order.agent.mcp_servers in {"project", "both"}:
        accepted = (order.agent.accepted_settings or {}).get(PROJECT_FILE, "")
        projects = _in_file(order.workspace / PROJECT_FILE, accepted, notes)
        if order.settings.permissions is Profile.SANDBOXED:
            projects = _without_programs(projects, notes)
        found.update(projects)
    if order.settings.permissions is Profile.READONLY or order.agent.allow_only:
        found = named_in(order.settings.allow, found)
    return LoadedServers(found, tuple(notes))


def project_servers(directory: Path) -> tuple[str, ...]:
    """Names of those that the project in *directory* has."""
    return tuple(_in_file(directory / PROJECT_FILE, None, []))


def _in_file(path: Path, accepted: str | None, notes: list[str]) -> dict[str, ServerConfig]:
    """Those in *path*, if its hash is *accepted* (None: any)."""
    try:
        data, _ = durable.read_regular(path.resolve(), limit=_LIMIT)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        notes.append(f"without the MCP servers of {path}, which cannot be read: {error.strerror}")
        return {}
    if accepted is not None and hashlib.sha256(data).hexdigest() != accepted:
        notes.append(f"without the MCP servers of {path}, which is not as it was accepted")
        return {}
    content = object_in(data)
    if isinstance(content, str):
        notes.append(f"without the MCP servers of {path}, which {content}")
        return {}
    return servers_in(content)


def _without_programs(servers: Mapping[str, ServerConfig], notes: list[str]) -> dict[str, ServerConfig]:
    """The CLI starts them outside of the sandbox, and what they run is often among the agent's files."""
    programs = [name for name, server in servers.items() if command_of(server) is not None]
    if programs:
        notes.append(f"without the project's MCP servers that no sandbox confines: {', '.join(programs)}")
    return {name: server for name, server in servers.items() if name not in programs}


def _users_file(agent: AgentSetup, env: Mapping[str, str]) -> Path:
    folder = agent.config_dir or env.get("CLAUDE_CONFIG_DIR") or env.get("HOME") or "/"
    return Path(folder) / _USER_FILE


def publish(servers: Mapping[str, ServerConfig], order: Order) -> Path | None:
    """A file with *servers* for the CLI, not an argument, because they can hold keys; None where there are none."""
    if not servers:
        return None
    path = order.scratch / "mcp.json"
    durable.make_directory(path.parent)
    durable.replace(path, json.dumps({"mcpServers": dict(servers)}).encode())
    return path
