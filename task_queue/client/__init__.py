"""Clients of the API for programs: ``Client``, and ``AsyncClient`` with the same operations to await.

What is asked and how answers are read is in modules that do no I/O; only ``blocking.py`` and ``awaiting.py`` do.
"""

from task_queue.client.awaiting import AsyncClient
from task_queue.client.blocking import Client
from task_queue.client.problems import ApiError, Unreachable

__all__ = ["ApiError", "AsyncClient", "Client", "Unreachable"]
