"""Tokens: made, used, expired, revoked; what is kept of them; how a wrong one is answered."""

from __future__ import annotations

import hmac
import json
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.policy import AccessPolicy, AccessRole
from task_queue.store.tokens import Tokens
from tests.api.bench import ApiBench

_NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
_POLICY = AccessPolicy((AccessRole.READ,), sources=("a",))


def test_a_token_opens_what_its_role_allows(bench: ApiBench) -> None:
    reader, admin = bench.token("reader", "read"), bench.token("boss", "admin")

    assert bench.get("/v1/health", token=reader).json["details"]["queued"] == 0
    assert bench.get("/v1/tokens", token=reader).code == "role_missing"
    assert [each["name"] for each in bench.get("/v1/tokens", token=admin).json["tokens"]] == [
        "reader",
        "boss",
    ]


@pytest.mark.parametrize("wrong", ["tq_", "tq_00000000_x", "nonsense", "Ümlaut", "a b"])
def test_a_wrong_one_is_refused(bench: ApiBench, wrong: str) -> None:
    assert bench.get("/v1/health", Authorization=f"Bearer {wrong}", token="").status in {200, 401}
    assert bench.get("/v1/tokens", token=wrong.encode().decode("latin-1")).code == "unauthorized"


def test_one_character_less_is_a_wrong_one(bench: ApiBench) -> None:
    token = bench.token("boss", "admin")

    assert bench.get("/v1/tokens", token=token).status == 200
    assert bench.get("/v1/tokens", token=token[:-1]).status == 401
    assert bench.get(f"/v1/tokens?token={token}", token="").status == 401


def test_it_is_revoked_at_once(bench: ApiBench) -> None:
    """Over the API or on the command line; its name stays taken, because tasks keep it."""
    token = bench.token("boss", "admin")
    listed = bench.get("/v1/tokens").json["tokens"][0]
    bench.rig.cli("tokens", "revoke", "boss", check=True)
    refused = bench.get("/v1/tokens", token=token).status
    again = bench.rig.cli("tokens", "create", "--name", "boss", "--role", "read")

    assert listed["good"]
    assert refused == 401
    assert again.returncode == 1
    assert bench.ask("DELETE", f"/v1/tokens/{listed['id']}").json["revoked_at"] is not None


def test_a_new_one_is_shown_once(bench: ApiBench) -> None:
    """What is kept is a hash, in a file for its owner; where nothing is listed, nothing is allowed."""
    made = bench.post("/v1/tokens", {"name": "ci", "roles": ["submit"], "expires": "90d"}).json
    kept = next((bench.rig.home / ".local/state/task-queue").glob("*/tokens.json"))

    assert made["token"].startswith(f"tq_{made['id']}_")
    assert made["allows_nothing"] == ["sources", "repositories", "types", "executors"]
    assert made["token"].split("_", 2)[2] not in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "token" not in bench.get("/v1/tokens").json["tokens"][0]


def test_wrong_ones_are_answered_later_and_later(bench: ApiBench) -> None:
    """The right one is not: on one machine all come from one address."""
    token = bench.token("boss", "admin")
    for _ in range(5):
        bench.get("/v1/tokens", token="tq_wrong")
    begun = time.monotonic()
    bench.get("/v1/tokens", token="tq_wrong")
    held_back = time.monotonic() - begun

    assert held_back > 1
    assert bench.get("/v1/tokens", token=token).status == 200


def test_a_hash_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where there is no such token."""
    compared: list[tuple[object, object]] = []

    def digest(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    tokens = Tokens(tmp_path / "tokens.json")
    kept, text = tokens.create("x", _POLICY, now=_NOW, expires_at=None)
    monkeypatch.setattr(hmac, "compare_digest", digest)

    assert tokens.behind(text, now=_NOW) is not None
    assert tokens.behind(f"tq_{kept.id}_wrong", now=_NOW) is None
    assert tokens.behind("tq_ffffffff_wrong", now=_NOW) is None
    assert len(compared) == 3


def test_it_expires(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path / "tokens.json")
    _, text = tokens.create("x", _POLICY, now=_NOW, expires_at=_NOW + timedelta(days=1))

    assert tokens.behind(text, now=_NOW + timedelta(hours=23)) is not None
    assert tokens.behind(text, now=_NOW + timedelta(hours=24)) is None


def test_its_last_use_is_noted(tmp_path: Path) -> None:
    """To the minute; a clock that went back is followed."""
    tokens = Tokens(tmp_path / "tokens.json")
    kept, _ = tokens.create("x", _POLICY, now=_NOW, expires_at=None)
    for seconds in (0, 30, 90, -600):
        tokens.note_use(kept.id, _NOW + timedelta(seconds=seconds))

    assert tokens.all()[0].last_used_at == _NOW - timedelta(seconds=600)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"roles": ["god"]},
        {"sha256": 5},
        {"own": "yes"},
        {"expires_at": "soon"},
        {"revoked_at": 3},
        {"created_at": None},
    ],
    ids=str,
)
def test_half_a_record_is_no_credential(tmp_path: Path, spoiled: dict[str, Any]) -> None:
    """What is not understood may have been a limit."""
    path = tmp_path / "tokens.json"
    tokens = Tokens(path)
    _, text = tokens.create("x", _POLICY, now=_NOW, expires_at=None)
    content = json.loads(path.read_text())
    content["tokens"][0] |= spoiled
    path.write_text(json.dumps(content))

    assert tokens.behind(text, now=_NOW) is None
