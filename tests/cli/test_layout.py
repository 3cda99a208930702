"""What is shown on terminals of several widths and in a pipe; foreign text stays text everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench
from tests.cli.test_reading import fill

MARKUP = "task-20260207-120004-[bold]m-:smile:"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = a_bench(tmp_path)
    fill(bench)
    return bench


@pytest.mark.parametrize("columns", [120, 80, 50])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("status", ("status",)), ("list", ("tasks", "list")), ("workers", ("workers", "list"))],
    ids=["status", "list", "workers"],
)
def test_a_screen_fits_its_width(bench: Bench, name: str, arguments: tuple[str, ...], columns: int) -> None:
    """Columns where there is room for them, else below each other; ids are never cut."""
    shown = bench.run(*arguments, COLUMNS=str(columns)).out

    bench.agrees_with(f"{name}-{columns}", shown)
    assert "task-20260207-110000-running" in shown


def test_a_pipe_has_one_fact_on_each_line(bench: Bench) -> None:
    """However long it is, without colour or frame: for grep."""
    shown = bench.run("status").out.splitlines()

    assert any(
        line.split()[:2] == ["waiting", "task-20260207-120003-wrong"] and line.endswith("'priority'?")
        for line in shown
    )
    blocked = "- task task-20260207-120002-after is blocked by task-20260207-115900-broken (failed)"
    assert f"{blocked}; next: task-queue tasks show task-20260207-120002-after" in shown


def test_a_terminal_gets_colour_and_a_frame(bench: Bench) -> None:
    """Besides the words, which are the same as in a pipe."""
    shown = bench.on_a_terminal("status", columns=100).out

    assert "\x1b[33munserved\x1b[0m" in shown
    assert "─" * 40 in shown
    assert without_colour(shown).count("unserved") == bench.run("status").out.count("unserved")


def test_no_color_is_honoured(bench: Bench) -> None:
    """https://no-color.org: any value; errors included."""
    shown = bench.on_a_terminal("status", columns=80, NO_COLOR="1").out
    error = bench.on_a_terminal("tasks", "show", "task-none", columns=80, NO_COLOR="1").out

    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", shown + error)
    assert "error:" in error


@pytest.mark.parametrize(
    "arguments", [("status",), ("tasks", "list"), ("tasks", "show", MARKUP)], ids=" ".join
)
def test_markup_in_foreign_text_stays_text(bench: Bench, arguments: tuple[str, ...]) -> None:
    """Square brackets and colons of names and titles are nothing but that."""
    (bench.pending() / f"{MARKUP}.md").write_text("# A [red]title[/red] :bomb: 12:30\n")

    shown = bench.run(*arguments).out

    assert MARKUP in shown
    assert arguments == ("status",) or "A [red]title[/red] :bomb: 12:30" in shown


def test_a_long_path_is_never_broken(bench: Bench) -> None:
    """So that it can be copied; the terminal wraps it by itself."""
    path = bench.pending() / "task-20260207-120000-first.md"

    assert str(path) in bench.run("tasks", "show", path.stem, COLUMNS="40").out


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
