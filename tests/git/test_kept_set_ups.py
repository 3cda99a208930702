"""What set-up made: kept, copied, moved, and given up once it is not as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from task_queue.git.kept_set_ups import LONGEST_KEPT, MOST_KEPT, KeptSetUp, KeptSetUps, UnusableError

NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> KeptSetUps:
    return KeptSetUps(tmp_path / "state" / "set-ups")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A checkout in which set-up has made an environment that holds its own path."""
    place = tmp_path / "made" / "1"
    (place / ".venv/bin").mkdir(parents=True)
    (place / ".venv/bin/python").symlink_to("/bin/sh")
    (place / ".venv/bin/self").symlink_to(place / ".venv/bin/tool")
    tool = place / ".venv/bin/tool"
    tool.write_text(f'#!{place}/.venv/bin/python\necho "I am {place}"\n')
    tool.chmod(0o755)
    os.utime(tool, ns=(1, 1_000_000_001))
    return place


def about(place: Path, **changes: object) -> KeptSetUp:
    blank = KeptSetUp(
        key="k" * 64,
        place=place,
        repository=place,
        commit="c",
        commands=("make it",),
        made_at=NOW,
        paths=(".venv",),
        seal="",
        count=0,
        size_bytes=0,
    )
    return replace(blank, **changes)  # type: ignore[arg-type]  # of a test


def checkout(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.mkdir()
    return path


def test_a_copy_shares_nothing_and_is_as_it_was(store: KeptSetUps, made: Path) -> None:
    """In the same place: times, modes and links, too. What is written to the copy is not in the next one."""
    store.keep(about(made), most_bytes=None)
    tool = made / ".venv/bin/tool"
    before = (tool.read_text(), tool.stat().st_mtime_ns, tool.stat().st_mode)
    for _ in range(2):
        subprocess.run(["rm", "-r", str(made / ".venv")], check=True)
        found = store.find("k" * 64, made)
        assert found is not None
        store.give(found, made)
        assert (tool.read_text(), tool.stat().st_mtime_ns, tool.stat().st_mode) == before
        with tool.open("a") as file:
            file.write("echo poisoned\n")
        (made / ".venv/bin/sitecustomize.py").touch()

    assert (made / ".venv/bin/python").readlink() == Path("/bin/sh")


def test_moved_it_names_its_new_place(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    kept, there = store.keep(about(made), most_bytes=None), checkout(tmp_path, "task-a")
    store.give(kept, there)

    said = subprocess.run([there / ".venv/bin/tool"], capture_output=True, text=True, check=True).stdout
    assert said == f"I am {there}\n"
    assert (there / ".venv/bin/self").readlink() == there / ".venv/bin/tool"


def test_a_script_in_a_deep_place_still_starts(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    """Kernels read a limited part of the first line."""
    deep = tmp_path.joinpath(*["folder" * 5] * 6)
    deep.mkdir(parents=True)
    store.give(store.keep(about(made), most_bytes=None), deep)
    (deep / ".venv/bin/python").unlink()
    (deep / ".venv/bin/python").symlink_to("/bin/echo")

    said = subprocess.run([deep / ".venv/bin/tool", "x"], capture_output=True, text=True, check=True).stdout
    assert said == f"{deep}/.venv/bin/tool x\n"


def test_what_cannot_be_moved_stays(store: KeptSetUps, made: Path) -> None:
    (made / ".venv/program").write_bytes(b"\0" + os.fsencode(made) + b"\0")
    (made / ".venv/module.pyc").write_bytes(b"\0" + os.fsencode(made) + b"\0")
    kept = store.keep(about(made), most_bytes=None)

    assert ".venv/program" in kept.stays


def _with_other_letters(path: Path) -> None:
    """As long as before."""
    path.write_text(path.read_text().replace("echo", "evil"))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: (files / ".venv/bin/sitecustomize.py").write_text("import evil"),
        lambda files: (files / ".venv/bin/tool").write_text("evil"),
        lambda files: _with_other_letters(files / ".venv/bin/tool"),
        lambda files: (files / ".venv/bin/tool").unlink(),
        lambda files: (files / ".venv/bin/tool").rename(files / ".venv/bin/pip"),
        lambda files: (files / ".venv/bin/tool").chmod(0o777),
        lambda files: (files / ".venv/bin").rename(files / ".venv/lib"),
    ],
)
def test_one_that_was_changed_is_not_used(
    store: KeptSetUps, made: Path, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """Also with the times put back; nothing of it is in the checkout, and it is made anew."""
    kept, there = store.keep(about(made), most_bytes=None), checkout(tmp_path, "task-a")
    tool = store.files_of(kept) / ".venv/bin/tool"
    times = (tool.stat().st_atime_ns, tool.stat().st_mtime_ns)
    change(store.files_of(kept))
    if tool.exists():
        os.utime(tool, ns=times)

    with pytest.raises(UnusableError, match="changed by another program"):
        store.give(kept, there)
    assert list(there.iterdir()) == []
    assert store.find(kept.key) is None


def test_an_interpreter_that_is_another_one_by_now(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    interpreter = tmp_path / "python3"
    interpreter.write_text("one")
    (made / ".venv/bin/python").unlink()
    (made / ".venv/bin/python").symlink_to(interpreter)
    kept = store.keep(about(made), most_bytes=None)
    interpreter.write_text("another")

    with pytest.raises(UnusableError, match="another one"):
        store.give(kept, checkout(tmp_path, "task-a"))


def test_a_file_of_the_task_in_its_place_is_left_alone(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    """Or a link: nothing is written where it leads."""
    kept, there = store.keep(about(made), most_bytes=None), checkout(tmp_path, "task-a")
    (there / ".venv").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnusableError, match="in its place"):
        store.give(kept, there)
    assert (there / ".venv").is_symlink()


def test_below_a_link_nothing_is_written(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    (made / "web/node_modules").mkdir(parents=True)
    kept = store.keep(about(made, paths=("web/node_modules",)), most_bytes=None)
    there, elsewhere = checkout(tmp_path, "task-a"), checkout(tmp_path, "elsewhere")
    (there / "web").symlink_to(elsewhere)

    with pytest.raises(UnusableError):
        store.give(kept, there)
    assert list(elsewhere.iterdir()) == []


def test_too_much_is_refused_and_remembered(store: KeptSetUps, made: Path, tmp_path: Path) -> None:
    refused = store.keep(about(made), most_bytes=10)
    found = store.find("k" * 64)

    assert found == refused
    assert not store.files_of(refused).exists()
    with pytest.raises(UnusableError, match="more than"):
        store.give(refused, checkout(tmp_path, "task-a"))


def test_a_pipe_is_refused(store: KeptSetUps, made: Path) -> None:
    os.mkfifo(made / ".venv/pipe")

    assert "not a file" in store.keep(about(made), most_bytes=None).refused


def test_the_old_and_the_many_go(store: KeptSetUps, made: Path) -> None:
    """By number, by age since they were made, by time without use, and by size; never one of another source."""
    for number in range(MOST_KEPT + 2):
        store.keep(about(made, key=f"{number}" * 64), most_bytes=None)

    assert len(store.prune(period=None, size_bytes=None, now=NOW)) == 2
    size = next(store.all()).size_bytes
    assert len(store.prune(period=None, size_bytes=2 * size, now=NOW)) == MOST_KEPT - 2
    assert len(store.prune(period=timedelta(hours=1), size_bytes=None, now=NOW + timedelta(hours=2))) == 2
    old = store.keep(about(made, made_at=NOW - LONGEST_KEPT), most_bytes=None)
    assert store.find(old.key) is None
    assert store.prune(period=None, size_bytes=None, now=NOW) == [old]


def test_what_a_killed_process_left_goes(store: KeptSetUps, made: Path) -> None:
    """A copy that was not finished is never used, and is removed."""
    kept = store.keep(about(made), most_bytes=None)
    half = store.files_of(kept).with_name(".new-99999999-kkkk-1")
    half.mkdir()
    store.prune(period=None, size_bytes=None, now=NOW)

    assert not half.exists()
    assert store.find(kept.key) == kept


def test_a_record_that_cannot_be_read_counts_as_none(store: KeptSetUps, made: Path) -> None:
    kept = store.keep(about(made), most_bytes=None)
    store.files_of(kept).with_name(f"{store.files_of(kept).name}.json").write_text("[")

    assert store.find(kept.key) is None
    assert store.keep(about(made), most_bytes=None).seal
