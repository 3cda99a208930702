"""A worker hands its commits in, from where an earlier try of it ended."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from task_queue.app.claiming import ClaimView
from task_queue.client import ApiError, Client
from task_queue.worker.held_claims import HeldTask
from task_queue.worker.uploads import upload_bundle
from tests.worker.test_parts import TASK, order

NAME = "commits-1.bundle"
BUNDLE = b"as git packed it now"


@dataclass
class Server:
    """It keeps what arrives, and refuses the last piece of what has another digest."""

    kept: bytes = b""
    starts: list[int] = field(default_factory=list[int])

    def uploaded(self, _task: str, _name: str) -> int | None:
        return len(self.kept) or None

    def upload(
        self, _task: str, _name: str, data: bytes, *, start: int, total: int, digest: str, claim: str
    ) -> None:
        assert claim == "c;epoch=1"
        self.starts.append(start)
        self.kept = self.kept[:start] + data
        found = base64.b64encode(hashlib.sha256(self.kept).digest()).decode()
        if len(self.kept) == total and digest != f"sha-256=:{found}:":
            self.kept = b""
            raise ApiError(422, "digest_mismatch", "what has arrived has another sha256")


@pytest.mark.parametrize(
    ("kept", "starts"),
    [
        (b"", [0]),
        (BUNDLE[:5], [5]),
        (b"other", [5, 0]),
        (b"a longer one of an earlier attempt", [0]),
    ],
)
def test_the_bundle_arrives_whole(tmp_path: Path, kept: bytes, starts: list[int]) -> None:
    """Also where what is there is the beginning of a bundle that was packed otherwise."""
    file, server = tmp_path / NAME, Server(kept)
    file.write_bytes(BUNDLE)
    claim = ClaimView("c", 1, datetime(2026, 2, 7, tzinfo=UTC), order())

    upload_bundle(cast("Client", server), HeldTask(1, "shop", claim, TASK), NAME, file)

    assert (server.kept, server.starts) == (BUNDLE, starts)
