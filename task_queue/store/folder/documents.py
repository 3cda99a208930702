"""What becomes of a claimed task's document: filed as it ran; a newer text of a person's is kept beside."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import MAX_BYTES
from task_queue.domain.model import Claim
from task_queue.domain.task import ENDED, TaskState
from task_queue.platform import durable
from task_queue.store.folder.claim_cache import ClaimCache
from task_queue.store.folder.files import ino_of, move_to_free_name, publish_once
from task_queue.store.folder.layout import SNAPSHOT, Layout
from task_queue.store.folder.records import DocumentFile

_NO_TEXT = b"The text of this task was deleted or changed while it ran, and so was the copy in logs/.\n"


_DELETED = "the document was deleted while the task ran"


class ClaimedDocuments:
    """Of one source. Every method is idempotent and raises OSError."""

    def __init__(self, layout: Layout, cache: ClaimCache) -> None:
        self._layout = layout
        self._cache = cache

    def snapshot(self, claim: Claim) -> bytes:
        """What ran. Where the snapshot was deleted or changed, the document if it is still the same."""
        cached = self._cache.of(claim)
        if cached is not None and cached.text is not None:
            return cached.text
        for path in (self._layout.attempt_of(claim) / SNAPSHOT, self._layout.document(claim)):
            with contextlib.suppress(FileNotFoundError):
                data, _ = durable.read_regular(path, limit=MAX_BYTES)
                if hashlib.sha256(data).hexdigest() == DocumentFile.of(claim).sha256:
                    return data
        return _NO_TEXT

    def notes(self, claim: Claim) -> tuple[str, ...]:
        """Nothing if the claimed document is still there as it was, else one note for the result."""
        newer = self._newer(claim)
        try:
            data, about = durable.read_regular(self._layout.document(claim), limit=MAX_BYTES)
        except OSError:
            if newer.exists():
                return (self._edited_note(newer),)
            already_filed = any(
                os.path.lexists(self._layout.ended(state) / naming.document_of(claim.task_id))
                for state in ENDED
            )
            return () if already_filed else (_DELETED,)
        claimed = DocumentFile.of(claim)
        if about.st_ino == claimed.ino and hashlib.sha256(data).hexdigest() == claimed.sha256:
            return ()
        return (self._edited_note(newer),)

    def is_edited(self, claim: Claim) -> bool:
        """A person put a newer text in the document's place; one who deleted it wants none."""
        return bool(self.notes(claim)) and self.notes(claim) != (_DELETED,)

    @staticmethod
    def _edited_note(newer: Path) -> str:
        run = f"mv {newer} {newer.with_name(newer.name.removeprefix('edited-'))}"
        return f"the document was edited while the task ran; the newer text is kept, run it with: {run}"

    def file(self, claim: Claim, state: TaskState) -> str | None:
        """The name under which a newer text is kept, None if there is none."""
        target = self._layout.ended(state) / naming.document_of(claim.task_id)
        if not self.notes(claim) and os.path.lexists(self._layout.document(claim)):
            move_to_free_name(self._layout.document(claim), target)
            return None
        for other in ENDED:  # a person filed it where it does not belong
            filed = self._layout.ended(other) / target.name
            if other is not state and ino_of(filed) == DocumentFile.of(claim).ino:
                move_to_free_name(filed, target)
        newer = self.keep_newer(claim)
        publish_once(target, self.snapshot(claim))
        return newer

    def keep_newer(self, claim: Claim) -> str | None:
        """The name under which the text in the document's place is kept, None if there is none."""
        document, newer = self._layout.document(claim), self._newer(claim)
        try:
            return move_to_free_name(document, newer).name
        except FileNotFoundError:
            return None

    def _newer(self, claim: Claim) -> Path:
        return self._layout.pending / f"edited-{naming.key_of(naming.task_id_of(claim.document))}.md"
