"""What all sources share, and what may start of it when: see ``shared.py``."""

from task_queue.gate.bounds import Bounds
from task_queue.gate.shared import SharedGate

__all__ = ["Bounds", "SharedGate"]
