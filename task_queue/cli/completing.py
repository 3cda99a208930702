"""Completion of commands, options, tasks, sources, schedules and templates in bash, zsh and fish."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskState

if TYPE_CHECKING:
    from task_queue.app.installation import Installation

VARIABLE = "_TASK_QUEUE_COMPLETE"
Function = TypeVar("Function", bound=Callable[..., object])


def task_argument(*states: TaskState, **options: Any) -> Callable[[Function], Function]:
    """The argument TASK: an id, the document's file name or path, or a part of the id that only one task has.

    Shells offer the ids of tasks in *states*; of all, if none is given.
    """
    return click.argument("task", shell_complete=tasks_in(*states), **options)


def tasks_in(*states: TaskState) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def offered(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
        from task_queue.app.completion import task_ids

        return _asked(context, lambda installation: task_ids(installation, begun, states or TaskState))

    return offered


def sources(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    from task_queue.app.completion import source_ids

    return _asked(context, lambda installation: source_ids(installation, begun))


def schedules(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    from task_queue.app.completion import schedule_names

    return _asked(context, lambda installation: schedule_names(installation, begun))


def templates(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    from task_queue.app.completion import template_names

    return _asked(context, lambda installation: template_names(installation, begun))


def script_for(shell: str) -> str:
    """What makes *shell* complete the words of ``task-queue``."""
    from click.shell_completion import get_completion_class

    from task_queue.cli.commands import cli

    kind = get_completion_class(shell)
    assert kind is not None, shell
    return kind(cli, {}, "task-queue", VARIABLE).source()


def _asked(context: click.Context, ask: Callable[[Installation], list[str]]) -> list[str]:
    """Nothing where nothing can be read: a shell has no place for an error."""
    from task_queue.app.installation import Installation

    installation = context.find_object(Installation) or Installation(context.find_root().params.get("config"))
    try:
        return ask(installation)
    except (TaskQueueError, OSError):
        return []
