"""The keys of a document as options of a command: made from the one list of keys, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import cast

import click

from task_queue.cli.completing import Function, tasks_in
from task_queue.domain.document.frontmatter import Given
from task_queue.domain.document.readers import Choice, Duration, Moment, Money, OrNone, Reader, Whole
from task_queue.domain.document.settings import KEYS, Key
from task_queue.domain.document.writing import absolute


class KeyedCommand(click.Command):
    """Help shows the options that are keys in a section of their own."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        names = {key.name for key in KEYS}
        own = [record for name, record in records.items() if record and name not in names]
        keys = [record for name, record in records.items() if record and name in names]
        with formatter.section("Options"):
            formatter.write_dl(own)
        with formatter.section("Keys of the document, in place of what it says itself"):
            formatter.write_dl(keys)


def key_options(function: Function) -> Function:
    """An option for each key of the front matter; its value is handed on as it was typed."""
    for key in reversed(KEYS):
        function = click.option(
            option_of(key),
            key.name,
            metavar=_metavar(key.read),
            multiple=key.takes_several,
            shell_complete=tasks_in() if key.name == "depends_on" else None,
            help=f"{key.help[0].upper()}{key.help[1:]}{' (repeatable)' if key.takes_several else ''}.",
        )(function)
    return function


def option_of(key: Key) -> str:
    return f"--{key.name.replace('_', '-')}"


def values_of(typed: Mapping[str, object], now: datetime) -> dict[str, Given]:
    """What was *typed* as values of a document; a time of day is the next one after *now*. Raises click.UsageError."""
    values: dict[str, Given] = {}
    faults: list[str] = []
    for key in KEYS:
        value = typed.get(key.name)
        if value is None or value == ():
            continue
        given: Given = (
            tuple(map(str, cast("tuple[object, ...]", value))) if isinstance(value, tuple) else str(value)
        )
        if len(given) == 1 and isinstance(given, tuple):
            given = given[0]
        if isinstance(key.read, Moment) and isinstance(given, str):
            given = absolute(given, now)
        try:
            key.read(given)
        except ValueError as error:
            faults.append(f"{option_of(key)}: {error}")
        values[key.name] = given
    if faults:
        raise click.UsageError("; ".join(faults))
    return values


def _metavar(reader: Reader) -> str | None:
    match reader:
        case OrNone():
            return _metavar(reader.inner)
        case Choice():
            return "|".join(reader.of)
        case Whole():
            return "N"
        case Money():
            return "USD"
        case Duration():
            return "DURATION"
        case Moment():
            return "TIME"
        case _:
            return None
