"""Which documents have a lock, a request to cancel or a history beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from task_queue.domain.document import naming

_ORPHANED_AFTER_S = 10.0


class Companions:
    """By key: the task's id, shortened where it is very long. Files of other names are left out."""

    def __init__(self) -> None:
        self.lock: set[str] = set()
        self.cancel: set[str] = set()
        self.journal: set[str] = set()
        self._kinds = ((".lock", self.lock), (".cancel", self.cancel), (".attempts.json", self.journal))
        self._orphaned: dict[str, float] = {}

    def note(self, name: str, *, present: bool) -> str | None:
        """Whether the private file *name* is there; its key, None if it is not a companion of a task."""
        if not name.startswith(".task-"):
            return None
        for suffix, keys in self._kinds:
            if name.endswith(suffix):
                key = name[1 : -len(suffix)]
                (keys.add if present else keys.discard)(key)
                return key
        return None

    def differs_from(self, before: Companions) -> set[str]:
        """Keys with other companions than *before*, and those with a history, which may have another text."""
        moved = (self.lock ^ before.lock) | (self.cancel ^ before.cancel)
        return moved | self.journal | before.journal

    def lock_names(self) -> tuple[str, ...]:
        return tuple(f".{key}.lock" for key in self.lock)

    def note_orphans(self, names: Iterable[str], before: Companions, now: float) -> None:
        """Companions without a document or a claim, and since when: a person took the document away."""
        alone = (self.journal | self.cancel) - self.lock
        if alone:
            alone -= {naming.key_of(naming.task_id_of(name)) for name in names}
        self._orphaned = {key: before._orphaned.get(key, now) for key in alone}

    def orphans(self, has_document: Callable[[str], bool], now: float) -> tuple[str, ...]:
        """File names of those that have been alone for a while; their order is none."""
        due = {key for key, since in self._orphaned.items() if since <= now - _ORPHANED_AFTER_S}
        return tuple(
            f".{key}{suffix}"
            for key in due
            if not has_document(key)
            for suffix, keys in ((".cancel", self.cancel), (".attempts.json", self.journal))
            if key in keys
        )
