"""What has to be in the wheel besides modules: found in the package, and covered by pyproject.toml."""

from __future__ import annotations

import glob
import json
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import yaml

from tests.house.tables import ROOT

PACKAGE = ROOT / "task_queue"
PLUGINS = {
    "plugin": {
        ".claude-plugin/plugin.json",
        "agents/auditor.md",
        "agents/implementer.md",
        "prompts/audit.md",
        "prompts/auditor.md",
        "prompts/findings.md",
        "prompts/implementer.md",
        "prompts/task.md",
        "skills/task-worker/SKILL.md",
    },
    "session_plugin": {
        ".claude-plugin/marketplace.json",
        ".claude-plugin/plugin.json",
        "skills/queue/SKILL.md",
    },
}
"""For the agents of the queue, and for a person's own sessions."""


@pytest.mark.parametrize("name", PLUGINS)
def test_the_plugin_is_whole(name: str) -> None:
    with resources.as_file(resources.files("task_queue") / name) as folder:
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert found == PLUGINS[name]


@pytest.mark.parametrize("plugin", PLUGINS)
def test_the_head_of_each_plugin_file_is_yaml(plugin: str) -> None:
    """As other programs read it, with a name and a description that are text."""
    texts = {name: (PACKAGE / plugin / name).read_text() for name in PLUGINS[plugin] if name.endswith(".md")}
    parsed = {
        name: yaml.safe_load(text.split("---\n")[1])
        for name, text in texts.items()
        if text.startswith("---\n")
    }
    fields = {name: {key: type(value) for key, value in head.items()} for name, head in parsed.items()}

    assert set(fields) == {name for name in PLUGINS[plugin] if name.startswith(("agents/", "skills/"))}
    assert all(fields[name]["name"] is fields[name]["description"] is str for name in fields)
    assert all(kind is str for head in fields.values() for kind in head.values())
    assert json.loads((PACKAGE / plugin / ".claude-plugin" / "plugin.json").read_text())["name"]


def test_the_marketplace_offers_the_plugin_for_sessions() -> None:
    """The names are those that the guide has the user type."""
    folder = PACKAGE / "session_plugin" / ".claude-plugin"
    market = json.loads((folder / "marketplace.json").read_text())
    plugin = json.loads((folder / "plugin.json").read_text())

    assert f"install {plugin['name']}@{market['name']}\n" in (ROOT / "docs/guide/conversation.md").read_text()
    assert [(each["name"], each["source"]) for each in market["plugins"]] == [(plugin["name"], "./")]


def test_every_file_of_the_package_gets_into_the_wheel() -> None:
    """``**`` does not see folders that begin with a dot, so those are named."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    shipped = {path for pattern in patterns["task_queue"] for path in _glob(PACKAGE, pattern)}
    data = {
        path
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "__pycache__"
    }

    assert data <= shipped


def _glob(folder: Path, pattern: str) -> set[Path]:
    # pathlib's own would see hidden folders, which the build's does not

    return {Path(found) for found in glob.glob(str(folder / pattern), recursive=True)}  # noqa: PTH207 - as said
