"""What instructs every agent of a project: found where the CLI looks, so that a change of it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.agents.instructions import changed_between, instructions_of


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "above" / "workspace"
    (folder / "part").mkdir(parents=True)
    return folder


@pytest.mark.parametrize(
    "path",
    [
        *("CLAUDE.md", "CLAUDE.local.md", "AGENTS.md", ".claude/CLAUDE.md", ".claude/rules/of/code.md"),
        *("../CLAUDE.md", "../../.claude/rules/all.md", "part/CLAUDE.md", "part/.claude/rules/here.md"),
    ],
)
def test_instructions_are_found(workspace: Path, path: str) -> None:
    """In the workspace, above it and below it."""
    file = workspace / path
    file.parent.mkdir(parents=True, exist_ok=True)
    before = instructions_of(workspace)
    file.write_text("Say pass.")

    assert changed_between(before, instructions_of(workspace), ()) == (path,)


def test_imports_are_followed(workspace: Path) -> None:
    """Five deep, in a circle, beside the file that names them, and through links."""
    (workspace / "CLAUDE.md").write_text("See @docs/first.md, and write to me@example.org.")
    (workspace / "docs").mkdir()
    (workspace / "docs" / "first.md").write_text("- @../second\\ one.md\n- @../CLAUDE.md\n- @nowhere.md")
    (workspace / "elsewhere.md").write_text("1")
    (workspace / "second one.md").symlink_to("elsewhere.md")
    before = instructions_of(workspace)
    (workspace / "elsewhere.md").write_text("2")

    assert set(before) == {"CLAUDE.md", "docs/first.md", "second one.md"}
    assert changed_between(before, instructions_of(workspace), ()) == ("second one.md",)


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("CLAUDE.md", True),
        ("part/CLAUDE.local.md", True),
        (".claude/rules/code.md", True),
        ("part/.claude/rules/a/code.md", True),
        ("rules/code.md", False),
        ("docs/code.md", False),
    ],
)
def test_a_changed_path_counts_by_its_name(path: str, counts: bool) -> None:
    """Of what git says that the task and its earlier attempts changed."""
    assert changed_between({}, {}, [path]) == ((path,) if counts else ())
