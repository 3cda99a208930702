"""``task-queue api``: what it and the daemon start (``app/api_process.py``, ``daemon/api.py``)."""

from __future__ import annotations

import argparse
import os
import sys

from task_queue.api.process import serve
from task_queue.app.installation import Installation
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.text import printable


def main() -> int:
    parser = argparse.ArgumentParser(prog="task-queue api")
    parser.add_argument("--config", required=True)
    parser.add_argument("--ends-with-stdin", action="store_true")
    arguments = parser.parse_args()
    try:
        serve(Installation(arguments.config), ends_with_stdin=arguments.ends_with_stdin)
    except TaskQueueError as error:
        _say(f"error: {error}")
        if error.hint:
            _say(f"hint:  {error.hint}")
        return 1
    except OSError as error:
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        _say(f"error: {where}{error.strerror or error}")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{printable(line)}\n")


if __name__ == "__main__":
    sys.exit(main())
