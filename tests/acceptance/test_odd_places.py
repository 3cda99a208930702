"""A queue in a folder that no rule of the agent's program closes is refused, wherever it is named."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.rig import Rig
from tests.sampling import short_and_long
from tests.waiting import eventually


@pytest.mark.parametrize("odd", short_and_long(["back\\slash"], ["what?"]))
def test_it_is_refused_with_the_reason(rig: Rig, odd: str) -> None:
    place = rig.home / odd
    place.mkdir()
    before = rig.config.read_text()

    for command in (
        ("sources", "add", str(place), "--id", "b", "--project-workspace", str(rig.workspace)),
        ("init", str(place)),
    ):
        done = rig.cli(*command)
        assert done.returncode
        assert "no rule of the agent's program closes such a path" in done.stderr
    assert rig.config.read_text() == before
    assert list(place.iterdir()) == []

    content = json.loads(before)
    content["task_source_directories"][0]["path"] = str(place / "pending")
    rig.config.write_text(json.dumps(content))
    done = rig.cli("doctor")
    assert done.returncode
    assert "closes such a path" in done.stdout + done.stderr
    done = rig.cli("daemon")
    assert done.returncode
    assert "closes such a path" in done.stderr


def test_a_link_to_one_is_refused(rig: Rig) -> None:
    place = rig.home / "back\\slash"
    (place / "pending").mkdir(parents=True)
    link = rig.home / "link"
    link.symlink_to(place)
    done = rig.cli("sources", "add", str(link), "--id", "b", "--project-workspace", str(rig.workspace))
    assert done.returncode
    assert "closes such a path" in done.stderr


def test_a_configuration_in_one_starts_no_agent(rig: Rig) -> None:
    """No agent may read it; a command needs no rules."""
    place = rig.home / "what?"
    place.mkdir()
    rig.config = rig.config.rename(place / "config.json")
    rig.start()
    rig.drop_command("task-a", "echo done >> log")
    assert rig.result("task-a")["success"]

    rig.drop("task-b", "Begin.\n")
    eventually(lambda: "closes such a path" in (rig.state()["sources"]["a"]["why"] or ""), what="the reason")
    assert rig.cli("status").returncode == 3
    assert not rig.locks()
