"""Whether the folders of a source can be built on: ours alone, real, and on one file system."""

from __future__ import annotations

import os
import shlex

from task_queue.domain.errors import EngineUnavailable
from task_queue.platform import trust
from task_queue.store.folder.layout import Layout


def make_ready(layout: Layout) -> None:
    """Create the folders that are missing; raises EngineUnavailable where they cannot be relied on."""
    demand_trust(layout)
    _demand_folders(layout)
    layout.create()
    demand_trust(layout)
    _demand_one_file_system(layout)


def demand_trust(layout: Layout) -> None:
    """Who can write one of the folders runs agents as us, so only this user may."""
    problem = trust.grave_problem(*layout.folders())
    if problem is not None:
        raise EngineUnavailable(
            f"not trusted: {problem.what}, and a user who can write there runs agents as you",
            hint=f"fix it with: {problem.fix}",
        )


def _demand_folders(layout: Layout) -> None:
    if layout.pending.is_symlink():
        # The guard is beside the name. Two names of one folder would have two guards.
        raise EngineUnavailable(
            f"{layout.pending} is a symbolic link",
            hint=f"name the folder it leads to in the configuration: {os.path.realpath(layout.pending)}",
        )
    for folder in layout.folders():
        if os.path.lexists(folder) and not folder.is_dir():
            raise EngineUnavailable(
                f"{folder} is not a folder", hint=f"move it away: mv {shlex.quote(str(folder))} ELSEWHERE"
            )


def _demand_one_file_system(layout: Layout) -> None:
    home = layout.pending.stat().st_dev
    for folder in layout.folders():
        if folder.stat().st_dev != home:
            raise EngineUnavailable(
                f"{folder} is on another file system than {layout.pending}: nothing can be moved there whole",
                hint=f"put all of {layout.root} on one file system",
            )
