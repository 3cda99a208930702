"""The command line: parse, one call, render. Commands are imported when they are used, so that help is quick."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from task_queue import __version__
from task_queue.cli.lazy import Entry, LazyGroup

_COMMANDS = {
    "init": Entry("init_command:init", "Make the folders and the configuration. Safe to repeat."),
    "status": Entry("status:status", "One screen: daemon, sources, what runs, what waits and why."),
    "sources": Entry("sources:sources", "List, add, remove, pause and resume sources."),
    "stop": Entry("stop:stop", "Everything at once: start nothing more, stop what runs."),
    "resume": Entry("stop:resume", "Go on after a stop."),
    "tasks": Entry("tasks:tasks", "Add, list, show, follow, cancel, retry and wait for tasks."),
    "workers": Entry("workers:workers", "What each worker does."),
    "logs": Entry("logs:logs", "The daemon's own log."),
    "run": Entry("run:run", "Work in the foreground, for trying and for scripts."),
    "daemon": Entry("daemon:daemon", "What the service starts."),
    "service": Entry("service:service", "Install, remove and look at the systemd user unit."),
    "skill": Entry("skill:skill", "The skill and the prompts of the agents: show, which, eject."),
    "doctor": Entry("doctor:doctor", "Check everything, and say how to fix it."),
    "demo": Entry("demo:demo", "The whole pipeline in a scratch folder, without an account."),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="task-queue", message="%(prog)s %(version)s")
@click.option(
    "--config", metavar="PATH", help="Configuration file (else TASK_QUEUE_CONFIG, else the default)."
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(context: click.Context, config: str | None, debug: bool) -> None:
    """Drop a Markdown file into a folder: an agent does the work, and what it did lies beside it."""
    from task_queue.cli.session import Session  # help needs none of what it imports

    context.obj = Session(config, debug=debug)


def main() -> NoReturn:
    """``task-queue``"""
    from task_queue.cli.edge import run_guarded

    sys.exit(run_guarded(cli, sys.argv[1:]))


def daemon_main() -> NoReturn:
    """``task-queue-daemon``, the name of the original system."""
    from task_queue.cli.edge import run_guarded

    options = sys.argv[1:]
    sys.exit(run_guarded(cli, [*options, "daemon"]))
