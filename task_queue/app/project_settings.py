"""Settings of projects that agents load only as their owner accepted them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app.installation import Installation
from task_queue.app.user_actions import record_action
from task_queue.domain.errors import TaskQueueError


@dataclass(frozen=True, slots=True)
class AcceptedSettings:
    workspace: Path
    changes: tuple[str, ...]
    """One sentence each."""


def accept_settings(installation: Installation) -> tuple[AcceptedSettings, ...]:
    """Accept every workspace's settings as they are now; returns those that had changed. Raises TaskQueueError."""
    trust = SettingsTrust(installation.locations.trusted_settings)
    accepted: list[AcceptedSettings] = []
    try:
        for workspace in trust.workspaces():
            changes = [change for change in trust.pending(workspace) if change.what != "unknown"]
            if changes:
                trust.accept(workspace)
                accepted.append(AcceptedSettings(workspace, tuple(map(str, changes))))
    except (OSError, ValueError) as error:
        raise TaskQueueError(f"which project settings were accepted cannot be read: {error}") from error
    for each in accepted:
        record_action(installation, "doctor --accept-settings", workspace=str(each.workspace))
    return tuple(accepted)
