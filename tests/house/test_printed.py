"""What the guide prints: typed, or marked for the reader; and its documents and configurations are valid."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from task_queue.config import schema
from task_queue.demo.cast import DEMO_TASKS
from task_queue.domain.document import taskfile
from task_queue.domain.task import TaskId
from tests.house.picture import PICTURE, draw, the_same_each_time
from tests.house.printed import GUIDE, PAGES, REASONS, Printed, blocks_of, missing, said_by, session_of
from tests.house.tables import ROOT

_FETCHES = re.compile(r"url\((?!#)|@import|href")


def _examples(kind: str) -> list[Any]:
    return [
        pytest.param(block.text, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks_of(page))
        if block.kind == kind
    ]


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *PAGES], ids=lambda page: f"{page.parent.name}-{page.stem}"
)
def test_what_is_not_typed_says_why(page: Path) -> None:
    """No block of commands has another name, by which the tests would not see it."""
    blocks = blocks_of(page)

    assert {block.kind for block in blocks} <= {"sh", "text", "json", "markdown"}
    assert {block.reason for block in blocks if block.reason is not None} <= set(REASONS)
    assert page.read_text().count("*Not typed") == sum(block.reason is not None for block in blocks)


def test_the_index_names_every_page() -> None:
    index = (GUIDE / "README.md").read_text()

    assert [page.name for page in PAGES if page.name != "README.md" and f"]({page.name})" not in index] == []


@pytest.mark.parametrize("text", _examples("json"))
def test_configurations_are_valid(text: str) -> None:
    """One with an id is the entry of a source; the others are keys of the configuration."""
    keys = json.loads(text)
    entry = keys if "id" in keys else None
    whole = {"version": "2.1", "task_source_directories": [entry] if entry else [], **({} if entry else keys)}

    config = schema.validate(whole, Path("config.json"))

    assert config.unknown_keys() == ()


@pytest.mark.parametrize("text", _examples("markdown"))
def test_documents_have_no_fault(text: str) -> None:
    assert taskfile.read_task(text.encode(), TaskId("task-printed"))[1] == ()


def test_a_session_is_typed_block_by_block(tmp_path: Path) -> None:
    """What is marked is left out; what is printed below a block is what that block has to say."""
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nls none  # exit code 2\n```\n\n```text\n... none\n```\n\n"
        "*Not typed by the tests: needs a login.*\n\n```sh\nlogin\n```\n\n```text\nWelcome\n```\n"
    )

    script, expected = session_of(page)

    assert script == "echo @0\ncode=0; ls none || code=$?; [ $code = 2 ]\n"
    assert expected == {0: "... none\n"}
    assert blocks_of(page)[2] == Printed("sh", "login\n", "needs a login")


def test_what_was_not_said_is_missing() -> None:
    said = said_by("before\n@3\ntask-1   done\n@5\nother\n")

    assert missing("task-...  done\n...\n", said[3]) == []
    assert missing("task-...  done\nother\n", said[3]) == ["other"]


def test_the_picture_shows_the_demo_and_fetches_nothing() -> None:
    """It is drawn again with ``make picture``; the words stand in it as text."""
    drawing = PICTURE.read_text()
    words = "".join(ET.fromstring(drawing).itertext())

    assert "](docs/picture.svg)" in (ROOT / "README.md").read_text()
    assert all(task.task_id in words for task in DEMO_TASKS)
    assert _FETCHES.findall(drawing) == []


def test_a_picture_is_the_same_each_time() -> None:
    """Whatever the time, the folder and the commits of the run."""
    first = "2026-11-28 14:25 to 2026-11-29 14:25, git -C /tmp/a/project show " + "1" * 40
    second = "2027-01-01 01:02 to 2027-01-02 01:02, git -C /tmp/b/project show " + "a" * 40

    assert draw(the_same_each_time(first, Path("/tmp/a"))) == draw(the_same_each_time(second, Path("/tmp/b")))
