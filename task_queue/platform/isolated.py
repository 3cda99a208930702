"""Starts programs of the queue apart from the folder and the variables that a person or an agent left around them.

What an agent wrote into a project must never run as the queue. Python would import a ``logging.py`` from the working
directory or from a folder of PYTHONPATH, so it runs this file in isolated mode, in ``/``; the file itself imports
nothing of the queue before the search path is set. It also keeps the values of variables out of
``/proc/PID/environ``: that file shows what a process was started with, to all processes of its user.
"""

from __future__ import annotations

import json
import os
import runpy
import site
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

DIRECTORY = "/"
"""Where programs of the queue work: nothing in it is an agent's."""
_OPTION = "task-queue"
"""Of ``-X``: this file started the interpreter; its value is the descriptor of the variables, if there are any."""
_ROOT = str(Path(__file__).parents[2])
_SHOWN = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TERM", "TZ", "TMPDIR", "LD_LIBRARY_PATH"),
        "TASK_QUEUE_ATTEMPT",  # by which an attempt finds what it left running
    )
)
_SHOWN_FIRST = ("XDG_", "LC_")


def words_for(module: str, *arguments: str, variables: int | None = None) -> list[str]:
    """The command that runs *module* of this very queue; start it in DIRECTORY.

    *variables* is an inherited descriptor with a JSON object, the variables that the process is to have besides.
    """
    option = _OPTION if variables is None else f"{_OPTION}={variables}"
    return [sys.executable, *_isolation(), "-X", option, __file__, module, *arguments]


def become(module: str, *arguments: str) -> None:
    """Go on as *module*, isolated, in this very process; returns only where that has been done. Raises OSError."""
    if _OPTION not in sys._xoptions:  # pyright: ignore[reportPrivateUsage]  # its documented name
        give_way_to(module, *arguments)


def give_way_to(module: str, *arguments: str) -> NoReturn:
    """Go on as *module*, isolated, in this very process. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Not a pipe: its room is less than what an environment may hold.
    variables = os.memfd_create("variables", 0)
    with os.fdopen(variables, "w", closefd=False) as file:
        json.dump(dict(os.environ), file)
    os.lseek(variables, 0, os.SEEK_SET)
    # Names stay, for people who look for a variable that should not be there.
    block = {name: value if _is_shown(name) else "" for name, value in os.environ.items()}
    os.chdir(DIRECTORY)
    os.execve(sys.executable, words_for(module, *arguments, variables=variables), block)  # noqa: S606 - the same program


def _isolation() -> list[str]:
    """``-I``, but with the user's own packages where the queue itself is among them."""
    own = site.getusersitepackages()
    for name in ("task_queue", "pydantic"):
        found = find_spec(name)
        if found is not None and found.origin and Path(found.origin).is_relative_to(own):
            return ["-E", "-P"]
    return ["-I"]


def _is_shown(name: str) -> bool:
    return name in _SHOWN or name.startswith(_SHOWN_FIRST)


def _main() -> None:
    module, *arguments = sys.argv[1:]
    if _ROOT not in sys.path:
        sys.path.insert(0, _ROOT)
    variables = sys._xoptions[_OPTION]  # pyright: ignore[reportPrivateUsage]  # as above
    if variables is not True:
        with os.fdopen(int(variables)) as file:
            os.environ.update(json.load(file))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _main()
