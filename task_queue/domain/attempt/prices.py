"""What a model's answers cost by list price, for when the CLI died before it could report.

The prices are those of the CLI's own table (2.1.330), by which it counts ``total_cost_usd``. A model that is
not listed costs as much as the dearest: an estimate may hold a task back too early, never too late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MILLION = 1e6
_CHARS_PER_TOKEN = 3
"""Fewer than a text has on average, so that more tokens come out."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    cache_read: float

    @property
    def output(self) -> float:
        return 5 * self.input

    @property
    def cache_write(self) -> float:
        """Of entries that live for an hour; those of five minutes cost less."""
        return 2 * self.input


_DEAREST = Price(15, 1.5)
_PRICES = {
    "claude-3-5-haiku": Price(0.8, 0.08),
    "claude-haiku-4-5": Price(1, 0.1),
    "claude-haiku-5-5": Price(0.5, 0.05),  # of prompts over 100,000 tokens; shorter ones cost a fifth
    "claude-3-5-sonnet": Price(3, 0.3),
    "claude-3-7-sonnet": Price(3, 0.3),
    "claude-sonnet-4": Price(3, 0.3),
    "claude-sonnet-5": Price(2, 0.2),
    "claude-sonnet-5-5": Price(2, 0.1),
    "claude-opus-4": _DEAREST,
    "claude-opus-4-5": Price(5, 0.5),
    "claude-opus-4-6": Price(5, 0.5),
    "claude-opus-4-7": Price(5, 0.5),
    "claude-opus-4-8": Price(5, 0.5),
    "claude-opus-5": Price(5, 0.5),
    "claude-opus-5-5": Price(4, 0.2),
    "claude-fable-5": Price(10, 1),
    "claude-fable-5-1": Price(10, 0.25),
    "claude-fable-5-2": Price(8, 0.2),
    "claude-mythos-5": Price(10, 1),
    "claude-mythos-5-1": Price(10, 0.25),
    "claude-mythos-5-2": Price(8, 0.2),
}


def price_of(model: str) -> Price:
    """By the longest listed name that *model* begins with, whatever a cloud puts before or behind it."""
    name = model[max(0, model.find("claude-")) :]
    listed = max((known for known in _PRICES if name.startswith(known)), key=len, default=None)
    return _PRICES[listed] if listed is not None else _DEAREST


def estimated_usd(model: str, usage: Mapping[str, Any], written_chars: int) -> float:
    """Cost of one answer.

    *usage* is that of its first frame, which says what went in but not how much came out: that is
    taken from the number of characters that were written.
    """
    price = price_of(model)
    written = max(_tokens(usage, "output_tokens"), written_chars / _CHARS_PER_TOKEN)
    return (
        _tokens(usage, "input_tokens") * price.input
        + _tokens(usage, "cache_creation_input_tokens") * price.cache_write
        + _tokens(usage, "cache_read_input_tokens") * price.cache_read
        + written * price.output
    ) / _MILLION


def _tokens(usage: Mapping[str, Any], kind: str) -> int:
    count = usage.get(kind)
    return count if isinstance(count, int) else 0
