"""The ids of claims: each says which attempt it is of, and holds the secret token of that attempt.

The run record of an attempt holds the hash of its token (``domain.attempt.proof``), so an id is known again after a
restart, and after the claim is over.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import cast

from task_queue.domain.document.naming import is_task_id
from task_queue.domain.task import TaskId
from task_queue.ports.claims import UnknownClaimError

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class ClaimId:
    source: str
    task_id: TaskId
    attempt: int
    token: str

    def __str__(self) -> str:
        parts = [self.source, self.task_id, self.attempt]
        text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
        return f"{_text_of(text.encode())}.{_text_of(bytes.fromhex(self.token))}"


def claim_id_in(text: str) -> ClaimId:
    """Raises UnknownClaimError."""
    name, _, token = text.partition(".")
    content, secret = cast("object", None), ""
    if len(text) <= _LONGEST:
        try:
            content, secret = json.loads(_bytes_in(name)), _bytes_in(token).hex()
        except (ValueError, binascii.Error, RecursionError):
            content = None
    match content:
        case [str(source), str(task_id), int(attempt)] if is_task_id(task_id) and attempt > 0:
            return ClaimId(source, TaskId(task_id), attempt, secret)
        case _:
            raise UnknownClaimError("there is no such claim")


def _text_of(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes_in(text: str) -> bytes:
    """Raises ValueError."""
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
