"""Everything at once, whatever the sources are: stop it, go on, and open the account again."""

from __future__ import annotations

from enum import StrEnum

from task_queue.app.daemon_state import daemon_from
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.platform import durable

STOP_TAKES_S = 90.0
_POLL_S = 0.1


class Stopping(StrEnum):
    """What became of a stop, as far as was waited for. In every case it stands until ``resume``."""

    NO_DAEMON = "no daemon"
    """Nothing runs, and the daemon will start nothing when it does."""
    STOPPED = "stopped"
    STILL_RUNNING = "still running"


def stop(installation: Installation, *, at_once: bool = False, timeout_s: float = STOP_TAKES_S) -> Stopping:
    """Start nothing more and end what runs, so that it can go on; *at_once*: kill it.

    Waits up to *timeout_s* until nothing runs. A restart of the daemon does not end a stop.
    """
    marker = installation.locations.stopped
    durable.make_directory(marker.parent)
    how = "now" if at_once else "gently"
    durable.replace(marker, f"{how} {installation.now().isoformat()}\n".encode())
    record_action(installation, "stop", now=at_once)
    state = installation.locations.daemon_state
    if not daemon_from(state)[0].running:
        return Stopping.NO_DAEMON
    deadline = installation.clock.monotonic() + timeout_s
    while installation.clock.monotonic() < deadline:
        daemon, sources = daemon_from(state)
        idle = not any(said.get("busy") for said in sources.values())
        if not daemon.running or (daemon.stopped and idle):
            return Stopping.STOPPED
        if daemon.held_still:
            break
        installation.sleep(_POLL_S)
    return Stopping.STILL_RUNNING


def resume(installation: Installation) -> bool:
    """Go on after a stop: interrupted sessions are continued. False if nothing was stopped."""
    if not installation.locations.stopped.exists():
        return False
    durable.remove(installation.locations.stopped)
    record_action(installation, "resume")
    return True


def resume_account(installation: Installation) -> bool:
    """Try the account again now, after a new login or a limit that was raised. False if it was not paused."""
    if not installation.locations.accounts.exists():
        return False
    durable.remove(installation.locations.accounts)
    record_action(installation, "tasks resume-account")
    return True
