"""Which repositories could not be fetched here: their tasks are for other workers until they answer again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from task_queue.domain.policy import repository_name

_ASK_AGAIN_AFTER_S = 60.0


class Reachability:
    """Of one worker's repositories. Thread-safe."""

    def __init__(
        self, is_reachable: Callable[[str], bool], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """*is_reachable* asks the repository of a URL, and takes its time."""
        self._is_reachable, self._monotonic = is_reachable, monotonic
        self._lock = threading.Lock()
        self._failed: dict[str, float] = {}

    def note_failure(self, url: str) -> None:
        with self._lock:
            self._failed[url] = self._monotonic()

    def unreachable(self) -> tuple[str, ...]:
        """Names of those that failed and have not answered since; each is asked at most once a minute."""
        with self._lock:
            due = [url for url, at in self._failed.items() if self._monotonic() - at >= _ASK_AGAIN_AFTER_S]
            for url in due:
                if self._is_reachable(url):
                    del self._failed[url]
                else:
                    self._failed[url] = self._monotonic()
            return tuple(sorted(map(repository_name, self._failed)))
