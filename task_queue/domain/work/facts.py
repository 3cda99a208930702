"""From a task's result to its report: which of the recorded facts stands where on the page. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from task_queue.domain.model import Delivery, OutcomeKind, Result
from task_queue.domain.work.audit import Verdict, Void, read_verdict
from task_queue.domain.work.report import (
    ChangedFile,
    CommitLine,
    Facts,
    PhaseCost,
    Round,
    Work,
    code,
    escaped,
    report,
    span,
)
from task_queue.domain.work.verification import Check

_MOST_EVIDENCE_CHARS = 2000
_LEAST_TOLD_USD = 0.005
"""Less than a cent would be shown as none."""


def report_of(
    result: Result,
    *,
    title: str,
    asked: str,
    delivery: Delivery | None = None,
) -> str:
    """The page ``reports/<id>.md``; *delivery* adds how to see the work and how to take it back."""
    page = report(_facts(result, title, asked, delivery or Delivery()))
    sections = (
        _section("Evidence", [escaped(each[:_MOST_EVIDENCE_CHARS]) for each in result.evidence]),
        _section("Attempts", list(_attempts(result))),
        _section("What to do next", list(_next_steps(result))),
    )
    return page + "".join(section for section in sections if section)


def _facts(result: Result, title: str, asked: str, delivery: Delivery) -> Facts:
    return Facts(
        task_id=result.task_id,
        title=title,
        asked=asked,
        succeeded=result.success,
        outcome=result.outcome,
        reason=result.error or (result.attempts[-1].reason if result.attempts else ""),
        source=result.source,
        attempt=result.attempts[-1].number if result.attempts else 0,
        started_at=result.started_at,
        ended_at=result.completed_at,
        work=Work(
            workspace=result.workspace or "no workspace",
            isolation=result.isolation,
            branch=result.branch,
            base=result.base_commit,
            summary=delivery.stat,
            files=tuple(map(_file, delivery.files)),
            file_count=delivery.file_count,
            commits=tuple(_commits(result, delivery)),
            see=result.see,
            keep=result.keep,
            undo=result.undo,
            landing=result.landed,
        ),
        workflow=_workflow(result),
        rounds=tuple(_rounds(result.audit or {})),
        checks=tuple(map(_check, result.verification)),
        changed_judges=result.changed_judges,
        phases=tuple(_phases(result)),
        cost_usd=result.total_cost_usd,
        cost_note=_cost_note(result),
        denials=tuple(map(_denial, result.permission_denials)),
        warnings=result.notes,
        prompts=tuple(_prompt(name, ran) for name, ran in result.prompts.items()),
        agent_summary=result.output,
    )


def _cost_note(result: Result) -> str | None:
    notes = ["what the API would have charged"] if result.billed_to == "subscription" else []
    if result.estimated_cost_usd:
        notes.append(
            f"{_money(result.estimated_cost_usd)} of it estimated: the agent could not tell any more"
        )
    elif result.cost_incomplete:
        notes.append("the agent could not tell all of it")
    return "; ".join(notes) or None


def _workflow(result: Result) -> str:
    if result.audit is not None:
        return "audited"
    if not result.prompts:
        return "without an agent's prompts"
    return "skill" if "task-worker" in result.prompts else "without an audit"


def _rounds(audit: Mapping[str, Any]) -> Iterator[Round]:
    for each in audit.get("rounds", ()):
        void = each.get("verdict") == "void"
        verdict = Void(str(each.get("summary") or "no verdict")) if void else read_verdict(each)
        if isinstance(verdict, Verdict) and each.get("overruled"):
            verdict = replace(verdict, overruled=str(each["overruled"]))
        yield Round(int(each.get("round", 0)), verdict)


def _file(record: Mapping[str, Any]) -> ChangedFile:
    return ChangedFile(str(record.get("path") or ""), record.get("added"), record.get("deleted"))


def _commits(result: Result, delivery: Delivery) -> Iterator[CommitLine]:
    for number, commit in enumerate(result.commits):
        subject = delivery.subjects[number] if number < len(delivery.subjects) else ""
        yield CommitLine(commit, subject, by_agent=bool(subject) and commit != delivery.ours)


def _phases(result: Result) -> Iterator[PhaseCost]:
    """Over all attempts, and in a row of its own what those cost that were ended before they could tell of phases."""
    costs, seconds = result.cost_by_phase, result.seconds_by_phase
    for phase in {**seconds, **costs}:
        took = timedelta(seconds=seconds[phase]) if phase in seconds else None
        yield PhaseCost(phase, took, costs.get(phase))
    untold = (result.total_cost_usd or 0.0) - sum(costs.values())
    if costs and untold >= _LEAST_TOLD_USD:
        yield PhaseCost("attempts that were cut off", None, untold)


def _check(record: Mapping[str, Any]) -> Check:
    exit_code = record.get("exit_code")
    return Check(
        command=str(record.get("command") or ""),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        duration_ms=int(record.get("duration_ms") or 0),
        tail=str(record.get("tail") or ""),
        timed_out=bool(record.get("timed_out")),
        not_found=bool(record.get("not_found")),
        interrupted=bool(record.get("interrupted")),
    )


def _denial(denial: Mapping[str, Any]) -> str:
    """The tool, and the rule that would have let it pass (``rules.explained``)."""
    tool = str(denial.get("tool_name"))
    if denial.get("rule"):
        return f"{tool}; would pass with allow: {denial['rule']}"
    return f"{tool}; {denial.get('why_no_rule') or 'no rule would let it pass'}"


def _prompt(name: str, ran: str) -> tuple[str, str, str]:
    """*ran* is ``sha256:<hash> <where from>``, as ``agents.prompts`` has it."""
    hashed, _, origin = ran.removeprefix("sha256:").partition(" ")
    return name, origin, hashed


def _attempts(result: Result) -> Iterator[str]:
    if len(result.attempts) < 2:
        return
    for attempt in result.attempts:
        took = span(attempt.ended_at - attempt.started_at)
        cost = (
            "nothing spent"
            if attempt.num_turns == 0 and not attempt.total_cost_usd
            else _money(attempt.total_cost_usd)
        )
        counted = "" if attempt.counted else ", not counted"
        yield (
            f"attempt {attempt.number}: {escaped(attempt.outcome)}{counted}, {took}, {attempt.num_turns} turns,"
            f" {cost}{' estimated' if attempt.estimated_cost_usd else ''}:"
            f" {escaped(attempt.reason)}"
        )


def _next_steps(result: Result) -> Iterator[str]:
    if result.success:
        return
    if result.base_commit and not result.commits:
        yield f"see what it left where it worked: {code(f'git -C {shlex.quote(str(result.workspace))} status')}"
    retry = code(f"task-queue tasks retry {result.task_id}")
    if result.outcome is OutcomeKind.REJECTED:
        yield f"correct the document in {code('failed/')}, then: {retry}"
    else:
        yield f"try again, with the document as it is or as you edit it in {code('failed/')}: {retry}"
    if any(denial.get("rule") for denial in result.permission_denials):
        yield f"to allow what was denied, add its rule to {code('allow')} in the owner's configuration first"
    yield f"see what happened: {code(f'task-queue tasks show {result.task_id}')}"


def _section(title: str, lines: list[str]) -> str:
    return f"\n## {title}\n\n" + "".join(f"- {line}\n" for line in lines) if lines else ""


def _money(usd: float | None) -> str:
    return "cost not known" if usd is None else f"${usd:.2f}"
