"""Looks at a queue from outside, with no code of the product: what was lost, what ran twice, what is left."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Verdict:
    """``lost`` and ``doubled`` are the promise; ``wrong`` is everything else that does not fit."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


def check(queue: Path, names: list[str], *, starts: Path, rerun: frozenset[str]) -> Verdict:
    """Judge the drained *queue* into which *names* were dropped; *starts* has a line per start of a task."""
    verdict = Verdict()
    started = Counter(starts.read_text().split()) if starts.exists() else Counter[str]()
    for name in names:
        places = [f for f in ("pending", "completed", "failed") if (queue / f / f"{name}.md").exists()]
        if len(places) != 1:
            (verdict.doubled if places else verdict.lost).append(f"{name}: {places or 'nowhere'}")
            continue
        if places == ["pending"]:
            verdict.wrong.append(f"{name}: still pending")
            continue
        _check_result(queue, name, places[0], started[name], verdict)
        if started[name] > 1 and name not in rerun:
            verdict.doubled.append(f"{name}: started {started[name]} times")
    for stray in (queue / "pending").iterdir():
        verdict.wrong.append(f"left in pending: {stray.name}")
    for folder in (queue / "staging", queue / "results", *(queue / "logs").glob("*/attempt-*")):
        verdict.wrong += [f"left over: {path}" for path in folder.glob(".tq-*")]
    return verdict


def _check_result(queue: Path, name: str, place: str, started: int, verdict: Verdict) -> None:
    try:
        result: dict[str, Any] = json.loads((queue / "results" / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        verdict.wrong.append(f"{name}: no result: {error}")
        return
    if (result["state"], result["success"]) != (place, place == "completed"):
        verdict.wrong.append(f"{name} lies in {place}, its result says {result['state']}")
    numbers = [attempt["number"] for attempt in result["attempts"]]
    if numbers != sorted(set(numbers)):
        verdict.wrong.append(f"{name}: attempts {numbers}")
    if place == "completed" and started == 0:
        verdict.lost.append(f"{name}: completed without having started")


def processes_of(home: Path) -> list[int]:
    """Live processes that carry an attempt's marker and this home."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        marked = any(re.match(rb"TASK_QUEUE_ATTEMPT=[^_]*:", line) for line in environment)
        if marked and f"HOME={home}".encode() in environment and state != "Z":
            found.append(int(entry.name))
    return found
