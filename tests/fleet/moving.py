"""One source that is a folder here and one in a fleet, for the tests of what goes between the two."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import pytest

from task_queue.app.fleet import FleetPlace
from task_queue.app.fleet_moves import FleetMoves, export_tasks, import_tasks
from task_queue.app.installation import Installation
from task_queue.fleet.database import Database
from task_queue.store.folder.layout import Layout
from tests.acceptance.rig import Rig
from tests.fleet.test_engine import SOURCE, FleetBench
from tests.store.contract import EngineBench
from tests.store.test_folder import FolderBench

MOVES: dict[str, Callable[..., FleetMoves]] = {"import": import_tasks, "export": export_tasks}


class MovingBench:
    def __init__(
        self, home: Path, database: Database, place: FleetPlace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.home, self.place, self.database = home, place, database
        self.layout = Layout(home / "queue" / "pending")
        self.source = {
            "id": SOURCE,
            "path": str(self.layout.pending),
            "repository": "https://git.example.org/me/shop.git",
        }
        self.rig = Rig(home, task_source_directories=[self.source])
        self.layout.create()
        for name, value in self.rig.environment.items():
            monkeypatch.setenv(name, value)

    def write(self, name: str, text: str = "# Do it") -> Path:
        path = self.layout.pending / f"{name}.md"
        path.write_text(text)
        path.chmod(0o600)
        return path

    def move(self, way: str, *, dry_run: bool = False, source: str | None = None) -> FleetMoves:
        """As a command does it, on connections of its own."""
        installation = Installation(str(self.rig.config))
        return MOVES[way](installation, self.place, source=source, dry_run=dry_run)

    @property
    def here(self) -> list[str]:
        return sorted(path.stem for path in self.layout.pending.glob("task-*.md"))

    @property
    def there(self) -> list[str]:
        """What a host could claim."""
        return self.rows("SELECT name FROM task WHERE state = 'pending' AND move IS NULL ORDER BY name")

    @property
    def under_way(self) -> list[str]:
        """What is left of moves, in the folder and in the fleet."""
        names = sorted(path.name for path in self.layout.moving.glob("*"))
        return [
            *(name for name in names if name not in {".lock", ".id"} and not name.startswith(".tq-")),
            *self.rows("SELECT id::text FROM move"),
        ]

    @cached_property
    def folder(self) -> FolderBench:
        """As its own daemon has it."""
        return FolderBench(self.home)

    def rows(self, query: str) -> list[str]:
        with self.database.transaction() as cursor:
            cursor.execute(query.encode())
            return [str(row[0]) for row in cursor.fetchall()]

    def carry_out_everything(self) -> list[str]:
        """What the folder's own daemon and a host of the fleet find to do, each on its own; and what that was."""
        folder, fleet = self.folder, FleetBench(self.database, self.home / "scratch")
        folder.engine.touch()
        carried_out: list[str] = []
        benches: tuple[EngineBench, ...] = (folder, fleet)
        for bench in benches:
            for name in bench.waiting():
                bench.settle(bench.claim(name))
                carried_out.append(name)
        return carried_out
