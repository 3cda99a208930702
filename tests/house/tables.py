"""The tables of the documentation that follow from the code: ``python -m tests.house.tables`` writes them.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``. This module says in words what a key or an
outcome means where the code has no place for it; ``test_docs.py`` checks that none is missing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any, get_args

import click
from pydantic import BaseModel

from task_queue.cli.commands import cli
from task_queue.config.api_settings import ApiSettings
from task_queue.config.fleet_settings import FleetSettings
from task_queue.config.retention import RetentionSettings
from task_queue.config.schema import (
    Agent,
    AuditSettings,
    CheckSettings,
    Config,
    ConfiguredCommand,
    GitSettings,
    Limits,
    MetricsSettings,
    NotificationTarget,
)
from task_queue.config.source_settings import Source
from task_queue.domain.attempt.lifecycle import Policy, decide
from task_queue.domain.attempt.results import attempt_of, bare_ending
from task_queue.domain.attempt.verdict import TABLE
from task_queue.domain.document.settings import KEYS
from task_queue.domain.estimates import LONG, MINUTES, SHORT
from task_queue.domain.event_record import ABOUT, type_of
from task_queue.domain.events import Event
from task_queue.domain.metrics import METRICS
from task_queue.domain.model import (
    Complete,
    Disposition,
    Fail,
    Outcome,
    OutcomeKind,
    Pause,
    Release,
    Retry,
)
from tests.claims import a_claim
from tests.house import proofs

ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
_BLOCK = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_NOW = datetime(2026, 2, 7, tzinfo=UTC)

OUTCOMES: dict[OutcomeKind, str] = {
    OutcomeKind.SUCCEEDED: "the agent ended cleanly, verification and audit passed",
    OutcomeKind.FAILED: "the agent reported an error, or ended in an unknown way",
    OutcomeKind.DENIED: "permissions blocked something, and no passed check shows that the task is done anyway",
    OutcomeKind.AUDIT_REJECTED: "the auditor rejected the work in each of `max_iterations` rounds, asked for a person, or gave no verdict twice",
    OutcomeKind.VERIFY_FAILED: "a `verify` command failed, also in the last round",
    OutcomeKind.BUDGET: "`max_budget_usd` is spent (a spent daily budget makes the task wait instead)",
    OutcomeKind.MAX_TURNS: "the task has used its `max_turns`",
    OutcomeKind.REFUSED: "the model declined the task",
    OutcomeKind.TIMED_OUT: "the attempt took longer than `timeout`",
    OutcomeKind.STALLED: "the agent was silent for `idle_timeout`, or never started to work",
    OutcomeKind.CRASHED: "the agent or its runner died without a result",
    OutcomeKind.CANCELLED: "a person cancelled it, its document was deleted, or a dependency failed",
    OutcomeKind.LIMITED: "the account's usage limit is reached",
    OutcomeKind.UNAVAILABLE: "the model is overloaded or fails; the repository is not ready; `setup` failed; the agent cannot be started; a command ended with exit code 75",
    OutcomeKind.ACCOUNT: "the login, the billing or the task's `model` was refused, or another account than `agent.account` would pay",
    OutcomeKind.REJECTED: "the document cannot be run as it is written",
    OutcomeKind.INTERRUPTED: "the queue itself was stopped",
}

EVENTS: dict[str, str] = {
    "dropped": "a document was found complete in `pending/`, once for each document; `task_id` is the file's name, also where the task is later recorded under a number",
    "rejected": "the document cannot be run; `settled` follows",
    "schedule_fired": "a [schedule](schedules.md) put the task into the queue; `why` is why it is late, empty if it is on time",
    "schedule_skipped": "a due time of a schedule leads to no task, because an earlier one has not ended",
    "schedule_missed": "due times of a schedule passed unnoticed and are not made up for; `count` is null where there are too many to count",
    "schedule_broken": "a schedule cannot be used; `schedule` is empty where that is so of all of the source",
    "file_ignored": "a file in `pending/` cannot be a task; again after a restart of the daemon",
    "claimed": "the worker took the task; `resumes`: it continues the session of an earlier attempt",
    "adopted": "a daemon found a live runner of an earlier daemon, and waits for it",
    "recovered": "a daemon found a claim without a live runner, and repaired it",
    "attempt_started": "written by the runner; `executor` is `claude` or the name of a configured command",
    "phase_started": "a phase of the workflow, named as in the report; a configured command is one phase, `command`",
    "phase_ended": "also where the attempt ends with the phase; missing if the runner was killed",
    "turn_taken": "the agent answered; at most one event a second, `turn` counts all answers of the attempt; `tool` is the tool that it calls",
    "limited": "the attempt met the usage limit; `released` follows",
    "released": "the task is in `pending/` again; `counted`: the attempt counts against `max_attempts`",
    "retried": "a person gave a task another try that failed, or that waited for a person",
    "landed": "the branch of a task that had ended was merged later",
    "undone": "what a task had landed was taken back",
    "cancel_asked": "a person cancelled the task; `settled` follows once it has ended",
    "edited": "the document was changed while it ran; the newer text is kept in `pending/` as `kept_as`",
    "progress": "who works on the task elsewhere said how far it is; `percent` never falls",
    "log": "a line from who works on the task elsewhere; `level` is `debug`, `info`, `warning` or `error`",
    "note": "a remark of a person or a program",
    "settled": "the task ended; the figures are those of its result, over all attempts; `figures`: its type, executor and main model, what it waited and ran (seconds), attempts, tokens, seconds by phase, each null where unknown",
    "account_paused": "nothing starts on the account, or nothing of the model that `why` names; `source` is the source whose attempt caused it",
    "account_resumed": "the account is open again",
    "source_opened": "the daemon serves the source",
    "source_closed": "the daemon serves it no longer, or ends",
    "source_paused": "the daemon noticed that a person paused it",
    "source_drained": "a person drained it, and nothing of it runs any more",
    "source_resumed": "the daemon noticed that a person resumed it",
    "source_unavailable": "nothing of the source can be claimed",
    "source_recovered": "after `source_unavailable`",
    "watch_degraded": "file events of the source are missing; the sweep finds its tasks",
    "watch_restored": "after `watch_degraded`",
    "worker_crashed": "a defect: this source stops until the daemon restarts",
    "stuck": "a waiting task cannot run before a person acts, for the reason `why`; again when the daemon starts",
    "base_broken": "checks that passed on an earlier commit of the target fail on the present one: nothing of the source starts",
    "queue_stopped": "the daemon noticed `task-queue stop`; again when it starts while the stop stands",
    "queue_resumed": "the daemon noticed `task-queue resume`",
    "configuration_changed": "the daemon uses the configuration as it is now",
    "daemon_started": "before its sources are opened",
    "daemon_stopped": "in good order; missing after a kill",
    "person_acted": "a command that changes something succeeded; `options` holds ids, names, paths and flags, never the text of a task",
}
"""In the order of the table."""

CONFIGURATION: dict[str, str] = {
    "version": "`2.1`; 2.x is read",
    "project_workspace": "where tasks work, unless the task or its source names another directory",
    "task_source_directories": "the sources",
    "task_source_directories[].id": "its name, also the name of its worker",
    "task_source_directories[].path": "its `pending/` folder",
    "task_source_directories[].description": "for people",
    "task_source_directories[].added_at": "when it was registered",
    "task_source_directories[].project_workspace": "where its tasks work",
    "task_source_directories[].defaults": "front-matter keys for its tasks",
    "task_source_directories[].daily_budget_usd": "most that its tasks may cost in a day, in US dollars",
    "task_source_directories[].max_pending": "instead of `limits.max_pending`",
    "task_source_directories[].windows": "[hours](schedules.md#hours) in which it starts tasks, such as `mon-fri 22:00-06:00`: a text or a list of them",
    "task_source_directories[].quiet": "hours in which it starts none, within its windows too",
    "task_source_directories[].setup": "commands that make a fresh working tree ready, such as installing",
    "task_source_directories[].setup_reads": "patterns of all files that decide what `setup` makes, so that it need not run [again](guide/verify.md#set-up-that-is-not-run-twice); without it, as far as the commands are known",
    "task_source_directories[].paused": "nothing new starts, whatever `sources pause` and `resume` say",
    "defaults": "front-matter keys for every task",
    "agent.env": "variables for the agent's process, such as `ANTHROPIC_BASE_URL`; [secret](#secret-variables), unless the name is harmless",
    "agent.pass_env": "variables that the agent gets from the daemon's environment, such as `ANTHROPIC_API_KEY`; the same holds",
    "agent.env_file": "a file with lines `NAME=VALUE`, such as `ANTHROPIC_API_KEY=...`; yours alone (0600), else it is refused",
    "agent.key_command": "program (absolute path) and arguments; it prints `ANTHROPIC_API_KEY` in one line",
    "agent.config_dir": "a `CLAUDE_CONFIG_DIR` for the queue alone",
    "task_source_directories[].repository": "URL of the repository that its tasks work on: workers fetch it, and [tokens](api.md#credentials) may be limited to it",
    "task_source_directories[].served_by": "`daemon`, or `workers`: workers [claim](api.md#claims) its tasks through the API, whose process serves it, and the daemon leaves it alone",
    "task_source_directories[].slots": "with `served_by: workers`: how many of its tasks workers may hold at once; without it, one",
    "agent.cli_path": "path of the CLI, instead of the one in the SDK",
    "agent.account": "who is expected to pay; an attempt that another account would pay for does not start",
    "agent.setting_sources": "which settings the agent loads: `user`, `project`, `local`",
    "agent.mcp_servers": "whose [MCP servers](#mcp-servers) the agent gets: `none`, `project` (its `.mcp.json`), `user` or `both`",
    "agent.prewarm": "an [auditor](workflow.md#what-the-auditor-sees) is connected while `verify` commands run, with `permissions: sandboxed` alone: [why](decisions/connected-ahead.md). About 160 MB more for as long as they run",
    "agent.hide_login": "the agent gets an API key or OAuth token through a pipe, so that it is not in the environment of its tools",
    "agent.scrub_env": "also removes all other credentials from that environment; needs bubblewrap",
    "checks.env": "names of [secret variables](#secret-variables) that `verify`, `setup`, git and hooks get, too: as the agent has them, else as the daemon has them",
    "audit.allow": "rules for commands, such as `Bash(make lint)` and `Bash(npm test:*)`, that an [auditor](workflow.md#what-the-auditor-sees) may have run besides the `verify` commands",
    "executors.<name>.kind": "`command`",
    "executors.<name>.argv": "program and arguments; `{file}`, `{id}`, `{workspace}` are replaced",
    "limits.running": "agents at once, those of [workers](guide/workers.md) included",
    "limits.daily_budget_usd": "most that all tasks may cost in a day, in US dollars",
    "limits.max_pending": "with that many waiting, `tasks add` refuses; a dropped file is always accepted",
    "limits.memory_mb": "an attempt whose processes use more memory ends as `crashed`",
    "limits.min_free_mb": "with less free space on the disk, nothing is claimed",
    "limits.transcript_mb": "a transcript does not grow beyond it",
    "limits.starts_per_10min": "a source that starts more attempts has to wait",
    "limits.hold_above_utilization": "from this share of the account's limit (0 to 1), less important tasks wait",
    "limits.hold_below_priority": "tasks below this priority are the less important ones",
    "limits.unreviewed": "with that many results that wait for a person, a source starts nothing new",
    "capabilities": "what this machine has; a task whose `capabilities` are not all among these waits",
    "limits.per_workspace": "tasks at once that work in place in one directory, or within it, over all sources",
    "limits.per_repository": "tasks at once of one git repository, wherever they work, over all sources",
    "limits.start_gap": "the least time between the starts of two attempts, such as `10s`",
    "limits.ageing": "a level of priority is worth as much as that time of waiting, such as `1h`: see"
    " [order](task-documents.md#order)",
    "git.author_name": "author of the queue's commits; without it, the repository's",
    "git.author_email": "the same",
    "git.committer_name": "the same for the committer",
    "git.committer_email": "the same",
    "git.keep_worktrees": "how many working trees of ended tasks stay, for each source",
    "git.keep_worktrees_for": "how long they stay, such as `7d`; none: as long as the other limits allow",
    "git.keep_worktrees_mb": "how much space those of a source may take together, the newest first; `null`: any",
    "git.judges": "patterns of files that judge the work, besides tests, CI and what `verify` runs",
    "git.never_commit": "patterns of files that are left uncommitted and named; one without a slash applies in every folder",
    "git.max_new_file_mb": "a larger new file is left uncommitted and named, unless Git LFS keeps it",
    "git.max_new_files": "a branch that adds more files does not land by itself; in place, they are left uncommitted",
    "roots": "directories in which a task may name its `workspace`; empty means the workspaces above",
    "settle_seconds": "how long a dropped file must be unchanged before it is read",
    "sweep_seconds": "how often the daemon looks at every source without an event",
    "stop_grace_seconds": "how long an agent may take to stop so that it can be continued",
    "retention.results.age": "a [result](retention.md) goes after that time, such as `180d`, with its report and its document",
    "retention.results.count": "how many stay, for each source, the newest first",
    "retention.results.size_mb": "how much space those of a source may take together, the newest first",
    "retention.logs.age": "the same for the [logs of attempts](retention.md)",
    "retention.logs.count": "of how many tasks they stay, for each source",
    "retention.logs.size_mb": "how much space those of a source may take together",
    "retention.events.age": "the same for complete files of the [event log](retention.md)",
    "retention.events.count": "how many of them stay",
    "retention.events.size_mb": "how much space they may take together",
    "notifications.<name>.command": "program (absolute path) and arguments; a [message](notifications.md) is on its standard input, as JSON",
    "notifications.<name>.url": "or a URL of [apprise](notifications.md#a-service-by-its-url), which is installed with `task-queue[apprise]`",
    "notifications.<name>.on": "[events and kinds of attention](notifications.md#what-a-target-gets); `attention`: all that needs you",
    "notifications.<name>.window": "after a message, what follows is collected for that long",
    "notifications.<name>.quiet": "local hours in which nothing is sent, such as `22:00-07:00`",
    "notifications.<name>.report_at": "local time of a daily report, such as `07:30`",
    "notifications.<name>.timeout": "how long one delivery may take",
    "metrics.file": "[figures for Prometheus](metrics.md) are written there",
    "metrics.every": "how often",
    "fleet.db": "URL of the database of the [fleet](guide/fleet.md) that this machine is in, without the password",
    "fleet.tables": "the schema of its tables",
    "fleet.host": "the name of this machine in it",
    "fleet.credential_file": "absolute path of the file with what `task-queue fleet host add` printed; for you alone",
    "fleet.account": "a name for the account of its agents: hosts with the same one share its limits and the budget of a day",
    "fleet.slots": "how many tasks run here at once; none: as `limits.running` says, 0: tasks only come in here",
    "fleet.retention_days": "what ended so long ago goes from the tables of the [fleet](guide/fleet.md#what-takes-room), about once a day; 0: nothing does",
    "api.listen": "where the [API](api.md) is served: `unix`, or an address and a port such as `127.0.0.1:8765`",
    "api.tls": "`certificate` and `key`, absolute paths of PEM files; needed where other machines reach an address, unless a proxy encrypts",
    "api.behind_proxy": "a proxy in front of the API encrypts, and says in `X-Forwarded-For` who asks",
    "api.oidc": "an identity provider whose tokens are accepted: see [OIDC](api.md#oidc)",
    "api.hosts": "names by which the API is reached, besides this machine's",
    "api.artifact_mb": "what one file that is handed in with a task may have",
    "api.artifacts_mb": "the same for all of one task together",
    "created_at": "written by `init`",
    "updated_at": "written with each change",
}


def refreshed(text: str) -> str:
    """*text* with every table as the code has it now."""
    return _BLOCK.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


def table_in(name: str, first: str) -> list[list[str]]:
    """Rows of the only table of ``docs/<name>`` whose first column is called *first*, without its head."""
    _, found, rest = (ROOT / "docs" / name).read_text().partition(f"\n| {first} |")
    assert found, f"docs/{name} has no table of {first}"
    assert f"\n| {first} |" not in rest, f"docs/{name} has two tables of {first}"
    rows = list(takewhile(lambda line: line.startswith("|"), rest.splitlines()[2:]))
    return [row.strip("| ").split(" | ") for row in rows]


def keys_table() -> str:
    rows = [(f"`{key.name}`", key.help, key.default) for key in KEYS]
    return _table(("key", "meaning", "default"), rows)


def key_forms_table() -> str:
    rows = [(f"`{key.name}`", key.read.form, _layers(key.of_one_task)) for key in KEYS]
    return _table(("key", "what may be written", "where"), rows)


def outcomes_table() -> str:
    rows = [(f"`{kind}`", meaning, *_follows(kind)) for kind, meaning in OUTCOMES.items()]
    return _table(("outcome", "means", "what follows", "costs an attempt"), rows)


def follows_proofs_table() -> str:
    rows = [(f"`{kind}`", *_shown_by(proofs.FOLLOWS[kind])) for kind in OutcomeKind]
    return _table(("outcome", "test"), rows)


def false_successes_table() -> str:
    rows = [(report, *_shown_by(tests)) for report, tests in proofs.FALSE_SUCCESSES.items()]
    return _table(("report", "test"), rows)


def verdict_table() -> str:
    lost = {True: "; the session is lost", False: ""}
    rows = [(row.reason, f"`{row.kind}`{lost[row.lost_session]}") for row in TABLE]
    return _table(("what was seen", "outcome"), rows)


def verdict_tests_table() -> str:
    return _table(
        ("what was seen", "outcome", "test"),
        [
            (row.reason, f"`{row.kind}`", *_shown_by(tests))
            for row, (_, tests) in zip(TABLE, proofs.VERDICT, strict=True)
        ],
    )


def _shown_by(tests: tuple[str, ...]) -> tuple[str]:
    """Without the folder and the words that all have in common."""
    short = (test.removeprefix("tests/").replace(".py::test_", ": ").replace(".py::", ": ") for test in tests)
    return ("; ".join(f"`{each}`" for each in short),)


def configuration_table() -> str:
    return _table(
        ("key", "meaning", "default"),
        [(f"`{path}`", CONFIGURATION[path], default) for path, default in configuration_keys()],
    )


def configuration_keys() -> Iterator[tuple[str, str]]:
    """Every key of the schema, with its default as people read it."""
    sections: dict[str, tuple[str, type[BaseModel]]] = {
        "task_source_directories": ("task_source_directories[]", Source),
        "agent": ("agent", Agent),
        "api": ("api", ApiSettings),
        "fleet": ("fleet", FleetSettings),
        "executors": ("executors.<name>", ConfiguredCommand),
        "limits": ("limits", Limits),
        "metrics": ("metrics", MetricsSettings),
        "notifications": ("notifications.<name>", NotificationTarget),
        "checks": ("checks", CheckSettings),
        "audit": ("audit", AuditSettings),
        "git": ("git", GitSettings),
        "retention": ("retention", RetentionSettings),
    }
    for name, field in Config.model_fields.items():
        if name == "task_source_directories" or name not in sections:
            yield name, _default(field)
        if name in sections:
            prefix, model = sections[name]
            for key, inner in model.model_fields.items():
                if isinstance(inner.default, BaseModel):
                    deeper = type(inner.default).model_fields.items()
                    yield from ((f"{prefix}.{key}.{last}", _default(field)) for last, field in deeper)
                else:
                    yield f"{prefix}.{key}", _default(inner)


def events_table() -> str:
    kinds = {type_of(kind): kind for kind in get_args(Event)}
    rows = [
        (
            f"`{name}`",
            meaning,
            ", ".join(f"`{each.name}`" for each in fields(kinds[name]) if each.name not in ABOUT),
        )
        for name, meaning in EVENTS.items()
    ]
    return _table(("type", "when", "data"), rows)


def guesses_table() -> str:
    rows = [(f"`{kind}`", *(f"{minutes} min" for minutes in of_kind)) for kind, of_kind in MINUTES.items()]
    lengths = (f"under {SHORT} characters", "between", f"over {LONG:,} characters")
    return _table(("type", *lengths), rows)


def metrics_table() -> str:
    rows = [
        (f"`{each.name}`", each.kind, ", ".join(f"`{label}`" for label in each.labels), each.help)
        for each in METRICS
    ]
    return _table(("name", "type", "labels", "meaning"), rows)


def commands() -> str:
    return "\n".join(_commands(cli, "task-queue")) + "\n"


TABLES: dict[str, Callable[[], str]] = {
    "keys": keys_table,
    "key-forms": key_forms_table,
    "outcomes": outcomes_table,
    "verdict": verdict_table,
    "verdict-tests": verdict_tests_table,
    "proofs": follows_proofs_table,
    "false-successes": false_successes_table,
    "configuration": configuration_table,
    "commands": commands,
    "events": events_table,
    "guesses": guesses_table,
    "metrics": metrics_table,
}


def _table(head: tuple[str, ...], rows: Iterable[tuple[str | None, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join((cell or "").replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def _layers(of_one_task: bool) -> str:
    return "document" if of_one_task else "document, defaults"


def _follows(kind: OutcomeKind) -> tuple[str, str]:
    outcome = Outcome(kind, "")
    first = decide(outcome, earlier=(), policy=Policy(), jitter=0)
    last = decide(outcome, earlier=(), policy=Policy(max_attempts=1), jitter=0)
    counted = attempt_of(_CLAIM, bare_ending(_CLAIM, outcome, by="", now=_NOW)).counted
    follows = _disposition(first)
    if type(last) is not type(first):
        follows += f"; after the last attempt {_disposition(last)}"
    return follows, "yes" if counted else "no"


def _disposition(disposition: Disposition) -> str:
    match disposition:
        case Complete():
            return "`completed/`"
        case Fail(dead_letter=dead_letter):
            return "`failed/`" + (", `dead_letter`" if dead_letter else "")
        case Retry():
            return "tried again after a growing delay"
        case Release():
            return "given back, continued at the next start"
        case Pause():
            return "given back; the account pauses, then the session is continued"


def _default(field: Any) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None or value in ({}, (), ""):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _commands(command: click.Command, path: str) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    yield f"### `{' '.join([path, *arguments])}`"
    yield ""
    yield " ".join((command.help or "").split())
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    if options:
        yield ""
        yield from (f"- `{_spelled(option)}` {option.help or ''}".rstrip() for option in options)
    yield ""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                yield from _commands(inner, f"{path} {name}")


def _spelled(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.is_flag:
        return names
    value = option.metavar or (
        "|".join(option.type.choices)
        if isinstance(option.type, click.Choice)
        else (option.name or "").upper()
    )
    return f"{names} {value}"


_CLAIM = a_claim(started_at=_NOW - timedelta(seconds=1))


if __name__ == "__main__":
    for document in DOCUMENTS:
        document.write_text(refreshed(document.read_text()))
