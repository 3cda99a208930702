"""``tasks add`` with an editor and with templates: nothing wrong is added, and nothing written is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


@pytest.mark.parametrize("variable", ["EDITOR", "VISUAL"])
def test_add_without_a_text_opens_the_editor(bench: Bench, variable: str) -> None:
    """What was written there becomes the document, without our remark; a command with options is fine."""
    script = """
        test "$1" = --wait
        grep -q "what is to be done" "$2"
        echo "# Fix it" >>"$2"
    """
    editor = an_editor(bench, script)

    answer = bench.on_a_terminal("tasks", "add", columns=80, rows=24, **{variable: f"{editor} --wait"})

    assert answer.code == 0, answer.out
    assert [path.read_text() for path in bench.pending().glob("task-*-fix-it.md")] == ["# Fix it\n"]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("true", "nothing was written"),
        (': >"$1"', "nothing was written"),
        ('touch -d 2030-01-01 "$1"', "nothing was written"),
        ("exit 3", "Editing failed"),
    ],
    ids=["closed without a change", "emptied", "saved without a change", "failed"],
)
def test_an_editor_that_writes_nothing_adds_nothing(bench: Bench, script: str, says: str) -> None:
    """A person who thinks better of it leaves no task behind."""
    answer = bench.on_a_terminal("tasks", "add", EDITOR=str(an_editor(bench, script)))

    assert answer.code == 1
    assert says in answer.out
    assert list(bench.pending().iterdir()) == []


def test_an_editor_that_is_missing_is_told(bench: Bench) -> None:
    """By its name."""
    answer = bench.on_a_terminal("tasks", "add", EDITOR="no-such-editor")

    assert answer.code == 1
    assert "no-such-editor" in answer.out
    assert list(bench.pending().iterdir()) == []


def an_editor(bench: Bench, script: str) -> Path:
    path = bench.home / "editor"
    path.write_text(f"#!/bin/sh\nset -e\n{script}\n")
    path.chmod(0o700)
    return path


def drafts(bench: Bench) -> list[Path]:
    return sorted(bench.home.glob(".local/state/task-queue/*/drafts/*"))


FIRST_WRONG_THEN_RIGHT = """
if grep -q "did you mean 'priority'" "$1"; then
    cp "$1" "$HOME/second"
    sed -i 's/priorty/priority/' "$1"
else
    sed -i 's/^# priority: 5/priorty: 5/; s/^# timeout:.*/timeout: soon/' "$1"
    echo "Fix it" >>"$1"
fi
grep -q "timeout: must" "$1" && sed -i 's/^timeout: soon/timeout: 1h/' "$1"
true
"""


def test_a_document_with_faults_is_opened_again_with_all_of_them_on_top(bench: Bench) -> None:
    """With the lines as they are below them; the next time it is right, it is added without a remark."""
    answer = bench.run("tasks", "add", "--edit", EDITOR=str(an_editor(bench, FIRST_WRONG_THEN_RIGHT)))

    assert answer.code == 0, answer.err
    second = (bench.home / "second").read_text().splitlines()
    named = {line.split()[1].rstrip(":"): line for line in second if line.startswith("line ")}
    assert [second[int(number) - 1].split(":")[0] for number in named] == ["priorty", "timeout"]
    (document,) = bench.pending().glob("task-*.md")
    assert document.read_text() == ("---\npriority: 5  # higher goes first\ntimeout: 1h\n---\nFix it\n")
    assert drafts(bench) == []


def test_who_gives_up_keeps_the_draft_and_can_go_on_with_it(bench: Bench) -> None:
    wrong = an_editor(
        bench,
        """grep -q priorty "$1" || sed -i '2i priorty: 1' "$1"; grep -q Fix "$1" || echo "Fix it" >>"$1" """,
    )

    given_up = bench.run("tasks", "add", "--edit", EDITOR=str(wrong))
    (draft,) = drafts(bench)
    right = an_editor(bench, """sed -i 's/^priorty/priority/' "$1" """)
    gone_on = bench.run("tasks", "add", "--edit", "--file", str(draft), EDITOR=str(right))

    assert (given_up.code, "1 fault" in given_up.err) == (1, True), given_up.err
    assert f"tasks add --edit --file {draft}" in given_up.err
    assert gone_on.code == 0, gone_on.err
    assert [path.read_text() for path in bench.pending().glob("task-*")] == [
        "---\npriority: 1\n---\nFix it\n"
    ]
    assert drafts(bench) == []


@pytest.mark.parametrize(
    "script",
    ['echo "Fix it" >>"$1"; exit 3', """echo "Fix it" >>"$1"; printf '\\377' >>"$1" """],
    ids=["editor fails", "no text"],
)
def test_what_was_written_is_kept_whatever_goes_wrong(bench: Bench, script: str) -> None:
    answer = bench.run("tasks", "add", "--edit", EDITOR=str(an_editor(bench, script)))

    assert answer.code == 1
    (draft,) = drafts(bench)
    assert b"Fix it" in draft.read_bytes()
    assert str(draft) in answer.err


def test_a_draft_stays_where_the_queue_is_full(bench: Bench) -> None:
    text = bench.config.read_text()
    bench.config.write_text(text.replace('"version"', '"limits": {"max_pending": 1},\n  "version"'))
    bench.run("tasks", "add", "one")

    answer = bench.run("tasks", "add", "two", "--edit", EDITOR="true")

    assert (answer.code, len(drafts(bench))) == (1, 1)
    assert str(drafts(bench)[0]) in answer.err


def test_options_and_a_text_are_in_the_draft(bench: Bench) -> None:
    """And are good as they stand."""
    answer = bench.run("tasks", "add", "Fix it", "--edit", "--priority", "8", EDITOR="true")

    assert answer.code == 0, answer.err
    assert [path.read_text() for path in bench.pending().glob("task-*")] == [
        "---\npriority: 8\n---\nFix it\n"
    ]


def test_a_text_comes_into_a_template(bench: Bench) -> None:
    """Its keys apply, options win, and its remarks stay behind."""
    arguments = ("tasks", "add", "# Login fails", "--template", "fix-bug", "--priority", "8", "--dry-run")

    document = bench.run(*arguments).out

    assert document.startswith("---\ntype: coding\npriority: 8\n---\n# Login fails\n\nHow to work:\n")
    assert "<!--" not in document


def test_a_template_of_ones_own_hides_the_packaged_one(bench: Bench) -> None:
    """Without a place for the text, that goes below."""
    folder = bench.config.parent / "templates"
    folder.mkdir()
    (folder / "review.md").write_text("---\n# As we do it.\npriority: 2\n---\nLook hard.\n")

    listed = bench.run("tasks", "templates", "--json").json["templates"]
    piped = "---\ntimeout: 1h\n---\nAll of it"
    added = bench.run("tasks", "add", "--template", "review", "--dry-run", given=piped)

    assert {each["name"]: each["origin"] for each in listed} == {
        "docs": "packaged",
        "fix-bug": "packaged",
        "review": "user",
        "upgrade-dependency": "packaged",
        "write-tests": "packaged",
    }
    assert next(each for each in listed if each["name"] == "review")["description"] == "As we do it."
    assert added.out == "---\npriority: 2\ntimeout: 1h\n---\nLook hard.\n\nAll of it\n"
    assert bench.run("tasks", "templates", "review").out == (folder / "review.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x", "--template", "fix-bugs"), "did you mean 'fix-bug'?"),
        (("--template", "fix-bug"), "needs a text"),
    ],
)
def test_a_template_that_cannot_be_used_is_said(bench: Bench, arguments: tuple[str, ...], said: str) -> None:
    answer = bench.run("tasks", "add", *arguments)

    assert (answer.code, said in answer.err) == (1, True), answer.err
    assert list(bench.pending().iterdir()) == []
