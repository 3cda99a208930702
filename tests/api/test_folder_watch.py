"""Those who wait for changes in folders are told, by one instance that is there while somebody waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from task_queue.api.folder_watch import FolderWatch

_PATIENCE_S = 20.0


def instances() -> int:
    """How many of inotify this process has."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum("inotify" in str(link.readlink()) for link in links)


def run(scene: Callable[[FolderWatch], Awaitable[None]]) -> None:
    async def played() -> None:
        await scene(FolderWatch())

    asyncio.run(played())


def test_everyone_hears_of_a_change_in_their_folders_only(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "log").touch()

    async def scene(watch: FolderWatch) -> None:
        ears = [watch.watcher() for _ in range(3)]
        assert [ear.watch([folder]) for ear, folder in zip(ears, (one, one, other), strict=True)] == [
            True
        ] * 3
        with (one / "log").open("a") as file:
            file.write("grown")

        assert [await ear.wait(_PATIENCE_S) for ear in ears[:2]] == [True, True]
        assert not await ears[2].wait(0)
        for ear in ears:
            ear.close()

    run(scene)


def test_a_folder_that_is_replaced_is_watched_again(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()

    async def scene(watch: FolderWatch) -> None:
        ear = watch.watcher()
        ear.watch([folder])
        folder.rename(tmp_path / "aside")
        assert await ear.wait(_PATIENCE_S)
        assert not ear.watch([folder])
        folder.mkdir()
        assert ear.watch([folder])
        (folder / "new").touch()

        assert await ear.wait(_PATIENCE_S)
        ear.close()

    run(scene)


def test_a_change_between_two_waits_is_not_missed(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        ear = watch.watcher()
        ear.watch([tmp_path])
        (tmp_path / "new").touch()
        await asyncio.sleep(0)

        assert await ear.wait(_PATIENCE_S)
        ear.close()

    run(scene)


def test_nothing_is_kept_once_nobody_waits(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        before = instances()
        ears = [watch.watcher() for _ in range(5)]
        for ear in ears:
            ear.watch([tmp_path, tmp_path / "missing"])
        assert instances() == before + 1
        ears[0].watch([tmp_path / "missing"])
        for ear in ears:
            ear.close()

        assert instances() == before

    run(scene)


@pytest.mark.parametrize("folders", [["missing"], ["file"]], ids=["missing", "a file"])
def test_what_cannot_be_watched_is_said(tmp_path: Path, folders: list[str]) -> None:
    (tmp_path / "file").touch()

    async def scene(watch: FolderWatch) -> None:
        assert not watch.watcher().watch([tmp_path / folder for folder in folders])

    run(scene)


def test_waits_end_when_everyone_is_to_look(tmp_path: Path) -> None:
    async def scene(watch: FolderWatch) -> None:
        ear = watch.watcher()
        ear.watch([tmp_path])
        watch.end_waits()

        assert await ear.wait(_PATIENCE_S)
        ear.close()

    run(scene)
