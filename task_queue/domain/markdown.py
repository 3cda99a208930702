"""Foreign text on its way into Markdown, so that it can neither end its place nor become structure of the page."""

from __future__ import annotations

import re

from task_queue.domain.text import printable

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&$@!])")
_LINK = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)  # what GitHub makes links of by itself
_BLOCK_STARTS = (("-", "+", "="), (".", ")"))
"""First characters that make a list or a heading of a line; the second after digits."""
_BACKTICKS = re.compile(r"`+")


def escaped(text: str) -> str:
    """*text* on one line of prose, meaning nothing but itself."""
    line = " ".join(printable(text, keep_lines=True).split())
    line = _LINK.sub(r"\\\g<0>", _MARKUP.sub(r"\\\1", line))
    number = len(line) - len(line.lstrip("0123456789"))
    starts_block = line[number : number + 1] in _BLOCK_STARTS[number > 0]
    return line[:number] + "\\" + line[number:] if starts_block else line


def code(text: object) -> str:
    """*text* as a code span on one line: names, commands."""
    line = printable(str(text).replace("\r\n", "\n"))
    fence = "`" * (_longest_run(line) + 1)
    padded = f" {line} " if not line.strip() or line[0] in "` " or line[-1] in "` " else line
    return f"{fence}{padded}{fence}"


def fenced(text: str, language: str = "text", *, at_most: int | None = None) -> str:
    """*text* as a verbatim block, *at_most* so many characters of it; the fence is longer than any in it."""
    inner = printable(text[:at_most].replace("\r\n", "\n"), keep_lines=True).strip("\n").rstrip()
    if at_most is not None and len(text) > at_most:
        inner += "\n[cut here]"
    fence = "`" * max(3, _longest_run(inner) + 1)
    return f"{fence}{language}\n{inner}\n{fence}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
