"""The command line: parse, one call, render. Commands are imported when they are used, so that help is quick."""

from __future__ import annotations

import click

from task_queue import __version__
from task_queue.cli.groups import use_configuration
from task_queue.cli.lazy import LazyCommand, LazyGroup

_COMMANDS = {
    "init": LazyCommand("init_command:init", "Make the folders and the configuration. Safe to repeat."),
    "status": LazyCommand("status:status", "One screen: daemon, sources, what runs, what waits and why."),
    "sources": LazyCommand("sources:sources", "List, add, remove, pause and resume sources."),
    "stop": LazyCommand("stop:stop", "Everything at once: start nothing more, stop what runs."),
    "resume": LazyCommand("stop:resume", "Continue after a stop."),
    "tasks": LazyCommand("tasks:tasks", "Add, check, list, show, follow, change, cancel, retry, land, wait."),
    "jobs": LazyCommand("jobs:jobs", "Tasks in the words of a job queue, here or on a server."),
    "schedules": LazyCommand("schedules:schedules", "Recurring tasks: when each is due, one run now."),
    "report": LazyCommand("report:report", "The morning in one screen: needs you, done, failed, spent."),
    "history": LazyCommand("history:history", "What ended and how, the newest first."),
    "stats": LazyCommand("stats:stats", "Counts, times, costs and success of what ended."),
    "plan": LazyCommand("plan:plan", "What would run in which order and when, and what is in its way."),
    "worktrees": LazyCommand(
        "worktrees:worktrees", "The checkouts of tasks that are kept: list, open, prune."
    ),
    "prune": LazyCommand("prune:prune", "Remove results, logs and events beyond the limits of retention."),
    "workers": LazyCommand("workers:workers", "What each worker does."),
    "events": LazyCommand("events:events", "What happened: tasks, sources, the daemon, and what people did."),
    "reindex": LazyCommand("events:reindex", "Rebuild the event log from the results."),
    "logs": LazyCommand("logs:logs", "The daemon's own log."),
    "run": LazyCommand("run:run", "Work in the foreground, for trying and for scripts."),
    "daemon": LazyCommand("daemon:daemon", "What the service starts."),
    "api": LazyCommand("api:api", "Serve the HTTP API."),
    "web": LazyCommand("web:web", "Open the page in a browser."),
    "worker": LazyCommand("worker:worker", "Carry out tasks of a server on this machine."),
    "mcp": LazyCommand("mcp:mcp", "Tools for agents, on standard input and output."),
    "tokens": LazyCommand("tokens:tokens", "Credentials for the HTTP API: create, list, revoke."),
    "fleet": LazyCommand("fleet:fleet", "Several machines that share one queue, on a database."),
    "service": LazyCommand("service:service", "Install, remove and inspect the systemd user unit."),
    "completion": LazyCommand(
        "completion:completion", "Print the script that completes words in your shell."
    ),
    "config": LazyCommand("configuration:config", "The configuration: path, get, set, edit, check."),
    "skill": LazyCommand(
        "skill:skill", "The skill and the prompts of the agents: show, which, eject, plugin."
    ),
    "notify": LazyCommand("notify:notify", "Try whether notifications arrive."),
    "doctor": LazyCommand("doctor:doctor", "Check everything, and say how to fix it."),
    "demo": LazyCommand("demo:demo", "The whole pipeline in a scratch folder, without an account."),
}


@click.group(cls=LazyGroup, entries=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="task-queue", message="%(prog)s %(version)s")
@click.option(
    "--config", metavar="PATH", help="Configuration file (else TASK_QUEUE_CONFIG, else the default)."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")  # for ``edge``
@click.pass_context
def cli(context: click.Context, config: str | None) -> None:
    """Drop a Markdown file into a folder: an agent does the work and leaves a result beside it."""
    use_configuration(context, config)
