"""``tasks edit``, ``priority``, ``move`` and ``rm`` as real processes, with a real editor and a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench

ID = "task-20260207-120000-fix-auth"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def place(bench: Bench, text: str = "---\n# mine\npriority: 2\n---\n# Fix\n") -> Path:
    path = bench.pending() / f"{ID}.md"
    path.write_text(text)
    return path


def an_editor(bench: Bench, script: str) -> str:
    path = bench.home / "editor"
    path.write_text(f"#!/bin/sh\nset -e\n{script}\n")
    path.chmod(0o700)
    return str(path)


def drafts(bench: Bench) -> list[Path]:
    return sorted(bench.home.glob(".local/state/task-queue/*/drafts/*"))


def test_edit_opens_the_document_again_until_it_can_run(bench: Bench) -> None:
    """With its faults on top; comments of the person's own stay."""
    path = place(bench)
    script = """
        if grep -q "did you mean 'priority'" "$1"
        then sed -i 's/^priorty: 2/priority: 7/' "$1"
        else sed -i 's/^priority/priorty/; s/^# Fix/# Fix it/' "$1"
        fi
    """

    answer = bench.on_a_terminal("tasks", "edit", "fix-auth", EDITOR=an_editor(bench, script))

    assert answer.code == 0, answer.out
    assert path.read_text() == "---\n# mine\npriority: 7\n---\n# Fix it\n"
    assert f"changed: {ID}" in answer.out
    assert "in ad-hoc, 1st of 1" in answer.out
    assert drafts(bench) == []


def test_edit_keeps_the_text_when_the_task_was_changed_meanwhile(bench: Bench) -> None:
    """And says where it is, and how to go on with it; which then works."""
    path = place(bench)
    script = f'echo Mine >>"$1"; echo "# Theirs" >{path}'

    refused = bench.on_a_terminal("tasks", "edit", ID, EDITOR=an_editor(bench, script), COLUMNS="400")
    (draft,) = drafts(bench)
    again = bench.on_a_terminal("tasks", "edit", ID, "--file", str(draft), EDITOR="true")

    assert (refused.code, again.code) == (1, 0), again.out
    assert "was changed meanwhile" in refused.out
    assert f"task-queue tasks edit {ID} --file {draft}" in "".join(refused.out.split("\n"))
    assert path.read_text().endswith("# Fix\nMine\n")
    assert drafts(bench) == []


def test_edit_without_a_change_changes_nothing(bench: Bench) -> None:
    place(bench)

    answer = bench.on_a_terminal("tasks", "edit", ID, EDITOR="true")

    assert answer.code == 1
    assert "nothing is changed" in answer.out
    assert drafts(bench) == []


def test_priority_and_move_answer_as_json(bench: Bench) -> None:
    path = place(bench)

    changed = bench.run("tasks", "priority", "fix-auth", "9", "--json").json
    moved = bench.run("tasks", "move", "fix-auth", "planned", "--json").json

    assert (changed["task_id"], changed["priority"], changed["place"], changed["of"]) == (ID, 9, 1, 1)
    assert (moved["source"], path.exists()) == ("planned", False)
    assert "priority: 9" in (bench.pending("planned") / path.name).read_text()
    assert bench.run("tasks", "priority", ID, "11").code == 2


@pytest.mark.parametrize(("answered", "code"), [("n", 130), ("y", 0)])
def test_rm_asks_on_a_terminal(bench: Bench, answered: str, code: int) -> None:
    path = place(bench)

    answer = bench.on_a_terminal("tasks", "rm", ID, typed=f"{answered}\n")

    assert f"remove {ID}? [y/N]" in answer.out
    assert (answer.code, path.exists()) == (code, code != 0)


def test_rm_asks_no_script(bench: Bench) -> None:
    """It does nothing without --yes, and says where the copy is with it."""
    path = place(bench)

    refused = bench.run("tasks", "rm", ID)
    removed = bench.run("tasks", "rm", ID, "--yes", "--json")

    assert (refused.code, "--yes" in refused.err) == (2, True)
    assert removed.json["was"] == "pending"
    assert Path(removed.json["kept"]).read_text().startswith("---\n# mine")
    assert not path.exists()
