"""The title of a document: where it comes from, and where it stands when the text is shown."""

from __future__ import annotations

import re
from collections.abc import Iterator

_TITLE_LENGTH = 80
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_HEADING = re.compile(r" {0,3}#{1,6}([ \t].*)")
_UNDERLINE = re.compile(r" {0,3}=+[ \t]*")


def title_of(body: str) -> str:
    """The first heading outside of code fences, else the first line that says something; empty if none does."""
    heading = _heading_in(body.partition("\n")[0])
    if heading:  # in most documents; the rest need not be looked at
        return heading[:_TITLE_LENGTH]
    first = ""
    for line in _prose(body):
        heading = _heading_in(line)
        if heading:
            return heading[:_TITLE_LENGTH]
        first = first or " ".join(line.split())
    return (first or next((line for line in body.split("\n") if line.strip()), "").strip())[:_TITLE_LENGTH]


def with_title(title: str, body: str) -> str:
    """*body* below *title*, which stands there once: a title that comes from the body is not repeated."""
    return body if title == title_of(body) else f"# {title}\n\n{body}"


def without_title(title: str, body: str) -> str:
    """*body* without the heading that it begins with, if that is *title*: for a text that has its own place for it."""
    lines = body.split("\n")
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    if _heading_in(lines[first])[:_TITLE_LENGTH] == title:
        return "\n".join(lines[first + 1 :]).lstrip("\n")
    underlined = len(lines) > first + 1 and _UNDERLINE.fullmatch(lines[first + 1])
    if underlined and " ".join(lines[first].split())[:_TITLE_LENGTH] == title:
        return "\n".join(lines[first + 2 :]).lstrip("\n")
    return body


def fences_in(body: str) -> Iterator[bool]:
    """For each line of *body*, whether it is part of a fenced block of code, its fences included."""
    fence = ""
    for line in body.split("\n"):
        match = _FENCE.fullmatch(line)
        if fence:
            yield True
            if match and match[1].startswith(fence) and not match[2].strip():
                fence = ""
        elif match and not (match[1][0] == "`" and "`" in match[2]):
            yield True
            fence = match[1]
        else:
            yield False


def _prose(body: str) -> Iterator[str]:
    """Lines outside of code fences that are not blank; one underlined with ``=`` comes again as ``#``."""
    previous = ""
    for line, fenced in zip(body.split("\n"), fences_in(body), strict=True):
        if fenced:
            previous = ""
            continue
        if previous and _UNDERLINE.fullmatch(line):
            yield "# " + previous.strip()
        elif line.strip():
            yield line
        previous = line.strip()


def _heading_in(line: str) -> str:
    """Text of a ``#`` heading, empty if *line* is none. Linear in a long line: the pattern has one open end."""
    match = _HEADING.match(line)
    text = match[1].strip() if match else ""
    before_closing = text.rstrip("#")
    return " ".join((before_closing if before_closing[-1:] in {"", " ", "\t"} else text).split())
