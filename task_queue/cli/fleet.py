"""``fleet``: several machines on one database."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from task_queue.app.installation import Installation
from task_queue.app.spelling import span
from task_queue.cli import render
from task_queue.cli.counting import counting
from task_queue.cli.groups import CommandGroup
from task_queue.cli.session import as_json_option, pass_installation

if TYPE_CHECKING:
    from task_queue.app.fleet import FleetPlace, FleetStatus, HostView
    from task_queue.app.fleet_moves import FleetMoves

_HOST_HEAD = ("HOST", "STATE", "HEARD", "CAPABILITIES", "RUNS")
_MOVE_HEAD = ("SOURCE", "TASK", "MOVE", "BEGAN", "FOLDER")
_SOURCE_HEAD = ("SOURCE", "WAITING", "RUNNING")


def _place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where the fleet is; the command gets ``url`` and ``schema``."""
    url = click.option(
        "--db", "url", metavar="URL", required=True, help="Such as postgresql://USER@HOST:5432/DATABASE."
    )
    schema = click.option(
        "--schema", default="task_queue", show_default=True, help="Where its tables are; for one fleet."
    )
    return url(schema(command))


def _place(url: str, schema: str) -> FleetPlace:
    from task_queue.app.fleet import FleetPlace

    return FleetPlace(url, schema)


@click.group(cls=CommandGroup)
def fleet() -> None:
    """Several machines on one PostgreSQL. Needs the extra: pip install 'task-queue[fleet]'.

    Keep the password out of the URL: libpq reads it from ~/.pgpass.
    """


@fleet.command()
@_place_options
@click.option(
    "--name", help="Refuse the schema of a fleet with another name; a new one gets this (else the schema's)."
)
@as_json_option
@pass_installation
def init(installation: Installation, /, *, url: str, schema: str, name: str | None, as_json: bool) -> None:
    """Create the tables of a fleet, or upgrade those of an earlier release. Safe to repeat."""
    from task_queue.app.fleet import init_fleet

    done = init_fleet(installation, _place(url, schema), name=name)
    if as_json:
        render.say_json(done)
        return
    if done.before == done.version:
        what = f"is there, and its tables are up to date (version {done.version})"
    elif done.before:
        what = f"upgraded from version {done.before} of its tables to {done.version}"
    else:
        what = f"created (version {done.version} of its tables)"
    render.say(f"fleet '{done.name}' at {done.where}: {what}")


@fleet.group(cls=CommandGroup)
def host() -> None:
    """The machines of a fleet."""


@host.command()
@click.argument("name")
@_place_options
@click.option("--capabilities", metavar="TAGS", default="", help="What it has; commas between.")
@click.option(
    "--renew", is_flag=True, help="Of a host that is there: a new credential, and these capabilities."
)
@as_json_option
@pass_installation
def add(
    installation: Installation,
    /,
    *,
    name: str,
    url: str,
    schema: str,
    capabilities: str,
    renew: bool,
    as_json: bool,
) -> None:
    """Add a host, and print the credential that it joins with, once."""
    from task_queue.app.fleet import add_host

    has = tuple(tag.strip() for tag in capabilities.split(",") if tag.strip())
    added = add_host(installation, _place(url, schema), name, has, renew=renew)
    if as_json:
        render.say_json(added)
        return
    render.say(added.credential)
    earlier = "; the earlier one is refused from now on" if added.renewed else ""
    render.note(f"the credential of host '{added.name}', which is not shown again{earlier}")


@fleet.command()
@click.argument("name", metavar="HOST")
@_place_options
@click.option(
    "--credential-file",
    type=click.Path(path_type=Path),
    required=True,
    help="Holds what fleet host add printed; for you alone.",
)
@click.option(
    "--slots",
    type=click.IntRange(0),
    help="How many tasks run here at once (else as limits.running says); 0: they only come in here.",
)
@as_json_option
@pass_installation
def join(
    installation: Installation,
    /,
    *,
    name: str,
    url: str,
    schema: str,
    credential_file: Path,
    slots: int | None,
    as_json: bool,
) -> None:
    """Let this machine be HOST of a fleet: the daemon joins when it starts next."""
    from task_queue.app.fleet_membership import join_fleet

    done = join_fleet(installation, _place(url, schema), name, credential_file, slots=slots)
    if as_json:
        render.say_json(done)
        return
    render.say(f"this machine is host '{done.host}' of fleet '{done.name}' at {done.where}")
    render.note("start the daemon, or restart it, and its sources are in the fleet")


@host.command()
@click.argument("name")
@_place_options
@as_json_option
@pass_installation
def revoke(installation: Installation, /, *, name: str, url: str, schema: str, as_json: bool) -> None:
    """Put a host out of the fleet: its credential is refused, and what it runs is ended and goes on elsewhere."""
    from task_queue.app.fleet import revoke_host

    view = revoke_host(installation, _place(url, schema), name)
    if as_json:
        render.say_json(view)
        return
    render.say(f"host '{view.name}' is out of the fleet; on it ran: {_running(view) or 'nothing'}")
    render.note(f"let it in again with: task-queue fleet host add {view.name} --renew --db URL")


@fleet.command()
@_place_options
@as_json_option
def status(*, url: str, schema: str, as_json: bool) -> None:
    """Every host, when the database has heard of it last, and what runs on it; what waits in each source."""
    from task_queue.app.fleet import fleet_status

    view = fleet_status(_place(url, schema))
    if as_json:
        render.say_json(view)
        return
    render.say(f"fleet '{view.name}' at {view.where}")
    _show_hosts(view)
    if view.sources:
        rows = [(each.source, str(each.waiting), str(each.running)) for each in view.sources]
        render.say()
        render.show(render.table(rows, head=_SOURCE_HEAD, lead=1))
    if view.moves:
        moves = [
            (each.source, each.task_id, each.way, f"{span(each.began_s_ago)} ago", each.place)
            for each in view.moves
        ]
        render.say()
        render.show(render.table(moves, head=_MOVE_HEAD, lead=4))
        render.note("unless a command moves them now, give the same one again on the machine of the folder")


@fleet.command()
@click.argument("name", metavar="HOST")
@_place_options
@as_json_option
@pass_installation
def drain(installation: Installation, /, *, name: str, url: str, schema: str, as_json: bool) -> None:
    """Let a host begin nothing more, also after it joins again; what runs on it goes on."""
    from task_queue.app.fleet import drain_host

    view = drain_host(installation, _place(url, schema), name, draining=True)
    if as_json:
        render.say_json(view)
    else:
        render.say(f"host '{view.name}' begins nothing more; on it runs: {_running(view) or 'nothing'}")


@fleet.command()
@click.argument("name", metavar="HOST")
@_place_options
@as_json_option
@pass_installation
def resume(installation: Installation, /, *, name: str, url: str, schema: str, as_json: bool) -> None:
    """Let a host that was drained begin tasks again."""
    from task_queue.app.fleet import drain_host

    view = drain_host(installation, _place(url, schema), name, draining=False)
    if as_json:
        render.say_json(view)
    else:
        render.say(f"host '{view.name}' may begin tasks again")


def _move_options(command: Callable[..., Any]) -> Callable[..., Any]:
    source = click.option("--source", help="Only of this source; else of each of the configuration.")
    dry_run = click.option(
        "--dry-run", is_flag=True, help="Only say what would be moved, and what would stay."
    )
    return source(dry_run(_place_options(command)))


@fleet.command("import")
@_move_options
@as_json_option
@pass_installation
def import_(
    installation: Installation,
    /,
    *,
    url: str,
    schema: str,
    source: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move what waits in folders here into the fleet. Nothing is lost: once interrupted, give it again."""
    from task_queue.app.fleet_moves import import_tasks

    with counting("importing") as count:
        done = import_tasks(installation, _place(url, schema), source=source, dry_run=dry_run, count=count)
    _show_moves(done, as_json=as_json)


@fleet.command("export")
@_move_options
@as_json_option
@pass_installation
def export(
    installation: Installation,
    /,
    *,
    url: str,
    schema: str,
    source: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move what waits in the fleet into folders here. Nothing is lost: once interrupted, give it again."""
    from task_queue.app.fleet_moves import export_tasks

    with counting("exporting") as count:
        done = export_tasks(installation, _place(url, schema), source=source, dry_run=dry_run, count=count)
    _show_moves(done, as_json=as_json)


@fleet.command()
@_place_options
@click.option("--older-than", "age", required=True, metavar="AGE", help="Such as 90d: since they ended.")
@click.option("--dry-run", is_flag=True, help="Remove nothing, only say what would go.")
@as_json_option
@pass_installation
def prune(
    installation: Installation, /, *, url: str, schema: str, age: str, dry_run: bool, as_json: bool
) -> None:
    """Remove texts, results and transcripts of tasks that ended long ago, and old events."""
    from task_queue.app.fleet import prune_fleet

    with counting("removing what is old") as count:
        done = prune_fleet(installation, _place(url, schema), age, dry_run=dry_run, count=count)
    if as_json:
        render.say_json(done)
        return
    verb = "would be removed" if done.dry_run else "removed"
    render.say(
        f"{verb}: the texts of {_tasks(done.tasks)}, {done.replaced:,} replaced texts, {done.events:,} events"
    )


def _show_moves(done: FleetMoves, *, as_json: bool) -> None:
    if as_json:
        render.say_json(done)
        return
    for each in done.stays:
        render.say(f"{each.source}/{each.task_id} stays: {each.why}")
    if done.finished:
        render.say(f"{_tasks(len(done.finished))} of an interrupted move finished")
    if done.ended:
        brought = "would be brought home" if done.dry_run else "brought home"
        render.say(f"how {_tasks(len(done.ended))} ended in the fleet: {brought}")
    verb = "would be moved" if done.dry_run else "moved"
    where = "into" if done.way == "import" else "out of"
    stay = f", {len(done.stays):,} stay" if done.stays else ""
    render.say(f"{_tasks(len(done.moved))} {verb} {where} fleet '{done.fleet}'{stay}")


def _tasks(number: int) -> str:
    return f"{number:,} task{'' if number == 1 else 's'}"


def _show_hosts(view: FleetStatus) -> None:
    if not view.hosts:
        render.note("no host yet; add one with: task-queue fleet host add NAME --db URL")
        return
    rows = [
        (
            each.name,
            _state(each),
            "never" if each.heard_s_ago is None else f"{span(each.heard_s_ago)} ago",
            ",".join(each.capabilities) or "-",
            _running(each) or "-",
        )
        for each in view.hosts
    ]
    render.show(render.table(rows, head=_HOST_HEAD, lead=3))


def _state(host: HostView) -> str:
    drain = ", drained" if host.drained else ", draining" if host.draining else ""
    return host.state + drain


def _running(host: HostView) -> str:
    return ", ".join(f"{each.source}/{each.task_id}" for each in host.running)
