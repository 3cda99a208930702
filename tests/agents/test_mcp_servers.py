"""Which MCP servers an agent gets: its owner says whose, and a project's only as they were accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.executed_files import hashes_of
from task_queue.agents.mcp_servers import LoadedServers, project_servers, publish, servers_for
from task_queue.agents.project_settings import accepted_only
from task_queue.domain.document.choices import Profile
from task_queue.domain.permission.consent import UNKNOWN
from task_queue.domain.permission.mcp_servers import not_started
from task_queue.domain.permission.profiles import permissions_for
from task_queue.ports.executor import AgentSetup, McpSource, Order
from tests.agents.test_executors import order_for

PROJECTS: dict[str, dict[str, Any]] = {
    "build": {"command": "python3", "args": ["server.py"]},
    "docs": {"type": "http", "url": "http://x"},
}
USERS: dict[str, dict[str, Any]] = {
    "docs": {"command": "users-docs"},
    "mail": {"command": "mail", "env": {"KEY": "a-key-of-theirs"}},
}


@pytest.fixture
def order(tmp_path: Path) -> Order:
    order = order_for(tmp_path, "true")
    (order.workspace / "server.py").write_text("serve()\n")
    (order.workspace / ".mcp.json").write_text(json.dumps({"mcpServers": PROJECTS}))
    home = tmp_path / "config"
    home.mkdir()
    (home / ".claude.json").write_text(json.dumps({"mcpServers": USERS, "projects": {}}))
    accepted = hashes_of(order.workspace)
    return replace(order, agent=AgentSetup(config_dir=home, mcp_servers="both", accepted_settings=accepted))


def with_agent(order: Order, **agent: Any) -> Order:
    return replace(order, agent=replace(order.agent, **agent))


def with_settings(order: Order, **settings: Any) -> Order:
    return replace(order, settings=replace(order.settings, **settings))


@pytest.mark.parametrize(
    ("whose", "servers"),
    [
        ("none", {}),
        ("project", PROJECTS),
        ("user", USERS),
        ("both", {**USERS, **PROJECTS}),
    ],
)
def test_the_owner_says_whose_servers(order: Order, whose: McpSource, servers: dict[str, Any]) -> None:
    """Of two with one name the project's counts."""
    assert servers_for(with_agent(order, mcp_servers=whose)) == LoadedServers(servers)


@pytest.mark.parametrize("changed", [".mcp.json", "server.py"])
def test_what_was_changed_since_it_was_accepted_is_not_loaded(order: Order, changed: str) -> None:
    """The file that names the servers, and the script that one of them starts. The user's stay."""
    path = order.workspace / changed
    path.write_text(path.read_text() + " ")

    agent, note = accepted_only(order.agent, order.workspace, own_tree=False, strict=False)

    assert note == f"{changed} was changed"
    assert servers_for(replace(order, agent=agent)).servers == USERS


def test_what_changes_after_the_comparison_is_not_loaded_either(order: Order) -> None:
    (order.workspace / ".mcp.json").write_text('{"mcpServers": {"evil": {"command": "evil"}}}')

    loaded = servers_for(order)

    assert loaded.servers == USERS
    assert "not as it was accepted" in loaded.notes[0]


def test_a_sandboxed_agent_gets_no_program_of_the_project(order: Order) -> None:
    """The CLI would start it outside of the sandbox."""
    loaded = servers_for(with_settings(order, permissions=Profile.SANDBOXED))

    assert set(loaded.servers) == {"mail", "docs"}
    assert loaded.servers["docs"] == PROJECTS["docs"]
    assert loaded.notes == ("without the project's MCP servers that no sandbox confines: build",)


@pytest.mark.parametrize("narrow", [{"permissions": Profile.READONLY}, {}])
def test_a_narrow_task_gets_those_of_which_it_may_use_a_tool(order: Order, narrow: dict[str, Any]) -> None:
    """A reader, and a task whose own ``allow`` says all that it may do."""
    order = with_agent(order, allow_only=not narrow)
    narrowed = with_settings(order, allow=("mcp__docs__search", "mcp__mailing"), **narrow)

    assert set(servers_for(narrowed).servers) == {"docs"}
    assert servers_for(with_settings(order, **narrow)).servers == {}


@pytest.mark.parametrize(
    ("profile", "options", "allowed"),
    [
        (Profile.GUARDED, {}, True),
        (Profile.SANDBOXED, {}, True),
        (Profile.READONLY, {}, False),
        (Profile.GUARDED, {"allow_only": True}, False),
        (Profile.GUARDED, {"audits": True}, False),
    ],
)
def test_who_works_may_use_the_tools_of_its_servers(
    profile: Profile, options: dict[str, bool], allowed: bool
) -> None:
    """No name can widen a rule."""
    permissions = permissions_for(profile, mcp_servers=["my docs, Bash"], **options)  # type: ignore[arg-type]

    assert ("mcp__my_docs__Bash" in permissions.allowed_tools) is allowed


def test_a_server_is_a_file_for_the_cli_and_no_argument(order: Order) -> None:
    """It can hold a key; a link in its place is not followed."""
    order.scratch.mkdir(parents=True, exist_ok=True)
    (order.scratch / "mcp.json").symlink_to(order.workspace / "server.py")

    path = publish(USERS, order)

    assert path is not None
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.is_symlink()
    assert json.loads(path.read_text()) == {"mcpServers": USERS}
    assert publish({}, order) is None


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"mcpServers": [1]}', '{"mcpServers": {"a": 1, "": {}}}']
)
def test_a_file_of_another_shape_has_no_servers(order: Order, content: str) -> None:
    (order.workspace / ".mcp.json").write_text(content)

    assert project_servers(order.workspace) == ()


def test_what_a_server_executes_is_compared_as_far_as_it_is_named(order: Order) -> None:
    """Its script and files in its variables; in a sandbox, nothing else may be executed."""
    (order.workspace / "hook.js").write_text("1")
    server = {"command": "npx", "args": ["it", "./server.py"], "env": {"NODE_OPTIONS": "--require ./hook.js"}}
    (order.workspace / ".mcp.json").write_text(json.dumps({"mcpServers": {"a": server}}))

    assert set(hashes_of(order.workspace)) == {".mcp.json", "server.py", "hook.js"}
    strict = hashes_of(order.workspace, strict=True)
    assert strict[".mcp.json: npx it ./server.py"].startswith(UNKNOWN)


def test_a_server_that_does_not_start_is_named() -> None:
    """By the status that the CLI reports, or because it reports none."""
    seen = {"a": "connected", "b": "failed", "c": "needs-auth"}

    assert list(not_started(["a", "b", "c", "d"], seen)) == [
        "the MCP server b did not start: failed",
        "the MCP server c did not start: needs-auth",
        "the MCP server d did not start: missing",
    ]
