"""What all sources share, and what may start of it when: see ``shared.py`` and ``limits.py``."""

from task_queue.daemon.admission.bounds import Bounds
from task_queue.daemon.admission.limits import SharedLimits
from task_queue.daemon.admission.shared import SharedAdmission

__all__ = ["Bounds", "SharedAdmission", "SharedLimits"]
