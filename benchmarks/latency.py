"""From a drop to the lock, and to the agent's first question: against running the agent by hand, side by side."""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import claude_agent_sdk

from benchmarks.measure import machine, median_run_ms, quantile, scratch, table
from task_queue.demo.scripted_model import Say, ScriptedModel, child_environment, in_turn
from tests.acceptance.agents import AgentRig

DROPS = 50
ROUNDS = 5
_IN_CREATE = 0x100


def main() -> None:
    print(machine())
    drop_to_lock()
    drop_to_first_request()
    imports()


def drop_to_lock() -> None:
    """Idle queue, one no-op task at a time; an inotify watch of the benchmark sees the lock."""
    with scratch() as rig:
        rig.start()
        rig.drop_command("task-warm", "true")
        rig.result("task-warm")
        libc = ctypes.CDLL(None, use_errno=True)
        watch = libc.inotify_init1(os.O_CLOEXEC)
        libc.inotify_add_watch(watch, os.fsencode(rig.pending()), _IN_CREATE)
        taken: list[float] = []
        for number in range(DROPS):
            name = f"task-{number:04}"
            lock = f".{name}.lock\0".encode()
            draft = rig.queue() / "staging" / f"{name}.md"
            draft.write_text("---\nexecutor: sh\n---\ntrue\n")
            began = time.perf_counter()
            draft.rename(rig.pending() / f"{name}.md")
            while lock not in os.read(watch, 65536):
                pass
            taken.append(1000 * (time.perf_counter() - began))
            rig.result(name)
        os.close(watch)
    table(
        f"rename into pending/ -> lock visible, idle, {DROPS} drops",
        ("", "median ms", "p90", "p99"),
        [("task-queue", statistics.median(taken), quantile(taken, 0.9), quantile(taken, 0.99))],
    )


def drop_to_first_request() -> None:
    """The same task text, taken in turns: dropped, and as ``claude -p`` by hand."""
    queue: list[float] = []
    by_hand: list[float] = []
    cli = str(Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude")
    with tempfile.TemporaryDirectory(prefix="task-queue-bench-") as folder:
        rig = AgentRig(Path(folder) / "home", in_turn(Say("done")))
        hand = Path(folder) / "hand"
        hand.mkdir()
        try:
            rig.start()
            rig.ask("task-warm", "warm up")
            rig.result("task-warm")
            for number in range(ROUNDS):
                asked = len(rig.model.requests)
                began = time.perf_counter()
                rig.ask(f"task-{number}", "say done")
                rig.model.wait_for_request(asked + 1)
                queue.append(time.perf_counter() - began)
                rig.result(f"task-{number}")
                by_hand.append(_by_hand(cli, hand, rig.model))
        finally:
            rig.close()
    ours, theirs = statistics.median(queue), statistics.median(by_hand)
    table(
        f"drop -> first model request, {ROUNDS} rounds",
        ("", "median s", "fastest", "slowest", "ratio"),
        [
            ("claude -p by hand", theirs, min(by_hand), max(by_hand), 1.0),
            ("task-queue", ours, min(queue), max(queue), ours / theirs),
        ],
    )


def _by_hand(cli: str, home: Path, model: ScriptedModel) -> float:
    asked = len(model.requests)
    began = time.perf_counter()
    agent = subprocess.Popen(
        [cli, "-p", "say done"],
        env=child_environment(home, model, path=os.environ["PATH"]),
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    model.wait_for_request(asked + 1)
    taken = time.perf_counter() - began
    agent.wait()
    return taken


def imports() -> None:
    """What importing costs; the SDK is paid once per daemon, in the template."""
    programs = {
        "nothing": "pass",
        "click": "import click",
        "task_queue.cli": "import task_queue.cli",
        "pydantic": "from pydantic import BaseModel",
        "task_queue.daemon.process": "import task_queue.daemon.process",
        "claude_agent_sdk": "import claude_agent_sdk",
    }
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[1])}
    rows = [
        (name, median_run_ms([sys.executable, "-c", program], environment, Path.cwd(), runs=5))
        for name, program in programs.items()
    ]
    table("python -c import ..., warm", ("", "median ms"), rows)


if __name__ == "__main__":
    main()
