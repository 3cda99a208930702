"""``tokens``: create, list and revoke credentials for the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from task_queue.app.installation import Installation
from task_queue.app.spelling import moment
from task_queue.cli import render
from task_queue.cli.groups import CommandGroup
from task_queue.cli.session import as_json_option, pass_installation

if TYPE_CHECKING:
    from task_queue.app.tokens import TokenView

_ROLES = ("read", "submit", "work", "operate", "admin")
_HEAD = ("ID", "NAME", "ROLES", "SOURCES", "EXPIRES", "LAST USED", "STATE")


@click.group(cls=CommandGroup, default="list")
def tokens() -> None:
    """Tokens for the HTTP API; without a command: list them."""


@tokens.command()
@click.option("--name", required=True, help="Tasks that it submits keep this name.")
@click.option(
    "--role", "roles", type=click.Choice(_ROLES), multiple=True, required=True, help="May be repeated."
)
@click.option("--sources", metavar="LIST", default="", help="Names with commas between them; '*' allows all.")
@click.option("--repositories", metavar="LIST", default="", help="The same, such as github.com/acme/shop.")
@click.option("--types", metavar="LIST", default="", help="The same for types of tasks.")
@click.option("--capabilities", metavar="LIST", default="", help="The same for what tasks ask of a worker.")
@click.option("--executors", metavar="LIST", default="", help="The same for executors.")
@click.option("--own", is_flag=True, help="Only what it submitted itself.")
@click.option("--expires", metavar="TIME", help="After that time, such as 90d; else never.")
@as_json_option
@pass_installation
def create(
    installation: Installation,
    /,
    *,
    name: str,
    roles: tuple[str, ...],
    sources: str,
    repositories: str,
    types: str,
    capabilities: str,
    executors: str,
    own: bool,
    expires: str | None,
    as_json: bool,
) -> None:
    """Print a new token, once. What no list names is not allowed."""
    from task_queue.app.tokens import create_token, expiry_after
    from task_queue.domain.policy import AccessPolicy, roles_named

    try:
        until = None if expires is None else expiry_after(expires, installation.now())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from None
    policy = AccessPolicy(
        roles_named(roles),
        _listed(sources),
        _listed(repositories),
        _listed(types),
        _listed(capabilities),
        _listed(executors),
        own=own,
    )
    created = create_token(installation, name, policy, expires=until)
    if as_json:
        render.say_json(created)
    else:
        render.say(created.token)
    if created.allows_nothing:
        options = " ".join(f"--{each} '*'" for each in created.allows_nothing)
        render.note(f"warning: it sees no task, because these lists are empty; '*' allows all: {options}")


@tokens.command(name="list")
@as_json_option
@pass_installation
def list_command(installation: Installation, *, as_json: bool) -> None:
    """Every token, and when it was used last."""
    from task_queue.app.tokens import list_tokens

    view = list_tokens(installation)
    if as_json:
        render.say_json(view)
    elif view.tokens:
        render.show(render.table([_row(token) for token in view.tokens], head=_HEAD, lead=2))
    else:
        render.note("no token yet; make one with: task-queue tokens create")


@tokens.command()
@click.argument("named", metavar="ID")
@as_json_option
@pass_installation
def revoke(installation: Installation, *, named: str, as_json: bool) -> None:
    """Refuse the token with this id or name from now on."""
    from task_queue.app.tokens import revoke_token

    view = revoke_token(installation, named)
    if as_json:
        render.say_json(view)
    else:
        render.say(f"revoked {view.id} ({view.name})")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part for each in text.split(",") if (part := each.strip()))


def _row(token: TokenView) -> tuple[str, ...]:
    state = "revoked" if token.revoked_at else "good" if token.good else "expired"
    return (
        token.id,
        token.name,
        ",".join(token.roles),
        ",".join(token.sources) or "none",
        moment(token.expires_at) if token.expires_at else "never",
        moment(token.last_used_at) if token.last_used_at else "never",
        state,
    )
