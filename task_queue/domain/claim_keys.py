"""Keys under which workers ask for claims: by its key, a worker whose answer was lost gets its claim again.

What is kept of a key does not show the key, and shows the claim's token only together with the key. Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeptKey:
    """Of one claim. *proof*, here as in a claim, is that of ``domain.attempt.proof``: no other claim has the same."""

    mark: str
    """By which the key is known again."""
    token: str
    """The claim's, hidden by the key."""

    def token_for(self, key: str, proof: str) -> str | None:
        """The claim's token; None if the claim was not asked for under *key*."""
        if not hmac.compare_digest(self.mark, _drawn(key, "mark", proof).hex()):
            return None
        return _masked(self.token, key, proof)


def kept_key(key: str, *, proof: str, token: str) -> KeptKey:
    """*token*: 32 bytes in hexadecimal digits."""
    return KeptKey(_drawn(key, "mark", proof).hex(), _masked(token, key, proof))


def _masked(token: str, key: str, proof: str) -> str:
    mask = _drawn(key, "token", proof)
    return bytes(mine ^ other for mine, other in zip(bytes.fromhex(token), mask, strict=True)).hex()


def _drawn(key: str, use: str, proof: str) -> bytes:
    return hmac.digest(key.encode(), f"{use} {proof}".encode(), hashlib.sha256)
