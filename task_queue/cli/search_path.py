"""Keeps the folder in which a command is typed out of the search for modules and programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from task_queue.domain.search_path import absolute_entries

_ROOT = str(Path(__file__).parents[2])


def leave_out_working_directory() -> None:
    """``python -m`` and PYTHONPATH name it; a project may hold a ``logging.py``. Before anything else is imported."""
    try:
        here = os.path.realpath(Path.cwd())
    except OSError:  # it was deleted
        here = None
    sys.path[:] = [
        entry
        for entry in sys.path
        if entry == _ROOT or (Path(entry).is_absolute() and os.path.realpath(entry) != here)
    ]
    if "PATH" in os.environ:
        os.environ["PATH"] = absolute_entries(os.environ["PATH"])
