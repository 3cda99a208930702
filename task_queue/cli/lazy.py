"""A click group that knows its commands by name and imports each when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from task_queue.cli.groups import CommandGroup, with_common_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """``module:attribute`` below ``task_queue.cli``, and the line that help shows."""

    where: str
    help: str


class LazyGroup(CommandGroup):
    def __init__(self, *args: Any, entries: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*args, **options)
        self._entries = entries

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self._entries and not name.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = " or ".join(f"'{each}'" for each in get_close_matches(name, self._entries, n=2))
            if near:
                raise click.UsageError(f"there is no command '{name}'; did you mean {near}?", ctx)
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.where.partition(":")
        command: click.Command = getattr(import_module(f"task_queue.cli.{module}"), attribute)
        return with_common_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self._entries.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Without an import of each command, which click would make."""
        from click.shell_completion import CompletionItem

        names = [name for name in self._entries if name.startswith(incomplete)]
        commands = [CompletionItem(name, help=self._entries[name].help) for name in names]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]
