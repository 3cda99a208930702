"""Groups of commands: what all of their commands take, and what a group does when it is given none."""

from __future__ import annotations

from typing import Any

import click


class CommandGroup(click.Group):
    """Its commands take ``--config`` and ``--debug``, too, which help shows before the command only."""

    def __init__(self, *args: Any, default: str | None = None, **options: Any) -> None:
        """*default*: the command that is meant where none is named."""
        super().__init__(*args, **options)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = {*self.list_commands(ctx), *ctx.help_option_names}
        if (
            self._default is not None
            and named.isdisjoint(args)
            and all(arg.startswith("-") for arg in args[:1])
        ):
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        command = super().get_command(ctx, cmd_name)
        return None if command is None else with_common_options(command)


def with_common_options(command: click.Command) -> click.Command:
    """*command*, which also takes what stands before the command elsewhere."""
    if not any(param.name == "config" for param in command.params):
        command.params += [
            click.Option(["--config"], hidden=True, expose_value=False, callback=_use),
            click.Option(["--debug"], is_flag=True, hidden=True, expose_value=False),  # for ``edge``
        ]
    return command


def use_configuration(context: click.Context, path: str | None) -> None:
    """Let the commands below *context* speak to the installation of the configuration at *path*."""
    from task_queue.app.installation import Installation  # help needs none of what it imports

    installation = Installation(path)
    context.obj = installation
    context.call_on_close(lambda: _warn(installation.unreadable))


def _use(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None:
        use_configuration(context, path)


def _warn(of: str | None) -> None:
    if of is not None:
        from task_queue.cli.render import note  # rich, which help does without

        note(f"warning: {of}")
