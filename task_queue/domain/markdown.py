"""Foreign text on its way into Markdown, so that it can neither end its place nor pose as ours."""

from __future__ import annotations

import re

from task_queue.domain.text import printable

_BACKTICKS = re.compile(r"`+")


def fenced(text: str, language: str = "text") -> str:
    """*text* as a verbatim block; the fence is longer than any in it, controls are made visible."""
    inner = printable(text.replace("\r\n", "\n"), keep_lines=True).strip("\n")
    fence = "`" * max(3, _longest_run(inner) + 1)
    return f"{fence}{language}\n{inner}\n{fence}"


def code(text: object) -> str:
    """*text* as code within a line."""
    line = printable(" ".join(str(text).split()))
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
