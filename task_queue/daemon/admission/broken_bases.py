"""Sources whose target is broken: a check that passed on an earlier commit of it fails on the present one.

Nothing starts there until the target is at another commit, or a person resumes the source. Kept in a file for each
source, so that it holds across restarts, and so that a person's word (``sources resume``) is seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from task_queue.domain.holds import base_broken
from task_queue.domain.work.baseline import BrokenBase
from task_queue.platform import durable
from task_queue.platform.records import UnreadableRecordError, decode, encode

log = logging.getLogger(__name__)

_LIMIT = 2**20
TipOf = Callable[[BrokenBase], str | None]
"""The commit that the target is at now; None where that cannot be said."""


class BrokenBases:
    """Not thread-safe: the admission's lock guards it, but for what asks git."""

    def __init__(self, folder: Path, tip_of: TipOf) -> None:
        self._folder = folder
        self._tip_of = tip_of

    def note(self, source: str, broken: BrokenBase) -> None:
        """Hold *source*, unless a person has let it go on with this very commit."""
        known = self._read(source)
        if known is not None and known.commit == broken.commit:
            return
        try:
            durable.make_directory(self._folder)
            durable.replace(self._file(source), encode(broken))
        except OSError as error:
            log.warning("broken base not noted source=%s error=%s", source, error)

    def hold(self, source: str) -> str | None:
        """Why nothing of *source* starts."""
        broken = self.standing(source)
        if broken is None:
            return None
        return base_broken(
            source,
            repository=broken.repository,
            target=broken.target,
            commit=broken.commit,
            commands=broken.commands,
            task_id=broken.task_id,
        )

    def standing(self, source: str) -> BrokenBase | None:
        """What holds *source*, as its file says."""
        broken = self._read(source)
        return None if broken is None or broken.resumed else broken

    def has_moved(self, broken: BrokenBase) -> bool:
        """Whether the target is at another commit now; asks git, so not to be called with the lock."""
        return self._tip_of(broken) not in {None, broken.commit}

    def forget(self, source: str, broken: BrokenBase) -> None:
        """*source* is held for it no more, unless its file says something else by now."""
        if self._read(source) != broken:
            return
        try:
            durable.remove(self._file(source))
        except OSError as error:
            log.warning("broken base not forgotten source=%s error=%s", source, error)

    def _read(self, source: str) -> BrokenBase | None:
        try:
            return decode(BrokenBase, durable.read_regular(self._file(source), limit=_LIMIT)[0])
        except FileNotFoundError:
            return None
        except (OSError, UnreadableRecordError) as error:
            log.warning("broken base not read, source=%s is not held for it error=%s", source, error)
            return None

    def _file(self, source: str) -> Path:
        return self._folder / f"{source}.json"
