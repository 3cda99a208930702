"""What is slowed down: answers to wrong credentials, by how many came from one address before; appended events."""

from __future__ import annotations

from dataclasses import dataclass, field

_FIRST_S = 0.05
_LONGEST_S = 5.0
_FORGOTTEN_AFTER_S = 300.0
_MOST_ADDRESSES = 10_000


@dataclass(slots=True)
class Failures:
    """Who has the right credential is never held back: on one machine, all come from one address."""

    _seen: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def delay_after(self, address: str, now_s: float) -> float:
        """Note one more at *now_s* (monotonic); for how many seconds to hold its answer back."""
        number, last = self._seen.pop(address, (0, now_s))
        number = 1 if now_s - last > _FORGOTTEN_AFTER_S else number + 1
        while len(self._seen) >= _MOST_ADDRESSES:
            self._seen.pop(next(iter(self._seen)))
        self._seen[address] = (number, now_s)
        return min(_LONGEST_S, _FIRST_S * (1 << min(number - 1, 16)))


_BURST = 60
_TOKEN_EVERY_S = 2.0
_MOST_TASKS = 10_000


@dataclass(slots=True)
class EventTokens:
    """Each task has some for the events that are appended to it, and gets a new one every now and then."""

    _left: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])

    def wait_for(self, task_id: str, now_s: float) -> float:
        """Take one at *now_s* (monotonic); where there is none, in how many seconds there will be."""
        left, at = self._left.pop(task_id, (float(_BURST), now_s))
        left = min(_BURST, left + (now_s - at) / _TOKEN_EVERY_S)
        is_given = left >= 1
        while len(self._left) >= _MOST_TASKS:
            self._left.pop(next(iter(self._left)))
        self._left[task_id] = (left - is_given, now_s)
        return 0.0 if is_given else (1 - left) * _TOKEN_EVERY_S
