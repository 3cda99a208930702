"""Patterns of files that a task says it will change, and whether two of them may mean the same file. Pure.

``*`` and ``?`` stay within a name, and ``**`` between slashes is any number of folders. What ends with a name that has
a dot after its beginning means files; every other pattern also means all that is in a folder of that name. One name
that is a pattern, or has such a dot, applies in every folder; every other pattern counts from the workspace. Where it
is not sure, two patterns meet.
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(r"\*+|\?|\[[^\]/]+\]|.", re.DOTALL)
_WILD = re.compile(r"[*?\[\]\\]")
_ANY, _STAR = "?", "*"
_OF_FILE = re.compile(r".+\..*")
"""A name that has an extension."""


def why_not_a_pattern(text: str) -> str | None:
    """Why *text* cannot be used, as the rest of a sentence; None if it can."""
    if text.startswith("!"):
        return "cannot exclude files; name what the task changes"
    if set(text) & set("{}\\"):
        return "cannot have braces or backslashes; write several patterns"
    parts = text.strip("/").split("/")
    if not text.isprintable() or not text.strip("/"):
        return "names no file"
    if ".." in parts:
        return "leads out of the workspace"
    if any("**" in part and part != "**" for part in parts):
        return "has ** beside other characters; it stands alone between slashes"
    return None


def rooted(pattern: str, folder: str) -> str:
    """*pattern*, which counts from *folder*, as one that counts from where *folder* does; it begins with a slash."""
    above = _WILD.sub(_ANY, folder.strip("/"))
    inner = pattern.removeprefix("./").rstrip("/")
    everywhere = "/" not in pattern and (_WILD.search(inner) or _OF_FILE.fullmatch(inner))
    inner = f"**/{inner}" if everywhere else inner.lstrip("/")
    last = inner.rpartition("/")[2]
    if last != "**" and (pattern.endswith("/") or not _OF_FILE.fullmatch(last)):
        inner = f"{inner}/**"
    return f"/{above}/{inner}" if above else f"/{inner}"


def may_meet(one: str, other: str) -> bool:
    """Whether there may be a file that both patterns mean; both as ``rooted`` gives them."""
    return _parts_meet(_parts(one), _parts(other))


def _parts(pattern: str) -> tuple[str, ...]:
    return tuple(part for part in pattern.casefold().split("/") if part not in ("", "."))


@lru_cache(maxsize=4096)
def _parts_meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """By dynamic programming over what is left of both; ``**`` may also mean no folder."""
    rest = [False] * len(other) + [True]
    for here in range(len(other) - 1, -1, -1):
        rest[here] = other[here] == "**" and rest[here + 1]
    for part in reversed(one):
        row = [False] * (len(other) + 1)
        row[-1] = part == "**" and rest[-1]
        for here in range(len(other) - 1, -1, -1):
            its = other[here]
            if "**" in (part, its):
                row[here] = rest[here] or row[here + 1]
            else:
                row[here] = rest[here + 1] and _names_meet(part, its)
        rest = row
    return rest[0]


@lru_cache(maxsize=4096)
def _names_meet(one: str, other: str) -> bool:
    """The same for two names between slashes; a set of characters counts as any character."""
    ours, theirs = _tokens(one), _tokens(other)
    rest = [False] * len(theirs) + [True]
    for here in range(len(theirs) - 1, -1, -1):
        rest[here] = theirs[here] == _STAR and rest[here + 1]
    for token in reversed(ours):
        row = [False] * (len(theirs) + 1)
        row[-1] = token == _STAR and rest[-1]
        for here in range(len(theirs) - 1, -1, -1):
            its = theirs[here]
            if _STAR in (token, its):
                row[here] = rest[here] or row[here + 1]
            else:
                row[here] = rest[here + 1] and (token == its or _ANY in (token, its))
        rest = row
    return rest[0]


def _tokens(name: str) -> list[str]:
    found = _TOKEN.findall(name)
    return [_STAR if token[0] == _STAR else _ANY if len(token) > 1 else token for token in found]
