"""The tool by which an auditor has commands run: it has no shell, and the queue runs them as it runs ``verify``."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Protocol, cast

from claude_agent_sdk import McpSdkServerConfig, create_sdk_mcp_server, tool

SERVER = "queue"
"""Of the queue's own process; no file or setting names it."""
TOOL = "run_check"
CALLED = f"mcp__{SERVER}__{TOOL}"
"""The tool's name for the agent and for rules."""
_SCHEMA = {
    "type": "object",
    "properties": {"command": {"type": "string", "description": "One line for /bin/sh, as it is listed."}},
    "required": ["command"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class BenchAnswer:
    """What the auditor reads of one call."""

    text: str
    ran: bool = True
    """False where the command may not run, or cannot."""


class Bench(Protocol):
    """Runs commands for one auditor, one after the other."""

    @property
    def listed(self) -> tuple[str, ...]:
        """What may run: ``verify`` commands as they are, and rules."""
        ...

    @property
    def longest_s(self) -> float:
        """One call answers within that."""
        ...

    def run(self, command: str) -> BenchAnswer:
        """Called in a thread of its own."""
        ...

    def stop(self) -> None:
        """End the command that runs, and begin none; from any thread."""
        ...


def server_for(bench: Bench) -> McpSdkServerConfig:
    """Answers in this process."""
    listed = "\n".join(f"- {each}" for each in bench.listed)

    @tool(
        TOOL,
        "Have the queue run a command in your checkout, which is thrown away afterwards, and get its exit code and"
        f" the end of its output. Only these, or several of them joined by && or ;:\n{listed}",
        _SCHEMA,
    )
    async def run_check(given: dict[str, Any]) -> dict[str, Any]:
        answer = await asyncio.to_thread(bench.run, str(given["command"]))
        return {"content": [{"type": "text", "text": answer.text}], "is_error": not answer.ran}

    # Else the CLI shows the tool's name alone, and the agent has to search for the rest (2.1.332).
    at_hand: Any = {**create_sdk_mcp_server(SERVER, tools=[run_check]), "alwaysLoad": True}
    return cast("McpSdkServerConfig", at_hand)
