"""The auditor's verdict: its schema, what it comes to, and what the implementer reads of it. Pure.

A verdict is a model's word. A "pass" that contradicts itself is none, and our own checks decide, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

_SEVERITIES = ("blocker", "major", "minor")
_TEXT: dict[str, Any] = {"type": "string"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


VERDICT_SCHEMA: dict[str, Any] = _object(
    {
        "verdict": {"type": "string", "enum": ["pass", "fail", "blocked"]},
        "summary": _TEXT,
        "findings": {
            "type": "array",
            "items": _object(
                {
                    "severity": {"type": "string", "enum": list(_SEVERITIES)},
                    "file": {"type": ["string", "null"]},
                    "line": {"type": ["integer", "null"]},
                    "issue": _TEXT,
                    "fix": _TEXT,
                }
            ),
        },
        "checks_run": {
            "type": "array",
            "items": _object({"command": _TEXT, "exit_code": {"type": ["integer", "null"]}, "note": _TEXT}),
        },
        "criteria": {
            "type": "array",
            "items": _object({"text": _TEXT, "met": {"type": "boolean"}, "evidence": _TEXT}),
        },
    }
)
"""For the agent's structured output."""


class Decision(StrEnum):
    PASS = "pass"  # noqa: S105 - a verdict
    FAIL = "fail"
    BLOCKED = "blocked"
    """The auditor could not judge: something is missing that neither agent can bring."""


@dataclass(frozen=True, slots=True)
class Finding:
    severity: str
    """blocker, major or minor."""
    issue: str
    fix: str = ""
    file: str | None = None
    line: int | None = None

    @property
    def place(self) -> str:
        """``file:line``, as far as it is known; empty if it is not."""
        return (self.file or "") + (f":{self.line}" if self.file and self.line is not None else "")


@dataclass(frozen=True, slots=True)
class CheckRun:
    """What the auditor says it ran."""

    command: str
    exit_code: int | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Criterion:
    """Something that the task asked for."""

    text: str
    met: bool
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    decision: Decision
    summary: str
    findings: tuple[Finding, ...] = ()
    checks_run: tuple[CheckRun, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    overruled: str | None = None
    """Why a "pass" counts as a failure."""


@dataclass(frozen=True, slots=True)
class Void:
    """There is no verdict; the auditor is asked once more, or another one is."""

    why: str


def read_verdict(output: object, *, edited: Iterable[str] = ()) -> Verdict | Void:
    """The verdict in a session's structured output; *edited* are files that changed while the auditor looked."""
    touched = sorted(edited)
    if touched:
        more = f" and {len(touched) - 1} more" if len(touched) > 1 else ""
        return Void(f"files changed while the auditor looked: {touched[0]}{more}")
    if output is None:
        return Void("the auditor gave no verdict")
    try:
        return _judged(_verdict(_mapping(output, "the verdict")))
    except _MalformedError as error:
        return Void(f"the auditor's verdict cannot be read: {error}")


def findings_text(verdict: Verdict) -> str:
    """What the implementer is to fix, the gravest first."""
    lines = [verdict.summary.strip(), *([f"({verdict.overruled})"] if verdict.overruled else []), ""]
    for number, finding in enumerate(sorted(verdict.findings, key=_gravity), start=1):
        place = f" {finding.place}:" if finding.place else ""
        lines.append(f"{number}. [{finding.severity}]{place} {_one_line(finding.issue)}")
        if finding.fix.strip():
            lines.append(f"   Suggested: {_one_line(finding.fix)}")
    unmet = [criterion for criterion in verdict.criteria if not criterion.met]
    if unmet:
        lines += ["", "Asked for and not met:"]
        lines += [f"- {_one_line(each.text)} ({_one_line(each.evidence) or 'no evidence'})" for each in unmet]
    return "\n".join(lines).strip() + "\n"


class _MalformedError(Exception):
    pass


def _judged(verdict: Verdict) -> Verdict | Void:
    """Hold the decision against its own reasons."""
    grave = [finding for finding in verdict.findings if finding.severity != "minor"]
    unmet = [criterion for criterion in verdict.criteria if not criterion.met]
    if verdict.decision is Decision.PASS and (grave or unmet):
        reason = f"a {grave[0].severity} finding" if grave else "a criterion that is not met"
        return Verdict(
            Decision.FAIL,
            verdict.summary,
            verdict.findings,
            verdict.checks_run,
            verdict.criteria,
            overruled=f"the auditor said pass, and listed {reason}",
        )
    if verdict.decision is Decision.FAIL and not (verdict.findings or unmet):
        return Void("the auditor said fail, and gave no finding")
    if verdict.decision is Decision.BLOCKED and not verdict.summary.strip():
        return Void("the auditor said blocked, and not by what")
    return verdict


def _verdict(content: Mapping[str, Any]) -> Verdict:
    decision = _text(content, "verdict")
    if decision not in set(Decision):
        raise _MalformedError(f"verdict is {decision[:40]!r}")
    return Verdict(
        decision=Decision(decision),
        summary=_text(content, "summary"),
        findings=tuple(_finding(item) for item in _items(content, "findings")),
        checks_run=tuple(
            CheckRun(_text(item, "command"), _whole(item, "exit_code"), _text(item, "note", default=""))
            for item in _items(content, "checks_run")
        ),
        criteria=tuple(
            Criterion(_text(item, "text"), _truth(item, "met"), _text(item, "evidence", default=""))
            for item in _items(content, "criteria")
        ),
    )


def _finding(item: Mapping[str, Any]) -> Finding:
    severity = _text(item, "severity")
    if severity not in _SEVERITIES:
        raise _MalformedError(f"severity is {severity[:40]!r}")
    file = item.get("file")
    return Finding(
        severity=severity,
        issue=_text(item, "issue"),
        fix=_text(item, "fix", default=""),
        file=file if isinstance(file, str) and file else None,
        line=_whole(item, "line"),
    )


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _MalformedError(f"{what} is not an object")
    return cast("Mapping[str, Any]", value)


def _items(content: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = content.get(key, [])
    if not isinstance(value, list):
        raise _MalformedError(f"{key} is not a list")
    return [_mapping(item, f"an item of {key}") for item in cast("list[object]", value)]


def _text(content: Mapping[str, Any], key: str, *, default: str | None = None) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        raise _MalformedError(f"{key} is missing or no text")
    return value


def _whole(content: Mapping[str, Any], key: str) -> int | None:
    value = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(content: Mapping[str, Any], key: str) -> bool:
    value = content.get(key)
    if not isinstance(value, bool):
        raise _MalformedError(f"{key} is neither true nor false")
    return value


def _gravity(finding: Finding) -> int:
    return _SEVERITIES.index(finding.severity)


def _one_line(text: str) -> str:
    return " ".join(text.split())
