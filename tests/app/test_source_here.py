"""The source that is meant where none is named: by the directory that a person is in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_queue.app.source_here import source_here
from task_queue.app.sources import add_source
from task_queue.domain.errors import TaskQueueError
from tests.app.bench import Bench

PLACES = ("shop", "shop/api", "shop/api/src", "elsewhere")


@pytest.fixture
def town(bench: Bench) -> Bench:
    """The usual sources in ``project``, ``shop`` in shop/ and ``api`` below it."""
    for name in (*PLACES, "project"):
        (bench.home / name).mkdir()
    content = json.loads(bench.config.read_text())
    bench.write(bench.config, content | {"project_workspace": str(bench.home / "project")})
    give(bench, "shop", "shop")
    give(bench, "api", "shop/api")
    return bench


def give(bench: Bench, source_id: str, workspace: str) -> None:
    add_source(
        bench.anew(),
        bench.home / "tasks" / source_id,
        source_id=source_id,
        project_workspace=bench.home / workspace,
    )


@pytest.mark.parametrize(
    ("directory", "source"),
    [
        ("project", "ad-hoc"),
        ("shop", "shop"),
        ("shop/api", "api"),
        ("shop/api/src", "api"),
        ("tasks/planned/pending", "planned"),
        ("tasks/shop", "shop"),
    ],
)
def test_the_nearest_that_works_there_is_meant(town: Bench, directory: str, source: str) -> None:
    """In its workspace or its queue folder, at any depth; of the usual two, the one for tasks without a plan."""
    assert source_here(town.anew(), town.home / directory).id == source


def test_a_directory_is_known_by_each_of_its_names(town: Bench) -> None:
    """As a shell keeps the name of a link that it entered."""
    (town.home / "link").symlink_to(town.home / "shop" / "api")

    assert source_here(town.anew(), town.home / "link" / "src").id == "api"


def test_a_name_that_only_begins_like_a_workspace_is_not_in_it(town: Bench) -> None:
    (town.home / "shop-old").mkdir()

    with pytest.raises(TaskQueueError, match="no source works in"):
        source_here(town.anew(), town.home / "shop-old")


@pytest.mark.parametrize(
    "defaults", [{"workspace": "~/elsewhere"}, {"workspace": "../elsewhere"}], ids=["home", "relative"]
)
def test_the_workspace_of_the_defaults_counts(town: Bench, defaults: dict[str, str]) -> None:
    """It is where the daemon would let its tasks work."""
    content = json.loads(town.config.read_text())
    entry = next(each for each in content["task_source_directories"] if each["id"] == "shop")
    entry["defaults"] = defaults
    town.write(town.config, content)

    assert source_here(town.anew(), town.home / "elsewhere").id == "shop"
    with pytest.raises(TaskQueueError):
        source_here(town.anew(), town.home / "shop")


def test_where_no_source_works_all_are_named(town: Bench) -> None:
    with pytest.raises(TaskQueueError, match=r"no source works in .*elsewhere") as caught:
        source_here(town.anew(), town.home / "elsewhere")

    assert "--source: ad-hoc, planned, shop, api" in (caught.value.hint or "")


def test_where_several_work_they_are_named(town: Bench) -> None:
    """Only those: a guess could give the task to the wrong project."""
    give(town, "shop2", "shop")

    with pytest.raises(TaskQueueError, match=r"several sources work in .*shop") as caught:
        source_here(town.anew(), town.home / "shop")

    assert (caught.value.hint or "").endswith("--source: shop, shop2")


def test_without_a_source_the_way_to_one_is_said(town: Bench, tmp_path: Path) -> None:
    town.write(town.config, {"version": "2.1", "task_source_directories": []})

    with pytest.raises(TaskQueueError, match="no source yet"):
        source_here(town.anew(), tmp_path)
