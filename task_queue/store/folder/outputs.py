"""Where a source records how a task ended: its result, its report, its place. Other files there are kept aside.

Only the one who serves the source writes there, and each name was free when the task was claimed.
"""

from __future__ import annotations

import os
from pathlib import Path

from task_queue.domain.document import naming
from task_queue.domain.model import Claim, Result
from task_queue.domain.task import ENDED, TaskState
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.store.folder.claim_cache import ClaimCache
from task_queue.store.folder.files import ino_of, make_folder, publish_once, read_record
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.needing import forget_need, note_need
from task_queue.store.folder.records import DocumentFile

_PUBLISHED_LIMIT = 64 * 2**20


class TaskOutputs:
    """Of one source. Every method is idempotent and raises OSError."""

    def __init__(self, layout: Layout, cache: ClaimCache) -> None:
        self._layout = layout
        self._cache = cache

    def make_room(self, claim: Claim, result: Result) -> tuple[str, ...]:
        """Move away the file that is where *result* will be written and is not ours; a note for each."""
        paths = (self._layout.result(claim.task_id), self._layout.report(claim.task_id))
        strangers = [
            path for path in paths if os.path.lexists(path) and not self._is_ours(claim, path, result)
        ]
        strangers += self._elsewhere(claim, result.state)
        notes: list[str] = []
        for path in strangers:
            where = f"{path.parent.name}/{path.name}"
            folder = self._layout.log(claim.task_id)
            make_folder(self._layout, folder)
            aside = durable.move_aside(path, folder / f"{path.parent.name}-{path.name}")
            notes.append(f"{where} was there before the task had ended, and not ours; it is kept as {aside}")
        return tuple(notes)

    def publish(self, claim: Claim, result: Result, report: str) -> None:
        if result.attention:  # first, so that no crash leaves a result that readers would not find
            note_need(self._layout, claim.task_id)
        else:
            forget_need(self._layout, claim.task_id)
        self._publish(claim, self._layout.result(claim.task_id), encode(result))
        if report:
            text = report.encode("utf-8", "backslashreplace")
            self._publish(claim, self._layout.report(claim.task_id), text)

    def _publish(self, claim: Claim, path: Path, data: bytes) -> None:
        cached = self._cache.of(claim)
        if cached is not None:
            cached.published.setdefault(path, data)
        publish_once(path, data)

    def _is_ours(self, claim: Claim, path: Path, result: Result) -> bool:
        cached = self._cache.of(claim)
        if cached is not None and cached.made_here:
            expected = cached.published.get(path)
            return expected is not None and _contents(path) == expected
        if path != self._layout.result(claim.task_id):
            return True
        # An earlier daemon may have been killed after it had published the result.
        there = read_record(Result, path)
        return isinstance(there, Result) and (there.success, _last_number(there)) == (
            result.success,
            _last_number(result),
        )

    def _elsewhere(self, claim: Claim, state: TaskState) -> list[Path]:
        """A copy or link of the document in the folder in which it does not end.

        The document itself, moved there by a hand, is corrected when it is filed.
        """
        waits = os.path.lexists(self._layout.document(claim))
        others = [
            self._layout.ended(other) / naming.document_of(claim.task_id)
            for other in ENDED
            if other is not state
        ]
        return [
            path
            for path in others
            if os.path.lexists(path) and (waits or ino_of(path) != DocumentFile.of(claim).ino)
        ]


def _contents(path: Path) -> bytes | None:
    try:
        return durable.read_regular(path, limit=_PUBLISHED_LIMIT)[0]
    except OSError:
        return None


def _last_number(result: Result) -> int | None:
    return result.attempts[-1].number if result.attempts else None
