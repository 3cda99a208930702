"""Is a queue in order that nobody serves? Looks at files and processes only, with no code of the product.

    python -m tests.proof.checker HOME QUEUE EFFECTS TASK_ID ...

EFFECTS is a file to which each attempt of a task appends its marker, once: what the world saw of it.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.processes import environments, look

_PLACES = ("pending", "completed", "failed")
_FOLDERS = (*_PLACES, "staging", "results", "reports", "logs")


@dataclass(frozen=True, slots=True)
class Expected:
    """How a task may have ended."""

    states: tuple[str, ...] = ("completed",)
    outcomes: tuple[str, ...] = ("succeeded",)
    effects: tuple[int, int] = (1, 1)
    """Least and most lines that all attempts of a task together may have appended."""
    goes_on: bool = False
    """An attempt continues what an earlier one began: it may succeed without acting again."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A task that was handed in."""

    text: bytes | None
    """None: not compared."""
    expected: Expected = Expected()


def figures(tries: Sequence[Sequence[str]]) -> str:
    """Of so many points at which something was struck, how many were well afterwards: their problems are told."""
    lost = sum(any("LOST" in problem for problem in problems) for problems in tries)
    doubled = sum(any("DOUBLED" in problem for problem in problems) for problems in tries)
    well = sum(not problems for problems in tries)
    return f"{len(tries)} points, {well} recovered, {lost} lost, {doubled} doubled"


def problems_of(home: Path, queue: Path, effects: Path, dropped: Mapping[str, Dropped]) -> list[str]:
    """What is wrong, empty if nothing."""
    lines = effects.read_text().splitlines() if effects.exists() else []
    found = [*_litter(queue), *_torn(queue), *_open_to_others(queue)]
    found += [f"process {pid} of an attempt still runs: {_told(pid)}" for pid in marked_processes(home)]
    for place in _PLACES:
        found += [
            f"{place}/{path.name} was never dropped"
            for path in (queue / place).glob("task-*.md")
            if path.stem not in dropped
        ]
    for task_id, task in dropped.items():
        mine = [line for line in lines if f":{task_id}:" in line]
        found += [f"{task_id}: {problem}" for problem in _task(queue, task_id, task, mine)]
    return found


def marked_processes(home: Path) -> list[int]:
    """Live processes of attempts whose HOME is *home*."""
    return [
        pid
        for pid, lines in environments()
        if f"HOME={home}".encode() in lines
        and any(line.startswith(b"TASK_QUEUE_ATTEMPT=") and line.count(b":") >= 3 for line in lines)
    ]


def _told(pid: int) -> str:
    marker = next(
        (line for line in look(pid, "environ").split(b"\0") if line.startswith(b"TASK_QUEUE_A")), b""
    )
    return (look(pid, "cmdline").replace(b"\0", b" ") + marker).decode(errors="replace")


def _task(queue: Path, task_id: str, dropped: Dropped, effects: list[str]) -> list[str]:
    expected, found = dropped.expected, list[str]()
    places = [place for place in _PLACES if os.path.lexists(queue / place / f"{task_id}.md")]
    if len(places) != 1:
        return [f"DOUBLED: lies in {places}" if places else "LOST: lies in no folder"]
    place = places[0]
    if place not in expected.states:
        found.append(f"is in {place}, expected {' or '.join(expected.states)}")
    if dropped.text not in {None, (queue / place / f"{task_id}.md").read_bytes()}:
        found.append(f"its document in {place} is damaged")
    for line, times in Counter(effects).items():
        if times > 1:
            found.append(f"DOUBLED: attempt {line} acted {times} times")
    least, most = expected.effects
    if not least <= len(effects) <= most:
        word = "DOUBLED" if len(effects) > most else "LOST"
        found.append(f"{word}: {len(effects)} side effects, allowed are {least} to {most}")
    path = queue / "results" / f"{task_id}.json"
    if place == "pending":
        return [*found, *(["has a result while it waits"] if path.exists() else [])]
    if not path.exists():
        return [*found, "has no result"]
    result: dict[str, Any] = json.loads(path.read_bytes())
    found += _result(queue, result, effects, expected)
    if result["task_id"] != task_id or result["state"] != place:
        found.append(f"result says {result['task_id']} {result['state']}, the document lies in {place}")
    return found


def _result(queue: Path, result: dict[str, Any], effects: list[str], expected: Expected) -> list[str]:
    found: list[str] = []
    outcome, place, task_id = result["outcome"], result["state"], result["task_id"]
    if (result["success"], outcome == "succeeded") != (place == "completed",) * 2:
        found.append(f"result says success={result['success']} outcome={outcome} in {place}")
    if outcome not in expected.outcomes:
        found.append(f"outcome {outcome}, expected {' or '.join(expected.outcomes)}: {result['error']}")
    numbers = [attempt["number"] for attempt in result["attempts"]]
    if numbers != sorted(set(numbers)):
        found.append(f"attempts are numbered {numbers}")
    ran = {int(line.rsplit(":", 2)[1]) for line in effects}
    if not ran <= set(numbers):
        found.append(f"attempts {sorted(ran)} acted, the result knows {numbers}")
    if outcome == "succeeded" and not expected.goes_on and expected.effects[1] and numbers[-1] not in ran:
        found.append(f"attempt {numbers[-1]} succeeded without having acted")
    for attempt in result["attempts"]:
        ending = queue / "logs" / task_id / f"attempt-{attempt['number']}" / "outcome.json"
        if not ending.exists():
            found.append(f"attempt {attempt['number']} has no ending on disk")
        elif json.loads(ending.read_bytes())["outcome"]["kind"] != attempt["outcome"]:
            found.append(f"attempt {attempt['number']}: journal and ending differ")
    return found


def _litter(queue: Path) -> list[str]:
    found = [f"temporary left: {path.relative_to(queue)}" for path in queue.rglob(".tq-*")]
    for suffix in ("lock", "cancel", "attempts.json"):
        for path in (queue / "pending").glob(f".task-*.{suffix}"):
            waits = (queue / "pending" / f"{path.name[1:].removesuffix('.' + suffix)}.md").exists()
            if not (waits and suffix == "attempts.json"):
                found.append(f"left in pending: {path.name}")
    return found


def _torn(queue: Path) -> list[str]:
    found: list[str] = []
    for path in (*queue.rglob("*.json"), *(queue / "pending").glob(".task-*.attempts.json")):
        try:
            json.loads(path.read_bytes())
        except ValueError as error:
            found.append(f"torn: {path.relative_to(queue)}: {error}")
    return found


def _open_to_others(queue: Path) -> list[str]:
    paths = [queue / folder for folder in _FOLDERS if (queue / folder).exists()]
    paths += [*queue.glob("results/*"), *queue.glob("logs/**/*.json*")]
    return [
        f"others may read {path.relative_to(queue)}"
        for path in paths
        if path.name != "staging" and stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]


if __name__ == "__main__":
    home, queue, effects, *ids = sys.argv[1:]
    anything = Expected(
        states=_PLACES, outcomes=("succeeded", "failed", "crashed", "cancelled", "rejected"), effects=(0, 99)
    )
    tasks = dict.fromkeys(ids, Dropped(None, anything))
    problems = problems_of(Path(home), Path(queue), Path(effects), tasks)
    print("\n".join(problems) or "in order")
    sys.exit(bool(problems))
