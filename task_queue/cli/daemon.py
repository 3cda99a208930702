"""``daemon``: what the service starts."""

from __future__ import annotations

import click

from task_queue.cli.session import Session, pass_session


@click.command()
@pass_session
def daemon(session: Session) -> None:
    """Serve every source until stopped."""
    from task_queue.adapters import logs
    from task_queue.adapters.config.locations import service_manager
    from task_queue.daemon import serve
    from task_queue.platform.notify import Notifier

    manager = service_manager()
    logs.set_up(session.locations.state_dir, journal_stream=manager.journal_stream)
    serve(session.locations, logs.record, notifier=Notifier(manager.notify_socket))
