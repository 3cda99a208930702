"""``config``: the configuration by its keys, and as a whole in an editor."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from task_queue.app import configuration
from task_queue.app.configuration import ConfigDraft, sentence
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.answer_json import as_json as json_of
from task_queue.cli.edge import FAILED
from task_queue.cli.lazy import LazyCommand, LazyGroup
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.errors import ConfigError, TaskQueueError

_COMMANDS = {
    "path": LazyCommand("configuration:path", "Where the configuration is."),
    "get": LazyCommand("configuration:get", "What one key is."),
    "set": LazyCommand("configuration:set_key", "Change one key, if the whole stays in order."),
    "unset": LazyCommand("configuration:unset", "Remove one key, so that its default counts."),
    "edit": LazyCommand("configuration:edit", "Change it in your editor."),
    "check": LazyCommand("configuration:check", "Name everything that is wrong with it."),
}


@click.group(cls=LazyGroup, entries=_COMMANDS)
def config() -> None:
    """Look at the configuration and change it. Nothing is written unless all of it is in order.

    Keys are dotted: limits.running, agent.pass_env, sources.ID.paused.
    """


@click.command()
@pass_installation
def path(installation: Installation) -> None:
    """Print the path of the configuration, whether it exists or not."""
    render.say(installation.locations.config)


@click.command()
@click.argument("key")
@click.option("--reveal", is_flag=True, help="Show what is secret in it, too.")
@as_json_option
@pass_installation
def get(installation: Installation, *, key: str, reveal: bool, as_json: bool) -> None:
    """Print the value of KEY: a text as it is, anything else as JSON; its default where it is not set."""
    value = configuration.get(installation, key, reveal=reveal)
    if as_json:
        render.say_json(value)
        return
    render.say_block(value.value if isinstance(value.value, str) else json_of(value.value))
    if value.is_default:
        render.note(f"{key} is not set; this is the default")
    if value.hides:
        render.note("secret values are hidden; --reveal shows them")


@click.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("value")
@pass_installation
def set_key(installation: Installation, *, key: str, value: str) -> None:
    """Set KEY to VALUE: JSON (true, 4, ["a", "b"], null), or a plain text."""
    configuration.set_value(installation, key, value)
    shown = configuration.get(installation, key, reveal=False).value
    render.say(f"{key} = {shown if isinstance(shown, str) else json_of(shown)}")


@click.command()
@click.argument("key")
@pass_installation
def unset(installation: Installation, *, key: str) -> None:
    """Remove KEY, so that its default counts: of an object all that is in it."""
    was_set = configuration.unset(installation, key)
    render.say(f"{key} is not set any more" if was_set else f"{key} was not set")


@click.command()
@click.option(
    "--file",
    "continues",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Continue with a draft that was kept.",
)
@pass_installation
def edit(installation: Installation, *, continues: Path | None) -> None:
    """Open a copy in your editor, and take it over when it is in order; else say what is wrong and open it again."""
    draft = configuration.begin_draft(installation, continues)
    try:
        while (text := _after_editor(draft)) is not None:
            problems = configuration.problems_in(installation, text)
            if not problems:
                configuration.take_draft(installation, draft, text)
                render.say(f"changed: {installation.locations.config}")
                return
            for problem in problems:
                render.show_error(sentence(problem), None)
            if not click.confirm("edit it again?", default=True, err=True):
                raise ConfigError("nothing is changed", hint=_kept(draft))
    except (click.Abort, KeyboardInterrupt):
        render.note(_kept(draft))
        raise
    except TaskQueueError as error:
        raise error if error.hint == _kept(draft) else ConfigError(str(error), hint=_kept(draft)) from error
    draft.discard()
    render.note("nothing is changed")


@click.command()
@as_json_option
@pass_installation
def check(installation: Installation, *, as_json: bool) -> int:
    """Name every problem, with its key or its line; exit code 1 if there is one. An unknown key is a warning."""
    found = configuration.check(installation)
    if as_json:
        render.say_json(found)
    else:
        for problem in found.problems:
            render.say(sentence(problem))
        for unknown in found.unknown:
            render.say(f"warning: {unknown}")
        if not found.problems:
            render.say(f"in order: {found.path}")
    return FAILED if found.problems else 0


def _after_editor(draft: ConfigDraft) -> str | None:
    """What the draft says then; None if that is what the configuration says."""
    try:
        click.edit(filename=str(draft.path))
    except click.ClickException as error:
        raise ConfigError(error.format_message()) from error
    text = draft.text()
    return None if text == draft.before else text


def _kept(draft: ConfigDraft) -> str:
    return f"the draft is kept; go on with: task-queue config edit --file {shlex.quote(str(draft.path))}"
