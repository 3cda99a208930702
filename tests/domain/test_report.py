"""The report of a result: every fact in its place, foreign text harmless."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from task_queue.domain.facts import report_of
from task_queue.domain.model import Attempt, Delivery, OutcomeKind, Result
from task_queue.domain.task import TaskId, TaskState

START = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
EVIL = "ok\n```\n# Injected\n<script>x</script>\x1b[2J [a](http://evil)"


def an_attempt(number: int = 1, kind: OutcomeKind = OutcomeKind.SUCCEEDED, reason: str = "ok") -> Attempt:
    ended = START + timedelta(minutes=10)
    return Attempt(number, kind, reason, True, START, ended, num_turns=4, total_cost_usd=0.25)


def a_result(**changes: Any) -> Result:
    plain = Result(
        success=True,
        output="I added it.",
        error=None,
        task_id=TaskId("task-20260207-add"),
        started_at=START,
        completed_at=START + timedelta(minutes=10),
        duration_ms=600_000,
        duration_api_ms=0,
        total_cost_usd=0.25,
        usage={},
        session_id="s",
        num_turns=4,
        state=TaskState.COMPLETED,
        outcome=OutcomeKind.SUCCEEDED,
        evidence=("2 rounds, verification and audit passed",),
        attempts=(an_attempt(),),
        source="web",
        worker="web",
        workspace="/srv/web",
    )
    return replace(plain, **changes)


def test_an_audited_task_tells_everything() -> None:
    """Rounds with their findings, records, cost by phase, prompts, and the commands to see and undo."""
    rounds = [
        {
            "round": 1,
            "verdict": "fail",
            "summary": "One case is missing.",
            "findings": [
                {"severity": "major", "file": "a.py", "line": 3, "issue": "no zero", "fix": "add it"}
            ],
        },
        {"round": 2, "verdict": "pass", "summary": "All there.", "findings": []},
    ]
    result = a_result(
        audit={"verdict": "pass", "summary": "All there.", "rounds": rounds},
        verification=({"command": "make test", "exit_code": 0, "duration_ms": 1200},),
        commits=("a" * 40,),
        branch="task-queue/task-20260207-add",
        landed="it is in main (fast-forward)",
        cost_by_phase={"implement 1": 0.2, "audit 1": 0.05},
        prompts={"auditor": "sha256:" + "b" * 64 + " packaged"},
        permission_denials=(
            {"tool_name": "WebFetch", "rule": "WebFetch(domain:x.org)", "why_no_rule": None},
        ),
        notes=("a key had no effect",),
        changed_judges=("tests/test_a.py (changed)",),
    )
    delivery = Delivery(stat="1 file changed", see=("git show aaa",), undo=("git revert aaa",))

    page = report_of(result, title="Add it", asked="Please add it.", delivery=delivery)

    for told in (
        "# Add it",
        "**Done**",
        "Please add it.",
        "### Round 1: fail",
        "`a.py:3`",
        "### Round 2: pass",
        "`make test`",
        "git show aaa",
        "git revert aaa",
        "a" * 12,
        "audit 1: $0.05",
        "WebFetch(domain:x.org)",
        "had no effect",
        "## Files that judge the work, changed by it\n\n- `tests/test_a.py (changed)`",
        "I added it.",
        "b" * 12,
    ):
        assert told in page
    assert "What to do next" not in page
    assert "No commits" not in page


def test_a_failed_task_says_what_to_do_next() -> None:
    result = a_result(
        success=False,
        state=TaskState.FAILED,
        outcome=OutcomeKind.VERIFY_FAILED,
        attempts=(an_attempt(1, OutcomeKind.CRASHED, "died"), an_attempt(2, OutcomeKind.VERIFY_FAILED, "no")),
    )

    page = report_of(result, title="Add it", asked="x")

    assert "**Not done**" in page
    assert "attempt 1: crashed" in page
    assert "`task-queue tasks retry task-20260207-add`" in page


def test_a_rejected_document_is_to_be_corrected() -> None:
    """No agent ever ran, so there is neither workspace nor audit to speak of."""
    result = a_result(
        success=False,
        state=TaskState.FAILED,
        outcome=OutcomeKind.REJECTED,
        workspace=None,
        output="",
        error="line 2: what is this",
        attempts=(),
    )

    page = report_of(result, title="", asked="x")

    assert "correct the document" in page
    assert "what is this" in page


def test_foreign_text_cannot_become_structure() -> None:
    """Headings, fences, HTML, links and controls mean themselves, wherever they come from."""
    result = a_result(
        output=EVIL,
        evidence=(EVIL,),
        notes=(EVIL,),
        audit={
            "verdict": "void",
            "summary": EVIL,
            "rounds": [{"round": 1, "verdict": "void", "summary": EVIL}],
        },
        verification=({"command": EVIL, "exit_code": 1, "tail": EVIL},),
        cost_by_phase={EVIL: 1.0},
        permission_denials=({"tool_name": EVIL, "rule": EVIL},),
    )

    outside = _outside_fences(report_of(result, title=EVIL, asked=EVIL, delivery=Delivery(stat=EVIL)))

    assert "\x1b" not in outside
    assert not [line for line in outside.splitlines() if line.startswith("# Injected")]
    for line in outside.splitlines():
        assert "<script>" not in _without_code(line)
        assert "[a](" not in _without_code(line)


def _outside_fences(page: str) -> str:
    kept: list[str] = []
    fence = ""
    for line in page.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = "`" * (len(line) - len(line.lstrip("`")))
        else:
            kept.append(line)
    assert not fence
    return "\n".join(kept)


def _without_code(line: str) -> str:
    import re

    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line)
