"""``doctor``: what is checked is in ``checks``; here it is shown."""

from __future__ import annotations

from dataclasses import asdict

import click

from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import block, item, word
from task_queue.cli.session import as_json_option, pass_installation

_SCHEMA_VERSION = 1
_LEVEL = len("problem")


@click.command()
@click.option(
    "--accept-settings",
    is_flag=True,
    help="Let tasks load project settings that were changed, as they are now; look at them first.",
)
@as_json_option
@pass_installation
@click.pass_context
def doctor(
    context: click.Context, installation: Installation, *, accept_settings: bool, as_json: bool
) -> None:
    """DoctorCheck everything, and say how to fix it. Exit code 3 if there is a problem."""
    from task_queue.cli import checks_agent
    from task_queue.cli.checks import all_checks

    if accept_settings:
        for line in checks_agent.accept_settings(installation.locations):
            render.note(line)
    found = list(all_checks(installation))
    if as_json:
        checks = [asdict(check) for check in found]
        render.say_json({"checks": checks, "schema_version": _SCHEMA_VERSION})
    else:
        for check in found:
            render.show(item(word(check.level), check.what, column=_LEVEL))
            if check.details:
                render.show(block("\n".join(check.details), indent=_LEVEL + 2))
            if check.fix:
                render.show(item("", f"fix: {check.fix}", column=_LEVEL))
    context.exit(NEEDS_ATTENTION if any(check.level == "problem" for check in found) else 0)
