"""Readers: each turns the text of a front-matter value into what it means, or says precisely why it cannot.

A reader raises ValueError with a phrase that follows the key's name ("priority: must be ..."); its ``form``
is the same rule in words, for the documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, cast

from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.naming import is_task_id
from task_queue.domain.local_time import instant_of
from task_queue.domain.path_patterns import why_not_a_pattern
from task_queue.domain.task import TaskId

_WHOLE = re.compile(r"0|[1-9][0-9]{0,8}")
_MONEY = re.compile(r"\$?([0-9]{1,9}(?:\.[0-9]{1,6})?)")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?")
_PARTS = re.compile(
    r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)s)?"
)
_RULE = re.compile(r"[A-Za-z_][A-Za-z0-9_*.-]*(?:\([^\n]*\))?")
_YEARS = range(1970, 3000)  # far enough from the ends of datetime that no change of zone overflows
_SHOWN = 60
_MOST_LABELS = 4096
_DEEPEST_LABELS = 20
"""What makes JSON of labels again gives up at some depth, and then a whole list of tasks could not be shown."""
_MOST_ITEMS = 5
"""So many bad items of a list are named."""


class Reader(Protocol):
    @property
    def form(self) -> str:
        """What may be written, in words."""
        ...

    def __call__(self, given: Given, /) -> object:
        """The value that *given* means; raises ValueError."""
        ...


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known word nearest to *word*, or nothing."""
    import difflib

    near = difflib.get_close_matches(word.strip().lower().replace("-", "_"), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of free text; runs of white space count as one space."""

    at_most: int = 200

    @property
    def form(self) -> str:
        return f"text, at most {self.at_most} characters"

    def __call__(self, given: Given, /) -> str:
        line = " ".join(_one(given).split())
        if len(line) > self.at_most:
            raise ValueError(f"has {len(line)} characters, more than {self.at_most}")
        return line


class Labels:
    """An object in JSON, for programs; kept as compact text, because nothing here looks into it."""

    form = "JSON object, at most 4096 bytes, nested 20 deep"

    def __call__(self, given: Given, /) -> str:
        text = _one(given)
        try:
            content: object = json.loads(text)
            text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            size = len(text.encode())
        except (ValueError, RecursionError):
            raise ValueError(f"must be a {self.form}") from None
        if (
            not isinstance(content, dict)
            or size > _MOST_LABELS
            or _depth_of(cast("object", content)) > _DEEPEST_LABELS
        ):
            raise ValueError(f"must be a {self.form}")
        return text


def _depth_of(content: object) -> int:
    """Of objects and lists within each other, the outermost one included."""
    depth, level = 0, [content]
    while within := [parts for each in level if (parts := _parts_of(each)) is not None]:
        depth += 1
        level = [part for parts in within for part in parts]
    return depth


def _parts_of(content: object) -> list[object] | None:
    """None for what is neither an object nor a list."""
    if isinstance(content, dict):
        return list(cast("dict[str, object]", content).values())
    return cast("list[object]", content) if isinstance(content, list) else None


@dataclass(frozen=True, slots=True)
class Word:
    """A name that is handed on to a program that knows it; never one that looks like an option."""

    what: str
    also: str = ""
    """Characters that it may contain besides letters, digits, ``.``, ``_`` and ``-``."""

    @property
    def form(self) -> str:
        return self.what

    def __call__(self, given: Given, /) -> str:
        word = _one(given)
        if not re.fullmatch(rf"[A-Za-z0-9][A-Za-z0-9._{re.escape(self.also)}-]{{0,199}}", word):
            raise ValueError(f"{shown(word)} is not a valid {self.what}")
        return word


TAG = Word("tag")
"""Of what a machine has."""


class Directory:
    form = "directory"

    def __call__(self, given: Given, /) -> str:
        path = _one(given)
        if "\n" in path:
            raise ValueError("must be one directory, not several lines")
        return path


@dataclass(frozen=True, slots=True)
class Whole:
    low: int
    high: int

    @property
    def form(self) -> str:
        return f"whole number from {self.low} to {self.high}"

    def __call__(self, given: Given, /) -> int:
        text = _one(given)
        if not _WHOLE.fullmatch(text) or not self.low <= int(text) <= self.high:
            raise ValueError(f"must be a {self.form}, not {shown(text)}")
        return int(text)


class Money:
    form = "amount above 0, such as 2.50"

    def __call__(self, given: Given, /) -> float:
        text = _one(given)
        match = _MONEY.fullmatch(text)
        if match is None or float(match[1]) <= 0:
            raise ValueError(f"must be an {self.form}, not {shown(text)}")
        return float(match[1])


@dataclass(frozen=True, slots=True)
class Duration:
    low: timedelta
    high: timedelta

    @property
    def form(self) -> str:
        return "duration such as 90s, 15m, 1h30m, 1d; a bare number is seconds"

    def __call__(self, given: Given, /) -> timedelta:
        text = _one(given)
        span = _span("".join(text.split()))
        if span is None:
            raise ValueError(f"must be a {self.form}, not {shown(text)}")
        if not self.low <= span <= self.high:
            raise ValueError(f"must be from {spelled(self.low)} to {spelled(self.high)}, not {shown(text)}")
        return span


PERIOD = Duration(timedelta(seconds=1), timedelta(days=3650))
"""As the configuration has them."""


class Moment:
    form = "ISO time such as 2026-02-07T18:00, local unless it has an offset"

    def __call__(self, given: Given, /) -> datetime:
        text = _one(given)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"must be an {self.form}, not {shown(text)}") from None
        if moment.year not in _YEARS:
            raise ValueError(f"the year must be from {_YEARS.start} to {_YEARS.stop - 1}, not {moment.year}")
        return instant_of(moment)


@dataclass(frozen=True, slots=True)
class Choice:
    of: type[StrEnum]

    @property
    def form(self) -> str:
        return ", ".join(f"`{one}`" for one in self.of)

    def __call__(self, given: Given, /) -> StrEnum:
        text = _one(given)
        try:
            return self.of(text)
        except ValueError:
            known = [one.value for one in self.of]
            near = did_you_mean(text, known)
            raise ValueError(f"must be one of {', '.join(known)}, not {shown(text)}{near}") from None


@dataclass(frozen=True, slots=True)
class OrNone:
    """``none`` takes back what a lower layer sets."""

    inner: Reader

    @property
    def form(self) -> str:
        return f"{self.inner.form}; or `none`"

    def __call__(self, given: Given, /) -> object:
        return None if given == "none" else self.inner(given)


@dataclass(frozen=True, slots=True)
class Several:
    """A YAML list, or one line with commas; no item twice; ``none`` or an empty list for no item."""

    item: Reader

    @property
    def form(self) -> str:
        return f"list, or one line with commas; each: {self.item.form}"

    def __call__(self, given: Given, /) -> tuple[object, ...]:
        parts = [part.strip() for part in given.split(",")] if isinstance(given, str) else given
        return () if given == "none" else tuple(dict.fromkeys(_each(self.item, parts)))


@dataclass(frozen=True, slots=True)
class EachWhole:
    """A YAML list, or one text that is one item, commas and all; ``none`` or an empty list for no item."""

    item: Reader

    @property
    def form(self) -> str:
        return f"list, or one text for a single one; each: {self.item.form}"

    def __call__(self, given: Given, /) -> tuple[object, ...]:
        parts = (given,) if isinstance(given, str) else given
        return () if given == "none" else _each(self.item, parts)


class Command:
    form = "shell command"

    def __call__(self, given: Given, /) -> str:
        return _one(given)


class Rule:
    form = "permission rule such as `Read` or `Bash(git diff *)`"

    def __call__(self, given: Given, /) -> str:
        text = _one(given)
        if not _RULE.fullmatch(text):
            raise ValueError(f"{shown(text)} is not a {self.form}; write several rules as a list")
        return text


class PathPattern:
    form = "pattern of files such as `src/api/**` or `*.md`"

    def __call__(self, given: Given, /) -> str:
        text = _one(given)
        problem = why_not_a_pattern(text)
        if problem is not None:
            raise ValueError(f"{shown(text)} {problem}")
        return text


class Id:
    form = "task id (the document's name without .md)"

    def __call__(self, given: Given, /) -> TaskId:
        text = _one(given)
        if not is_task_id(text):
            raise ValueError(f"{shown(text)} is not a {self.form}; it begins with task-")
        if text.endswith(".md"):
            raise ValueError(
                f"{shown(text)} is not a {self.form}; did you mean {text.removesuffix('.md')!r}?"
            )
        return TaskId(text)


def shown(text: str) -> str:
    """*text* quoted for a message, cut where it is long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")


def spelled(span: timedelta) -> str:
    """*span* as a person would write it in a document."""
    minutes, seconds = divmod(span.total_seconds(), 60)
    hours, minutes = divmod(int(minutes), 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count:g}{unit}" for count, unit in parts if count) or "0s"


def _one(given: Given) -> str:
    if not isinstance(given, str):
        raise ValueError("must be one value, not a list")  # noqa: TRY004 - a mistake in a file, not in code
    text = given.strip()
    if not text:
        raise ValueError("has no value; give one or remove the key")
    return text


def _each(item: Reader, parts: Iterable[str]) -> tuple[object, ...]:
    """What each of *parts* means; raises one ValueError for all that mean nothing."""
    read: list[object] = []
    faults: list[str] = []
    for part in parts:
        try:
            read.append(item(part))
        except ValueError as error:
            faults.append(str(error))
    if faults:
        hidden = len(faults) - _MOST_ITEMS
        more = [f"and {hidden} more"] if hidden > 0 else []
        raise ValueError("; ".join([*dict.fromkeys(faults[:_MOST_ITEMS]), *more]))
    return tuple(read)


def _span(text: str) -> timedelta | None:
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    match = _PARTS.fullmatch(text)
    if match is None or not text:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    try:
        return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError:
        return timedelta.max
