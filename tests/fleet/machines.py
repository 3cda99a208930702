"""Machines of a fleet: each a home of its own with the real daemon, all on one database."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from task_queue.fleet.address import FleetAddress
from task_queue.fleet.database import Database
from task_queue.fleet.roster import add_host
from tests.acceptance.rig import Rig, command_document

REPOSITORY = "https://git.example.org/team/app"


class Machine(Rig):
    """*shared* sources have the same repository on each machine, so their tasks run anywhere."""

    def __init__(
        self,
        home: Path,
        name: str,
        database: Database,
        *,
        url: str,
        sources: tuple[str, ...] = ("a",),
        shared: tuple[str, ...] = (),
        slots: int = 4,
        **config: Any,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        credential = home / "credential"
        credential.write_text(add_host(database, name, ()))
        credential.chmod(0o600)
        address: FleetAddress = database.address
        super().__init__(
            home,
            sources=(*sources, *shared),
            fleet={
                "db": url,
                "tables": address.schema,
                "host": name,
                "credential_file": str(credential),
                "slots": slots,
            },
            **config,
        )
        self.name = name
        content = json.loads(self.config.read_text())
        for source in content["task_source_directories"]:
            if source["id"] in shared:
                source["repository"] = REPOSITORY
        self.config.write_text(json.dumps(content))

    def daemon_process(self) -> psutil.Process:
        return psutil.Process(self.daemons[-1].pid)

    def run_lines(self, source: str = "a") -> list[dict[str, Any]]:
        """What ``status`` says that runs."""
        view: dict[str, Any] = self.json("status")
        return [line for each in view["sources"] if each["id"] == source for line in each["running"]]


MakeMachine = Callable[..., Machine]


def noting(notes: Path, name: str, *more: str, takes: bool = False, **keys: object) -> str:
    """A task that appends a line to *notes* when it begins: its name and its host's home.

    *takes*: one when it ends, too, and each says which it is, and when: seconds since the machine was started.
    """
    if not takes:
        return command_document("\n".join([f'echo "{name} $HOME" >> {notes}', *more]), **keys)
    note = f'read up rest < /proc/uptime; echo "{{}} {name} $HOME $up" >> {notes}'
    return command_document("\n".join([note.format("start"), *more, note.format("end")]), **keys)
