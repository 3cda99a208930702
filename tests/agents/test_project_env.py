"""``env`` of a project's settings is something that is executed, and not the place for what the queue decides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_queue.agents.executed_files import hashes_of
from task_queue.agents.project_settings import without_programs, without_reserved
from task_queue.domain.permission.project_env import environment_in
from task_queue.ports.executor import AgentSetup

AGENT = AgentSetup(setting_sources=("user", "project"), mcp_servers="both")
WITHOUT = AgentSetup(setting_sources=("user",), mcp_servers="user")


def settings(workspace: Path, env: object, *, local: bool = False) -> None:
    (workspace / ".claude").mkdir(exist_ok=True)
    name = "settings.local.json" if local else "settings.json"
    (workspace / ".claude" / name).write_text(json.dumps({"env": env}))


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({"NODE_OPTIONS": "--require ./hook.js"}, {"hook.js"}),
        ({"GIT_EXTERNAL_DIFF": "tools/run"}, {"tools/run"}),
        ({"BASH_ENV": "${CLAUDE_PROJECT_DIR}/hook.js"}, {"hook.js"}),
        ({"PATH": "./tools:/usr/bin"}, {"tools/run", "tools/other"}),
        ({"PYTHONPATH": "tools"}, {"tools/run", "tools/other"}),
        ({"MODE": "test"}, set()),
    ],
)
def test_files_that_a_variable_names_are_part_of_the_consent(
    tmp_path: Path, env: dict[str, str], named: set[str]
) -> None:
    """And those in the folders that it names."""
    (tmp_path / "tools").mkdir()
    for name in ("hook.js", "tools/run", "tools/other"):
        (tmp_path / name).write_text("1")
    settings(tmp_path, env)

    assert set(hashes_of(tmp_path)) == {".claude/settings.json", *named}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "ANTHROPIC_BASE_URL",
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_CUSTOM_HEADERS",
            "ANTHROPIC_BEDROCK_BASE_URL",
        ),
        *("CLAUDE_CODE_USE_VERTEX", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR", "CLAUDE_CODE_OAUTH_TOKEN"),
    ],
)
@pytest.mark.parametrize("local", [False, True])
def test_no_project_says_who_pays_and_where_to(tmp_path: Path, name: str, local: bool) -> None:
    """Accepted or not, its settings are not loaded then."""
    settings(tmp_path, {name: "x"}, local=local)

    agent, note = without_reserved(AGENT, tmp_path)

    assert agent == WITHOUT
    assert note is not None
    assert note.startswith(f"{name} in env of .claude/settings")


@pytest.mark.parametrize(
    ("env", "loaded"),
    [
        ({"MODE": "test", "BASH_DEFAULT_TIMEOUT_MS": "60000", "ANTHROPIC_MODEL": "claude-x"}, True),
        ({"PATH": "bin"}, False),
        ({"GIT_SSH_COMMAND": "evil"}, False),
        ({"NODE_OPTIONS": "--require=x"}, False),
        ({"ANYTHING": "./evil"}, False),
        ({"GIT_CONFIG_COUNT": "1"}, False),
        ({"http_proxy": "http://x"}, False),
    ],
)
def test_in_a_sandbox_no_variable_leads_to_a_file_of_the_project(
    tmp_path: Path, env: dict[str, str], loaded: bool
) -> None:
    """The CLI itself starts programs outside of the sandbox, such as git."""
    settings(tmp_path, env)

    assert without_programs(AGENT, tmp_path)[0] == (AGENT if loaded else WITHOUT)
    assert without_reserved(AGENT, tmp_path) == (AGENT, None)


@pytest.mark.parametrize("content", [None, [], {"env": []}, {"env": "PATH"}, {}])
def test_settings_of_another_shape_set_nothing(content: object) -> None:
    assert environment_in(content) == {}
