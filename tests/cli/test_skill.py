"""``skill``: what is shown, what applies, what is copied."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def test_show_prints_the_skill_or_a_prompt(bench: Bench) -> None:
    assert "name: task-worker" in bench.run("skill", "show").out
    assert "fresh eyes" in bench.run("skill", "show", "auditor").out
    assert bench.run("skill", "show", "nonsense").code == 2


def test_plugin_prints_a_folder_that_claude_code_can_load(bench: Bench) -> None:
    folder = Path(bench.run("skill", "plugin").out.rstrip("\n"))

    assert (folder / ".claude-plugin" / "marketplace.json").is_file()
    assert (folder / "skills" / "queue" / "SKILL.md").is_file()


def test_which_says_what_applies(bench: Bench) -> None:
    """The project's own text is told from ours, and --packaged still shows ours."""
    folder = bench.project / ".claude" / "task-queue"
    folder.mkdir(parents=True)
    (folder / "auditor.md").write_text("Be kind.\n")

    answer = bench.run("skill", "which", "--json").json
    origins = {text["name"]: text["origin"] for text in answer["texts"]}

    assert answer["schema_version"] == 1
    assert origins["auditor"] == "project"
    assert origins["implementer"] == "packaged"
    assert str(folder / "auditor.md") in bench.run("skill", "which").out
    assert bench.run("skill", "show", "auditor").out == "Be kind.\n"
    assert "fresh eyes" in bench.run("skill", "show", "--packaged", "auditor").out


def test_what_is_ejected_applies_and_is_never_overwritten(bench: Bench) -> None:
    assert bench.run("skill", "eject").code == 0
    mine = bench.config.parent / "prompts" / "task.md"
    mine.write_text("Mine: {body}\n")

    again = bench.run("skill", "eject")

    assert f"left alone: {mine}" in again.out
    assert bench.run("skill", "show", "task").out == "Mine: {body}\n"


def test_eject_takes_another_folder(bench: Bench, tmp_path: Path) -> None:
    answer = bench.run("skill", "eject", "--to", str(tmp_path / "else"))

    assert (tmp_path / "else" / "audit.md").is_file()
    assert "apply in" in answer.err
