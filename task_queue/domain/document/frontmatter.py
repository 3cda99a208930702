"""Front matter: where it ends, and a strict subset of YAML in which every value is text or a list of text.

YAML guesses types (``no`` is false, ``1:30`` is ninety, ``0755`` is 493), can name a value once and repeat
it a billion times, and can name classes. A task document needs none of it: values keep their spelling and
``readers`` says what they mean. Deliberately absent: nesting, anchors, aliases, tags, merge keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from task_queue.domain.errors import TaskFileError

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 16 * 1024
MAX_KEYS = 64

Given = str | tuple[str, ...]
"""A value as it is spelled in the document."""

_DEEPEST = 4
"""An unusable value is passed over down to here; deeper ones take the parser too long."""
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


def read(front: str) -> tuple[tuple[Field, ...], tuple[TaskFileError, ...]]:
    """The keys of *front* (as ``split`` gives it) that can be read, in its order, and all that is wrong with it."""
    size = len(front.encode(errors="replace"))
    if size > MAX_BYTES:
        too_large = TaskFileError(
            f"the front matter has {size} bytes, more than {MAX_BYTES}",
            line=1,
            hint="is the line with --- that closes it in the right place?",
        )
        return (), (too_large,)
    reading = _FrontMatter(front)
    try:
        reading.read()
    except TaskFileError as error:
        reading.faults.append(error)
    return tuple(reading.fields), tuple(reading.faults)


class _FrontMatter:
    """One pass over the events of YAML. What a later line does not depend on is noted, and the pass goes on."""

    def __init__(self, front: str) -> None:
        self._front = front
        self.fields: list[Field] = []
        self.faults: list[TaskFileError] = []

    def read(self) -> None:
        """Raises TaskFileError for what ends the pass."""
        # Imported here: a document without front matter, and every command that reads none, does without it.
        import yaml

        try:
            # The pure-Python parser, and its events only: it does not recurse, and the first event that is
            # nested too deep ends it. (The C parser dies of 32,000 opening brackets.)
            self._read(yaml.parse(self._front, Loader=yaml.SafeLoader))
        except yaml.MarkedYAMLError as error:
            _refuse_syntax(self._front, error)
        except yaml.reader.ReaderError as error:
            raise TaskFileError(
                "the front matter contains a control character", line=_line(self._front, error.position)
            ) from error
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # PyYAML lets int() and chr() fail on absurd escapes and versions ("\UFFFFFFFF").
            raise TaskFileError("the front matter has an escape or a number out of range", line=1) from error

    def _read(self, events: Iterator[yaml.Event]) -> None:
        import yaml

        front = self._front
        next(events)  # the start of the stream
        if isinstance(next(events), yaml.StreamEndEvent):
            return
        if not isinstance(event := next(events), yaml.MappingStartEvent):
            raise _feature(front, event) or _refused(
                "the front matter is not made of 'key: value' lines", front, event
            )
        self._note(_feature(front, event))
        lines: dict[str, int] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _feature(front, event) or _refused("a key must be a plain word", front, event)
            key: str = event.value
            fault = _feature(front, event)
            if key == "<<":
                fault = _refused("merge keys (<<) are not supported", front, event)
            elif key in lines:
                fault = _refused(f"{key!r} is given twice, first in line {lines[key]}", front, event)
            elif len(lines) == MAX_KEYS:
                raise _refused(f"the front matter has more than {MAX_KEYS} keys", front, event)
            lines.setdefault(key, _at(front, event))
            self._note(fault)
            field = self._value(key, lines[key], events)
            if field is not None and fault is None:
                self.fields.append(field)
        next(events)  # the end of the document
        if not isinstance(event := next(events), yaml.StreamEndEvent):
            raise _refused("the front matter holds a second YAML document", front, event)

    def _value(self, key: str, line: int, events: Iterator[yaml.Event]) -> Field | None:
        """The value that follows *key*; None if it cannot be used, which is noted."""
        import yaml

        front = self._front
        event = next(events)
        fault = _feature(front, event)
        if isinstance(event, yaml.ScalarEvent):
            self._note(fault)
            return Field(key, event.value, line) if fault is None else None
        items: list[yaml.ScalarEvent] = []
        deep = 1 if isinstance(event, yaml.CollectionStartEvent) else 0
        if isinstance(event, yaml.MappingStartEvent):
            fault = fault or _nested(key, front, event)
        while deep:
            event = next(events)
            fault = fault or _feature(front, event)
            if isinstance(event, yaml.CollectionStartEvent):
                fault = fault or _nested(key, front, event)
                deep += 1
                if deep > _DEEPEST:
                    raise fault
            elif isinstance(event, yaml.CollectionEndEvent):
                deep -= 1
            elif isinstance(event, yaml.ScalarEvent):
                items.append(event)
        self._note(fault)
        if fault is not None:
            return None
        return Field(
            key, tuple(item.value for item in items), line, tuple(_at(front, item) for item in items)
        )

    def _note(self, fault: TaskFileError | None) -> None:
        if fault is not None:
            self.faults.append(fault)


def _nested(key: str, front: str, event: yaml.Event) -> TaskFileError:
    nested = f"{key}: the value is nested; only a text or a list of texts is possible"
    return _refused(nested, front, event, hint=_QUOTE)


def _feature(front: str, event: yaml.Event) -> TaskFileError | None:
    """Where *event* uses one of the features that make YAML dangerous."""
    import yaml

    if isinstance(event, yaml.AliasEvent):
        return _refused("aliases (*name) are not supported", front, event, hint=_QUOTE)
    if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
        return _refused("anchors (&name) are not supported", front, event, hint=_QUOTE)
    if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag is not None:
        return _refused("tags (!name) are not supported", front, event, hint=_QUOTE)
    if isinstance(event, yaml.ScalarEvent) and _UNUSABLE.search(event.value):
        return _refused("a value contains a control character", front, event)
    return None


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
