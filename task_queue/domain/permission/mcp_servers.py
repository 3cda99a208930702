"""MCP servers as a configuration of Claude Code names them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

ServerConfig = Mapping[str, Any]
"""What the configuration says of one server."""

_NOT_IN_A_RULE = re.compile(r"[^A-Za-z0-9_-]")


def servers_in(content: object) -> dict[str, ServerConfig]:
    """By name, those in *content* (JSON); what is not of the expected shape is left out."""
    if not isinstance(content, dict):
        return {}
    named: object = cast("dict[str, object]", content).get("mcpServers")
    if not isinstance(named, dict):
        return {}
    servers = cast("dict[str, object]", named)
    return {
        name: cast("dict[str, Any]", server)
        for name, server in servers.items()
        if name and isinstance(server, dict)
    }


def command_of(server: ServerConfig) -> str | None:
    """The line for the shell that would start it; None for one that is reached over the network."""
    program = server.get("command")
    if not isinstance(program, str):
        return None
    arguments: object = server.get("args")
    return shlex.join(
        [program, *map(str, cast("list[object]", arguments) if isinstance(arguments, list) else [])]
    )


def environment_of_server(server: ServerConfig) -> Iterator[str]:
    """The values of the variables that it gets."""
    given: object = server.get("env")
    if isinstance(given, dict):
        yield from map(str, cast("dict[str, object]", given).values())


def tools_of(name: str) -> str:
    """The rule that allows every tool of the server *name* (CLI 2.1.332)."""
    return f"mcp__{_NOT_IN_A_RULE.sub('_', name)}"


def named_in(rules: Iterable[str], servers: Mapping[str, ServerConfig]) -> dict[str, ServerConfig]:
    """Those of *servers* of which *rules* allow a tool."""
    listed = tuple(rules)
    return {
        name: server
        for name, server in servers.items()
        if any(rule == tools_of(name) or rule.startswith(f"{tools_of(name)}__") for rule in listed)
    }


def not_started(wanted: Iterable[str], seen: Mapping[str, str]) -> Iterator[str]:
    """A sentence for each server that the agent cannot use; *seen*: its status by name, as the CLI reports it."""
    for name in wanted:
        status = seen.get(name, "missing")
        if status != "connected":
            yield f"the MCP server {name} did not start: {status}"
