"""Time and space of a task's checkout, against ``git worktree add`` and against clones, in turns in one run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.parts import run_alone
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.worktree import create

_FILES = {Size.SHORT: (1_000,), Size.FULL: (1_000, 20_000)}
_ROUNDS = 7
_BASE = "git worktree add"
_FILES_A_FOLDER = 50
_LINES = 40


def measure(size: Size) -> Findings:
    found = Findings("checkouts", size)
    for files in _FILES[size]:
        progress(f"{files:,} files")
        with tempfile.TemporaryDirectory(prefix="task-queue-bench-") as folder:
            taken, space = _measured(Path(folder), files)
        for name, ms in taken.items():
            subject = f"{files:,} files, {name}"
            found.add("a checkout, ms", subject, ms)
            found.add(
                "time, to git worktree add",
                subject,
                [each / base for each, base in zip(ms, taken[_BASE], strict=True)],
                "x",
            )
            found.add("space, to git worktree add", subject, space[name] / space[_BASE], "x")
    return found


def _measured(root: Path, files: int) -> tuple[dict[str, list[float]], dict[str, int]]:
    git = _repository(root, files)
    target = root / "trees" / "task-a"
    ways: dict[str, Callable[[], object]] = {
        _BASE: lambda: git.within(900).change(
            *("worktree", "add", "-q", "-B", "task-queue/task-a", str(target), "main")
        ),
        "checkout of a task": lambda: create(git, TaskId("task-a"), directory=target, base="main"),
        "git clone --shared": lambda: git.within(900).change("clone", "-q", "--shared", ".", str(target)),
        "git clone --local": lambda: git.within(900).change("clone", "-q", "--local", ".", str(target)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    size: dict[str, int] = {}
    for _ in range(_ROUNDS):
        for name, make in ways.items():
            target.parent.mkdir(exist_ok=True)
            before = _bytes_below(root)
            began = time.perf_counter()
            make()
            taken[name].append(1000 * (time.perf_counter() - began))
            size[name] = _bytes_below(root) - before
            shutil.rmtree(target.parent)
            git.change("worktree", "prune")
            git.ask("update-ref", "-d", "refs/heads/task-queue/task-a")
    return taken, size


def _repository(root: Path, files: int) -> Git:
    """Packed, as one that has been cloned is."""
    place = root / "repository"
    for number in range(files):
        path = place / f"folder-{number // _FILES_A_FOLDER}" / f"file-{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"line {line} of {number}\n" for line in range(_LINES)))
    home = root / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Person\n\temail = person@example.org\n[gc]\n\tauto = 0\n"
    )
    env = {"PATH": os.environ["PATH"], "HOME": str(home)}
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "All"], ["gc", "-q"]):
        subprocess.run(["git", *words], cwd=place, env=env, check=True)
    return Git(place, env)


def _bytes_below(root: Path) -> int:
    """Blocks in use; a file with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            about = os.lstat(os.path.join(folder, name))  # noqa: PTH118 - many of them
            seen[about.st_dev, about.st_ino] = about.st_blocks * 512
    return sum(seen.values())


if __name__ == "__main__":
    run_alone("checkouts")
