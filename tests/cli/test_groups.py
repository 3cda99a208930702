"""Groups of commands: what is meant where no command is named, and options after the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


@pytest.mark.parametrize("group", ["tasks", "sources", "workers"])
def test_a_bare_group_lists(bench: Bench, group: str) -> None:
    """Options of the list may follow; help stays help, and a typing error is an error."""
    assert bench.run(group) == bench.run(group, "list")
    assert bench.run(group, "--json").json == bench.run(group, "list", "--json").json
    assert "Commands:" in bench.run(group, "--help").out
    assert bench.run(group, "lsit").code == 2


@pytest.mark.parametrize(
    "words",
    [
        ("tasks", "list", "{}"),
        ("tasks", "{}", "list"),
        ("tasks", "{}"),
        ("sources", "list", "{}"),
        ("status", "{}", "--json"),
    ],
    ids=" ".join,
)
def test_the_configuration_may_be_named_after_the_command(bench: Bench, words: tuple[str, ...]) -> None:
    """And is the one that is used, whatever stands before."""
    typed = [part for word in words for part in (["--config", "other.json"] if word == "{}" else [word])]

    answer = bench.run("--config", str(bench.config), *typed)

    assert answer.code == 1
    assert "other.json: there is no configuration" in answer.err


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_debug_may_stand_anywhere(bench: Bench, place: int) -> None:
    words = ["tasks", "show", "task-none"]

    assert "Traceback" in bench.run(*words[:place], "--debug", *words[place:]).err
    assert "Traceback" not in bench.run(*words).err


def test_a_source_is_named_by_its_place_or_by_the_option(bench: Bench) -> None:
    paused = bench.run("sources", "pause", "ad-hoc")
    resumed = bench.run("sources", "resume", "--source-id", "ad-hoc")
    removed = bench.run("sources", "rm", "ad-hoc")

    assert paused.out.startswith("paused ad-hoc")
    assert resumed.out == "resumed ad-hoc\n"
    assert removed.out.startswith("removed ad-hoc")


@pytest.mark.parametrize("named", [(), ("ad-hoc", "--source-id", "planned")])
def test_one_source_has_to_be_named(bench: Bench, named: tuple[str, ...]) -> None:
    answer = bench.run("sources", "pause", *named)

    assert answer.code == 2
    assert "name one source" in answer.err
