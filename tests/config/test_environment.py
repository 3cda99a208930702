"""What an agent gets of the environment that the queue runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from task_queue.config.environment import agent_environment
from task_queue.config.schema import Agent


def given(
    tmp_path: Path, own: Path, path: str, *, pass_env: tuple[str, ...] = (), **more: str
) -> dict[str, str]:
    environ = {"HOME": str(tmp_path), "PATH": path, **more}
    return agent_environment(Agent(pass_env=pass_env), environ, own=own)


def test_the_programs_of_the_queues_own_environment_are_not_on_the_path(tmp_path: Path) -> None:
    """By whatever path the folder is named; nor are relative entries. The others keep their order."""
    own = tmp_path / "queue"
    (own / "bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to(own)
    path = f"{own}/bin:/opt/tools:{tmp_path}/link/bin:{tmp_path}/other/bin::relative:/usr/bin"

    assert given(tmp_path, own, path)["PATH"] == f"/opt/tools:{tmp_path}/other/bin:/usr/bin"


@pytest.mark.parametrize("below", [".local", "."])
def test_a_general_folder_of_the_owners_stays(tmp_path: Path, below: str) -> None:
    own = tmp_path / below
    (own / "bin").mkdir(parents=True)

    assert given(tmp_path, own, f"{own}/bin:/usr/bin")["PATH"] == f"{own}/bin:/usr/bin"


def test_a_path_with_nothing_else_becomes_the_systems(tmp_path: Path) -> None:
    assert given(tmp_path, tmp_path / "queue", f"{tmp_path}/queue/bin")["PATH"] == "/bin:/usr/bin"


def test_nor_does_the_owners_own_path_lead_into_a_working_directory(tmp_path: Path) -> None:
    """The one in ``agent.env`` either: git and its hooks are found by it, in workspaces."""
    agent = Agent(env={"PATH": "node_modules/.bin:.::/usr/bin"})

    assert agent_environment(agent, {}, own=tmp_path)["PATH"] == "/usr/bin"


def test_variables_that_lead_into_it_do_not_pass_also_where_they_are_named(tmp_path: Path) -> None:
    own, names = tmp_path / "queue", ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME", "PYTHONPATH")
    values: dict[str, Any] = {
        "VIRTUAL_ENV": str(own),
        "VIRTUAL_ENV_PROMPT": "(queue)",
        "PYTHONHOME": str(own),
        "PYTHONPATH": f"{own}/lib:/opt/modules",
    }

    found = given(tmp_path, own, "/usr/bin", pass_env=names, **values)

    assert found == {"HOME": str(tmp_path), "PATH": "/usr/bin", "PYTHONPATH": "/opt/modules"}


def test_an_environment_of_the_owners_passes_where_it_is_named(tmp_path: Path) -> None:
    names = ("VIRTUAL_ENV", "PYTHONPATH")
    values: dict[str, Any] = {"VIRTUAL_ENV": f"{tmp_path}/mine", "PYTHONPATH": f"{tmp_path}/queue-modules"}

    found = given(tmp_path, tmp_path / "queue", "/usr/bin", pass_env=names, **values)

    assert {name: found[name] for name in names} == values
    assert "VIRTUAL_ENV" not in given(tmp_path, tmp_path / "queue", "/usr/bin", **values)
