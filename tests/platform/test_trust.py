"""Whom a path is left to: owners, modes, links, and every folder on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from task_queue.platform import trust
from tests.counting import counting

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder that is ours alone."""
    tmp_path.chmod(0o700)
    (tmp_path / "queue").mkdir(mode=0o700)
    return tmp_path


def told(path: Path) -> list[tuple[str, bool]]:
    return [(problem.fix, problem.grave) for problem in trust.problems(path)]


def test_what_is_ours_alone_is_trusted(home: Path) -> None:
    """Below a sticky /tmp, too."""
    assert trust.problems(home / "queue") == []


@pytest.mark.parametrize(("mode", "grave"), [(0o757, True), (0o775, False), (0o1777, None), (0o750, None)])
def test_who_may_write_a_folder(home: Path, mode: int, grave: bool | None) -> None:
    """Everybody: refused. Its group: told. Everybody, but sticky: as /tmp, fine."""
    queue = home / "queue"
    queue.chmod(mode)

    found = told(queue)

    who = "o" if grave else "g"
    assert found == ([] if grave is None else [(f"chmod {who}-w {queue}", grave)])


def test_a_sticky_file_is_no_sticky_folder(home: Path) -> None:
    """The bit protects names in a folder, not a file's content."""
    config = home / "config.json"
    config.touch()
    config.chmod(0o1666)

    assert told(config)[0] == (f"chmod o-w {config}", True)


def test_a_folder_above_counts(home: Path) -> None:
    """Who can rename the queue's parent puts a queue of his own there."""
    home.chmod(0o777)

    assert told(home / "queue" / "pending") == [(f"chmod o-w {home}", True), (f"chmod g-w {home}", False)]


def test_the_way_through_a_link_counts(home: Path) -> None:
    """Both where the link lies and where it leads."""
    (home / "open").mkdir()
    (home / "open" / "link").symlink_to(home / "queue")
    (home / "open").chmod(0o777)
    (home / "safe").symlink_to("open/../open")

    assert told(home / "open" / "link") == told(home / "open")
    assert told(home / "safe") == told(home / "open")
    assert told(home / "queue") == []


def test_many_paths_are_judged_as_each_alone(home: Path) -> None:
    """What is above several of them is looked at once, and a link is followed."""
    (home / "open").mkdir()
    (home / "open" / "below").mkdir()
    (home / "open").chmod(0o777)
    (home / "safe").symlink_to("open/../open")
    paths = [home / "queue", home / "open" / "below", home / "safe" / "below", home / "nowhere" / "x"]
    judged: trust.JudgedWays = {}
    together = [trust.grave_problem(path, judged=judged) for path in paths]

    assert together == [trust.grave_problem(path) for path in paths]
    assert [problem is None for problem in together] == [True, False, False, True]
    with counting() as (calls, _):
        trust.grave_problem(*paths, judged=judged)
    assert calls["lstat"] == 0


def test_links_in_a_circle_end(home: Path) -> None:
    """Whoever opens the path gets the error; the check only has to end."""
    (home / "a").symlink_to("b")
    (home / "b").symlink_to("a")

    assert trust.problems(home / "a" / "x") == []


@needs_root
@pytest.mark.parametrize("what", ["folder", "link"])
def test_another_users_name_is_refused(home: Path, what: str) -> None:
    """A link in a sticky folder included: its owner can point it elsewhere."""
    if what == "folder":
        place = home / "queue"
        os.chown(place, 12345, 0)
    else:
        place = home / "link"
        place.symlink_to(home / "queue")
        os.lchown(place, 12345, 0)

    (problem,) = trust.problems(place / "pending")
    assert problem.grave
    assert "uid 12345" in problem.what
    assert problem.fix.endswith(str(place))


def test_the_fix_survives_a_shell(home: Path) -> None:
    """It is meant to be pasted."""
    odd = home / "a b;reboot"
    odd.mkdir()
    odd.chmod(0o707)

    assert told(odd) == [(f"chmod o-w '{odd}'", True)]
