"""``retention``: what of the queue's own files goes by age, number and size. Nothing does by default."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from task_queue.config.section import MOST_MB, Period, Section
from task_queue.domain.document.readers import PERIOD
from task_queue.domain.work.worktrees import Keep

_ANY = 2**62


class KindRetention(Section):
    """What is beyond any of these goes."""

    age: Period | None = None
    count: Annotated[int, Field(ge=0, le=100_000_000)] | None = None
    size_mb: Annotated[int, Field(ge=0, le=MOST_MB)] | None = None

    @property
    def keep(self) -> Keep | None:
        """None: everything stays."""
        if self.age is None and self.count is None and self.size_mb is None:
            return None
        age = None if self.age is None else PERIOD(self.age)
        number = _ANY if self.count is None else self.count
        return Keep(number, age, None if self.size_mb is None else self.size_mb * 2**20)


class RetentionSettings(Section):
    results: KindRetention = KindRetention()
    """With their reports and documents; for each source."""
    logs: KindRetention = KindRetention()
    """The folders of attempts; for each source."""
    events: KindRetention = KindRetention()
    """Complete files of the event log."""

    @property
    def is_on(self) -> bool:
        return any(kind.keep is not None for kind in (self.results, self.logs, self.events))

    @property
    def shortest_age(self) -> timedelta | None:
        kept = (kind.keep for kind in (self.results, self.logs, self.events))
        return min(
            (keep.period for keep in kept if keep is not None and keep.period is not None), default=None
        )
