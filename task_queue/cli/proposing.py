"""Proposed set-up and verify commands: shown with why, written once that is agreed to."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from task_queue.app.doctor.missing import missing
from task_queue.app.installation import Installation
from task_queue.app.proposing import CommandProposal, accept, propose, source_to_try
from task_queue.cli import render
from task_queue.cli.asking import is_agreed
from task_queue.cli.edge import FAILED

yes_option = click.option(
    "--yes", is_flag=True, help="Write the proposed setup and verify commands into the configuration."
)

try_option = click.option(
    "--try", "try_them", is_flag=True, help="Run what is written once, on a copy. Exit code 1 if it fails."
)


def offer_commands(
    installation: Installation, workspace: Path, *, only: str | None = None, yes: bool
) -> CommandProposal | None:
    """Show what is proposed for *workspace*; the proposal if there is one and it was not written."""
    proposal = propose(installation, workspace, only=only)
    if proposal is None:
        return None
    render.say(f"proposed for {', '.join(proposal.sources)}:")
    for kind, commands in (("setup", proposal.commands.setup), ("verify", proposal.commands.verify)):
        for each in commands:
            render.say(f"  {kind}: {each.command}  ({each.why})")
    if not yes and not (sys.stdin.isatty() and is_agreed("write them into the configuration?")):
        return proposal
    accept(installation, proposal)
    render.say("written; every task gets them that says nothing else")
    if only is None:
        here = [] if workspace == Path.cwd() else [str(workspace)]
        render.say(f"try them once, on a copy, with: {shlex.join(['task-queue', 'init', '--try', *here])}")
    return None


def try_commands(installation: Installation, workspace: Path, *, only: str | None = None) -> int:
    """Of the first source (*only* this one) that works in *workspace* and has any; the exit code."""
    from task_queue.cli.rehearsal import show_trial

    source = source_to_try(installation, workspace, only=only)
    if source is None:
        render.note("there is nothing to try: no verify command is written")
        return FAILED
    return show_trial(installation, source)


def say_what_is_missing(installation: Installation, *, to_prove: str | None) -> None:
    """A login, a verify command (*to_prove* says how to get one, None: by an example), the service; or nothing."""
    lacks = missing(installation) if to_prove is None else missing(installation, to_prove=to_prove)
    if lacks:
        render.say("still missing:")
    for check in lacks:
        render.say(f"  {check.what}: {check.fix}")


def say_how_to_write(proposal: CommandProposal) -> None:
    """What to type for each source of *proposal*."""
    for source in proposal.sources:
        for key, commands in (
            ("setup", proposal.commands.setup),
            ("defaults.verify", proposal.commands.verify),
        ):
            if commands:
                value = shlex.quote(json.dumps([each.command for each in commands]))
                render.say(f"  task-queue config set sources.{source}.{key} {value}")
