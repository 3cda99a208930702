"""Front matter: where it ends, and a strict subset of YAML in which every value is text or a list of text.

YAML guesses types (``no`` is false, ``1:30`` is ninety, ``0755`` is 493), can name a value once and repeat
it a billion times, and can name classes. A task document needs none of it: values keep their spelling and
``readers`` says what they mean. Deliberately absent: nesting, anchors, aliases, tags, merge keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from task_queue.domain.errors import TaskFileError

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 16 * 1024
MAX_KEYS = 64

Given = str | tuple[str, ...]
"""A value as it is spelled in the document."""

_FIRST_LINE = 2  # line 1 of the document is the opening ---
_OPENING = re.compile(r"---[ \t]*(?:\n|\Z)")
_CLOSING = re.compile(r"^---[ \t]*$", re.MULTILINE)
_UNUSABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_QUOTE = "put the value in quotes if it contains ': ' or ' #', or begins with one of & * ! % @ ` [ { \" '"


@dataclass(frozen=True, slots=True)
class Field:
    """One key of the front matter; ``line`` is the document's, 1-based."""

    key: str
    value: Given
    line: int
    item_lines: tuple[int, ...] = ()
    """Of each text of a list."""


def split(text: str) -> tuple[str | None, str]:
    """Front matter (None if there is none) and body of *text*; line ends become ``\\n``, a BOM is dropped.

    Raises TaskFileError when the front matter is not closed.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    opening = _OPENING.match(text)
    if opening is None:
        return None, text
    closing = _CLOSING.search(text, opening.end())
    if closing is None:
        raise TaskFileError(
            "the front matter that begins here is not closed",
            line=1,
            hint="put a line with --- below its last key; a document without any cannot begin with ---",
        )
    return text[opening.end() : closing.start()], text[closing.end() + 1 :]


def read(front: str) -> tuple[Field, ...]:
    """The keys of *front* (as ``split`` gives it), in the document's order; raises only TaskFileError."""
    size = len(front.encode(errors="replace"))
    if size > MAX_BYTES:
        raise TaskFileError(
            f"the front matter has {size} bytes, more than {MAX_BYTES}",
            line=1,
            hint="is the line with --- that closes it in the right place?",
        )
    # Imported here: a document without front matter, and every command that reads none, does without it.
    import yaml

    try:
        # The pure-Python parser, and its events only: it does not recurse, and the first event that is
        # nested too deep ends it. (The C parser dies of 32,000 opening brackets.)
        return tuple(_fields(front, _without_features(front, yaml.parse(front, Loader=yaml.SafeLoader))))
    except yaml.MarkedYAMLError as error:
        _refuse_syntax(front, error)
    except yaml.reader.ReaderError as error:
        raise TaskFileError(
            "the front matter contains a control character", line=_line(front, error.position)
        ) from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML lets int() and chr() fail on absurd escapes and versions ("\UFFFFFFFF").
        raise TaskFileError("the front matter has an escape or a number out of range", line=1) from error


def _fields(front: str, events: Iterator[yaml.Event]) -> Iterator[Field]:
    import yaml

    next(events)  # the start of the stream
    if isinstance(next(events), yaml.StreamEndEvent):
        return
    if not isinstance(event := next(events), yaml.MappingStartEvent):
        raise _refused("the front matter is not made of 'key: value' lines", front, event)
    lines: dict[str, int] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        if not isinstance(event, yaml.ScalarEvent):
            raise _refused("a key must be a plain word", front, event)
        key: str = event.value
        if key == "<<":
            raise _refused("merge keys (<<) are not supported", front, event)
        if key in lines:
            raise _refused(f"{key!r} is given twice, first in line {lines[key]}", front, event)
        if len(lines) == MAX_KEYS:
            raise _refused(f"the front matter has more than {MAX_KEYS} keys", front, event)
        lines[key] = _at(front, event)
        if isinstance(event := next(events), yaml.ScalarEvent):
            yield Field(key, event.value, lines[key])
            continue
        items: list[yaml.ScalarEvent] = []
        if isinstance(event, yaml.SequenceStartEvent):
            while isinstance(event := next(events), yaml.ScalarEvent):
                items.append(event)
        if not isinstance(event, yaml.SequenceEndEvent):
            nested = f"{key}: the value is nested; only a text or a list of texts is possible"
            raise _refused(nested, front, event, hint=_QUOTE)
        yield Field(
            key, tuple(item.value for item in items), lines[key], tuple(_at(front, item) for item in items)
        )
    next(events)  # the end of the document
    if not isinstance(event := next(events), yaml.StreamEndEvent):
        raise _refused("the front matter holds a second YAML document", front, event)


def _without_features(front: str, events: Iterable[yaml.Event]) -> Iterator[yaml.Event]:
    """*events* up to the first that uses one of the features that make YAML dangerous."""
    import yaml

    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise _refused("aliases (*name) are not supported", front, event, hint=_QUOTE)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            raise _refused("anchors (&name) are not supported", front, event, hint=_QUOTE)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
            raise _refused("tags (!name) are not supported", front, event, hint=_QUOTE)
        if isinstance(event, yaml.ScalarEvent) and _UNUSABLE.search(event.value):
            raise _refused("a value contains a control character", front, event)
        yield event


def _refused(message: str, front: str, event: yaml.Event, *, hint: str | None = None) -> TaskFileError:
    return TaskFileError(message, line=_at(front, event), hint=hint)


def _refuse_syntax(front: str, error: yaml.MarkedYAMLError) -> NoReturn:
    # The context is where the unfinished thing starts: the place to look, unless it is the whole mapping.
    whole = error.context_mark is None or "block" in (error.context or "")
    mark = error.problem_mark if whole else error.context_mark
    said = ", ".join(part for part in (error.context, error.problem) if part)
    raise TaskFileError(
        f"the front matter is not valid YAML: {said}",
        line=1 if mark is None else _line(front, mark.index),
        hint=_QUOTE,
    ) from error


def _at(front: str, event: yaml.Event) -> int:
    mark = event.start_mark
    return 1 if mark is None else _line(front, mark.index)


def _line(front: str, index: int) -> int:
    # Not the mark's own line: YAML also counts U+0085, U+2028 and U+2029, editors do not.
    return _FIRST_LINE + front.count("\n", 0, index)
