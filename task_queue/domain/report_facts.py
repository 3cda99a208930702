"""From a task's result and what its work came to, to the facts that its report shows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from task_queue.domain.audit import Void, read_verdict
from task_queue.domain.model import Delivery, Result
from task_queue.domain.report import CommitLine, Facts, PhaseCost, Round, Work
from task_queue.domain.verification import Check


def facts_of(result: Result, delivery: Delivery | None, *, title: str, asked: str, workflow: str) -> Facts:
    """*asked* is the document's text; *delivery* is None where there was no workflow."""
    came_to = delivery or Delivery(workspace=result.workspace)
    return Facts(
        task_id=result.task_id,
        title=title,
        asked=asked,
        succeeded=result.success,
        outcome=result.outcome.value,
        reason=result.error or "; ".join(result.evidence[:1]),
        source=result.source,
        attempt=result.attempts[-1].number,
        started_at=result.started_at.astimezone(),
        ended_at=result.completed_at.astimezone(),
        work=_work(came_to),
        workflow=workflow,
        rounds=tuple(_round(each) for each in (came_to.audit or {}).get("rounds", ())),
        checks=tuple(Check(**record) for record in came_to.verification),
        verified_in=_verified_in(came_to),
        phases=_phases(result, came_to),
        cost_usd=result.total_cost_usd,
        denials=tuple(_denial(each) for each in result.permission_denials),
        warnings=result.notes,
        prompts=tuple((name, "", digest) for name, digest in came_to.prompts.items()),
        agent_summary=result.output,
    )


def _work(delivery: Delivery) -> Work:
    return Work(
        workspace=delivery.workspace or "",
        isolation=delivery.isolation,
        is_git=delivery.base_commit is not None or bool(delivery.commits),
        branch=delivery.branch,
        base=delivery.base_commit,
        summary=delivery.stat,
        commits=tuple(CommitLine(sha, "") for sha in delivery.commits),
        see=delivery.see,
        undo=delivery.undo,
        landing=delivery.landed,
    )


def _verified_in(delivery: Delivery) -> str | None:
    if not delivery.verification:
        return None
    return "a fresh checkout of the result" if delivery.isolation == "worktree" else "the workspace"


def _phases(result: Result, delivery: Delivery) -> tuple[PhaseCost, ...]:
    if not delivery.cost_by_phase:
        whole = timedelta(milliseconds=result.duration_ms)
        return (PhaseCost("all", whole, result.total_cost_usd, result.num_turns),)
    times = delivery.seconds_by_phase
    return tuple(
        PhaseCost(phase, timedelta(seconds=times.get(phase, 0)), usd)
        for phase, usd in delivery.cost_by_phase.items()
    )


def _round(told: Mapping[str, Any]) -> Round:
    if told.get("verdict") == "void":
        return Round(told["round"], Void(str(told.get("summary"))))
    return Round(told["round"], read_verdict({**told, "verdict": told.get("decision", told.get("verdict"))}))


def _denial(denial: Mapping[str, Any]) -> str:
    given: Mapping[str, Any] = denial.get("tool_input") or {}
    argument = next((str(value) for value in given.values()), "")
    rule = denial.get("rule")
    return f"{denial.get('tool_name')} {argument}".strip() + (f"  (allow it with: {rule})" if rule else "")
