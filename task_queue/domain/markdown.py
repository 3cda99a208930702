"""Foreign text on its way into a Markdown document, so that it can neither end its place nor pose as ours.

Controls are made visible everywhere. Blocks stand verbatim between fences longer than any in them; what
stands within a line has its Markdown and HTML escaped.
"""

from __future__ import annotations

import re

from task_queue.domain.text import printable

_BACKTICKS = re.compile(r"`+")
_MARKS = re.compile(r"[\\`*\[\]<>&|~]|(?<!\w)_|_(?!\w)")
_LEADING = re.compile(r"^([#+=-]|\d+(?=[.)]))")


def fenced(text: str, language: str = "text") -> str:
    """*text* as a verbatim block."""
    inner = printable(text.replace("\r\n", "\n"), keep_lines=True).strip("\n")
    fence = "`" * max(3, _longest_run(inner) + 1)
    return f"{fence}{language}\n{inner}\n{fence}"


def quoted(text: str) -> str:
    """*text* as a verbatim block within a quotation."""
    return "\n".join(f"> {line}".rstrip() for line in fenced(text).split("\n"))


def inline(text: object) -> str:
    """*text* as words within a line."""
    line = printable(" ".join(str(text).split()))
    escaped = _MARKS.sub(lambda match: "\\" + match[0], line)
    return _LEADING.sub(lambda match: _not_leading(match[1]), escaped)


def code(text: object) -> str:
    """*text* as code within a line."""
    line = printable(" ".join(str(text).split()))
    ticks = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def _not_leading(mark: str) -> str:
    return f"&#{ord(mark[0])};{mark[1:]}" if mark[0].isdigit() else f"\\{mark}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
