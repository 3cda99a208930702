"""Copies of the files that came with a task, for what carries it out: it cannot read the folders of the queue."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from task_queue.platform import durable
from task_queue.ports.executor import ARTIFACTS_VARIABLE, Order


def with_artifacts(order: Order, own: Path) -> Order:
    """*order* with a variable that names a folder of copies in *own*; as it is where no file came with the task.

    Raises OSError.
    """
    if order.artifacts is None or not order.artifacts.is_dir():
        return order
    files = [path for path in sorted(order.artifacts.iterdir()) if not path.name.startswith(".")]
    if not files:
        return order
    folder = own / "artifacts"
    durable.make_directory(folder)
    for path in files:
        with durable.open_regular(path) as file, (folder / path.name).open("xb") as copy:
            shutil.copyfileobj(file, copy)
    return replace(order, env={**order.env, ARTIFACTS_VARIABLE: str(folder)})
