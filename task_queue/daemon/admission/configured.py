"""The limits as a process has them: with git, results and files of people to ask."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from task_queue.config.environment import agent_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.daemon.admission.broken_bases import BrokenBases
from task_queue.daemon.admission.ledger import Ledger
from task_queue.daemon.admission.limits import SharedLimits
from task_queue.daemon.admission.running import RunningTasks
from task_queue.domain.errors import GitError
from task_queue.domain.work.baseline import BrokenBase
from task_queue.git.merged_branches import MergedBranches
from task_queue.git.program import Git
from task_queue.git.repository import commit_of
from task_queue.ports.clock import Clock
from task_queue.ports.emit import Emit
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.unreviewed import has_unreviewed
from task_queue.store.pauses import Pauses

log = logging.getLogger(__name__)


def limits_for(
    locations: Locations,
    config_of: Callable[[], Config],
    *,
    clock: Clock,
    running: RunningTasks,
    emit: Emit,
) -> SharedLimits:
    """*running* is what this process has running; *config_of* says which configuration is in force."""

    def tip_of(broken: BrokenBase) -> str | None:
        git = Git(Path(broken.repository), agent_environment(config_of().agent, os.environ))
        try:
            return commit_of(git, f"refs/heads/{broken.target}")
        except GitError as error:
            log.warning("target not looked at repository=%s error=%s", broken.repository, error)
            return None

    def is_unreviewed(source_id: str, at_least: int) -> bool:
        source = config_of().source(source_id)
        if source is None:
            return False
        return has_unreviewed(Layout(source.path), at_least, MergedBranches().has_settled)

    return SharedLimits(
        clock,
        Ledger(locations.ledger),
        broken_bases=BrokenBases(locations.broken_bases, tip_of),
        pauses=Pauses(locations.pauses),
        running=running,
        has_unreviewed=is_unreviewed,
        emit=emit,
    )
