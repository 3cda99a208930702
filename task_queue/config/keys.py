"""Dotted keys of the configuration, such as ``limits.running`` and ``sources.shop.paused``: what they name, and what
stands there. Values of keys that exist are found by the longest name that fits, so a name may hold dots.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from pydantic import BaseModel

from task_queue.config import document
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.domain.document.settings import KEYS
from task_queue.domain.errors import ConfigError
from task_queue.domain.secrets import is_secret, redacted, says_secret, secrets_in

KeySteps: TypeAlias = tuple[str | int, ...]
"""The way from the document to a value: names, and numbers in a list."""
HIDDEN = "(hidden)"
_BY_ID = "sources"
_WITH_ADDRESSES = ("notifications", "api", "fleet")


def steps_to(content: Mapping[str, Any], key: str) -> KeySteps:
    """What *key* names in *content*, whether something stands there or not. Raises ConfigError for no name."""
    steps: KeySteps = ()
    at: object = content
    rest = key
    if key.partition(".")[0] == _BY_ID:
        listed = cast("list[object]", content.get(document.SOURCES) or [])
        ids = {
            str(cast("dict[str, object]", entry).get("id")): number
            for number, entry in enumerate(listed)
            if isinstance(entry, dict)
        }
        rest = key.removeprefix(_BY_ID).removeprefix(".")
        if not rest:
            return (document.SOURCES,)
        name = _longest(rest, ids)
        if name is None:
            known = ", ".join(ids) or "none"
            raise ConfigError(f"there is no source for '{key}'", hint=f"known sources: {known}")
        steps, at, rest = (document.SOURCES, ids[name]), listed[ids[name]], rest[len(name) + 1 :]
    while rest:
        there = cast("dict[str, object]", at) if isinstance(at, dict) else {}
        name = _longest(rest, there) or rest.partition(".")[0]
        if not name:
            break
        steps, at, rest = (*steps, name), there.get(name), rest[len(name) + 1 :]
    if not steps or rest or key.endswith("."):
        raise ConfigError(f"{key!r} is not a key", hint="write it like: limits.running")
    return steps


def value_at(content: object, steps: KeySteps) -> tuple[object] | None:
    """What stands there, in a tuple of one; None if nothing does."""
    for step in steps:
        if isinstance(content, dict) and step in content:
            content = cast("dict[object, object]", content)[step]
        elif (
            isinstance(content, list) and isinstance(step, int) and step < len(cast("list[object]", content))
        ):
            content = cast("list[object]", content)[step]
        else:
            return None
    return (content,)


def put(content: dict[str, Any], steps: KeySteps, value: object) -> None:
    """Write *value* there; objects on the way are made. Raises ConfigError where something else is in the way."""
    at: Any = content
    for number, step in enumerate(steps[:-1]):
        following: Any = at.setdefault(step, {}) if isinstance(step, str) else at[step]
        if not isinstance(following, list if isinstance(steps[number + 1], int) else dict):
            raise ConfigError(
                f"'{spelled(steps[: number + 1])}' is not an object", hint="set that key itself"
            )
        at = cast("Any", following)
    at[steps[-1]] = value


def take_out(content: dict[str, Any], steps: KeySteps) -> None:
    """Remove what stands there, and the objects on the way that are empty then."""
    holder = value_at(content, steps[:-1])
    if holder is None or not isinstance(holder[0], dict):
        return
    names = cast("dict[object, object]", holder[0])
    names.pop(steps[-1], None)
    if not names and len(steps) > 1:
        take_out(content, steps[:-1])


def default_at(steps: KeySteps) -> tuple[object] | None:
    """What counts where nothing stands there, in a tuple of one; None if the key has no meaning."""
    at: object = Config.model_construct()
    if steps[0] == document.SOURCES and len(steps) > 1:
        at, steps = Source.model_construct(), steps[2:]
    for step in steps:
        if isinstance(at, BaseModel):
            field = type(at).model_fields.get(str(step))
            if field is None:
                return None
            at = None if field.is_required() else getattr(at, str(step))
        elif isinstance(at, dict) or at is None:
            at = None  # any name may stand there
        else:
            return None
    return (_plain(at),)


def spelled(steps: KeySteps) -> str:
    """As messages about the document name it: ``task_source_directories[0].paused``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".")


def all_keys(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Every key that has a meaning, those of each source, and the names that stand in free objects; sorted."""
    ids = [entry.id for entry in document.sources_of(dict(content))]
    found = {key for key, _ in _fields(Config, "") if not key.startswith(document.SOURCES)}
    found |= {f"{_BY_ID}.{each}.{key}" for each in ids for key, _ in _fields(Source, "")}
    for place in ("defaults", *(f"{_BY_ID}.{each}.defaults" for each in ids)):
        found |= {f"{place}.{each.name}" for each in KEYS}
    for steps in (("agent", "env"), ("executors",)):
        there = value_at(content, steps)
        names = cast("dict[str, object]", there[0]) if there and isinstance(there[0], dict) else {}
        found |= {f"{spelled(steps)}.{name}" for name in names}
    return tuple(sorted(found))


def concealed(content: Mapping[str, Any], steps: KeySteps) -> object:
    """What stands there, without what is secret in it."""
    env = value_at(content, ("agent", "env"))
    named = cast("dict[str, object]", env[0]) if env and isinstance(env[0], dict) else {}
    secrets = secrets_in({name: str(value) for name, value in named.items()})
    found = value_at(content, steps)
    return _concealed(found[0], steps, secrets) if found else None


def _concealed(value: object, steps: KeySteps, secrets: tuple[str, ...]) -> object:
    if steps[:2] == ("agent", "env") and len(steps) > 2:
        return HIDDEN if is_secret(str(steps[2]), str(value)) else value
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return {name: _concealed(each, (*steps, name), secrets) for name, each in named.items()}
    if isinstance(value, list):
        listed = cast("list[object]", value)
        return [_concealed(each, (*steps, number), secrets) for number, each in enumerate(listed)]
    if not isinstance(value, str):
        return value
    name = next((step for step in reversed(steps) if isinstance(step, str)), "")
    is_address = next(iter(steps), "") in _WITH_ADDRESSES and ("://" in value or says_secret(name))
    if is_address or is_secret("PATH", value):  # a login in a URL, whatever the name
        return HIDDEN
    return redacted(value, secrets)


def _longest(rest: str, names: Mapping[str, object]) -> str | None:
    fitting = [name for name in names if rest == name or rest.startswith(f"{name}.")]
    return max(fitting, key=len, default=None)


def _fields(model: type[BaseModel], before: str) -> Iterator[tuple[str, object]]:
    for name, field in model.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield from _fields(annotation, f"{before}{name}.")
        else:
            yield f"{before}{name}", annotation


def _plain(value: object) -> object:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case tuple():
            return [_plain(each) for each in cast("tuple[object, ...]", value)]
        case Path():
            return str(value)
        case _:
            return value
