"""What has to be in the wheel besides modules: found in the package, and covered by pyproject.toml."""

from __future__ import annotations

import glob
import tomllib
from importlib import resources
from pathlib import Path

from tests.house.tables import ROOT

PLUGIN = {
    ".claude-plugin/plugin.json",
    "agents/auditor.md",
    "agents/implementer.md",
    "prompts/audit.md",
    "prompts/auditor.md",
    "prompts/findings.md",
    "prompts/implementer.md",
    "prompts/task.md",
    "skills/task-worker/SKILL.md",
}


def test_the_plugin_is_whole() -> None:
    with resources.as_file(resources.files("task_queue") / "plugin") as folder:
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    assert found == PLUGIN


def test_every_file_of_the_package_gets_into_the_wheel() -> None:
    """``**`` does not see folders that begin with a dot, so those are named."""
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = ROOT / "task_queue"
    shipped = {path for pattern in patterns["task_queue"] for path in _glob(package, pattern)}
    data = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"} and path.name != "__pycache__"
    }

    assert data <= shipped


def _glob(folder: Path, pattern: str) -> set[Path]:
    # pathlib's own would see hidden folders, which the build's does not

    return {Path(found) for found in glob.glob(str(folder / pattern), recursive=True)}  # noqa: PTH207 - as said
