"""What must not be written down: which values are secret, and texts without them. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

REDACTED = "[redacted]"
SECRET_SHAPE = re.compile(r"sk-ant-[A-Za-z0-9_-]{6,}")
"""Keys that show by themselves what they are."""
_MIN_CHARS = 6
_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")


def secrets_in(env: Mapping[str, str], names: Collection[str] = ()) -> tuple[str, ...]:
    """Values of *names* and of variables whose names say that they are secret, passwords in URLs; longest first."""
    values = {value for name, value in env.items() if name in names or _NAME.search(name)}
    values.update(match[1] for value in env.values() for match in _PASSWORD_IN_URL.finditer(value))
    return tuple(sorted((v for v in values if len(v) >= _MIN_CHARS), key=len, reverse=True))


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """*value* (JSON, tuples allowed) with every secret in its texts made unreadable."""
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, REDACTED)
            return SECRET_SHAPE.sub(REDACTED, value)
        case list() | tuple():
            items: list[Any] = [redacted(item, secrets) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
            return tuple(items) if isinstance(value, tuple) else items
        case dict():
            return {key: redacted(item, secrets) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType]  # JSON
        case _:
            return value


def without_secrets(env: Mapping[str, str], names: Collection[str] = ()) -> dict[str, str]:
    """*env* for programs that need no credentials; the variables *names* are such, whatever their names say."""
    return {name: value for name, value in env.items() if name not in names and not _NAME.search(name)}
