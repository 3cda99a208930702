"""Kills the daemon, then the runner, at every call that changes the queue's folder; a fresh daemon recovers.

    python -m tests.proof.crash_points [--scenario NAME]... [--actor daemon|runner] [--every K] [--second K]

Each point: a whole life of a task under the tracer, killed right before the n-th call; a fresh daemon;
the checker. ``--second K`` kills the recovering daemon too, at every K-th of its calls.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from task_queue.demo.scripted_model import (
    Request,
    Say,
    ScriptedModel,
    UseTool,
    child_environment,
)
from tests.proof.bench import ACT, LIMIT_S, TASK, ProofBench, Traced, proof_bench, wait_for
from tests.proof.checker import Dropped, Expected, figures
from tests.proof.tracer import why_not_here

AT_ONCE = 2


@dataclass(frozen=True)
class Scenario:
    """A task's life: what is dropped, what happens meanwhile, what may be there at the end."""

    name: str
    document: str
    unharmed: Expected
    crashed: Expected
    """When the runner was killed: a command's crash goes to a person, its effect happened at most as often."""
    before: Callable[[ProofBench], None] = lambda _: None
    meanwhile: Callable[[ProofBench, Callable[[], bool]], None] = lambda _, __: None
    command: tuple[str, ...] = ("run", "--drain")
    claude: bool = False
    actors: tuple[str, ...] = ("daemon", "runner")
    config: dict[str, Any] = field(default_factory=dict)

    def expected(self, actor: str | None) -> Expected:
        return self.crashed if actor == "runner" else self.unharmed


def _command(script: str, **keys: object) -> str:
    front = "".join(f"{key}: {value}\n" for key, value in {"executor": "sh", **keys}.items())
    return f"---\n{front}---\n{script}\n"


def _cancel_when_it_runs(bench: ProofBench, ended: Callable[[], bool]) -> None:
    """As a person does, and only a task that is claimed: a request for an ended one is refused."""
    lock = bench.queue / "pending" / f".{TASK}.lock"
    wait_for(lambda: bench.effects.exists() or ended(), "the task runs")
    if lock.exists():
        bench.rig.cli("tasks", "cancel", TASK)


def _fail_once(bench: ProofBench) -> None:
    bench.recover()
    assert (bench.queue / "failed" / f"{TASK}.md").exists(), bench.errors()


_MAYBE = replace(
    Expected(), states=("completed", "failed"), outcomes=("succeeded", "crashed"), effects=(0, 1)
)
_TWICE = f"{ACT}\n[ $(wc -l < effects) -ge 2 ]"
_ONE_OR_TWO = Expected(("completed", "failed"), ("succeeded", "crashed"), (0, 2))

SCENARIOS = (
    Scenario("once", _command(ACT), Expected(), _MAYBE),
    Scenario(
        "retry", _command(_TWICE, max_attempts=2, retry_delay="0s"), Expected(effects=(2, 2)), _ONE_OR_TWO
    ),
    Scenario(
        "uncounted",
        _command(f"{_TWICE} || exit 75", max_attempts=1, retry_delay="0s"),
        Expected(effects=(2, 2)),
        _ONE_OR_TWO,
    ),
    Scenario(
        "cancel",
        _command(f"{ACT}\nsleep 1000 & wait"),
        Expected(
            ("failed",), ("cancelled",), (0, 1)
        ),  # killed before it began, it is cancelled before it begins
        Expected(("failed",), ("cancelled", "crashed"), (0, 1)),
        meanwhile=_cancel_when_it_runs,
    ),
    Scenario(
        "rejected",
        "---\nexecutr: sh\n---\nx\n",
        Expected(("failed",), ("rejected",), (0, 0)),
        Expected(("failed",), ("rejected",), (0, 0)),
        actors=("daemon",),
    ),
    Scenario(
        "requeue",
        _command(_TWICE, max_attempts=1),
        Expected(("completed", "failed"), ("succeeded", "failed"), (1, 2)),
        _ONE_OR_TWO,
        before=_fail_once,
        command=("tasks", "retry", TASK),
        actors=("daemon",),
    ),
    Scenario(
        "claude",
        "---\nworkflow: single\nretry_delay: 0s\n---\nDo it.\n",
        Expected(),
        Expected(effects=(1, 2), goes_on=True),  # only the interrupted turn may repeat
        claude=True,
        config={"defaults": {"allow": ["Bash"]}},
    ),
)


@dataclass(frozen=True)
class Point:
    """One kill and what came of it."""

    scenario: str
    actor: str
    nth: int
    second: int | None
    step: str | None
    """The call that was not carried out; None if the run ended before it."""
    second_step: str | None
    problems: tuple[str, ...]

    def __str__(self) -> str:
        also = f", then recovery at call {self.second} ({self.second_step})" if self.second else ""
        return f"{self.scenario}: {self.actor} killed at call {self.nth} ({self.step}){also}"


def try_point(
    scenario: Scenario, scratch: Path, actor: str, nth: int, second: int | None = None
) -> tuple[Point, int]:
    """Kill there and see; also how many calls *actor* made in all (meaningful where nothing was killed)."""
    home = scratch / f"{scenario.name}-{actor}-{nth}-{second}"
    with _model(scenario) as model, proof_bench(home, **_options(scenario, home, model)) as bench:
        bench.rig.drop(TASK, scenario.document)
        scenario.before(bench)
        traced = bench.trace(*scenario.command, kill=[actor, nth])
        scenario.meanwhile(bench, traced.ended)
        wait_for(traced.ended, "the traced daemon has ended")
        second_step = None
        if second is not None:
            recovering = bench.trace("run", "--drain", kill=["daemon", second])
            wait_for(recovering.ended, "the recovering daemon has ended")
            second_step = _step(recovering)
        fresh = bench.start("run", "--drain")
        scenario.meanwhile(bench, lambda: fresh.poll() is not None)
        fresh.wait(timeout=LIMIT_S)
        step = _step(traced)
        expected = scenario.expected(actor if step else None)
        problems = bench.problems({TASK: Dropped(scenario.document.encode(), expected)})
        point = Point(scenario.name, actor, nth, second, step, second_step, tuple(problems))
        if problems:
            print(f"FAILED {point}\n  " + "\n  ".join([*problems, bench.errors()]), flush=True)
        calls = sum(1 for entry in traced.entries() if entry.get("actor") == actor)
        return point, calls


def _step(traced: Traced) -> str | None:
    entry = traced.struck("killed")
    return f"{entry['call']} {Path(entry['path']).name}" if entry else None


def _act_then_say(request: Request) -> Say | UseTool:
    """One tool call that acts; once its answer is in the conversation, the end."""
    if request.tool_results:
        return Say("Done.")
    return UseTool("Bash", {"command": ACT, "description": "act"})


@contextmanager
def _model(scenario: Scenario) -> Iterator[ScriptedModel | None]:
    with ScriptedModel(_act_then_say) if scenario.claude else nullcontext() as model:
        yield model


def _options(scenario: Scenario, home: Path, model: ScriptedModel | None) -> dict[str, Any]:
    if model is None:
        return {"config": scenario.config}
    environment = child_environment(home, model)
    assert "127.0.0.1" in environment["ANTHROPIC_BASE_URL"]
    return {"config": {"agent": {"env": environment}, **scenario.config}, "light": False}


def enumerate_points(
    scenarios: tuple[Scenario, ...],
    *,
    actors: tuple[str, ...],
    every: int,
    second: int | None,
    first: int = 1,
) -> list[Point]:
    """Trace each scenario once to learn its calls, then kill at every *every*-th."""
    with tempfile.TemporaryDirectory(prefix="tq-proof-") as folder, ThreadPoolExecutor(AT_ONCE) as pool:
        scratch = Path(folder)
        cases: list[tuple[Scenario, str, int, int | None]] = []
        for scenario in scenarios:
            for actor in (a for a in actors if a in scenario.actors):
                _, calls = try_point(scenario, scratch, actor, 10**9)
                for nth in range(first, calls + 1, every):
                    seconds = [None] if second is None else [*range(1 + nth % second, 60, second)]
                    cases += [(scenario, actor, nth, again) for again in seconds]
        tried = pool.map(lambda case: try_point(case[0], scratch, *case[1:])[0], cases)
        return [point for point in tried if point.step is not None and (point.second is None) == (
            point.second_step is None
        )]  # fmt: skip


def main() -> int:
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scenario", action="append", choices=names)
    parser.add_argument("--actor", action="append", choices=("daemon", "runner"))
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--second", type=int)
    options = parser.parse_args()
    why_not = why_not_here()
    if why_not:
        print(f"skipped: {why_not}")
        return 0
    wanted = [s for s in SCENARIOS if s.name in (options.scenario or names)]
    actors = tuple(options.actor or ("daemon", "runner"))
    points: list[Point] = []
    for scenario in wanted:
        begun = time.monotonic()
        found = enumerate_points(
            (scenario,), actors=actors, every=options.every, second=options.second, first=options.first
        )
        told = figures([point.problems for point in found])
        print(f"{scenario.name}: {told} in {time.monotonic() - begun:.0f} s", flush=True)
        points += found
    print(f"all: {figures([point.problems for point in points])}")
    return any(point.problems for point in points)


if __name__ == "__main__":
    sys.exit(main())
