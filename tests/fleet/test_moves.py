"""``fleet import`` and ``fleet export``: what goes, what stays and why, and what a person sees of it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.app.fleet import FleetPlace, fleet_status
from task_queue.domain.errors import EngineUnavailable, TaskQueueError, UnknownTaskError
from task_queue.domain.task import TaskId, TaskState
from task_queue.fleet.address import FleetAddress, fleet_address
from task_queue.fleet.database import Database
from task_queue.fleet.intake import submit
from task_queue.fleet.moves import FolderKey, let_leave
from task_queue.fleet.schema import demand_ready, set_up
from task_queue.platform.lockfile import locked
from task_queue.ports.leased_log import HeldFrames
from task_queue.store.folder.moves import FolderMoves
from tests.fleet.cluster import Cluster
from tests.fleet.machines import Machine
from tests.fleet.moving import MovingBench
from tests.fleet.test_engine import SOURCE, FleetBench
from tests.waiting import eventually


@pytest.fixture
def bench(
    cluster: Cluster,
    address: FleetAddress,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> MovingBench:
    return MovingBench(tmp_path, database, FleetPlace(cluster.url, address.schema), monkeypatch)


def reasons(bench: MovingBench, way: str, *, dry_run: bool = False) -> dict[str, str]:
    return {each.task_id: each.why for each in bench.move(way, dry_run=dry_run).stays}


def test_there_and_back_changes_no_byte(bench: MovingBench) -> None:
    """Also of what is no text; the time when it was dropped goes along, because the order goes by it."""
    texts = {"task-a": "# One\r\n\n", "task-b": "---\npriority: 7\ndepends_on: task-a\n---\n# Two"}
    for name, text in texts.items():
        os.utime(bench.write(name, text), (1_700_000_000, 1_700_000_000))
    (bench.layout.pending / "task-c.md").write_bytes(b"# \xff\n")
    there = bench.move("import")

    assert [each.task_id for each in there.moved] == ["task-a", "task-b"]
    assert [each.task_id for each in there.stays] == ["task-c"]
    assert (bench.here, bench.there, bench.under_way) == (["task-c"], ["task-a", "task-b"], [])
    back = bench.move("export")
    assert [each.task_id for each in back.moved] == ["task-a", "task-b"]
    assert (bench.there, bench.under_way) == ([], [])
    for name, text in texts.items():
        path = bench.layout.pending / f"{name}.md"
        assert path.read_bytes().decode() == text
        assert (path.stat().st_mtime, path.stat().st_mode & 0o777) == (1_700_000_000, 0o600)
    assert bench.carry_out_everything() == ["task-a", "task-b"]


def test_a_dry_run_touches_nothing(bench: MovingBench) -> None:
    bench.write("task-a")
    submit(bench.database, SOURCE, TaskId("task-b"), b"# It")
    would = [bench.move(way, dry_run=True) for way in ("import", "export")]

    assert [[each.task_id for each in done.moved] for done in would] == [["task-a"], ["task-b"]]
    assert (bench.here, bench.there, bench.layout.moving.exists()) == (["task-a"], ["task-b"], False)


def test_what_belongs_to_the_folder_stays_with_the_reason(bench: MovingBench) -> None:
    """And what depends on it: elsewhere that would never be known to have ended."""
    folder = bench.folder
    folder.settle(folder.claim(folder.drop("task-ended")))
    folder.claim(folder.drop("task-runs"))
    bench.write("task-after-it", "---\ndepends_on: task-ended\n---\n# It")
    bench.write("task-then", "---\ndepends_on: task-after-it\n---\n# It")
    bench.write("task-unknown", "---\ndepends_on: task-of-the-fleet\n---\n# It")
    bench.write("task-cancelled")
    (bench.layout.pending / ".task-cancelled.cancel").write_text("{}")
    bench.write("task-tried")
    (bench.layout.pending / ".task-tried.attempts.json").write_text(
        '{"task_id": "task-tried", "attempts": []}'
    )
    bench.write("task-with-files")
    bench.layout.artifacts(TaskId("task-with-files")).mkdir(parents=True)
    bench.write("task-bad", "---\npriority: much\n---\n# It")

    for dry_run in (True, False):
        stays = reasons(bench, "import", dry_run=dry_run)
        assert "priority" in stays.pop("task-bad")
        assert stays == {
            "task-after-it": "it depends on task-ended, which stays",
            "task-then": "it depends on task-after-it, which stays",
            "task-cancelled": "it is to be cancelled",
            "task-tried": "it was tried here before, and its attempts belong to this source",
            "task-with-files": "it has artifacts, which belong to this source",
        }
    assert (bench.there, bench.under_way) == (["task-unknown"], [])


def test_what_belongs_to_the_fleet_stays_with_the_reason(bench: MovingBench) -> None:
    fleet = FleetBench(bench.database, bench.home / "scratch")
    fleet.settle(fleet.claim(fleet.drop("task-ended")))
    tried = fleet.claim(fleet.drop("task-tried"))
    fleet.engine.queue.release(tried, fleet.engine.queue.journal(tried))
    fleet.engine.requests.request_cancel(fleet.drop("task-cancelled"))
    fleet.drop("task-after-it", "---\ndepends_on: task-runs\n---\n# It")
    fleet.drop("task-free", "---\ndepends_on: [task-of-a-folder, task-ended]\n---\n# It")
    fleet.claim(fleet.drop("task-runs"))
    bench.write("task-taken")
    fleet.drop("task-taken")

    for dry_run in (True, False):
        stays = reasons(bench, "export", dry_run=dry_run)
        taken = stays.pop("task-taken", "")
        assert stays == {
            "task-after-it": "it depends on task-runs, which stays",
            "task-cancelled": "it is to be cancelled",
            "task-tried": "it was tried in the fleet, which has its attempts",
        }
        assert dry_run or "waits in" in taken
    assert (bench.here, bench.under_way) == (["task-free", "task-taken"], [])
    assert "task-taken" in bench.there


def test_a_name_that_the_fleet_has_stays_here(bench: MovingBench) -> None:
    submit(bench.database, SOURCE, TaskId("task-a"), b"# Another")
    path = bench.write("task-a", "# Mine")

    assert "waits or runs in source 's' of the fleet" in reasons(bench, "import")["task-a"]
    assert (path.read_text(), bench.under_way) == ("# Mine", [])


def test_no_more_come_than_may_wait(bench: MovingBench) -> None:
    bench.rig.cli("config", "set", "sources.s.max_pending", "2", check=True)
    bench.write("task-a")
    for name in ("task-b", "task-c"):
        submit(bench.database, SOURCE, TaskId(name), b"# It")

    assert "max_pending" in reasons(bench, "export")["task-c"]
    assert (bench.here, bench.there) == (["task-a", "task-b"], ["task-c"])


def test_a_document_that_is_being_written_stays(bench: MovingBench) -> None:
    """By whoever had it open before: none of what it writes is lost."""
    path = bench.write("task-a")
    folder = FolderMoves(bench.layout)
    with path.open("a") as writer, folder.alone():
        with pytest.raises(TaskQueueError, match="being written"):
            folder.take(TaskId("task-a"), "fleet")
        writer.write(" now")

    assert (path.read_text(), bench.under_way) == ("# Do it now", [])


def test_what_leaves_cannot_be_claimed_or_cancelled(bench: MovingBench) -> None:
    fleet = FleetBench(bench.database, bench.home / "scratch")
    fleet.drop("task-a")
    fleet.waiting()
    key = FolderKey("7f1a0f0e-0000-4000-8000-000000000001", "elsewhere:/q")
    move = "7f1a0f0e-0000-4000-8000-000000000002"
    assert let_leave(bench.database, move, source=SOURCE, task_id=TaskId("task-a"), folder=key) is not None

    assert fleet.waiting() == []
    with pytest.raises(TaskQueueError, match="does not wait"):
        fleet.claim("task-a")
    with pytest.raises(UnknownTaskError):
        fleet.engine.requests.request_cancel(TaskId("task-a"))
    (seen,) = fleet_status(bench.place).moves
    assert (seen.way, seen.source, seen.task_id, seen.place) == ("export", SOURCE, "task-a", "elsewhere:/q")
    assert bench.move("export").moved == ()  # it is on its way to another folder


def test_two_at_once_take_turns(bench: MovingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_queue.store.folder.moves._LOCK_PATIENCE_S", 0.1)
    bench.move("import")
    with (
        locked(bench.layout.moving / ".lock"),
        pytest.raises(EngineUnavailable, match="another import or export"),
    ):
        bench.move("import")


def test_what_ended_in_the_fleet_comes_home(bench: MovingBench) -> None:
    """As if it had ended here: its result, report, log and document; and nothing of it twice."""
    for name in ("task-a", "task-b", "task-taken"):
        bench.write(name, f"# {name}")
    bench.move("import")
    fleet = FleetBench(bench.database, bench.home / "scratch")
    claim = fleet.claim("task-a")
    fleet.engine.leased.add_frames(claim, 0, ['{"seq": 1}', '{"seq": 2}'], held=HeldFrames(), room=1000)
    fleet.settle(claim)
    fleet.settle(fleet.claim("task-b"), TaskState.FAILED)
    fleet.settle(fleet.claim("task-taken"))
    bench.write("task-taken", "# Another")
    would, done, again = bench.move("export", dry_run=True), bench.move("export"), bench.move("export")

    for each in (would, done):
        assert [task.task_id for task in each.ended] == ["task-a", "task-b"]
        assert [(task.task_id, "another task of that name" in task.why) for task in each.stays] == [
            ("task-taken", True)
        ]
    assert (again.ended, bench.here) == ((), ["task-taken"])
    shown = bench.rig.json("tasks", "show", "task-a")
    assert (shown["state"], shown["task_id"]) == ("completed", "task-a")
    assert (bench.layout.root / "completed" / "task-a.md").read_text() == "# task-a"
    assert (bench.layout.root / "failed" / "task-b.md").read_text() == "# task-b"
    assert (
        bench.layout.log(TaskId("task-a")) / "attempt-1" / "transcript.jsonl"
    ).read_text().splitlines() == [
        '{"seq": 1}',
        '{"seq": 2}',
    ]
    assert [each["task_id"] for each in bench.rig.json("history")["tasks"]] == ["task-b", "task-a"]
    assert fleet.state_of("task-a") is TaskState.COMPLETED


def test_what_is_on_its_way_to_another_fleet_is_left_alone(
    bench: MovingBench, cluster: Cluster, address: FleetAddress
) -> None:
    other = Database(fleet_address(cluster.url, f"{address.schema}_2"))
    bench.write("task-a")
    folder = FolderMoves(bench.layout)
    try:
        set_up(other, None)
        with folder.alone():
            folder.take(TaskId("task-a"), demand_ready(other).id)
        for way in ("import", "export"):
            with pytest.raises(EngineUnavailable, match="another fleet") as refused:
                bench.move(way)
            assert "--schema" in str(refused.value.hint)
        bench.place = replace(bench.place, schema=other.address.schema)
        assert [each.task_id for each in bench.move("import").finished] == ["task-a"]
    finally:
        with other.transaction() as cursor:
            cursor.execute(f'DROP SCHEMA "{other.address.schema}" CASCADE'.encode())
        other.close()


def test_an_interrupted_move_is_named_until_it_is_finished(bench: MovingBench) -> None:
    """By doctor; and then once more what the commands say."""
    bench.write("task-a")
    bench.write("task-b")
    where = ("--db", bench.place.url, "--schema", bench.place.schema)
    with FolderMoves(bench.layout).alone():
        FolderMoves(bench.layout).take(TaskId("task-a"), demand_ready(bench.database).id)
    warned = bench.rig.cli("doctor").stdout
    moved = bench.rig.cli("fleet", "import", *where, check=True).stdout
    back = json.loads(
        bench.rig.cli("fleet", "export", *where, "--source", SOURCE, "--json", check=True).stdout
    )

    assert "1 task between" in warned
    assert "fleet import --db URL --source s" in " ".join(warned.split())
    assert "1 task of an interrupted move finished" in moved
    assert "1 task moved into fleet" in moved
    assert ([each["task_id"] for each in back["moved"]], back["way"]) == (["task-a", "task-b"], "export")
    assert "between" not in bench.rig.cli("doctor").stdout


def test_without_a_repository_nothing_goes_where_nobody_would_carry_it_out(bench: MovingBench) -> None:
    bench.rig.cli("config", "unset", "sources.s.repository", check=True)
    bench.write("task-a")

    assert reasons(bench, "import") == {
        "task-a": "its source has no repository: no other host carries its tasks out"
    }
    assert (bench.here, bench.there) == (["task-a"], [])


def test_a_machine_that_leaves_takes_its_tasks_along(
    cluster: Cluster, address: FleetAddress, database: Database, tmp_path: Path
) -> None:
    """What waits in its folders is the folders' alone afterwards: no other host carries it out."""
    front = Machine(tmp_path, "front", database, url=cluster.url, sources=("a",), shared=("app",), slots=0)
    for source in ("a", "app"):
        front.drop_command(f"task-{source}", "true", source=source)
    front.drop("task-done", "# It", source="app")
    where = ("--db", cluster.url, "--schema", address.schema)
    daemon = front.start()

    def rows() -> list[str]:
        with database.transaction() as cursor:
            cursor.execute("SELECT source || ' ' || name FROM task WHERE intake = 'front' ORDER BY id")
            return sorted(str(row[0]) for row in cursor.fetchall())

    eventually(lambda: len(rows()) == 3, what="all have come in")
    while_it_runs = front.cli("fleet", "export", *where)
    never = front.cli("fleet", "import", *where)
    front.stop(daemon)
    other = FleetBench(database, tmp_path / "other", host="other", source="app")
    other.claim("task-done")
    left = front.json("fleet", "export", *where)

    assert (while_it_runs.returncode, never.returncode) == (1, 1)
    assert "would bring the tasks in again" in while_it_runs.stderr
    assert "its daemon brings in what waits" in never.stderr
    assert [(each["source"], each["task_id"]) for each in left["moved"]] == [
        ("a", "task-a"),
        ("app", "task-app"),
    ]
    assert [(each["task_id"], each["why"]) for each in left["stays"]] == [
        ("task-done", "it runs on host other")
    ]
    assert rows() == ["app task-done"]
    assert other.waiting() == []
    assert [path.name for path in sorted(front.pending("app").glob("task-*.md"))] == [
        "task-app.md",
        "task-done.md",
    ]
    front.close()
