"""``doctor``: what is checked is in ``app/doctor``; here it is shown."""

from __future__ import annotations

import click

from task_queue.app import project_settings
from task_queue.app.doctor.checks import examine
from task_queue.app.installation import Installation
from task_queue.cli import render
from task_queue.cli.edge import NEEDS_ATTENTION
from task_queue.cli.render import block, item, word
from task_queue.cli.session import as_json_option, pass_installation

_LEVEL = len("problem")


@click.command()
@click.option(
    "--accept-settings",
    is_flag=True,
    help="Accept changed project settings as they are now, so that tasks load them; read them first.",
)
@as_json_option
@pass_installation
def doctor(installation: Installation, *, accept_settings: bool, as_json: bool) -> int:
    """Check everything, and say how to fix it. Exit code 3 if there is a problem."""
    if accept_settings:
        for accepted in project_settings.accept_settings(installation):
            render.note(f"accepted in {accepted.workspace}: {'; '.join(accepted.changes)}")
    found = examine(installation)
    if as_json:
        render.say_json(found)
    else:
        for check in found.checks:
            render.show(item(word(check.level), check.what, column=_LEVEL))
            if check.details:
                render.show(block("\n".join(check.details), indent=_LEVEL + 2))
            if check.fix:
                render.show(item("", f"fix: {check.fix}", column=_LEVEL))
    return NEEDS_ATTENTION if found.has_problem else 0
