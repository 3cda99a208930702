"""The account that all sources share, at its usage limit, with the real agent."""

from __future__ import annotations

from typing import Any

from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import WORK, AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.limits import in_an_hour, usage_limit
from tests.waiting import eventually

SLOW = 120


class Limited:
    """A model that works on *long* at once, and answers everything else with the account's limit while *on*."""

    def __init__(self) -> None:
        self.on = True

    def __call__(self, request: Request) -> Reply:
        if "long work" in request.first_text and request.turn == 1:
            return bash(WORK)
        return usage_limit(resets_at=in_an_hour()) if self.on else Say("done")


def test_a_limit_stops_every_source_and_each_goes_on_in_its_own_session(make_agent_rig: MakeAgentRig) -> None:
    """Nothing more starts, also after a restart; what was in the middle is given back uncounted, and continued."""
    model = Limited()
    rig = make_agent_rig(model, sources=("a", "b"), login="CLAUDE_CODE_OAUTH_TOKEN")
    daemon = rig.start()
    rig.ask("task-long", "long work", source="b", max_attempts=1)
    rig.started("log")
    rig.ask("task-short", "short work", source="a", max_attempts=1)
    eventually(lambda: "account paused until" in _why(rig, "a"), timeout=SLOW, what="the account is paused")
    rig.ask("task-zlater", "later work", source="b")
    (rig.workspace / "go").touch()
    eventually(lambda: not (rig.locks("a") or rig.locks("b")), timeout=SLOW, what="both are given back")
    rig.stop(daemon)

    rig.start()
    eventually(lambda: all("account paused until" in _why(rig, name) for name in "ab"), what="still paused")
    told = rig.cli("status").stdout
    asked = len(rig.model.requests)
    model.on = False
    rig.cli("tasks", "resume-account", check=True)

    results = {
        name: rig.result(f"task-{name}", source=source, timeout=SLOW)
        for source, name in (("a", "short"), ("b", "long"), ("b", "zlater"))
    }
    assert "account paused until" in told
    for name in ("short", "long"):
        assert _history(results[name]) == [("limited", False), ("succeeded", True)]
        assert len(_sessions(results[name])) == 1
    assert _history(results["zlater"]) == [("succeeded", True)]
    assert len(set.union(*map(_sessions, results.values()))) == 3
    assert rig.side_effects("log") == ["start", "end"]
    assert not [request for request in rig.model.requests[:asked] if "later work" in request.first_text]


def _why(rig: AgentRig, source: str) -> str:
    return rig.state()["sources"][source]["why"] or ""


def _history(result: dict[str, Any]) -> list[tuple[str, bool]]:
    return [(attempt["outcome"], attempt["counted"]) for attempt in result["attempts"]]


def _sessions(result: dict[str, Any]) -> set[str]:
    return {attempt["session_id"] for attempt in result["attempts"]}
