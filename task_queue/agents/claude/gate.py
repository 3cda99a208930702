"""What the queue answers when the CLI asks before a call: hooks of the SDK, which run in the runner's process.

They hold in every profile and for subagents, also where ``disableAllHooks`` is set (CLI 2.1.332). An answer comes at
once, and from no person. Without an answer the CLI's own rules decide, so a CLI that asks less opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from claude_agent_sdk import HookMatcher
from claude_agent_sdk.types import HookCallback, HookEvent

from task_queue.domain.permission.profiles import Permissions
from task_queue.domain.permission.rules import stops

Answer = dict[str, Any]


def hooks_for(permissions: Permissions, workspace: Path) -> dict[HookEvent, list[HookMatcher]]:
    """Deny rules that the CLI does not see in a command; with ``opens_guarded``, places that it guards itself."""
    rules = [each.rule for each in permissions.denied]
    hooks: dict[HookEvent, list[HookMatcher]] = {
        "PreToolUse": [HookMatcher(matcher="Bash", hooks=[_stops(rules)])]
    }
    if permissions.opens_guarded:
        hooks["PermissionRequest"] = [HookMatcher(hooks=[_opens(workspace)])]
    return hooks


def _stops(rules: Sequence[str]) -> HookCallback:
    async def answer(call: Any, _id: str | None, _context: Any) -> Any:
        command = str(call["tool_input"].get("command") or "")
        rule = next((rule for rule in rules if stops(rule, command)), None)
        return {} if rule is None else _denied(f"the deny rule {rule} stands against it")

    return answer


def _denied(reason: str) -> Answer:
    return {
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }
    }


def _opens(workspace: Path) -> HookCallback:
    root = workspace.resolve()

    async def answer(call: Any, _id: str | None, _context: Any) -> Any:
        places = list(_places(call))
        if not places or not all((root / place).resolve().is_relative_to(root) for place in places):
            return {}
        return {
            "hookSpecificOutput": {"hookEventName": "PermissionRequest", "decision": {"behavior": "allow"}}
        }

    return answer


def _places(call: Mapping[str, Any]) -> Iterator[str]:
    """What the call would write; of a command, the folders that the CLI proposes to open for it."""
    given: Mapping[str, Any] = call["tool_input"]
    path = given.get("file_path") or given.get("notebook_path")
    if path:
        yield str(path)
    for proposal in cast("list[Mapping[str, Any]]", call.get("permission_suggestions") or []):
        yield from map(str, proposal.get("directories") or ())
