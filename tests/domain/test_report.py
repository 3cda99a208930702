"""The report of a result: every fact in its place, foreign text harmless."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attempt.needs import attention_of
from task_queue.domain.attention import Attention, AttentionKind
from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import Attempt, LandingState, OutcomeKind, Result, WorkProduct
from task_queue.domain.task import TaskId, TaskState
from task_queue.domain.work.report import report_of

GOLDEN = Path(__file__).parent / "golden" / "report.md"
START = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
EVIL = "ok\n```\n# Injected\n<script>x</script>\x1b[2J [a](http://evil)"


def an_attempt(number: int = 1, kind: OutcomeKind = OutcomeKind.SUCCEEDED, reason: str = "ok") -> Attempt:
    ended = START + timedelta(minutes=10)
    return Attempt(number, kind, reason, True, START, ended, num_turns=4, total_cost_usd=0.25)


def a_result(**changes: Any) -> Result:
    plain = Result(
        success=True,
        output="I added it.",
        error="",
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
        product=WorkProduct("/srv/web"),
    )
    own = {field.name for field in fields(Result)}
    made = {name: changes.pop(name) for name in list(changes) if name not in own}
    return replace(plain, **changes, product=replace(plain.product, **made))


def test_an_audited_task_tells_everything() -> None:
    """The whole page, as a person reads it; written again with WRITE_GOLDEN=1."""
    rounds = [
        {
            "round": 1,
            "verdict": "fail",
            "summary": "One case is missing.",
            "findings": [
                {"severity": "major", "file": "a.py", "line": 3, "issue": "no zero", "fix": "add it"}
            ],
        },
        {
            "round": 2,
            "verdict": "pass",
            "summary": "All there.",
            "findings": [],
            "checks_run": [
                {"command": "make test", "exit_code": 0, "note": ""},
                {"command": "ls `x`", "note": "*all*"},
            ],
            "could_run": ["make test"],
            "runs": [{"command": "make test", "exit_code": 2, "duration_ms": 1200, "tail": "1 failed\n"}],
            "denials": [
                {
                    "tool_name": "run_check",
                    "tool_input": {"command": "make test; ls"},
                    "why_no_rule": "it is in no list",
                }
            ],
        },
    ]
    result = a_result(
        audit={"verdict": "pass", "summary": "All there.", "rounds": rounds},
        verification=(
            {
                "command": "make test",
                "exit_code": 0,
                "duration_ms": 1200,
                "tail": "....\n298 passed in 1.1s\n",
            },
        ),
        landing={"state": LandingState.LANDED, "target": "main", "reason": "it is in main (fast-forward)"},
        changed_judges=("tests/test_a.py (changed)",),
        commits=("a" * 40, "b" * 40),
        branch="task-queue/task-20260207-add",
        base_commit="c" * 40,
        isolation=Isolation.WORKTREE,
        landed="it is in main (fast-forward)",
        cost_by_phase={"implement 1": 0.2, "audit 1": 0.05},
        seconds_by_phase={"prepare": 0.4, "implement 1": 312.0, "verify 1": 1.3, "audit 1": 61.0},
        prompts={"auditor": "sha256:" + "b" * 64 + " packaged"},
        permission_denials=(
            {"tool_name": "WebFetch", "rule": "WebFetch(domain:x.org)", "why_no_rule": None},
        ),
        see=("git -C /srv/web show aaa",),
        undo=("git -C /srv/web revert aaa",),
        notes=("a key had no effect",),
        stat="120 files changed, 7 insertions(+), 1 deletions(-), 1 binary or very large",
        subjects=("Begin with the tests", "Add it"),
        by_queue=("b" * 40,),
        files=(
            {"path": "a.py", "added": 5, "deleted": 1},
            {"path": "logo.png", "added": None, "deleted": None},
            {"path": "tests/test_a.py", "added": 2, "deleted": 0},
        ),
        file_count=120,
    )

    result = replace(result, attention=attention_of(result))

    page = report_of(result, title="Add it", asked="Please add it.")

    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(page, encoding="utf-8")
    assert page == GOLDEN.read_text(encoding="utf-8")


def test_what_needs_a_person_comes_first_with_its_command() -> None:
    """Before the notes, each once, and harmless whatever is in it."""
    needs = (
        Attention(AttentionKind.NOT_LANDED, f"it conflicts {EVIL}", "git -C '/srv/my web' merge x"),
        Attention(AttentionKind.CHANGED_JUDGES, "it changed files", "git show `x`"),
    )
    result = a_result(
        attention=needs, landed="not merged", keep=("git merge x",), changed_judges=("a",), notes=("a note",)
    )

    page = report_of(result, title="x", asked="x")
    first = page.partition("## Look at this first\n\n")[2].partition("\n\n##")[0].splitlines()

    assert len(first) == 3
    assert first[0].startswith("- Needs attention: it conflicts ok")
    assert first[0].endswith(". Next: `git -C '/srv/my web' merge x`")
    assert first[1] == "- Needs attention: it changed files. Next: `` git show `x` ``"
    assert first[2] == "- a note"
    assert page.index("Look at this first") < page.index("What was asked")


def test_a_long_list_of_files_is_cut_with_its_number() -> None:
    """Whatever was recorded of it."""
    files = tuple({"path": f"{n:03}.txt", "added": 1, "deleted": 0} for n in range(150))

    page = report_of(a_result(files=files, file_count=1200), title="x", asked="x")

    assert "- `099.txt` +1 -0\n- and 1100 more\n" in page


def test_what_attempts_cost_that_were_cut_off_has_a_row_of_its_own() -> None:
    """So that the phases come to the whole."""
    result = a_result(total_cost_usd=0.75, cost_by_phase={"implement 1": 0.5}, seconds_by_phase={})

    page = report_of(result, title="x", asked="x")

    assert "| implement 1 | - | $0.50 |\n| attempts that were cut off | - | $0.25 |\n" in page


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
    assert "## What changed" not in page
    assert "## Verification" not in page


@pytest.mark.parametrize(
    ("made", "headline"),
    [
        ({"landing": {"state": "landed", "target": "main"}, "commits": ("a",)}, "Done, landed on main"),
        (
            {"landing": {"state": "waiting", "target": "main"}, "commits": ("a",)},
            "Done, waits to land on main",
        ),
        ({"landing": {"state": "left"}, "branch": "b", "commits": ("a",)}, "Done, left on b"),
        ({"landing": {"state": "undone", "target": "main"}, "commits": ("a",)}, "Done, undone on main"),
        ({"landing": {"state": "given_up"}, "commits": ("a",)}, "Done, its branch was given up"),
        ({"branch": "main", "commits": ("a", "b")}, "Done, 2 commits on main"),
        ({"file_count": 2, "stat": "2 files"}, "Done, in files that are not committed"),
        ({"base_commit": "a"}, "Done, nothing changed"),
        ({}, "Done"),
        ({"success": False, "isolation": Isolation.WORKTREE, "base_commit": "a"}, "Not done, nothing landed"),
        ({"success": False, "file_count": 2}, "Not done"),
    ],
)
def test_the_headline_says_where_the_work_is(made: dict[str, Any], headline: str) -> None:
    page = report_of(a_result(**made), title="x", asked="x")

    assert page.splitlines()[2].startswith(f"**{headline}** (succeeded)")


def test_a_task_that_was_not_finished_says_nothing_untrue() -> None:
    """Which checks and which audit it would have had is not known: only what was not done is said."""
    result = a_result(
        success=False,
        outcome=OutcomeKind.CRASHED,
        workspace=None,
        prompts={"implementer": "sha256:" + "a" * 64 + " packaged"},
    )

    page = report_of(result, title="x", asked="x")

    assert "Where it worked is not recorded." in page
    assert "No command was run that would prove the work." in page
    for untrue in ("no workspace", "were given", "without an audit", "workflow"):
        assert untrue not in page


def test_what_passed_says_how_much_there_was() -> None:
    """Its last line that says something, cut; a failed check has all of its end."""
    checks = (
        {"command": "a", "exit_code": 0, "tail": "x\n298 passed\n\n"},
        {"command": "b", "exit_code": 0, "tail": "y" * 500},
        {"command": "c", "exit_code": 0, "tail": " \n"},
        {"command": "d", "exit_code": 1, "tail": "one\ntwo"},
    )

    page = report_of(a_result(verification=checks), title="x", asked="x")

    assert "- passed: `a` (0.0 s): `298 passed`\n" in page
    assert f"- passed: `b` (0.0 s): `{'y' * 160}…`\n" in page
    assert "- passed: `c` (0.0 s)\n" in page
    assert "- FAILED, failed with exit code 1: `d` (0.0 s)\n\n```text\none\ntwo\n```\n" in page


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
        commits=(EVIL,),
        cost_by_phase={EVIL: 1.0},
        seconds_by_phase={EVIL: 1.0},
        permission_denials=({"tool_name": EVIL, "rule": EVIL},),
        stat=EVIL,
        subjects=(EVIL,),
        files=({"path": EVIL, "added": 1, "deleted": 1},),
        file_count=1,
    )

    outside = _outside_fences(report_of(result, title=EVIL, asked=EVIL))

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


def test_rounds_that_were_sent_back_are_named() -> None:
    """With the last line of what failed there; what passed at last follows."""
    failed = {
        "command": "pytest -q",
        "exit_code": 1,
        "duration_ms": 5,
        "tail": f"{EVIL}\n1 failed, 2 passed\n",
    }
    passed = {"command": "pytest -q", "exit_code": 0, "duration_ms": 5, "tail": "3 passed\n"}
    report = report_of(
        a_result(verification=(passed,), failed_rounds=({"round": 1, "checks": [failed]},)),
        title="Add it",
        asked="Please.",
    )

    assert "- in round 1: FAILED, failed with exit code 1: `pytest -q`: `1 failed, 2 passed`" in report
    assert report.index("in round 1") < report.index("- passed: `pytest -q`")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"command": "rm -r build\nmake", "description": "Build"}, "```text\nrm -r build\nmake\n```"),
        ({"command": "x" * 5000, "timeout": 5}, "x" * 5000),
        ({"file_path": "/etc/a", "content": EVIL}, '"file_path": "/etc/a"'),
    ],
)
def test_a_denied_call_is_shown_as_it_was(given: dict[str, Any], shown: str) -> None:
    """A line for a list leaves out most of it."""
    denial = {"tool_name": "Bash", "tool_input": given}
    report = report_of(a_result(permission_denials=(denial,)), title="Add it", asked="Please.")

    assert shown in report
    assert "\n# Injected" not in report.replace("\\n# Injected", "")


def test_a_short_call_is_one_line() -> None:
    denial = {"tool_name": "Bash", "tool_input": {"command": "git push", "description": "Push"}}
    report = report_of(a_result(permission_denials=(denial,)), title="Add it", asked="Please.")

    assert "## Denied to the agent\n\n- `Bash git push; no rule would let it pass`\n\n## " in report


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("Fix it", "asked for in 2 words."),
        ("Fix a.py and b.py", "asked for in 4 words; the text names every file."),
        ("Fix a.py", "asked for in 2 words; the text does not name `b.py`."),
    ],
)
def test_the_change_is_compared_with_what_was_asked(asked: str, said: str) -> None:
    files = ({"path": "src/a.py", "added": 1, "deleted": 0}, {"path": "b.py", "added": 900, "deleted": 0})
    product = {"stat": "2 files changed, 901 insertions(+)", "files": files, "file_count": 2}

    assert f"901 insertions(+); {said}" in report_of(a_result(**product), title="Fix", asked=asked)
