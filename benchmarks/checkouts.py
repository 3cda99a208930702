"""Time and space of a task's checkout, against ``git worktree add`` and against clones, in turns in one run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import machine, table
from task_queue.domain.task import TaskId
from task_queue.git.program import Git
from task_queue.git.worktree import create

SIZES = (1_000, 20_000)
ROUNDS = 7
_FILES_A_FOLDER = 50
_LINES = 40


def main() -> None:
    print(machine())
    for files in SIZES:
        with tempfile.TemporaryDirectory(prefix="task-queue-bench-") as folder:
            rows = _measured(Path(folder), files)
        base_ms, base_bytes = rows[0][1], rows[0][2]
        table(
            f"{files:,} files, best of {ROUNDS} in turns",
            ("way", "ms", "bytes on disk", "times worktree: time", "space"),
            [(name, ms, size, ms / base_ms, size / base_bytes) for name, ms, size in rows],
        )


def _measured(root: Path, files: int) -> list[tuple[str, float, int]]:
    git = _repository(root, files)
    target = root / "trees" / "task-a"
    ways: dict[str, Callable[[], object]] = {
        "git worktree add": lambda: git.within(900).change(
            *("worktree", "add", "-q", "-B", "task-queue/task-a", str(target), "main")
        ),
        "checkout of a task": lambda: create(git, TaskId("task-a"), directory=target, base="main"),
        "git clone --shared": lambda: git.within(900).change("clone", "-q", "--shared", ".", str(target)),
        "git clone --local": lambda: git.within(900).change("clone", "-q", "--local", ".", str(target)),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    size: dict[str, int] = {}
    for _ in range(ROUNDS):
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
    return [(name, min(taken[name]), size[name]) for name in ways]


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
    main()
