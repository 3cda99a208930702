"""Which files of a folder without git a task changed, by real files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.domain.work.folder_changes import FolderChanges
from task_queue.git import folder_files
from task_queue.git.folder_files import first_look_at, first_looks_in, forget_first_look, look_at
from task_queue.ports.executor import Order
from tests.agents.test_executors import order_for


@pytest.fixture
def order(tmp_path: Path) -> Order:
    order = order_for(tmp_path, "")
    (order.workspace / "kept.txt").write_text("as it was")
    (order.workspace / "old.txt").write_text("old")
    return order


def named(changes: FolderChanges | None) -> dict[str, str]:
    assert changes is not None
    return {file.path: file.change for file in changes.paths}


def test_new_changed_and_deleted_files_are_named(order: Order) -> None:
    before = look_at(order)

    (order.workspace / "sub").mkdir()
    (order.workspace / "sub/new.txt").write_text("new")
    (order.workspace / "old.txt").unlink()
    (order.workspace / "kept.txt").write_text("as it is")

    assert named(before.changes()) == {"sub/new.txt": "new", "old.txt": "deleted", "kept.txt": "changed"}


def test_a_change_is_seen_whose_size_and_time_were_put_back(order: Order) -> None:
    path = order.workspace / "kept.txt"
    about = path.stat()
    before = look_at(order)

    path.write_text("as it WAS")
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))

    assert named(before.changes()) == {"kept.txt": "changed"}


def test_a_later_attempt_compares_with_what_the_first_found(order: Order) -> None:
    first_look_at(order)
    (order.workspace / "of-the-first.txt").write_text("1")

    again = first_look_at(order)
    (order.workspace / "of-the-second.txt").write_text("2")

    assert named(again.changes()) == {"of-the-first.txt": "new", "of-the-second.txt": "new"}
    assert list(first_looks_in(order.git.worktrees)) == [order.claim.task_id]


def test_a_task_that_is_done_or_works_elsewhere_begins_anew(order: Order, tmp_path: Path) -> None:
    first_look_at(order)
    (order.workspace / "work.txt").write_text("1")
    (tmp_path / "elsewhere").mkdir()

    assert named(first_look_at(replace(order, workspace=tmp_path / "elsewhere")).changes()) == {}
    forget_first_look(order)

    assert named(first_look_at(order).changes()) == {}


@pytest.mark.parametrize("content", [b"", b"{", b'{"folder": "/x", "files": {"a": [1]}}'])
def test_a_record_that_cannot_be_read_is_made_again(order: Order, content: bytes) -> None:
    first_look_at(order)
    (record,) = first_looks_in(order.git.worktrees).values()
    record.write_bytes(content)

    assert named(first_look_at(order).changes()) == {}


def test_what_tools_leave_and_the_queues_own_folders_are_no_work(order: Order) -> None:
    order = replace(order, queue_dirs=(order.workspace / "tasks",))
    before = look_at(order)

    for name in (
        *("tasks/pending/task-b.md", "__pycache__/a.pyc", "node_modules/x/index.js", ".git/index"),
        *("env/pyvenv.cfg", "env/bin/python", ".coverage"),
    ):
        path = order.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    assert named(before.changes()) == {}


def test_links_are_not_followed(order: Order, tmp_path: Path) -> None:
    (order.workspace / "out").symlink_to(tmp_path)
    before = look_at(order)

    (tmp_path / "outside.txt").write_text("")
    (order.workspace / "loop").symlink_to(order.workspace)

    assert named(before.changes()) == {"loop": "new"}


def test_a_folder_with_too_many_files_is_said_to_be_one(
    order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_files, "MOST_FILES", 1)

    found = first_look_at(order)

    assert found.changes() is None
    assert "holds more than 1 files" in str(found.note)
