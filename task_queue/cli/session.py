"""What commands share: the installation they speak to, and options."""

from __future__ import annotations

import click

from task_queue.app.installation import Installation

pass_installation = click.make_pass_decorator(Installation)
as_json_option = click.option(
    "--json", "as_json", is_flag=True, help="Machine-readable, with schema_version."
)
source_option = click.option("--source", "source_id", metavar="ID", help="Only this source.")
