"""A result as front ends show it; a value that is missing or of another kind is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from task_queue.app.answers import EndingView
from task_queue.app.ended import ending_in
from task_queue.app.files import Record, number_in, records_in, text_in, texts_in, time_in, whole_in
from task_queue.domain.permission.rules import call_of


@dataclass(frozen=True, slots=True)
class CommitView:
    sha: str
    subject: str
    by_agent: bool
    """False where the queue made it, or where the result does not say."""


@dataclass(frozen=True, slots=True)
class ChangedFileView:
    path: str
    figures: str


@dataclass(frozen=True, slots=True)
class CheckView:
    command: str
    verdict: str
    passed: bool
    took_s: float | None
    tail: str


@dataclass(frozen=True, slots=True)
class FindingView:
    severity: str
    place: str
    issue: str
    fix: str


@dataclass(frozen=True, slots=True)
class DenialView:
    call: str
    remedy: str


@dataclass(frozen=True, slots=True)
class AuditRoundView:
    number: int | None
    verdict: str
    summary: str
    findings: tuple[FindingView, ...]
    runs: tuple[CheckView, ...]
    """What the queue ran for the auditor."""
    denials: tuple[DenialView, ...]
    """What the auditor was refused."""


@dataclass(frozen=True, slots=True)
class PhaseView:
    name: str
    took_s: float | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class ResultView:
    """Of a task that has ended; texts are empty and tuples too where nothing is said."""

    success: bool
    ending: EndingView
    error: str
    started_at: datetime | None
    completed_at: datetime | None
    took_s: float | None
    turns: int | None
    cost_usd: float | None
    estimated_usd: float
    billed_to: str
    workspace: str
    branch: str
    landed: str
    commits: tuple[CommitView, ...]
    stat: str
    files: tuple[ChangedFileView, ...]
    file_count: int
    uncommitted: tuple[str, ...]
    checks: tuple[CheckView, ...]
    audit: tuple[AuditRoundView, ...]
    phases: tuple[PhaseView, ...]
    changed_judges: tuple[str, ...]
    notes: tuple[str, ...]
    denials: tuple[DenialView, ...]
    session_id: str
    output: str
    evidence: tuple[str, ...]


def view_of(result: Record) -> ResultView:
    success = result.get("success") is True
    took_ms = number_in(result, "duration_ms")
    files = tuple(map(_file, records_in(result, "files")))
    return ResultView(
        success=success,
        ending=ending_in(result),
        error="" if success else text_in(result, "error") or "",
        started_at=time_in(result, "started_at"),
        completed_at=time_in(result, "completed_at"),
        took_s=None if took_ms is None else took_ms / 1000,
        turns=whole_in(result, "num_turns"),
        cost_usd=number_in(result, "total_cost_usd"),
        estimated_usd=number_in(result, "estimated_cost_usd") or 0.0,
        billed_to=text_in(result, "billed_to") or "",
        workspace=text_in(result, "workspace") or "",
        branch=text_in(result, "branch") or "",
        landed=text_in(result, "landed") or "",
        commits=tuple(_commits(result)),
        stat=text_in(result, "stat") or "",
        files=files,
        file_count=max(whole_in(result, "file_count") or 0, len(files)),
        uncommitted=texts_in(result, "uncommitted"),
        checks=tuple(map(_check, records_in(result, "verification"))),
        audit=tuple(_audit(result)),
        phases=tuple(_phases(result)),
        changed_judges=texts_in(result, "changed_judges"),
        notes=texts_in(result, "notes"),
        denials=tuple(map(_denial, records_in(result, "permission_denials"))),
        session_id=text_in(result, "session_id") or "",
        output=text_in(result, "output") or "",
        evidence=texts_in(result, "evidence"),
    )


def _commits(result: Record) -> Iterator[CommitView]:
    subjects, by_queue = texts_in(result, "subjects"), texts_in(result, "by_queue")
    for number, sha in enumerate(texts_in(result, "commits")):
        subject = subjects[number] if number < len(subjects) else ""
        yield CommitView(sha, subject, by_agent=bool(subject) and sha not in by_queue)


def _file(record: Record) -> ChangedFileView:
    path, change = text_in(record, "path") or "?", text_in(record, "change")
    if change:  # of a folder without git
        return ChangedFileView(path, change)
    added, deleted = whole_in(record, "added"), whole_in(record, "deleted")
    return ChangedFileView(path, "binary or very large" if added is None else f"+{added} -{deleted or 0}")


def _check(record: Record) -> CheckView:
    code, took_ms = whole_in(record, "exit_code"), number_in(record, "duration_ms")
    ends = {"interrupted": "stopped by the queue", "timed_out": "took too long", "not_found": "was not found"}
    how = next((words for key, words in ends.items() if record.get(key) is True), None)
    verdict = how or ("passed" if code == 0 else f"failed with exit code {code}")
    return CheckView(
        text_in(record, "command") or "?",
        verdict,
        passed=how is None and code == 0,
        took_s=None if took_ms is None else took_ms / 1000,
        tail=(text_in(record, "tail") or "").strip("\n"),
    )


def _audit(result: Record) -> Iterator[AuditRoundView]:
    audit: object = result.get("audit")
    for each in records_in(cast("dict[str, Any]", audit), "rounds") if isinstance(audit, dict) else ():
        yield AuditRoundView(
            whole_in(each, "round"),
            text_in(each, "verdict") or "",
            text_in(each, "summary") or "",
            tuple(map(_finding, records_in(each, "findings"))),
            tuple(map(_check, records_in(each, "runs"))),
            tuple(map(_denial, records_in(each, "denials"))),
        )


def _finding(record: Record) -> FindingView:
    line = whole_in(record, "line")
    place = (text_in(record, "file") or "") + (f":{line}" if line is not None else "")
    severity, fix = text_in(record, "severity") or "?", text_in(record, "fix") or ""
    return FindingView(severity, place, text_in(record, "issue") or "", fix)


def _phases(result: Record) -> Iterator[PhaseView]:
    """In the order in which they ran; some have only one of the two figures."""
    seconds, costs = _figures(result, "seconds_by_phase"), _figures(result, "cost_by_phase")
    for name in {**seconds, **costs}:
        yield PhaseView(name, seconds.get(name), costs.get(name))


def _figures(result: Record, key: str) -> dict[str, float]:
    found: object = result.get(key)
    figures = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    return {name: value for name in figures if (value := number_in(figures, name)) is not None}


def _denial(record: Record) -> DenialView:
    rule, why = text_in(record, "rule"), text_in(record, "why_no_rule")
    return DenialView(call_of(record), f"allow it with: {rule}" if rule else why or "")
