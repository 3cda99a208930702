"""What each figure should be. The median of a measure is held against it; without a goal a figure is only shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """*value* is the most that a figure may be, or with *at_least* the least."""

    value: float
    at_least: bool = False

    def is_met_by(self, found: float) -> bool:
        return found >= self.value if self.at_least else found <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


QUEUE = "task-queue"
ONE_SOURCE = "task-queue, 1 source"
TWO_SOURCES = "task-queue, 2 sources"

GOALS: dict[tuple[str, str], Goal] = {
    ("rename to lock, ms", "median"): Goal(3),
    ("rename to lock, ms", "p99"): Goal(15),
    ("drop to first question, to by hand", QUEUE): Goal(1.10),
    ("whole task of 4 turns, to by hand", QUEUE): Goal(1.10),
    ("audited, worktree, merge: above both agents, s", QUEUE): Goal(0.25),
    ("jobs per s", ONE_SOURCE): Goal(100, at_least=True),
    ("jobs per s", TWO_SOURCES): Goal(180, at_least=True),
    ("no-op commands per s", "1 source"): Goal(100, at_least=True),
    ("no-op commands per s", "2 sources"): Goal(180, at_least=True),
    ("start to first claim, s", "100,000 wait"): Goal(2),
    ("memory per waiting task, KB", "100,000 wait"): Goal(1),
    ("later claims, to those with 100", "10,000 wait"): Goal(1.2),
    ("later claims, to those with 100", "100,000 wait"): Goal(1.2),
    ("status, ms", "100,000 wait"): Goal(500),
    ("status, ms", "1,000,000 finished"): Goal(500),
    ("status, ms", "2 sources, nothing waits"): Goal(150),
    ("--help, ms", "2 sources, nothing waits"): Goal(80),
    ("idle memory, MB", "2 sources"): Goal(40),
    ("memory per further source, MB", QUEUE): Goal(0.15),
    ("idle CPU, ms per minute", "2 sources"): Goal(30),
    ("idle CPU, ms per minute", "500 sources"): Goal(150),
    ("threads beyond one per source", "500 sources"): Goal(8),
    ("inotify instances", "500 sources"): Goal(1),
    ("painted, ms", "the board, 500 sources"): Goal(500),
    ("drop to pixel, ms", "the board, 500 sources"): Goal(1000),
}


def goal_of(measure: str, subject: str) -> Goal | None:
    return GOALS.get((measure, subject))
