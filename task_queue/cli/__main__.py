"""``python -m task_queue.cli`` is the same program as ``task-queue``."""

from __future__ import annotations

from task_queue.cli import main

main()
