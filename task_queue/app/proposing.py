"""Set-up and verify commands for a project that has none: found in its files, written only once a person agrees."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from task_queue.app.installation import Installation
from task_queue.app.project_files import files_of
from task_queue.app.user_actions import record_action
from task_queue.config import document, edit
from task_queue.config.document import SourceEntry
from task_queue.domain.document.choices import Isolation
from task_queue.domain.work.project_files import ProposedCommands
from task_queue.domain.work.proposal import proposed_for


@dataclass(frozen=True, slots=True)
class CommandProposal:
    sources: tuple[str, ...]
    """Those that have no verify command; all work in the same folder."""
    commands: ProposedCommands


def propose(
    installation: Installation, workspace: Path, *, only: str | None = None
) -> CommandProposal | None:
    """For the sources (*only* this one) that work in *workspace*, resolved, and have no verify command.

    None if there is no such source, or nothing is found that would prove the work.
    """
    lacking = [
        entry for entry in _working_in(installation, workspace, only) if not _proves(installation, entry)
    ]
    if not lacking:
        return None
    in_own_checkout = any(_in_own_checkout(installation, entry) for entry in lacking)
    commands = proposed_for(files_of(workspace), in_own_checkout=in_own_checkout)
    return CommandProposal(tuple(entry.id for entry in lacking), commands) if commands.verify else None


def source_to_try(installation: Installation, workspace: Path, *, only: str | None = None) -> str | None:
    """The first source (*only* this one) that works in *workspace* and has verify commands; None if there is none."""
    working = _working_in(installation, workspace, only)
    return next((entry.id for entry in working if _proves(installation, entry)), None)


def accept(installation: Installation, proposal: CommandProposal) -> None:
    """Write it into the configuration, where its sources have none meanwhile. Raises ConfigError."""
    edit.set_commands(
        installation.locations.config,
        proposal.sources,
        setup=[each.command for each in proposal.commands.setup],
        verify=[each.command for each in proposal.commands.verify],
        now=installation.now(),
    )
    for source in proposal.sources:
        record_action(installation, "config set", source=source, key=f"sources.{source}.defaults.verify")


def _working_in(installation: Installation, workspace: Path, only: str | None) -> list[SourceEntry]:
    """But for those of workers, which set up their own machines."""
    return [
        entry
        for entry in installation.entries()
        if only in (None, entry.id)
        and not entry.is_remote
        and document.workspace_of(installation.content, entry) == workspace
    ]


def _proves(installation: Installation, entry: SourceEntry) -> bool:
    return any(layer.get("verify") for layer in document.layers_of(installation.content, entry).defaults)


def _in_own_checkout(installation: Installation, entry: SourceEntry) -> bool:
    isolation: object = None
    for layer in document.layers_of(installation.content, entry).defaults:
        isolation = layer.get("isolation", isolation)
    return isolation == Isolation.WORKTREE
