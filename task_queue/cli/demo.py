"""``demo``: see it work, without an account."""

from __future__ import annotations

import click


@click.command()
def demo() -> None:
    """The whole pipeline in a scratch folder, without an account."""
    from task_queue.demo.show import run_demo

    run_demo()
