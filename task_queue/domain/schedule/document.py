"""From the bytes of a file in ``schedules/`` to a recurring task: its rule, and the document of each task."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from task_queue.domain.document import frontmatter
from task_queue.domain.document.frontmatter import Field
from task_queue.domain.document.readers import Choice
from task_queue.domain.document.settings import parse_given
from task_queue.domain.document.taskfile import read_task, text_of
from task_queue.domain.document.writing import without_keys
from task_queue.domain.errors import TaskFileError
from task_queue.domain.schedule.rule import CatchUp, Overlap, Rule, rule_of
from task_queue.domain.task import TaskId

SUFFIX = ".md"
KEYS: Mapping[str, str] = {
    "schedule": "when: minute, hour, day of the month, month, weekday, as in a crontab; needed",
    "timezone": "in which zone, such as Europe/Berlin; default: the machine's",
    "overlap": "when an earlier task of it has not ended: `skip`, `queue` or `replace` it; default: skip",
    "catch_up": "which missed times are made up for: `one`, `all` or `none`; default: one",
    "until": "no later time counts: a date, or an ISO time in that zone; default: for ever",
}
"""Besides these, a schedule may have every key of a task."""
_NAME = re.compile(r"[^\W_][\w-]*")
_MAX_NAME_BYTES = 100
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Schedule:
    """One recurring task."""

    name: str
    rule: Rule
    document: str
    """The text of each of its tasks."""
    title: str
    given: Mapping[str, Any]
    """The keys that each of its tasks sets, parsed."""


def is_schedule_name(file_name: str) -> bool:
    """Whether a file of that name in ``schedules/`` is meant as a schedule; the others are not looked at."""
    return file_name.endswith(SUFFIX) and not file_name.startswith(".")


def why_not_named(name: str) -> str | None:
    """Why a schedule cannot have that *name*, which goes into the ids of its tasks; None if it can."""
    if not _NAME.fullmatch(name):
        return "the name may have letters, digits, '-' and '_' only, and begins with a letter or a digit"
    if len(name.encode()) > _MAX_NAME_BYTES:
        return f"the name has more than {_MAX_NAME_BYTES} bytes"
    return None


def read_schedule(data: bytes, name: str) -> Schedule:
    """The schedule called *name* that *data* describes. Raises TaskFileError with all that is wrong."""
    text = text_of(data)
    front, _ = frontmatter.split(text)
    entries, faults = ((), ()) if front is None else frontmatter.read(front)
    own = {entry.key: entry for entry in entries if entry.key in KEYS}
    faults = (*faults, *parse_given(entry for entry in entries if entry.key not in KEYS)[1])
    try:
        rule = _rule(own)
    except TaskFileError as error:
        raise TaskFileError.of((*faults, *error.faults)) from error
    if faults:
        raise TaskFileError.of(faults)
    document = without_keys(text, KEYS)
    task, faults = read_task(document.encode(), TaskId(f"task-{name}"))
    if faults:
        raise TaskFileError.of(faults)
    return Schedule(name, rule, document, task.title, task.given)


def _rule(own: Mapping[str, Field]) -> Rule:
    faults: list[TaskFileError] = []
    if "schedule" not in own:
        faults.append(
            TaskFileError("schedule: is missing", hint="write when it runs: schedule: '30 2 * * 1-5'")
        )
    texts: dict[str, str] = {}
    for key, field in own.items():
        if isinstance(field.value, str):
            texts[key] = field.value.strip()
        else:
            faults.append(TaskFileError(f"{key}: must be one text, not a list", line=field.line))
    overlap = _choice(Overlap.SKIP, own.get("overlap"), faults)
    catch_up = _choice(CatchUp.ONE, own.get("catch_up"), faults)
    found: dict[str, Rule] = {}
    # One after the other, so that each fault has the line of its own key.
    for key, given in (
        ("timezone", {"timezone": texts.get("timezone", "")}),
        ("until", {"until": texts.get("until")}),
        ("schedule", {"expression": texts.get("schedule", "* * * * *")}),
    ):
        try:
            found[key] = rule_of(**{"expression": "* * * * *", **given})  # type: ignore[arg-type]  # texts of these keys
        except ValueError as error:
            faults.append(TaskFileError(f"{key}: {error}", line=own[key].line))
    if faults:
        raise TaskFileError.of(faults)
    return rule_of(
        texts["schedule"],
        timezone=texts.get("timezone", ""),
        until=texts.get("until"),
        overlap=overlap,
        catch_up=catch_up,
    )


def _choice(default: _Choice, field: Field | None, faults: list[TaskFileError]) -> _Choice:
    if field is None or not isinstance(field.value, str):
        return default
    try:
        return type(default)(Choice(type(default))(field.value))
    except ValueError as error:
        faults.append(TaskFileError(f"{field.key}: {error}", line=field.line))
        return default
