"""Where errors become two lines and an exit code: 0 done, 1 failed, 2 wrong usage, 3 needs attention."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from task_queue.cli.render import show_error, show_traceback
from task_queue.domain.errors import TaskFileError, TaskQueueError

FAILED = 1
NEEDS_ATTENTION = 3
_INTERRUPTED = 130
_WHERE = "see where with: task-queue --debug ..."


def run_guarded(command: click.Command, arguments: Sequence[str]) -> int:
    """Run *command*; whatever happens, a person gets a sentence and a hint, and a script an exit code."""
    debug = "--debug" in arguments
    _fill_closed_streams()
    try:
        return _run(command, arguments, debug=debug)
    except BrokenPipeError:  # the reader has seen enough: ``| head``
        _let_go_of_stdout()
        return 0
    except SystemExit as left:
        if left.code != 1:
            raise  # a signal that the demo answers
        return 0  # what click makes of a reader that has gone
    except OSError as error:  # the machine's trouble, not a defect: a full disk, a read-only home
        if debug:
            show_traceback()
        _let_go_of_stdout()
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        show_error(f"{where}{error.strerror or error}", None if debug else _WHERE)
        return FAILED
    except Exception as error:  # noqa: BLE001 - the edge: a defect in the queue, reported as such
        if debug:
            show_traceback()
        show_error(f"a defect of task-queue: {type(error).__name__}: {error}", None if debug else _WHERE)
        return FAILED


def _run(command: click.Command, arguments: Sequence[str], *, debug: bool) -> int:
    try:
        code: object = command.main(list(arguments), prog_name="task-queue", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "task-queue"
        show_error(error.format_message(), f"see: {path} --help")
        return error.exit_code
    except click.ClickException as error:
        show_error(error.format_message(), None)
        return error.exit_code
    except TaskQueueError as error:
        if debug:
            show_traceback()
        for fault in error.faults if isinstance(error, TaskFileError) else (error,):
            show_error(str(fault), fault.hint)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    return code if isinstance(code, int) else 0


def _fill_closed_streams() -> None:
    """``>&-``: without it the next file that is opened would get the number of the closed stream, and its text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _let_go_of_stdout() -> None:
    """Or Python would complain once more while it closes it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
