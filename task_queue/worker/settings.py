"""The settings of a worker, and its folders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from task_queue.config.locations import data_home, state_home
from task_queue.domain.policy import EVERYTHING, repository_name

Tell = Callable[[str], None]
"""Says one line to the person."""
USUAL_LEASE_S = 300.0


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``repositories`` are names ``host/owner/name``, or ``*``; ``sources``: only these, None: of every one."""

    server: str
    token_file: Path | None
    ca_file: Path | None = None
    slots: int = 1
    capabilities: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    sources: tuple[str, ...] | None = None
    lease_s: float = USUAL_LEASE_S
    drain: bool = False
    """End once there is no task left."""
    once: bool = False
    """End after one task."""

    def allows(self, repository: str) -> bool:
        """Whether the URL *repository* is one that may be fetched."""
        allowed = {each if each == EVERYTHING else repository_name(each) for each in self.repositories}
        return EVERYTHING in allowed or repository_name(repository) in allowed


@dataclass(frozen=True, slots=True)
class WorkerPlaces:
    """Folders of the worker for one server. ``data``: what its agents may see."""

    state: Path
    data: Path

    @property
    def config(self) -> Path:
        """The configuration of the private queue."""
        return self.state / "config.json"

    @property
    def lock(self) -> Path:
        """Locked by the worker for as long as it lives."""
        return self.state / "worker.lock"

    def pending(self, slot: int) -> Path:
        return self.state / "queues" / source_of(slot) / "pending"

    def workspaces(self, slot: int) -> Path:
        """Clones, and empty folders for tasks without a repository."""
        return self.data / source_of(slot)


def source_of(slot: int) -> str:
    """The private queue's source for *slot*, from 1."""
    return f"slot-{slot}"


def places_for(server: str, environ: Mapping[str, str] | None = None) -> WorkerPlaces:
    key = hashlib.sha256(server.rstrip("/").encode()).hexdigest()[:8]
    parts = ("task-queue", "workers", key)
    return WorkerPlaces(state_home(environ).joinpath(*parts), data_home(environ).joinpath(*parts))
