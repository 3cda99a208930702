"""Results as front ends show them: of every release, and also where something in them is of another kind."""

from __future__ import annotations

from typing import Any

import pytest

from task_queue.app.result_view import CheckView, CommitView, DenialView, FindingView, PhaseView, view_of

RESULT: dict[str, Any] = {
    "success": False,
    "outcome": "audit_rejected",
    "error": "the audit failed",
    "duration_ms": 90_000,
    "commits": ["a" * 40, "b" * 40],
    "subjects": ["One", "Two"],
    "by_queue": ["b" * 40],
    "files": [{"path": "a.py", "added": 2, "deleted": None}, {"path": "b", "change": "new"}, {"path": "c"}],
    "file_count": 9,
    "verification": [{"command": "make", "exit_code": 2, "duration_ms": 1500, "tail": "\nno\n"}],
    "audit": {
        "rounds": [
            {
                "round": 1,
                "verdict": "fail",
                "summary": "no",
                "findings": [
                    {"severity": "major", "file": "a.py", "line": 3, "issue": "wrong", "fix": "mend"}
                ],
                "runs": [{"command": "make", "exit_code": 0, "duration_ms": 500, "tail": "yes\n"}],
                "denials": [
                    {"tool_name": "run_check", "tool_input": {"command": "ls"}, "why_no_rule": "why"}
                ],
            }
        ]
    },
    "seconds_by_phase": {"implement": 60.0},
    "cost_by_phase": {"implement": 0.5, "audit": 0.25},
    "permission_denials": [{"tool_name": "Bash", "tool_input": {"command": "ls"}, "rule": "Bash(ls)"}],
}


def test_everything_that_a_result_says_is_in_its_view() -> None:
    view = view_of(RESULT)

    assert (view.success, view.ending.outcome, view.error, view.took_s) == (
        False,
        "audit_rejected",
        "the audit failed",
        90.0,
    )
    assert view.commits == (CommitView("a" * 40, "One", True), CommitView("b" * 40, "Two", False))
    assert [(each.path, each.figures) for each in view.files] == [
        ("a.py", "+2 -0"),
        ("b", "new"),
        ("c", "binary or very large"),
    ]
    assert view.file_count == 9
    assert view.checks == (CheckView("make", "failed with exit code 2", False, 1.5, "no"),)
    assert view.audit[0].findings == (FindingView("major", "a.py:3", "wrong", "mend"),)
    assert view.audit[0].runs == (CheckView("make", "passed", True, 0.5, "yes"),)
    assert view.audit[0].denials == (DenialView("run_check ls", "why"),)
    assert view.phases == (PhaseView("implement", 60.0, 0.5), PhaseView("audit", None, 0.25))
    assert view.denials == (DenialView("Bash ls", "allow it with: Bash(ls)"),)


@pytest.mark.parametrize("wrong", [None, 7, "text", [1, None], {"x": 1}, True])
@pytest.mark.parametrize("key", sorted({*RESULT, "notes", "output", "landing", "evidence", "num_turns"}))
def test_a_value_of_another_kind_is_left_out(key: str, wrong: object) -> None:
    view = view_of({**RESULT, key: wrong})

    assert view.file_count >= 0
    assert isinstance(view.output, str)
