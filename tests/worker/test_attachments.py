"""A worker fetches the files of a task in pieces, and keeps none that is not what its order says."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from task_queue.app.claiming import ClaimView
from task_queue.client import Client
from task_queue.domain.artifacts import ArtifactError
from task_queue.store.folder.artifacts import Artifacts
from task_queue.store.folder.layout import Layout
from task_queue.worker.attachments import fetch_attachments
from task_queue.worker.held_claims import HeldTask
from tests.worker.test_parts import TASK, order

CONTENT = b"0123456789"


@dataclass
class Server:
    """What it has, and which pieces it was asked for."""

    content: bytes = CONTENT
    asked: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def artifact(self, _task: str, _name: str, *, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self.content[offset : offset + length]


def listed(**changed: Any) -> dict[str, Any]:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return {"name": "a.csv", "size": len(CONTENT), "sha256": digest, "media_type": "text/csv"} | changed


def held(*artifacts: dict[str, Any]) -> HeldTask:
    claim = ClaimView("c", 1, datetime(2026, 2, 7, tzinfo=UTC), order(artifacts=artifacts))
    return HeldTask(1, "shop", claim, TASK)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    pending = tmp_path / "queue" / "pending"
    pending.mkdir(parents=True)
    return Artifacts(Layout(pending), TASK)


def fetch(server: Server, of: HeldTask, artifacts: Artifacts) -> None:
    fetch_attachments(cast("Client", server), of, artifacts)


def test_what_is_fetched_is_not_fetched_again(artifacts: Artifacts) -> None:
    """With its type; commits that an earlier attempt handed in are left where they are."""
    server = Server()
    bundle = listed(name="commits-1.bundle", media_type="application/x-git-bundle")
    for _ in range(2):
        fetch(server, held(listed(), bundle), artifacts)

    stored = artifacts.stored()
    assert [(each.name, each.size, each.media_type) for each in stored] == [("a.csv", 10, "text/csv")]
    assert (artifacts.folder / "a.csv").read_bytes() == CONTENT
    assert server.asked == [(0, 10)]


def test_it_goes_on_where_a_kill_ended_it(artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("task_queue.worker.attachments._PIECE", 4)
    upload = artifacts.begin("a.csv", offset=None, most_bytes=100)
    upload.write(CONTENT[:4])
    upload.close()
    server = Server()
    fetch(server, held(listed()), artifacts)

    assert server.asked == [(4, 4), (8, 2)]
    assert artifacts.stored()[0].sha256 == listed()["sha256"]


@pytest.mark.parametrize(
    ("server", "wanted"),
    [
        (Server(b"012345678X"), listed()),
        (Server(b"01234"), listed()),
        (Server(), listed(name="../a.csv")),
        (Server(), listed(media_type="text/html")),
    ],
    ids=["other content", "shorter", "a path", "a type that is not accepted"],
)
def test_what_is_not_as_the_order_says_is_not_kept(
    artifacts: Artifacts, server: Server, wanted: dict[str, Any]
) -> None:
    with pytest.raises(ArtifactError):
        fetch(replace(server, asked=[]), held(wanted), artifacts)

    assert artifacts.stored() == ()
    assert artifacts.partial() == ()
