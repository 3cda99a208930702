"""Plays the demo and reports what happens: the real daemon on a scratch folder, with a scripted model.

Only how it is written, in words and columns, is elsewhere (``cli.demo``).
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from task_queue.app.answers import StatusView
from task_queue.app.circumstances import Circumstances, listed
from task_queue.app.overview import status_of
from task_queue.config import document
from task_queue.config.locations import locate
from task_queue.demo.cast import DEMO_TASKS, DemoTask, script_for
from task_queue.demo.scratch_queue import ended_by_signals, queue_process, tail
from task_queue.demo.scripted_model import ScriptedModel
from task_queue.demo.stage import Stage, find_git
from task_queue.domain.errors import TaskQueueError

_LOOK_EVERY_S = 0.1
_LONGEST_S = 180.0
_ANSWERS = "StructuredOutput"
"""Not a tool to look at: with it the auditor hands over the verdict, which is reported as such."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happened, ``at`` seconds after the start."""

    at: float
    task_id: str
    what: str


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One task's end, and whether it is the one that the demo is to show."""

    task_id: str
    source: str
    shows: str
    document: str
    outcome: str
    expected: str
    reason: str
    said: str
    """The agent's own last words: what a less careful queue would have believed."""
    evidence: tuple[str, ...]
    audits: tuple[str, ...]
    """What the auditor said, round by round; empty where there was none."""
    landed: str | None
    """Where the work was merged to, if it had a branch of its own."""
    report: str
    attempts: int
    turns: int
    cost_usd: float | None

    @property
    def as_expected(self) -> bool:
        return self.outcome == self.expected


@dataclass(frozen=True, slots=True)
class Report:
    folder: str
    kept: bool
    seconds: float
    tasks: tuple[DemoResult, ...]
    commits: tuple[str, ...]
    changes: tuple[str, ...]
    """``git diff --stat`` of the workspace since the start."""
    requests: int
    """What the scripted model was asked."""

    @property
    def as_expected(self) -> bool:
        return all(task.as_expected for task in self.tasks)

    def as_json(self) -> dict[str, Any]:
        return {"schema_version": 1, "as_expected": self.as_expected, **asdict(self)}


def run_demo(announce: Callable[[Scene], None], *, keep: bool = False) -> Report:
    """Play it all; raises TaskQueueError where it cannot be played. The folder goes, unless *keep*."""
    git = find_git()
    root = Path(tempfile.mkdtemp(prefix="task-queue-demo-"))
    stage = Stage(root, git)
    try:
        with ended_by_signals(), ScriptedModel(script_for(stage.workspace, stage.worktree)) as model:
            stage.build(model)
            started = time.monotonic()
            for part in DEMO_TASKS:
                stage.drop(part)
            with queue_process(
                stage.config, "daemon", environment=stage.environment, errors=stage.daemon_errors
            ) as daemon:
                _watch(stage, daemon, started, announce)
            seconds = time.monotonic() - started
            return Report(
                folder=str(root),
                kept=keep,
                seconds=round(seconds, 1),
                tasks=tuple(_ended(stage, part) for part in DEMO_TASKS),
                commits=tuple(stage.commits()),
                changes=tuple(stage.changes()),
                requests=len(model.requests),
            )
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)


def _watch(
    stage: Stage, daemon: subprocess.Popen[bytes], started: float, announce: Callable[[Scene], None]
) -> None:
    """Report each change until every task has ended."""
    locations = locate(stage.config, environ=stage.environment)
    content = document.read(locations.config)
    entries = document.sources_of(content)
    roots = document.roots_of(content, entries)
    sources = [listed(content, entry, roots=roots) for entry in entries]
    shown: dict[str, str] = {}
    tools: dict[str, str | None] = {}
    steps: dict[str, int] = {}
    while True:
        circumstances = Circumstances(sources, locations=locations, content=content, now=datetime.now(UTC))
        view = status_of(circumstances, config=locations.config)
        now = time.monotonic() - started
        changes = itertools.chain(_doing(view, tools).items(), _checked(stage, steps), _done(stage).items())
        for task_id, what in changes:
            if shown.get(task_id) != what:
                shown[task_id] = what
                announce(Scene(round(now, 1), task_id, what))
        if all(_result(stage, part) for part in DEMO_TASKS):
            return
        if daemon.poll() is not None:
            raise TaskQueueError(
                f"the daemon ended with {daemon.returncode}: {tail(stage.daemon_errors)}",
                hint="look at its folder after: task-queue demo --keep",
            )
        if now > _LONGEST_S:
            raise TaskQueueError(
                f"not every task ended in {_LONGEST_S:.0f} s; last seen: {shown}",
                hint="look at its folder after: task-queue demo --keep",
            )
        time.sleep(_LOOK_EVERY_S)


def _doing(view: StatusView, tools: dict[str, str | None]) -> dict[str, str]:
    """What each task does that does something new; *tools* are those last seen."""
    doing: dict[str, str] = {}
    for source in view.sources:
        for task in source.running:
            if not task.turn:
                doing[task.task_id] = f"attempt {task.attempt} starts"
            elif tools.get(task.task_id) != task.tool and task.tool != _ANSWERS:
                tools[task.task_id] = task.tool
                doing[task.task_id] = f"attempt {task.attempt}, turn {task.turn}: {_shown(task.tool or '')}"
        for waiting in source.waiting:
            if waiting.attempts:
                tools.pop(waiting.task_id, None)
                doing[waiting.task_id] = f"attempt {waiting.attempts} failed; it is tried again"
    return doing


def _checked(stage: Stage, counted: dict[str, int]) -> Iterator[tuple[str, str]]:
    """What verification, audit and landing came to; ``counted`` holds the number of steps of each task seen so far."""
    for part in DEMO_TASKS:
        steps = [
            json.loads(line)
            for path in sorted(stage.layout(part.source).logs.glob(f"{part.task_id}/attempt-*/steps.jsonl"))
            for line in path.read_text().splitlines()
        ]
        for step in steps[counted.get(part.task_id, 0) :]:
            match step["step"]:
                case "verified" if step["records"]:
                    came_to = "passed; the auditor looks" if step["passed"] else "failed"
                    yield part.task_id, f"round {step['round']}, verification: {came_to}"
                case "audited":
                    yield part.task_id, f"round {step['round']}, audit: {step['verdict']}, {step['summary']}"
                case "landed":
                    yield part.task_id, step["said"]
                case _:
                    pass
        counted[part.task_id] = len(steps)


def _shown(tool: str) -> str:
    """A tool with its argument; of a path only the name."""
    name, _, argument = tool.partition(" ")
    return f"{name} {Path(argument).name if argument.startswith(('/', '…')) else argument}".rstrip()


def _done(stage: Stage) -> dict[str, str]:
    results = {part.task_id: _result(stage, part) for part in DEMO_TASKS}
    return {
        task_id: f"{result['state']}, with outcome {result['outcome']}"
        for task_id, result in results.items()
        if result
    }


def _result(stage: Stage, part: DemoTask) -> dict[str, Any] | None:
    """The task's result once its document is in its final place."""
    layout = stage.layout(part.source)
    try:
        result: dict[str, Any] = json.loads(layout.result(part.task_id).read_bytes())
    except FileNotFoundError:
        return None
    lies = layout.root / result["state"] / f"{part.task_id}.md"
    return result if lies.exists() else None


def _ended(stage: Stage, part: DemoTask) -> DemoResult:
    result = _result(stage, part) or {}
    audits: list[dict[str, Any]] = result["audit"]["rounds"] if result["audit"] else []
    return DemoResult(
        task_id=part.task_id,
        source=part.source,
        shows=part.shows,
        document=f"tasks/{part.source}/{result['state']}/{part.task_id}.md",
        outcome=result["outcome"],
        expected=part.ends_as.value,
        reason=result["attempts"][-1]["reason"],
        said=result["output"],
        evidence=tuple(result["evidence"]),
        audits=tuple(f"{each['verdict']}, {each['summary']}" for each in audits),
        landed=result["landed"],
        report=f"tasks/{part.source}/reports/{part.task_id}.md",
        attempts=len(result["attempts"]),
        turns=result["num_turns"],
        cost_usd=result["total_cost_usd"],
    )
