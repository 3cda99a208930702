"""``config``: reads, sets, removes, checks and replaces the configuration; writes nothing that is not in order."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.config import document
from task_queue.config.document import NotJsonError
from task_queue.domain.errors import ConfigError
from task_queue.platform import durable

_UNCHANGED = "nothing is changed"


@dataclass(frozen=True, slots=True)
class ConfigValue:
    key: str
    value: object
    """As JSON has it, without what is secret in it unless that was asked for."""
    is_default: bool
    """Nothing stands there; this counts."""
    hides: bool
    """Something in it is not shown."""
    schema_version: int = 1


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    reason: str
    key: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigCheck:
    path: Path
    problems: tuple[ConfigProblem, ...]
    """Each of them keeps the configuration from being used."""
    unknown: tuple[str, ...]
    """Keys without a meaning, one sentence each."""
    schema_version: int = 1


def get(installation: Installation, key: str, *, reveal: bool) -> ConfigValue:
    """What *key* is. Raises ConfigError for a key that has no meaning and does not stand there."""
    from task_queue.config import keys

    content = document.read(installation.locations.config)
    steps = keys.steps_to(content, key)
    found = keys.value_at(content, steps)
    if found is None:
        default = keys.default_at(steps)
        if default is None:
            raise _unknown(content, key)
        return ConfigValue(key, default[0], is_default=True, hides=False)
    shown = found[0] if reveal else keys.concealed(content, steps)
    return ConfigValue(key, shown, is_default=False, hides=shown != found[0])


def shown_whole(installation: Installation) -> str:
    """The configuration as it is in force, as JSON, without what is secret in it. Raises ConfigError."""
    from task_queue.config import keys

    return json.dumps(keys.concealed(installation.content, ()), indent=2)


def set_value(installation: Installation, key: str, text: str) -> object:
    """Set *key* to *text*, which is JSON, or a text where it is none or none is wanted; gives the value.

    Raises ConfigError, and writes nothing, if the whole would not be in order, or the key has no meaning.
    """
    from task_queue.config import edit, keys, schema

    config = installation.locations.config
    document.read(config)  # one that is missing is not made here
    with edit.editing(config, installation.now()) as content:
        steps = keys.steps_to(content, key)
        if keys.default_at(steps) is None:
            raise _unknown(content, key)
        first: Sequence[ConfigError] = ()
        for value in _meanings(text):
            changed = copy.deepcopy(content)
            keys.put(changed, steps, value)
            faults = schema.faults_in(changed, config)
            if not faults:
                content.clear()
                content.update(changed)
                break
            first = first or faults
        else:
            raise ConfigError("; ".join(map(str, first)), hint=_UNCHANGED)
    record_action(installation, "config set", key=key)
    return value


def unset(installation: Installation, key: str) -> bool:
    """Remove *key*, so that its default counts; False if it is not set.

    Raises ConfigError, and writes nothing, if the whole would not be in order, or the key has no meaning.
    """
    from task_queue.config import edit, keys, schema

    config = installation.locations.config
    content = document.read(config)
    if keys.value_at(content, keys.steps_to(content, key)) is None:
        if keys.default_at(keys.steps_to(content, key)) is None:
            raise _unknown(content, key)
        return False
    with edit.editing(config, installation.now()) as content:
        keys.take_out(content, keys.steps_to(content, key))
        faults = schema.faults_in(content, config)
        if faults:
            raise ConfigError("; ".join(map(str, faults)), hint=_UNCHANGED)
    record_action(installation, "config unset", key=key)
    return True


def check(installation: Installation) -> ConfigCheck:
    """All that is wrong with the configuration. Raises ConfigMissing."""
    path = installation.locations.config
    problems: list[ConfigProblem] = []
    try:
        installation.demand_trust()
    except ConfigError as error:
        problems.append(ConfigProblem(error.in_full))
    try:
        text = document.read_text(path)
    except NotJsonError as error:
        return ConfigCheck(path, (*problems, _problem(error)), ())
    found, unknown = _looked_at(text, path)
    return ConfigCheck(path, (*problems, *found), unknown)


def problems_in(installation: Installation, text: str) -> tuple[ConfigProblem, ...]:
    """What would be wrong with a configuration that says *text*."""
    return _looked_at(text, installation.locations.config)[0]


def all_keys(installation: Installation) -> tuple[str, ...]:
    """Every dotted key that ``get`` and ``set`` take, sorted; those of the sources that there are among them."""
    from task_queue.config import keys

    return keys.all_keys(installation.content)


@dataclass(frozen=True, slots=True)
class ConfigDraft:
    """A copy that a person changes; ``before`` is what the configuration said."""

    path: Path
    before: str

    def text(self) -> str:
        """Raises ConfigError."""
        return document.read_text(self.path)

    def discard(self) -> None:
        durable.remove(self.path)


def begin_draft(installation: Installation, continues: Path | None) -> ConfigDraft:
    """A file for the user alone: with what the configuration says, or *continues*, itself where it is a draft."""
    before = document.read_text(installation.locations.config)
    text = before if continues is None else document.read_text(continues)
    folder = installation.locations.drafts
    if continues is not None and continues.absolute().parent == folder:
        return ConfigDraft(continues, before)
    durable.make_directory(folder)
    for number in itertools.count(1):
        path = folder / f"config-{number}.json"
        try:
            durable.publish(path, text.encode())
        except FileExistsError:
            continue
        return ConfigDraft(path, before)
    raise AssertionError("numbers do not end")


def take_draft(installation: Installation, draft: ConfigDraft, text: str) -> None:
    """Make *text* the configuration. Raises ConfigError if that was changed meanwhile, or is not in order."""
    from task_queue.config import edit

    problems = problems_in(installation, text)
    if problems:
        raise ConfigError("; ".join(map(sentence, problems)), hint=_UNCHANGED)
    edit.replace_text(installation.locations.config, text, instead_of=draft.before)
    draft.discard()
    record_action(installation, "config edit")


def sentence(problem: ConfigProblem) -> str:
    """Where and what, in one line."""
    place = f"line {problem.line}, column {problem.column}: " if problem.line is not None else ""
    return f"{place}{f'{problem.key}: ' if problem.key else ''}{problem.reason}"


def _looked_at(text: str, path: Path) -> tuple[tuple[ConfigProblem, ...], tuple[str, ...]]:
    from task_queue.config import schema

    try:
        content = document.parse(text, path)
    except ConfigError as error:
        return (_problem(error, path),), ()
    faults = schema.faults_in(content, path)
    unknown = () if faults else tuple(map(str, schema.validate(content, path).unknown_keys()))
    return tuple(ConfigProblem(fault.reason, fault.key) for fault in faults), unknown


def _problem(error: ConfigError, path: Path | None = None) -> ConfigProblem:
    if isinstance(error, NotJsonError):
        return ConfigProblem(error.reason, line=error.line, column=error.column)
    return ConfigProblem(str(error).removeprefix(f"{path}: "))


def _unknown(content: dict[str, Any], key: str) -> ConfigError:
    from difflib import get_close_matches

    from task_queue.config import keys

    near = get_close_matches(key, keys.all_keys(content), n=1)
    hint = f"did you mean '{near[0]}'?" if near else "docs/configuration.md lists the keys"
    return ConfigError(f"there is no key '{key}'", hint=hint)


def _meanings(text: str) -> list[object]:
    """What *text* may be meant as: JSON first; a text also where JSON has a number, a truth value or null."""
    try:
        value: object = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return [text]
    return [value] if isinstance(value, str | list | dict) else [value, text]


def _no_constant(name: str) -> object:
    raise ValueError(name)
