"""What ``plan`` finds before the night: budgets that will not suffice, no login, limits of what runs together."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from task_queue.app.planning import PlanView, plan
from tests.app.bench import Bench
from tests.app.test_estimating import CODING, ended

IN_PLACE = "---\ntype: coding\nisolation: none\n---\n# Mend it\n"


def planned(bench: Bench) -> PlanView:
    return plan(bench.anew())


def configure(bench: Bench, **keys: object) -> None:
    content = json.loads(bench.config.read_text())
    bench.config.write_text(json.dumps({**content, **keys}))
    bench.config.chmod(0o600)


def sentences(bench: Bench) -> list[str]:
    return [problem.sentence for problem in planned(bench).problems]


def a_cli(bench: Bench, answer: str) -> str:
    """A program in the place of the agent's, which says *answer* on its login."""
    program = bench.home / "stand-in"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n")
    program.chmod(0o700)
    return str(program)


@pytest.fixture(autouse=True)
def login(bench: Bench) -> None:
    configure(bench, agent={"cli_path": a_cli(bench, '{"loggedIn": true, "authMethod": "test"}')})


def test_a_budget_of_a_task_below_what_others_cost_is_found(bench: Bench) -> None:
    """Five ended at $0.25 each."""
    ended(bench, 5)
    bench.place("pending", "task-b", CODING.replace("---\n#", "max_budget_usd: 0.20\n---\n#"))
    bench.place("pending", "task-c", CODING.replace("---\n#", "max_budget_usd: 0.30\n---\n#"))

    (problem,) = planned(bench).problems

    assert (problem.task_id, problem.command) == ("task-b", "task-queue tasks edit task-b")
    assert problem.sentence == (
        "max_budget_usd 0.20 will not suffice: half of 5 tasks like it cost 0.25 or more"
    )


def test_a_guess_makes_no_budget_a_problem(bench: Bench) -> None:
    bench.place("pending", "task-b", CODING.replace("---\n#", "max_budget_usd: 0.01\n---\n#"))

    assert sentences(bench) == []


@pytest.mark.parametrize(("budget", "suffices"), [(0.2, False), (0.3, True)])
def test_a_daily_budget_below_one_task_is_found(bench: Bench, budget: float, suffices: bool) -> None:
    ended(bench, 5)
    bench.place("pending", "task-b", CODING)
    configure(bench, limits={"daily_budget_usd": budget})

    found = [each for each in sentences(bench) if each.startswith("the daily budget, 0.20 USD")]

    assert len(found) == (0 if suffices else 1)


def test_an_agent_without_a_login_is_found(bench: Bench) -> None:
    configure(bench, agent={"cli_path": a_cli(bench, '{"loggedIn": false}')})
    nothing_waits = sentences(bench)
    bench.place("pending", "task-b", CODING)

    (problem,) = planned(bench).problems

    assert nothing_waits == []
    assert problem.sentence == "the agent is not logged in: its tasks would wait"
    assert "auth login" in problem.command


def test_an_agent_that_is_not_there_is_found(bench: Bench, tmp_path: Path) -> None:
    configure(bench, agent={"cli_path": str(tmp_path / "none")})
    bench.place("pending", "task-b", CODING)

    assert f"agent.cli_path {tmp_path / 'none'} is not a program" in sentences(bench)


@pytest.mark.parametrize(
    ("limits", "apart"),
    [({}, 0), ({"per_workspace": 1}, 100), ({"per_repository": 9}, 0), ({"start_gap": "30s"}, 30)],
    ids=["nothing", "a cap of the workspace", "a cap that is not reached", "a gap"],
)
def test_starts_follow_the_limits_of_what_runs_together(
    bench: Bench, limits: dict[str, object], apart: int
) -> None:
    ended(bench, 5)
    configure(bench, limits=limits)
    bench.place("pending", "task-b", IN_PLACE)
    bench.place("pending", "task-c", IN_PLACE, source="planned")

    starts = {str(task.task_id): task.estimate.starts_at for task in planned(bench).tasks}

    assert starts["task-b"] == bench.clock.now()
    assert starts["task-c"] == bench.clock.now() + timedelta(seconds=apart)
