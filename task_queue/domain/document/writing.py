"""Writes keys into a document's front matter, for who gives them beside the text."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, time

from task_queue.domain.document import frontmatter
from task_queue.domain.document.frontmatter import Field, Given
from task_queue.domain.errors import TaskFileError
from task_queue.domain.local_time import next_time

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?")
_PLAIN = re.compile(r"[A-Za-z0-9./~$][A-Za-z0-9 ./_@=~$+-]*(?<! )")
_PLAIN_ITEM = re.compile(r"[A-Za-z0-9./_-]+")
_FIRST_LINE = 2
_MARK = "\ufeff"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def with_keys(text: str, values: Mapping[str, Given]) -> str:
    """The document *text* with *values* in its front matter, each in place of what it says of that key.

    Everything else stays as it is, line ends included. Raises TaskFileError if the front matter cannot be read, or
    not be changed without touching another key.
    """
    if not values:
        return text
    front, _ = frontmatter.split(text)
    before, faults = frontmatter.read(front or "")
    if faults:
        raise TaskFileError.of(faults)
    mark = _MARK if text.startswith(_MARK) else ""
    raw = _LINE.findall(text.removeprefix(mark))
    end = "\n" if front is None and not raw else _end_of(raw[0]) or "\n"
    height = 0 if front is None else front.count("\n")
    opening, lines, rest = (
        ([f"---{end}"], [], [f"---{end}", *raw])
        if front is None
        else (raw[:1], raw[1 : height + 1], raw[height + 1 :])
    )
    for index in reversed(range(len(before))):
        field = before[index]
        if field.key in values:
            ends = before[index + 1].line if index + 1 < len(before) else len(lines) + _FIRST_LINE
            lines[field.line - _FIRST_LINE : _last_of(lines, field.line, ends)] = [
                _spelled(field.key, values[field.key]) + end
            ]
    known = {field.key for field in before}
    lines += [_spelled(key, value) + end for key, value in values.items() if key not in known]
    written = "".join([mark, *opening, *lines, *rest])
    _demand_unchanged(before, frontmatter.split(written)[0] or "", values)
    return written


def without_keys(text: str, keys: Collection[str]) -> str:
    """The document *text* without *keys* in its front matter; without any front matter where nothing else is in it.

    Everything else stays as it is. Raises TaskFileError if the front matter cannot be read.
    """
    front, _ = frontmatter.split(text)
    fields, faults = frontmatter.read(front or "")
    if faults:
        raise TaskFileError.of(faults)
    mark = _MARK if text.startswith(_MARK) else ""
    raw = _LINE.findall(text.removeprefix(mark))
    height = 0 if front is None else front.count("\n")
    lines = raw[1 : height + 1]
    for index in reversed(range(len(fields))):
        field = fields[index]
        if field.key in keys:
            ends = fields[index + 1].line if index + 1 < len(fields) else len(lines) + _FIRST_LINE
            del lines[field.line - _FIRST_LINE : _last_of(lines, field.line, ends)]
    if front is None or not "".join(lines).strip():
        return mark + "".join(raw if front is None else raw[height + 2 :])
    written = "".join([mark, raw[0], *lines, *raw[height + 1 :]])
    after, faults = frontmatter.read(frontmatter.split(written)[0] or "")
    if faults or {each.key: each.value for each in after} != {
        each.key: each.value for each in fields if each.key not in keys
    }:
        raise TaskFileError(f"{', '.join(keys)}: must each be on lines of their own")
    return written


def absolute(text: str, now: datetime) -> str:
    """*text*, or where it is a time of day such as ``22:00`` the next such local time after *now*, with its offset."""
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        return text
    hour, minute, second = (int(part or 0) for part in match.groups())
    return next_time(time(hour, minute, second), now).astimezone().isoformat()


def _end_of(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :]


def _last_of(lines: list[str], line: int, ends: int) -> int:
    """Where what the key of *line* says is over; comments and blank lines before the next key stay."""
    last = ends - _FIRST_LINE
    while last > line - _FIRST_LINE + 1 and (not lines[last - 1].strip() or lines[last - 1].startswith("#")):
        last -= 1
    return last


def _demand_unchanged(before: tuple[Field, ...], written: str, values: Mapping[str, Given]) -> None:
    after, faults = frontmatter.read(written)
    expected = {field.key: field.value for field in before} | dict(values)
    if faults or {field.key: field.value for field in after} != expected:
        keys = ", ".join(values)
        raise TaskFileError(
            f"{keys} cannot be written into this front matter", hint="write it into the document"
        )


def _spelled(key: str, value: Given) -> str:
    if isinstance(value, str):
        return f"{key}: {_quoted(value, _PLAIN)}"
    return f"{key}: [{', '.join(_quoted(item, _PLAIN_ITEM) for item in value)}]"


def _quoted(text: str, plain: re.Pattern[str]) -> str:
    if plain.fullmatch(text):
        return text
    if "\n" not in text:
        return "'{}'".format(text.replace("'", "''"))
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
