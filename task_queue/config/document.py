"""Reads the configuration's JSON as it stands, without checking what it means.

Reading commands use this: they work without pydantic and while an unrelated value is wrong. Code that
acts on the configuration takes ``schema.load`` instead.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from task_queue.domain.errors import ConfigError
from task_queue.platform import durable, trust

if TYPE_CHECKING:
    from task_queue.domain.document.layers import Layers
    from task_queue.domain.hours import Hours

SOURCES = "task_source_directories"
MAX_PENDING = 100
"""``limits.max_pending`` where the configuration says none."""
WORKSPACE_HINT = (
    "run in the project's folder: task-queue init; or set its project_workspace in the configuration"
)
QUEUE_HINT = (
    "move the queue to a folder of its own, such as tasks/NAME, and correct its path in the configuration"
)
DAEMON, WORKERS = "daemon", "workers"
"""Who serves a source: ``served_by``."""
_MAX_ID_BYTES = 100
_MAX_BYTES = 16 * 2**20
_LEFT = "correct the JSON; the file is left as it is"


class ConfigMissing(ConfigError):  # noqa: N818 - a state to act on, not a mistake
    """There is no configuration yet."""


class NotJsonError(ConfigError):
    """The file's text cannot be read as JSON: ``reason`` says why, at ``line`` and ``column`` (from 1)."""

    def __init__(self, path: Path, reason: str, *, line: int, column: int, hint: str) -> None:
        super().__init__(f"{path}: line {line}, column {column}: {reason}", hint=hint)
        self.reason, self.line, self.column = reason, line, column


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source as the document lists it; ``path`` is its ``pending/`` folder."""

    id: str
    path: Path
    description: str = ""
    added_at: str | None = None
    project_workspace: str | None = None
    paused: bool = False
    default_workspace: str | None = None
    """What its own ``defaults`` give."""
    defaults: object = None
    """As they stand: ``layers_of`` reads them."""
    daily_budget_usd: float | None = None
    max_pending: int | None = None
    windows: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    repository: str | None = None
    served_by: str = DAEMON
    slots: int | None = None

    @property
    def is_remote(self) -> bool:
        """Whether workers claim its tasks through the API."""
        return self.served_by == WORKERS

    @property
    def has_own_isolation(self) -> bool:
        """Whether its own defaults say where its tasks work."""
        return "isolation" in self._own_defaults

    @property
    def _own_defaults(self) -> dict[str, object]:
        defaults = cast("dict[str, object] | None", self.defaults)
        return defaults if isinstance(defaults, dict) else {}

    @property
    def queue(self) -> Path:
        """The folder that holds ``pending/`` and its siblings."""
        return self.path.parent


def read(path: Path) -> dict[str, Any]:
    """The document at *path*; raises ConfigMissing, or ConfigError with line and column."""
    return parse(read_text(path), path)


def demand_trust(path: Path) -> None:
    """Raise ConfigError if another user could have written *path*: what it says is run as us.

    For code that acts on it; reading commands show such a configuration and say what is wrong.
    """
    problem = trust.grave_problem(path)
    if problem is not None:
        raise ConfigError(f"{path} is not trusted: {problem.what}", hint=f"fix it with: {problem.fix}")


def read_text(path: Path) -> str:
    try:
        # Its real path, because a link is allowed here; a FIFO, on which reading would wait for ever, is not.
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_MAX_BYTES)
        if len(data) > _MAX_BYTES:
            raise ConfigError(f"{path}: is larger than {_MAX_BYTES:,} bytes", hint=_LEFT)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigMissing(
            f"{path}: there is no configuration",
            hint="create it in the project's folder with: task-queue init",
        ) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        reason = f"byte {error.object[error.start]:#04x} is not UTF-8"
        raise NotJsonError(path, reason, line=line, column=column, hint="save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror}",
            hint=f"look at it with: ls -ld {shlex.quote(str(path))}",
        ) from error


def parse(text: str, path: Path) -> dict[str, Any]:
    if not text.strip():
        hint = "restore it; or remove it, and make a new one with: task-queue init"
        raise NotJsonError(path, "the file is empty", line=1, column=1, hint=hint)
    try:
        document: object = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise NotJsonError(path, error.msg, line=error.lineno, column=error.colno, hint=_LEFT) from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply", hint=_LEFT) from None
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", hint=_LEFT) from None
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must be a JSON object", hint="see docs/configuration.md for an example")
    return cast("dict[str, Any]", document)


def sources_of(document: dict[str, Any]) -> tuple[SourceEntry, ...]:
    """The sources that can be shown, in the document's order; ``unusable_in`` names the others."""
    return tuple(entry for item in _items(document) if (entry := _entry(item)) is not None)


def unusable_in(document: dict[str, Any]) -> tuple[str, ...]:
    """What ``sources_of`` and ``layers_of`` leave out, one sentence each."""
    listed: object = document.get(SOURCES, [])
    if not isinstance(listed, list):
        return (f"{SOURCES}: must be a list", *_faults(document.get("defaults"), "defaults"))
    sentences = list(_faults(document.get("defaults"), "defaults"))
    for index, item in enumerate(_items(document)):
        entry = _entry(item)
        if entry is None:
            sentences.append(f"{SOURCES}[{index}]: needs the texts 'id' and 'path'")
        else:
            sentences += _faults(entry.defaults, f"{SOURCES}[{index}].defaults")
    return tuple(sentences)


def layers_of(
    document: dict[str, Any], source: SourceEntry, *, roots: tuple[str, ...] | None = None
) -> Layers:
    """What the configuration says of every task of *source*, as far as it can be used.

    *roots*: of ``roots_of``, for who asks for many sources.
    """
    from task_queue.domain.document.layers import usable_layers  # only where a task waits: 10 ms

    own, common = source.project_workspace, _text(document.get("project_workspace"))
    layers = usable_layers(
        document.get("defaults"),
        source.defaults,
        executors=_section(document, "executors"),
        workspace=own or common,
        roots=roots_of(document, sources_of(document)) if roots is None else roots,
        ageing=_section(document, "limits").get("ageing"),
        capabilities=None if "fleet" in document else document.get("capabilities"),
    )[0]
    return layers.of_workers() if source.is_remote else layers


def _section(document: dict[str, Any], name: str) -> dict[str, object]:
    section: object = document.get(name)
    return cast("dict[str, object]", section) if isinstance(section, dict) else {}


def hours_of_source(source: SourceEntry) -> Hours | None:
    """The hours in which *source* starts tasks, None if at every hour, or if what it says cannot be used."""
    if not source.windows and not source.quiet:
        return None
    from task_queue.domain.hours import hours_of  # few sources have any

    try:
        return hours_of(source.windows, source.quiet)
    except ValueError:
        return None


def roots_of(document: dict[str, Any], sources: Iterable[SourceEntry]) -> tuple[str, ...]:
    """As ``Config.workspace_roots``; *sources* are those of *document*."""
    listed: object = document.get("roots")
    roots = cast("list[object]", listed) if isinstance(listed, list) else []
    given = roots or (
        document.get("project_workspace"),
        *(entry.project_workspace for entry in sources),
    )
    return tuple(dict.fromkeys(each for each in given if isinstance(each, str) and each))


def _faults(defaults: object, where: str) -> tuple[str, ...]:
    if not defaults:
        return ()
    from task_queue.domain.document.layers import usable_layers  # only where there are any: 10 ms

    return tuple(f"{where}: {fault}" for fault in usable_layers(defaults)[1])


def lacks_workspace(document: dict[str, Any], source: SourceEntry | None = None) -> bool:
    """Whether tasks of *source* (None: of a new one) have no directory to work in, and can name none (``roots``)."""
    own = source is not None and (source.project_workspace or source.default_workspace)
    return not (own or common_workspace(document) or document.get("roots"))


def common_workspace(document: dict[str, Any]) -> str | None:
    """Where tasks work whose source names no directory; None where the document names none, either."""
    named = document.get("project_workspace") or _default_workspace(document.get("defaults"))
    return named if isinstance(named, str) and named else None


def workspace_of(document: dict[str, Any], source: SourceEntry) -> Path | None:
    """The directory in which tasks of *source* work that name none, resolved; None where there is none."""
    base = source.project_workspace or _text(document.get("project_workspace"))
    named: str | None = None
    for layer in layers_of(document, source).defaults:
        named = layer.get("workspace", named)
    if not base and not named:
        return None
    return Path(os.path.realpath(Path(base or "/") / Path(named or "").expanduser()))


def why_not_closed(path: Path) -> str | None:
    """Why agents could not be kept out of *path*, of which every character counts; None if they can.

    Found by trying each one with the file tools of the agent's program (CLI 2.1.332): its rules let these through.
    """
    for text in (str(path), os.path.realpath(path)):
        for character in ("\\", "?"):
            if character in text:
                return (
                    f"{text!r} has {character!r} in it: no rule of the agent's program closes such a path,"
                    " so that agents could read and change the queue there"
                )
    return None


def max_pending_of(document: dict[str, Any], entry: SourceEntry) -> int:
    """With how many waiting tasks the source *entry* of *document* is full."""
    if entry.max_pending is not None:
        return entry.max_pending
    limits: object = document.get("limits")
    known = cast("dict[str, object]", limits) if isinstance(limits, dict) else {}
    return _whole(known.get("max_pending")) or MAX_PENDING


def why_not_an_id(text: str) -> str | None:
    """Why *text* cannot name a source (ids go into file names, markers and single lines); None if it can."""
    if not text.isprintable() or text != text.strip() or not text or set(text) & {"/", ":"}:
        return "must be printable text without '/', ':' or outer blanks"
    if len(text.encode()) > _MAX_ID_BYTES:
        return f"must be at most {_MAX_ID_BYTES} bytes long"
    return None


def why_not_a_new_id(text: str) -> str | None:
    """The same for one that is chosen now: it stands in commands, so it needs no quotes. None if it can."""
    if not all(character.isalnum() or character in "-_." for character in text) or text[:1] in ("-", "."):
        return "must consist of letters, digits, '-', '_' and '.', and begin with a letter or a digit"
    return why_not_an_id(text)


def _items(document: dict[str, Any]) -> list[object]:
    listed: object = document.get(SOURCES, [])
    return cast("list[object]", listed) if isinstance(listed, list) else []


def _entry(item: object) -> SourceEntry | None:
    if not isinstance(item, dict):
        return None
    values = cast("dict[str, object]", item)
    name, path = values.get("id"), values.get("path")
    if not (isinstance(name, str) and name and isinstance(path, str) and path):
        return None
    return SourceEntry(
        id=name,
        path=Path(path),
        description=_text(values.get("description")) or "",
        added_at=_text(values.get("added_at")),
        project_workspace=_text(values.get("project_workspace")),
        paused=values.get("paused") is True,
        default_workspace=_default_workspace(values.get("defaults")),
        defaults=values.get("defaults"),
        daily_budget_usd=_number(values.get("daily_budget_usd")),
        max_pending=_whole(values.get("max_pending")),
        windows=_texts(values.get("windows")),
        quiet=_texts(values.get("quiet")),
        repository=_text(values.get("repository")),
        served_by=_text(values.get("served_by")) or DAEMON,
        slots=_whole(values.get("slots")),
    )


def _default_workspace(defaults: object) -> str | None:
    return _text(cast("dict[str, object]", defaults).get("workspace")) if isinstance(defaults, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _texts(value: object) -> tuple[str, ...]:
    listed = cast("list[object]", value) if isinstance(value, list) else [value]
    return tuple(each for each in listed if isinstance(each, str))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} is given twice in one object")
        found[key] = value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
