"""The locks of a source: whose they are, and that they are there as they were published.

Only the one who serves a source makes locks in it, so what appears meanwhile, or is changed, is a hand's or a
task's doing: put away, or restored.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Callable

from task_queue.domain.document import naming
from task_queue.domain.model import Claim
from task_queue.platform import durable
from task_queue.ports.store import Notes
from task_queue.store.folder.claim_cache import CachedClaim, ClaimCache
from task_queue.store.folder.files import read_record
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.records import DocumentFile, LockFile, lock_bytes


class Locks:
    """Of one source. Every method raises OSError."""

    def __init__(
        self, layout: Layout, cache: ClaimCache, notes: Notes | None, touch: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._cache = cache
        self._notes = notes
        self._touch = touch
        self._doubted: set[str] = set()
        """Documents with a lock that is not what it should be, of which a runner may still live."""

    def all(self) -> dict[str, Claim]:
        """What each lock says, by its name; none whose ids could not be those of a lock of that name."""
        return {name: claim for name, claim in self._readable().items() if _is_named_so(name, claim)}

    def take_over(self) -> None:
        """What an earlier daemon left in hand is in ours now, unless it differs from what that one noted."""
        for claim in self.all().values():
            if self._confirmed(claim) is False:
                self._doubted.add(claim.document)
            else:
                self._cache.add(CachedClaim(claim, root=self.root()))

    def known(self) -> tuple[Claim, ...]:
        """Claims in our hands, each lock restored; locks without an owner are put away."""
        for cached in self._cache:
            self._restore(cached)
        known: list[Claim] = []
        for name, claim in self._readable().items():
            if _is_named_so(name, claim) and self._is_known(claim):
                known.append(claim)
            else:
                self.clear_away(name)
        return tuple(known)

    def is_present(self, claim: Claim) -> bool:
        lock = read_record(LockFile, self._layout.lock(claim.document))
        return isinstance(lock, LockFile) and lock.claim == claim

    def is_restored(self, claim: Claim) -> bool:
        """Whether the lock of *claim*, if that is in our hands, is there again as it was."""
        cached = self._cache.of(claim)
        return cached is not None and self._restore(cached)

    def is_restored_on(self, document: str) -> bool:
        """Whether *document* only looked as if it were waiting."""
        cached = self._cache.on(document)
        return cached is not None and self._restore(cached)

    def put_back(self, claim: Claim, data: bytes) -> bool:
        """Publish again the lock that a run record names, of a document that reads *data*; False if it is wrong."""
        confirmed = self._confirmed(claim)
        if not confirmed and DocumentFile.of(claim).sha256 != hashlib.sha256(data).hexdigest():
            return False
        lock = self._layout.lock(claim.document)
        with contextlib.suppress(FileExistsError):
            durable.publish(lock, lock_bytes(claim))
            if confirmed:
                self._cache.add(CachedClaim(claim, root=self.root()))
            else:
                self._doubted.add(claim.document)
        self._touch(lock.name)
        return True

    def note(self, claim: Claim) -> None:
        """Leave our successor a note of *claim* before it is published."""
        if self._notes is not None:
            self._notes.claimed(claim)

    def remove(self, claim: Claim) -> None:
        durable.remove(self._layout.lock(claim.document))
        if self._cache.of(claim) is not None and self._notes is not None:
            self._notes.over(claim)
        self._cache.drop(claim)
        self._doubted.discard(claim.document)

    def clear_away(self, name: str) -> None:
        """Move a lock, or another companion, into ``logs/``, where it can be looked at."""
        durable.move(
            self._layout.pending / name,
            self._layout.logs / f"{name.removeprefix('.')}.{uuid.uuid4().hex[:8]}",
        )
        self._touch(name)

    def root(self) -> tuple[int, int]:
        """Which folder the source is in now."""
        about = self._layout.root.stat()
        return about.st_dev, about.st_ino

    def _readable(self) -> dict[str, Claim]:
        paths = sorted(self._layout.pending.glob(".task-*.lock"))
        found = {path.name: read_record(LockFile, path) for path in paths}
        return {name: lock.claim for name, lock in found.items() if isinstance(lock, LockFile)}

    def _is_known(self, claim: Claim) -> bool:
        return claim.document in self._doubted or self._cache.of(claim) is not None

    def _confirmed(self, claim: Claim) -> bool | None:
        return None if self._notes is None else self._notes.confirm(claim)

    def _restore(self, cached: CachedClaim) -> bool:
        """False where another folder took the place of the one that it was made in."""
        claim = cached.claim
        if cached.root != self.root():
            return False
        if not self.is_present(claim):
            lock = self._layout.lock(claim.document)
            durable.make_directory(self._layout.pending)
            if os.path.lexists(lock):
                self.clear_away(lock.name)
            durable.publish(lock, lock_bytes(claim))
            self._touch(lock.name)
        return True


def _is_named_so(lock: str, claim: Claim) -> bool:
    return naming.is_lock_of(lock, claim.document, claim.task_id)
