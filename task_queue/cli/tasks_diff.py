"""``tasks diff``: what a task changed."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import click

from task_queue.app.finding import NotThereError
from task_queue.app.installation import Installation
from task_queue.app.patch_view import PatchFile, files_of
from task_queue.app.task_elsewhere import task_here
from task_queue.cli import render
from task_queue.cli.completing import task_argument
from task_queue.cli.server import QueueServer, server_options
from task_queue.cli.session import as_json_option, pass_installation
from task_queue.domain.task import TaskState

_SCHEMA_VERSION = 1


@click.command()
@task_argument(TaskState.RUNNING, TaskState.COMPLETED, TaskState.FAILED)
@click.option("--stat", is_flag=True, help="Only the files, with how many lines were added and removed.")
@click.option(
    "--file", "paths", multiple=True, metavar="PATTERN", help="Only this file; * stands for anything."
)
@server_options
@as_json_option
@pass_installation
def diff(
    installation: Installation,
    *,
    task: str,
    stat: bool,
    paths: tuple[str, ...],
    server: QueueServer | None,
    as_json: bool,
) -> None:
    """What TASK changed: its commits, or while it runs its files as they are now."""
    patch = _patch_there(server, task) if server is not None else _patch_here(installation, task)
    files = [file for file in files_of(patch) if not paths or _is_wanted(file.path, paths)]
    if paths and not files:
        raise NotThereError(f"it did not change {', '.join(paths)}", hint="see the files with: --stat")
    if as_json:
        shown = [{"path": file.path, "added": file.added, "removed": file.removed} for file in files]
        wanted = {} if stat else {"patch": _text_of(files) if paths else patch}
        render.say_json({"files": shown, **wanted, "schema_version": _SCHEMA_VERSION})
    elif stat:
        rows = [(f"+{file.added}", f"-{file.removed}", file.path) for file in files]
        render.show(render.table(rows, head=("ADDED", "REMOVED", "FILE")))
    else:
        render.say_block((_text_of(files) if paths else patch).rstrip("\n"))


def _patch_here(installation: Installation, task: str) -> str:
    from task_queue.app.task_diff import diff_of  # git, which few commands need

    return diff_of(installation, task_here(installation, task)).patch


def _patch_there(server: QueueServer, task: str) -> str:
    from task_queue.client import task_operations

    return server.ask(task_operations.diff(server.task_id(task))).decode(errors="replace")


def _is_wanted(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) for pattern in patterns)


def _text_of(files: Sequence[PatchFile]) -> str:
    lines: list[str] = []
    for file in files:
        lines += [line.text for line in file.lines]
        if file.hidden:
            lines.append(f"... {file.hidden:,} more lines of {file.path} are not shown")
    return "\n".join(lines)
