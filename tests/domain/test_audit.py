"""A verdict is believed only as far as it agrees with itself."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from task_queue.domain.work.audit import (
    VERDICT_SCHEMA,
    Decision,
    Verdict,
    Void,
    findings_text,
    read_verdict,
)

FINDING = {
    "severity": "major",
    "file": "a.py",
    "line": 3,
    "issue": "Crashes\nwithout input",
    "fix": "Check it",
}


def output(verdict: str = "pass", **given: Any) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "summary": "Looked.",
        "findings": [],
        "checks_run": [],
        "criteria": [],
        **given,
    }


def test_a_pass() -> None:
    """With what it rests on; the same output fits the schema that the auditor is given."""
    given = output(
        checks_run=[{"command": "git diff", "exit_code": 0, "note": ""}],
        criteria=[{"text": "It works", "met": True, "evidence": "a.py:3"}],
        findings=[{**FINDING, "severity": "minor", "file": None, "line": None}],
    )
    jsonschema.validate(given, VERDICT_SCHEMA)

    verdict = read_verdict(given)

    assert isinstance(verdict, Verdict)
    assert (verdict.decision, verdict.overruled) == (Decision.PASS, None)
    assert (verdict.criteria[0].evidence, verdict.checks_run[0].exit_code) == ("a.py:3", 0)


@pytest.mark.parametrize(
    ("contradiction", "reason"),
    [
        ({"findings": [FINDING]}, "a major finding"),
        ({"criteria": [{"text": "It works", "met": False, "evidence": ""}]}, "a criterion that is not met"),
    ],
)
def test_a_pass_that_contradicts_itself_is_a_failure(contradiction: dict[str, Any], reason: str) -> None:
    verdict = read_verdict(output(**contradiction))

    assert isinstance(verdict, Verdict)
    assert verdict.decision is Decision.FAIL
    assert reason in (verdict.overruled or "")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (None, "gave no verdict"),
        ("pass", "is not an object"),
        ({}, "verdict is missing"),
        (output("perhaps"), "verdict is 'perhaps'"),
        (output(summary=None), "summary is missing"),
        (output(findings={}), "findings is not a list"),
        (output(findings=["x"]), "an item of findings is not an object"),
        (output(findings=[{**FINDING, "severity": "huge"}]), "severity is 'huge'"),
        (output(criteria=[{"text": "x", "met": "yes"}]), "met is neither"),
        (output("fail"), "gave no finding"),
        (output("blocked", summary=" "), "not by what"),
    ],
)
def test_what_is_no_verdict_is_void(given: object, why: str) -> None:
    verdict = read_verdict(given)

    assert isinstance(verdict, Void)
    assert why in verdict.why


def test_an_auditor_that_edits_has_no_verdict() -> None:
    verdict = read_verdict(output(), edited=["b.py", "a.py"])

    assert verdict == Void("files changed while the auditor looked: a.py and 1 more")


def test_findings_are_told_gravest_first() -> None:
    """One line each, with the place and the suggestion."""
    findings = [
        {**FINDING, "severity": "minor", "file": None, "fix": ""},
        {**FINDING, "severity": "blocker"},
        FINDING,
    ]
    criteria = [{"text": "Has tests", "met": False, "evidence": ""}]
    verdict = read_verdict(output("fail", findings=findings, criteria=criteria))

    assert isinstance(verdict, Verdict)
    assert findings_text(verdict).splitlines() == [
        "Looked.",
        "",
        "1. [blocker] a.py:3: Crashes without input",
        "   Suggested: Check it",
        "2. [major] a.py:3: Crashes without input",
        "   Suggested: Check it",
        "3. [minor] Crashes without input",
        "",
        "Asked for and not met:",
        "- Has tests (no evidence)",
    ]
