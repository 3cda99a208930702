"""Where errors become two lines and an exit code: 0 done, 1 failed, 2 wrong usage, 3 needs attention."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from task_queue.cli.render import show_error, show_traceback
from task_queue.domain.errors import TaskQueueError

FAILED = 1
NEEDS_ATTENTION = 3
_INTERRUPTED = 130


def run_guarded(command: click.Command, arguments: Sequence[str]) -> int:
    """Run *command*; whatever happens, a person gets a sentence and a hint, and a script an exit code."""
    debug = "--debug" in arguments
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
        show_error(str(error), error.hint)
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (``| head``); Python would complain once more while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the edge: a defect of ours, told as such
        if debug:
            show_traceback()
        show_error(
            f"a defect of task-queue: {type(error).__name__}: {error}",
            None if debug else "see where with: task-queue --debug ...",
        )
        return FAILED
    return code if isinstance(code, int) else 0
