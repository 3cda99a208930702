"""Which files of a project can make an agent execute something: all that the CLI loads, and what these call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_queue.agents.executed_files import hashes_of
from task_queue.domain.permission.called import commands_in, programs_of
from task_queue.domain.permission.consent import UNKNOWN

SKILL = "---\nname: one\ndescription: A skill\n---\nDo it.\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "part"
    (folder / ".claude" / "skills").mkdir(parents=True)
    (folder.parent / ".git").mkdir()
    return folder


def is_seen(workspace: Path, changed: Path) -> bool:
    """Whether another content of *changed* is another set of hashes."""
    before = hashes_of(workspace)
    changed.write_text(changed.read_text() + "more\n")
    return hashes_of(workspace) != before


@pytest.mark.parametrize("target", ["repository/shared", "elsewhere", "repository/part/.hidden/deep"])
def test_links_are_followed(workspace: Path, tmp_path: Path, target: str) -> None:
    """A linked folder, and a link to a file in it, wherever they lead."""
    skill = tmp_path / target / "one"
    (skill / "scripts").mkdir(parents=True)
    for name in ("SKILL.md", "scripts/run.sh"):
        (skill / name).write_text(SKILL)
    (workspace / ".claude" / "skills" / "one").symlink_to(skill)
    (workspace / ".claude" / "agents").symlink_to(skill.parent)
    (workspace / ".claude" / "settings.json").symlink_to(skill / "SKILL.md")

    assert is_seen(workspace, skill / "SKILL.md")
    assert is_seen(workspace, skill / "scripts" / "run.sh")
    assert set(hashes_of(workspace)) == {
        ".claude/settings.json",
        *(
            f".claude/{way}/one/{name}"
            for way in ("skills", "agents")
            for name in ("SKILL.md", "scripts/run.sh")
        ),
    }


def test_links_in_a_circle_and_into_nothing_end(workspace: Path) -> None:
    """What a link will lead to is seen once it is there."""
    skills = workspace / ".claude" / "skills"
    (skills / "again").symlink_to(skills)
    (skills / "later").symlink_to(workspace / "later")
    (skills / "itself").symlink_to(skills / "itself")
    before = hashes_of(workspace)

    (workspace / "later").mkdir()
    (workspace / "later" / "SKILL.md").write_text(SKILL)

    assert hashes_of(workspace) != before


def test_folders_above_count_as_far_as_the_cli_looks(workspace: Path, tmp_path: Path) -> None:
    """Up to the root of the repository, where there is one; their settings are not loaded."""
    for folder in (workspace.parent, tmp_path):
        for name in ("skills/one/SKILL.md", "agents/one.md", "commands/one.md", "settings.json"):
            path = folder / ".claude" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(SKILL)

    found = set(hashes_of(workspace))
    (workspace.parent / ".git").rmdir()
    without_repository = set(hashes_of(workspace))

    names = ("skills/one/SKILL.md", "agents/one.md", "commands/one.md")
    assert found == {f"../.claude/{name}" for name in names}
    assert without_repository >= found | {f"../../.claude/{name}" for name in names}


@pytest.mark.parametrize("linked", [False, True])
def test_skills_in_folders_below_count(workspace: Path, tmp_path: Path, linked: bool) -> None:
    """The agent finds them once it reads a file beside them, also where a link led it there."""
    folder = tmp_path / "elsewhere" if linked else workspace / "deep" / "down"
    skill = folder / ".claude" / "skills" / "one" / "SKILL.md"
    skill.parent.mkdir(parents=True)
    skill.write_text(SKILL)
    if linked:
        (workspace / "link").symlink_to(folder)
        (folder / "back").symlink_to(workspace)
        (folder / "self").symlink_to(folder)

    assert is_seen(workspace, skill)


CALLS = {
    "by a relative path": "scripts/check.sh --fast",
    "by a path in a variable": '"$CLAUDE_PROJECT_DIR"/scripts/check.sh',
    "by a path in braces": "bash ${CLAUDE_PROJECT_DIR}/scripts/check.sh",
    "by an interpreter": "python3 -u 'scripts/check.sh'",
    "after another": "cd x; true && sh scripts/check.sh|cat",
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("where", ["hook", "helper", "front matter", "text"])
def test_a_called_script_counts(workspace: Path, where: str, call: str) -> None:
    """Called by a hook, by a helper of the settings, by a skill's own hook, or from a skill's text."""
    script = workspace / "scripts" / "check.sh"
    script.parent.mkdir()
    script.write_text("true\n")
    settings, skill = (
        workspace / ".claude" / "settings.json",
        workspace / ".claude" / "skills" / "one" / "SKILL.md",
    )
    skill.parent.mkdir()
    match where:
        case "hook":
            hook = {"hooks": [{"type": "command", "command": CALLS[call]}]}
            settings.write_text(json.dumps({"hooks": {"Stop": [hook]}}))
        case "helper":
            settings.write_text(json.dumps({"apiKeyHelper": CALLS[call]}))
        case "front matter":
            skill.write_text(f"---\nname: one\nhooks:\n  Stop:\n    - command: {CALLS[call]}\n---\nDo it.\n")
        case _:
            skill.write_text(f"{SKILL}\nLook: !`{CALLS[call]}`\n")

    assert is_seen(workspace, script)


def test_a_plugin_in_the_project_counts(workspace: Path) -> None:
    plugin = workspace / "plugins" / "one" / "hooks" / "hooks.json"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("{}")
    source = {"mine": {"source": {"source": "directory", "path": "./plugins"}}}
    (workspace / ".claude" / "settings.json").write_text(json.dumps({"extraKnownMarketplaces": source}))

    assert is_seen(workspace, plugin)


@pytest.mark.parametrize(
    ("command", "programs"),
    [
        ("echo ran >> hooked", ()),
        ("scripts/check.sh --fast", ("scripts/check.sh",)),
        ('"$CLAUDE_PROJECT_DIR"/a.sh 2>&1; python3 b.py | tee log', ("./a.sh", "b.py")),
        ("PATH=. jq", None),
        ("cat <(anything)", None),
        ("test -e x && { anything; }", None),
        ("echo a#b; anything", None),
        ("cat ''", ()),
        ("make check", None),
        ("npx prettier --write .", None),
        ("sh -c 'anything'", None),
        ("python3 -m module", None),
        ("echo $(anything)", None),
        ("echo `anything`", None),
        ("$PROGRAM", None),
        ("$DIRECTORY/program", None),
        ("echo 'no end", None),
        ("echo a\nanything", None),
        ("cat x | xargs anything", None),
    ],
)
def test_a_command_names_what_it_executes_or_does_not(command: str, programs: tuple[str, ...] | None) -> None:
    found = programs_of(command)

    assert found == (None if programs is None else frozenset(programs))


def test_in_a_sandbox_a_command_that_may_execute_others_has_no_hash(workspace: Path) -> None:
    """Its sandboxed agent could write what such a hook executes outside of the sandbox."""
    (workspace / "named.sh").write_text("true")
    hooks = [
        {"type": "command", "command": command} for command in ("make check", "./named.sh", "./missing.sh")
    ]
    settings = {"hooks": {"Stop": [{"hooks": hooks}]}}
    (workspace / ".claude" / "settings.json").write_text(json.dumps(settings))

    found = hashes_of(workspace, strict=True)

    unknown = {path for path, value in found.items() if value.startswith(UNKNOWN)}
    assert unknown == {f".claude/settings.json: {command}" for command in ("make check", "./missing.sh")}
    assert set(hashes_of(workspace)) == set(found) - unknown


def test_settings_of_any_depth_are_read(workspace: Path) -> None:
    """Too deep for the reader of JSON they name nothing, but are compared as a file; otherwise all is found."""
    deep: object = {"command": "here"}
    for _ in range(50_000):
        deep = [deep]
    (workspace / ".claude" / "settings.json").write_text("[" * 100_000)

    assert list(commands_in(deep)) == ["here"]
    assert list(hashes_of(workspace)) == [".claude/settings.json"]
    del deep
