"""What a daemon remembers of the claims in its hands, so that no other process changes them unnoticed.

An agent runs as the same user as we do: without a sandbox it can write the lock, the history, the text and
the result of its own task. What is remembered here wins over what is there. It is forgotten with the
process; then the folder is believed again (``docs/security.md``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from task_queue.domain.model import Claim, Journal
from task_queue.domain.task import Task


@dataclass(slots=True)
class CachedClaim:
    """One claim, from its lock to the end of it."""

    claim: Claim
    token: str = ""
    """Empty for a claim that an earlier daemon made."""
    text: bytes | None = None
    """What was claimed; None where only the folder knows."""
    task: Task | None = None
    """What ``text`` parses to, once it was needed."""
    journal: Journal | None = None
    """The attempts before this one; None where only the folder knows."""
    refusal: str | None = None
    """Why it can only be settled as rejected."""
    root: tuple[int, int] | None = None
    """Device and inode of the queue's folder in which it was made or found."""
    ending: bytes | None = None
    """The ending that this process committed for it."""
    published: dict[Path, bytes] = field(default_factory=dict[Path, bytes])
    """What this process wrote about how it ended."""

    @property
    def made_here(self) -> bool:
        return bool(self.token)


class ClaimCache:
    """Of one source."""

    def __init__(self) -> None:
        self._by_document: dict[str, CachedClaim] = {}

    def __iter__(self) -> Iterator[CachedClaim]:
        return iter(tuple(self._by_document.values()))

    def add(self, cached: CachedClaim) -> None:
        self._by_document[cached.claim.document] = cached

    def drop(self, claim: Claim) -> None:
        if self.of(claim) is not None:
            del self._by_document[claim.document]

    def on(self, document: str) -> CachedClaim | None:
        return self._by_document.get(document)

    def of(self, claim: Claim) -> CachedClaim | None:
        """What is known of exactly this *claim*; None if it comes from another process."""
        cached = self._by_document.get(claim.document)
        if cached is None or cached.claim is claim:
            return cached
        return cached if cached.claim == claim else None
