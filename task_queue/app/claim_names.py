"""How a request names the claim on whose behalf it is made."""

from __future__ import annotations

import re
from dataclasses import dataclass

from task_queue.domain.artifacts import ArtifactError

_FORM = re.compile(r"([A-Za-z0-9._~-]{1,680}) *; *epoch=(\d{1,9})")


@dataclass(frozen=True, slots=True)
class ClaimName:
    """``epoch``: the number of the attempt."""

    id: str
    epoch: int

    @classmethod
    def parsed(cls, header: str) -> ClaimName:
        """Of ``ID;epoch=N``. Raises ArtifactError."""
        match = _FORM.fullmatch(header.strip())
        if match is None:
            raise ArtifactError("Task-Queue-Claim must be 'ID;epoch=N'", code="bad_claim")
        return cls(match[1], int(match[2]))
