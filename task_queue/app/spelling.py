"""How times, spans, sizes and money are spelled, on a terminal and on the page."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from task_queue.app.answers import EstimateView


def span(seconds: float) -> str:
    """How long, in at most two units."""
    whole = int(max(0, seconds))
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {smaller}" if rest and unit != "min" else "")
    return f"{whole} s"


def size(number: int) -> str:
    """Bytes, in the largest unit of which there is one."""
    for unit, of in (("GB", 2**30), ("MB", 2**20), ("kB", 2**10)):
        if number >= of:
            return f"{number / of:.1f} {unit}" if number < 10 * of else f"{number // of} {unit}"
    return f"{number} B"


def estimated_span(estimate: EstimateView) -> str:
    """``~`` marks a guess."""
    return f"{'~' if estimate.is_guess else ''}{span(estimate.median_s)}"


def amount(number: int) -> str:
    """A number of which only the size matters, in at most three digits and a unit."""
    for unit, of in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= of:
            return f"{number / of:.1f}{unit}" if number < 10 * of else f"{number // of}{unit}"
    return str(number)


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th."""
    ending = "th" if number // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def from_home(path: Path) -> str:
    """*path* as a shell takes it, with ``~`` for the user's home."""
    home = Path("~").expanduser()
    return f"~/{path.relative_to(home)}" if path != home and path.is_relative_to(home) else str(path)


def moment(time: datetime | None) -> str:
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else "-"


def clock(time: datetime | None, now: datetime) -> str:
    """A time to come as a person says it: ``18:30`` today, ``Mon 02:30`` within six days, else with its date."""
    if time is None:
        return "-"
    there, here = time.astimezone(), now.astimezone()
    days = (there.date() - here.date()).days
    return there.strftime("%H:%M" if days == 0 else "%a %H:%M" if 0 < days < 7 else "%Y-%m-%d %H:%M")


def money(usd: float | None, *, estimated: float = 0.0) -> str:
    """*estimated* is how much of it is not known for sure."""
    if usd is None:
        return "-"
    if not estimated:
        return f"${usd:.2f}"
    return f"${usd:.2f} (estimated)" if estimated >= usd else f"${usd:.2f} (${estimated:.2f} of it estimated)"
