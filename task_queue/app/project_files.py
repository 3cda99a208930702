"""A project's names and small texts, read within bounds: no link is followed, and no file is read that is large."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from task_queue.domain.work.project_files import TEST_FOLDERS, ProjectFiles, is_telling
from task_queue.platform import durable

_MOST_NAMES = 5000
"""Of one folder."""
_MOST_TEXTS = 40
_LARGEST = 256 * 1024


def files_of(project: Path) -> ProjectFiles:
    """What cannot be read is left out."""
    names = set(_names_in(project))
    for folder in TEST_FOLDERS:
        if f"{folder}/" in names:
            names.update(f"{folder}/{name}" for name in _names_in(project / folder))
    texts: dict[str, str] = {}
    for name in sorted(filter(is_telling, names), key=lambda name: ("test_" in name, name))[:_MOST_TEXTS]:
        text = _text_of(project / name)
        if text is not None:
            texts[name] = text
    return ProjectFiles(frozenset(names), texts)


def _names_in(folder: Path) -> Iterator[str]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_NAMES):
                if entry.is_dir(follow_symlinks=False):
                    yield f"{entry.name}/"
                elif entry.is_file(follow_symlinks=False):
                    yield entry.name
    except OSError:
        return


def _text_of(path: Path) -> str | None:
    try:
        data, _ = durable.read_regular(path, limit=_LARGEST)
    except OSError:
        return None
    return data.decode(errors="replace") if len(data) <= _LARGEST else None
