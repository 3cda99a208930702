"""How long the answer to a wrong credential is held back, by how many came from one address before."""

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
