"""A session that is connected before its prompt is known: what it is compared by, and what it does before."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from task_queue.agents.claude.ahead import ConnectedAhead
from task_queue.agents.claude.options import SessionRequest
from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.agents.claude.watch import Timers
from task_queue.demo.scripted_model import Say
from task_queue.domain.document.choices import Effort
from task_queue.domain.model import OutcomeKind
from task_queue.platform.identity import is_alive
from task_queue.ports.executor import Order, Stop
from tests.agents.bench import Bench, MakeBench
from tests.waiting import eventually

AUDIT = SessionRequest(resume=False, audits=True, append="judge")


def connected(bench: Bench, executor: ClaudeExecutor | None = None) -> ConnectedAhead:
    found = (executor or bench.executor).connect_ahead(bench.order, bench.transcript, AUDIT)
    assert found is not None
    assert found.process() is not None
    return found


def test_it_asks_nothing_and_shows_nothing_until_it_has_its_prompt(bench: MakeBench) -> None:
    rig = bench(lambda _: Say("fine"))
    ahead = connected(rig)
    process = ahead.process()
    assert process is not None
    assert is_alive(process)
    assert ahead.fits(rig.order, AUDIT)
    assert rig.model.requests == []
    assert rig.transcript.lines == []

    result = ahead.ask("judge it", within_s=60)

    assert (result.outcome.kind, result.work.output) == (OutcomeKind.SUCCEEDED, "fine")
    assert "judge it" in rig.model.requests[0].last_text
    assert [direction for direction, _ in rig.transcript.lines][:2] == ["note", "out"]
    ahead.drop()
    assert not is_alive(process)


def test_one_that_is_dropped_is_gone_and_was_nothing(bench: MakeBench) -> None:
    rig = bench(lambda _: Say("fine"))
    ahead = connected(rig)
    process = ahead.process()

    ahead.drop()

    assert process is not None
    assert not is_alive(process)
    assert rig.model.requests == []
    assert rig.transcript.lines == []
    assert not rig.order.agent_copy.exists()


CHANGES: dict[str, Callable[[Order], Order]] = {
    "directory": lambda order: replace(order, workspace=order.workspace.parent),
    "session": lambda order: replace(order, claim=replace(order.claim, session_id=str(uuid.uuid4()))),
    "settings": lambda order: replace(order, agent=replace(order.agent, setting_sources=())),
    "hooks": lambda order: replace(order, agent=replace(order.agent, runs_hooks=False)),
    "rules": lambda order: replace(order, settings=replace(order.settings, deny=("Bash(ls:*)",))),
    "effort": lambda order: replace(order, settings=replace(order.settings, effort=Effort.LOW)),
    "model": lambda order: replace(order, settings=replace(order.settings, model="other")),
    "turns": lambda order: replace(order, turns_used=1),
    "budget": lambda order: replace(order, allowance_usd=3.0),
    "environment": lambda order: replace(order, env={**order.env, "OTHER": "1"}),
}


def test_whatever_is_fixed_when_it_starts_makes_it_another_one(bench: MakeBench) -> None:
    rig = bench(lambda _: Say("fine"))
    ahead = connected(rig)
    try:
        fits = {what: ahead.fits(change(rig.order), AUDIT) for what, change in CHANGES.items()}
        of_requests = [
            ahead.fits(rig.order, replace(AUDIT, append="other")),
            ahead.fits(rig.order, replace(AUDIT, schema={"type": "object"})),
            ahead.fits(rig.order, replace(AUDIT, plugin=rig.workspace)),
        ]
        as_it_is = ahead.fits(rig.order, replace(AUDIT, prompt="judge it"))
    finally:
        ahead.drop()
    assert fits == dict.fromkeys(CHANGES, False)
    assert of_requests == [False, False, False]
    assert as_it_is
    assert not ahead.fits(rig.order, AUDIT)


def test_it_grows_old(bench: MakeBench) -> None:
    rig = bench(lambda _: Say("fine"))
    ahead = connected(rig, ClaudeExecutor(timers=Timers(ahead_s=0.2)))

    eventually(lambda: not ahead.fits(rig.order, AUDIT), what="it is given up", timeout=30)

    ahead.drop()
    assert rig.transcript.lines == []


@pytest.mark.parametrize("how", list(Stop))
def test_a_stop_ends_it(bench: MakeBench, how: Stop) -> None:
    rig = bench(lambda _: Say("fine"))
    ahead = connected(rig)

    rig.executor.stop(how)

    eventually(lambda: not ahead.fits(rig.order, AUDIT), what="it has ended", timeout=30)
    ahead.drop()
    assert rig.model.requests == []


def test_with_nothing_left_to_spend_there_is_none(bench: MakeBench) -> None:
    rig = bench(lambda _: Say("fine"))
    rig.order = replace(rig.order, allowance_usd=0.0)

    assert rig.executor.connect_ahead(rig.order, rig.transcript, AUDIT) is None
