"""Remarks in a draft that a person edits: what explains it, what is wrong with it, and the text without them.

A remark is a Markdown comment that begins a line outside of code fences, or a comment line of the front matter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from task_queue.domain.document import frontmatter
from task_queue.domain.document.settings import KEYS, Key, Settings
from task_queue.domain.document.title import fences_in
from task_queue.domain.document.writing import with_keys
from task_queue.domain.errors import TaskFileError

TEXT = "{text}"
"""Where a template has what a person typed."""
_OPEN, _CLOSE = "<!--", "-->"
_FAULTS = "<!-- Nothing is added yet. Correct this, save and close; or close without a change to give up.\n"
_COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)
_BLANK = """---
# Each line below is a key with its default. To set one, remove the # in front of it.
{keys}
---
{text}

<!--
Above: what is to be done, and how to see that it is done. The first line or heading becomes the title.
Remarks like this one are left out of the task. An empty document adds nothing.
-->
"""


def blank() -> str:
    """A template for every task: it explains each key."""
    return _BLANK.replace("{keys}", "\n".join(map(_explained, KEYS)))


def filled(template: str, document: str) -> str:
    """*template* with the text of *document* in its place, and the keys that *document* sets.

    Raises TaskFileError if the front matter of either cannot be read.
    """
    front, body = frontmatter.split(document)
    fields, faults = frontmatter.read(front or "")
    if faults:
        raise TaskFileError.of(faults)
    body = body.strip("\n")
    text = template.replace(TEXT, body, 1) if TEXT in template else f"{template.rstrip()}\n\n{body}\n"
    return with_keys(text, {field.key: field.value for field in fields})


def without_remarks(document: str) -> str:
    """*document* as it is added. Without a closed front matter, as it is."""
    try:
        front, body = frontmatter.split(document)
    except TaskFileError:
        return document
    kept = _COMMENT.sub("", front or "")
    body = _without_comments(body)
    return f"---\n{kept}---\n{body}" if kept.strip() else body


def says_nothing(document: str) -> bool:
    """Whether a *document* without its remarks has no text."""
    try:
        return not frontmatter.split(without_remarks(document))[1].strip()
    except TaskFileError:
        return False


def with_faults(document: str, faults: Sequence[TaskFileError]) -> str:
    """*document* below a remark that names its *faults*, with the lines as they are below that remark."""
    height = _FAULTS.count("\n") + len(faults) + 1
    said = "".join(f"{_in_place(fault, height)}\n" for fault in faults)
    return f"{_FAULTS}{said.replace(_CLOSE, '-- >')}{_CLOSE}\n{document}"


def without_faults(document: str) -> str:
    """*document* without the remark that ``with_faults`` put above it."""
    if not document.startswith(_FAULTS):
        return document
    return document.partition(f"{_CLOSE}\n")[2]


def described(template: str) -> str:
    """What *template* is for: the first comment of its front matter."""
    try:
        front, _ = frontmatter.split(template)
    except TaskFileError:
        return ""
    first = _COMMENT.search(front or "")
    return first[0].lstrip("#").strip() if first else ""


def _in_place(fault: TaskFileError, height: int) -> str:
    place = "" if fault.line is None else f"line {fault.line + height}: "
    return " ".join(f"{place}{fault.what}{f'; {fault.hint}' if fault.hint else ''}".split())


def _explained(key: Key) -> str:
    try:
        is_value = key.read(key.default) == getattr(Settings(), key.name)
    except ValueError:
        is_value = False
    default = f" {key.default}" if is_value else ""
    return f"# {key.name}:{default}  # {key.help}"


def _without_comments(body: str) -> str:
    kept: list[str] = []
    inside = closed = False
    for line, fenced in zip(body.split("\n"), fences_in(body), strict=True):
        if inside or (not fenced and line.startswith(_OPEN)):
            rest = line.partition(_CLOSE)[2].strip()
            inside, closed = _CLOSE not in line, not rest
            kept += [rest] if rest else []
        elif line.strip() or not closed or (kept and kept[-1].strip()):  # one blank line is enough around it
            kept.append(line)
            closed = closed and not line.strip()
    text = "\n".join(kept).strip("\n")
    return f"{text}\n" if text else ""
