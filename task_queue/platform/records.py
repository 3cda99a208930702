"""The dataclasses of ``domain.model`` to JSON and back.

Reading is strict in types and tolerant of keys that a later release added. pydantic is imported at the
first use, so that programs that never decode a record do not pay for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from task_queue.domain.attempt.result_file import content_of, ending_fields, result_fields
from task_queue.domain.model import Ending, Result
from task_queue.platform.json_files import object_in

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Decoded = TypeVar("Decoded")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELDS_OF: Mapping[type[Any], Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    Result: result_fields,
    Ending: ending_fields,
}
_adapters: dict[Any, TypeAdapter[Any]] = {}


class UnreadableRecordError(ValueError):
    """The bytes are not the record that was expected; the file is kept as it is."""


def encode(record: Any, *, for_people: bool = True) -> bytes:
    """UTF-8 JSON with a final newline; times are ISO 8601 with offset, durations seconds, paths text.

    Bytes of a file name that are not UTF-8 become visible text: JSON escapes of them could not be read back.
    *for_people*: in lines, which takes ten times as long as all in one.
    """
    text = json.dumps(record, ensure_ascii=False, default=_plain, indent=1 if for_people else None)
    return _SURROGATE.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text).encode() + b"\n"


def decode(kind: type[Decoded], data: bytes) -> Decoded:
    """Raises UnreadableRecordError."""
    from pydantic import ValidationError

    try:
        record: Decoded = adapter(kind).validate_json(_as_fields(kind, data))
        return record
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UnreadableRecordError(f"{where}: {first['msg']}") from error


def _as_fields(kind: type[Any], data: bytes) -> bytes:
    """*data* with the keys that the fields of *kind* have, where its file has others."""
    fields_of = _FIELDS_OF.get(kind)
    if fields_of is None:
        return data
    content = object_in(data)
    # Of what is not an object, pydantic says where it is not JSON.
    return json.dumps(fields_of(content)).encode() if isinstance(content, dict) else data


def adapter(kind: Any) -> TypeAdapter[Any]:
    """Validator and schema of a record class, built once."""
    from pydantic import TypeAdapter

    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def _plain(value: Any) -> Any:
    if isinstance(value, Result):
        return content_of(value)
    if is_dataclass(value):  # not asdict, which copies all that is in it
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Path):
        return str(value)
    return value.isoformat()
