"""``prune``: the queue's own files that are beyond ``retention``."""

from __future__ import annotations

from collections import defaultdict

import click

from task_queue.app import pruning
from task_queue.app.installation import Installation
from task_queue.app.pruning import Prunable
from task_queue.app.spelling import size
from task_queue.cli import render
from task_queue.cli.counting import counting_parts
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1


@click.command()
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go, and how much.")
@as_json_option
@pass_installation
def prune(installation: Installation, *, dry_run: bool, as_json: bool) -> None:
    """Remove results, logs and events beyond the limits of retention; say what is kept, and why."""
    with counting_parts() as count:
        pruned = pruning.prune(installation, dry_run=dry_run, step=count)
    if as_json:
        answer = {
            "removed": pruned.removed,
            "kept": pruned.kept,
            "size_bytes": sum(thing.size_bytes for thing in pruned.removed),
            "configured": pruned.is_configured,
            "dry_run": dry_run,
        }
        render.say_json({**answer, "schema_version": _SCHEMA_VERSION})
        return
    for thing in pruned.removed:
        verb = "would remove" if dry_run else "removed"
        render.say(f"{verb} {_named(thing)}: {size(thing.size_bytes)}")
    for thing in pruned.kept:
        render.say(f"kept {_named(thing)}: {thing.why_kept}")
    if not pruned.is_configured:
        render.say("Nothing is limited: set retention in the configuration (docs/retention.md).")
    elif not pruned.removed and not pruned.kept:
        render.say("Nothing is beyond the limits.")
    elif pruned.removed:
        render.say(_summed(pruned.removed, "would go" if dry_run else "gone"))


def _named(thing: Prunable) -> str:
    return (
        f"{thing.kind} {thing.name}" if thing.source is None else f"{thing.kind} {thing.source}/{thing.name}"
    )


def _summed(things: tuple[Prunable, ...], gone: str) -> str:
    sums: dict[str, list[int]] = defaultdict(list)
    for thing in things:
        sums[thing.kind].append(thing.size_bytes)
    parts = (f"{len(sizes):,} of {kind} ({size(sum(sizes))})" for kind, sizes in sums.items())
    return f"{gone}: {', '.join(parts)}"
