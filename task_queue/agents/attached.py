"""The paragraph about the files that came with a task, in what its agent reads first."""

from __future__ import annotations

from pathlib import Path

from task_queue.domain.markdown import code
from task_queue.ports.executor import ARTIFACTS_VARIABLE, Order

_MOST_NAMED = 20


def attached(order: Order) -> str:
    """A paragraph that names them; empty where none came."""
    folder = order.env.get(ARTIFACTS_VARIABLE)
    if folder is None:
        return ""
    names = sorted(path.name for path in Path(folder).iterdir())
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    named = ", ".join(code(name) for name in names[:_MOST_NAMED])
    return f"\n\nCopies of the files that came with this task are in {code(folder)}: {named}{more}\n"
