"""Tokens of an identity provider, whose keys are made here."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.api.bench import ApiBench

_ISSUER, _AUDIENCE = "https://id.example.org", "task-queue"


class Provider:
    """Signs with its present key; its public keys are in a file."""

    def __init__(self, keys: Path) -> None:
        self._path = keys
        self.rotate("1")

    def rotate(self, key_id: str) -> None:
        self.key_id, self.key = key_id, ec.generate_private_key(ec.SECP256R1())
        public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        self.public = {**public, "kid": key_id, "alg": "ES256", "use": "sig"}
        self._path.write_text(json.dumps({"keys": [self.public]}))

    def token(self, *, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        now = int(time.time())
        said = {"iss": _ISSUER, "aud": _AUDIENCE, "sub": "ann", "exp": now + 600, "groups": ["dev"], **claims}
        said = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(said, key or self.key, algorithm=algorithm, headers={"kid": self.key_id})


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path / "keys.json")


@pytest.fixture
def served(a_bench: Callable[..., ApiBench], provider: Provider, tmp_path: Path) -> ApiBench:
    everything = {name: ["*"] for name in ("sources", "repositories", "types", "capabilities", "executors")}
    oidc = {
        "issuer": _ISSUER,
        "audience": _AUDIENCE,
        "jwks_file": str(tmp_path / "keys.json"),
        "algorithms": ["ES256"],
        "leeway_s": 0,
        "policies": {"dev": {"roles": ["submit"], **everything}},
    }
    bench = a_bench(api={"oidc": oidc})
    bench.start()
    return bench


def test_a_claim_leads_to_a_policy(served: ApiBench, provider: Provider) -> None:
    """The subject is kept; after a change of keys the old ones are refused; without a policy it is 403."""
    body = {"title": "Hello", "instructions": "echo", "executor": "sh"}
    old = provider.token()
    task = served.post("/v1/tasks", body, token=old)
    provider.rotate("2")

    assert (task.status, task.json["submitted_by"]) == (202, "oidc:ann")
    assert served.get("/v1/tasks", token=old).status == 401
    assert served.get("/v1/tasks", token=provider.token()).status == 200
    assert served.get("/v1/tokens", token=provider.token()).code == "role_missing"
    assert served.get("/v1/tasks", token=provider.token(groups=["guests"])).code == "no_policy"
    assert served.get("/v1/tasks", token=provider.token(groups=None)).code == "no_policy"


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another"},
        {"iss": "https://evil.example"},
        {"exp": 1_700_000_000},
        {"exp": None},
        {"sub": None},
        {"nbf": 4_000_000_000},
    ],
    ids=str,
)
def test_a_claim_that_is_wrong_or_missing(
    served: ApiBench, provider: Provider, claims: dict[str, Any]
) -> None:
    assert served.get("/v1/tasks", token=provider.token(**claims)).code == "unauthorized"


def test_what_it_says_of_its_algorithm_is_not_asked(served: ApiBench, provider: Provider) -> None:
    """Unsigned, signed with the public key as a secret, signed by another with the same key's id."""

    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    claims = provider.token().split(".")[1]
    unsigned = f"{part({'alg': 'none', 'kid': '1'})}.{claims}."
    head = f"{part({'alg': 'HS256', 'kid': '1'})}.{claims}"
    digest = hmac.new(json.dumps(provider.public).encode(), head.encode(), hashlib.sha256).digest()
    confused = f"{head}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
    foreign = provider.token(key=ec.generate_private_key(ec.SECP256R1()))

    for token in (unsigned, confused, foreign, "a.b.c"):
        assert served.get("/v1/tasks", token=token).code == "unauthorized"
