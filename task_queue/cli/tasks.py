"""``tasks``: the names of its commands alone, so that help and completion are quick."""

from __future__ import annotations

import click

from task_queue.cli.lazy import LazyCommand, LazyGroup

_COMMANDS = {
    "add": LazyCommand("tasks_add:add", "Add tasks: text, stdin, files, or your editor."),
    "templates": LazyCommand("tasks_templates:templates", "The templates for tasks add."),
    "check": LazyCommand("tasks_check:check", "Say every fault of documents, without adding them."),
    "list": LazyCommand("tasks_read:list_tasks", "What runs, what waits, and what ended last."),
    "show": LazyCommand("tasks_show:show", "Everything that is known about one task."),
    "tree": LazyCommand("tasks_tree:tree", "Which tasks wait for which others."),
    "logs": LazyCommand("tasks_logs:logs", "What the agent did; with --follow, as it happens."),
    "diff": LazyCommand("tasks_diff:diff", "What a task changed, also while it runs."),
    "open": LazyCommand("tasks_open:open_task", "Read the report of a task, or find its checkout."),
    "cancel": LazyCommand("tasks_change:cancel", "End a waiting or running task for good."),
    "retry": LazyCommand("tasks_retry:retry", "Give a failed task another try."),
    "edit": LazyCommand("tasks_revise:edit", "Change the document of a waiting task in your editor."),
    "priority": LazyCommand("tasks_revise:priority", "Change the priority of a waiting task."),
    "move": LazyCommand("tasks_revise:move", "Let a waiting task wait in another source."),
    "rm": LazyCommand("tasks_revise:rm", "Take a waiting or ended task out of the queue; a copy is kept."),
    "resume-account": LazyCommand("stop:resume_account", "Try a paused account again now."),
    "land": LazyCommand("tasks_change:land", "Merge the branch of a completed task."),
    "undo": LazyCommand("tasks_undo:undo", "Take back what a completed task has landed."),
    "ack": LazyCommand("tasks_ack:ack", "You have seen what needs attention: do not show it again."),
    "wait": LazyCommand("tasks_read:wait", "Wait until tasks have ended."),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, default="list")
def tasks() -> None:
    """Add, check, list, show, follow, change, cancel, retry, land, undo and wait for tasks."""
