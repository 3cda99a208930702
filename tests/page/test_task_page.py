"""A task's page: what came of it, and what can be done with it now."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from tests.acceptance.audits import a_repository, git
from tests.page.bench import PageBench

HOSTILE = """<img src=x onerror="window.hit=1"><script>window.hit=1</script>"""
RESULT: dict[str, Any] = {
    "schema_version": 1,
    "success": False,
    "state": "failed",
    "outcome": "audit_rejected",
    "error": f"the audit failed: {HOSTILE}",
    "started_at": "2026-02-07T12:00:00+00:00",
    "completed_at": "2026-02-07T12:10:00+00:00",
    "total_cost_usd": 0.75,
    "output": f"I did it. {HOSTILE} [x](javascript:hit=1)",
    "files": [{"path": f"{HOSTILE}.py", "added": 2, "deleted": 1}],
    "file_count": 1,
    "uncommitted": [HOSTILE],
    "changed_judges": [HOSTILE],
    "notes": [HOSTILE],
    "stat": HOSTILE,
    "verification": [{"command": f"make {HOSTILE}", "exit_code": 2, "duration_ms": 1500, "tail": HOSTILE}],
    "audit": {
        "rounds": [
            {"round": 1, "verdict": "fail", "summary": "Not yet", "findings": []},
            {
                "round": 2,
                "verdict": "fail",
                "summary": HOSTILE,
                "findings": [
                    {"severity": "major", "file": HOSTILE, "line": 3, "issue": "It is wrong", "fix": HOSTILE}
                ],
            },
        ]
    },
    "seconds_by_phase": {"implement 1": 540.0, HOSTILE: 60.0},
    "cost_by_phase": {"implement 1": 0.5},
    "permission_denials": [
        {"tool_name": "Bash", "tool_input": {"command": f"rm {HOSTILE}"}, "rule": "Bash(rm *)"},
        {"tool_name": "Read", "tool_input": {"file_path": "/etc"}, "why_no_rule": "it is never allowed"},
    ],
}


def ended(bench: PageBench, task_id: str, title: str, result: dict[str, Any]) -> None:
    """As an earlier daemon left it."""
    queue = bench.rig.queue()
    for folder in ("failed", "results", f"logs/{task_id}/attempt-1"):
        (queue / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
    (queue / "failed" / f"{task_id}.md").write_text(f"---\ntitle: {json.dumps(title)}\n---\n{HOSTILE}\n")
    content = {**result, "task_id": task_id, "source": "a"}
    (queue / "results" / f"{task_id}.json").write_text(json.dumps(content))
    frames: list[Any] = [
        {"type": "output", "text": f"{HOSTILE} ![y](http://127.0.0.9/y)"},
        {"type": HOSTILE},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": HOSTILE}]}},
        {
            "type": "assistant",
            "message": {
                "content": [{"type": "tool_use", "id": "1", "name": HOSTILE, "input": {"command": HOSTILE}}]
            },
        },
        {
            "type": "user",
            "message": {"content": [{"type": "tool_result", "tool_use_id": "1", "content": HOSTILE}]},
        },
    ]
    lines = [{"t": "2026-02-07T12:00:00+00:00", "dir": "in", "raw": frame} for frame in frames]
    text = "".join(f"{json.dumps(line)}\n" for line in lines) + f"{HOSTILE}\n"
    (queue / "logs" / task_id / "attempt-1" / "transcript.jsonl").write_text(text)


def test_what_came_of_it_is_shown_and_all_of_it_is_text(bench: PageBench) -> None:
    """Audit rounds, findings, denials with the rule that would allow them, checks, phases, the transcript."""
    rtl, word = "مهمة \u202eevil", "w" * 4000
    ended(bench, "task-evil", f"{HOSTILE} {rtl} {word}", RESULT)
    page = bench.owner(viewport={"width": 390, "height": 760})
    page.goto(f"{bench.url}/tasks/task-evil")
    audit, denied = (
        page.locator("section[aria-labelledby=audit]"),
        page.locator("section[aria-labelledby=denied]"),
    )

    expect(audit.get_by_role("heading", level=3)).to_have_text(["Round 1: fail", "Round 2: fail"])
    expect(audit.get_by_role("listitem")).to_contain_text("It is wrong")
    expect(denied.get_by_role("listitem")).to_contain_text(
        ["allow it with: Bash(rm *)", "it is never allowed"]
    )
    expect(page.locator("section[aria-labelledby=phases]")).to_contain_text("9 min")
    expect(page.locator("section[aria-labelledby=checks]")).to_contain_text("failed with exit code 2")
    for path in (
        "/",
        "/history",
        "/report",
        *(f"/tasks/task-evil{part}" for part in ("", "/transcript", "/events")),
    ):
        page.goto(f"{bench.url}{path}")
        assert page.evaluate("window.hit") is None, path
        assert page.locator("img, main script, a[href^=javascript]").count() == 0, path
        assert "\u202e" not in page.content(), path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto(f"{bench.url}/tasks/task-evil/transcript?text=IMG%20SRC%3Dx%20onerror%3D%22window")
    assert page.locator("#entries .entry").count() > 0
    assert bench.complaints == []
    page.goto(f"{bench.url}/tasks/task-evil")
    page.get_by_role("link", name="Retry…").click()
    expect(page.get_by_role("radio", name="From the checks")).to_be_disabled()
    expect(page.locator("#does-3")).to_contain_text("did not come to the end of a round")
    page.get_by_label("Note to the agent").fill("Look <b>again</b>")
    page.get_by_label("Model").fill("--evil")
    page.get_by_role("button", name="Retry it").click()
    expect(page.get_by_role("alert")).to_contain_text("--evil")
    expect(page.locator("pre")).to_have_text("Look <b>again</b>")
    bench.rig.cli("sources", "pause", "a", check=True)
    ended(bench, "task-plain", "Plain", RESULT)
    page.goto(f"{bench.url}/tasks/task-plain/retry")
    page.get_by_label("Note to the agent").fill("Look <b>again</b>")
    page.get_by_label("Model").fill("claude-other-1")
    page.get_by_role("button", name="Retry it").click()
    expect(page.get_by_text("The task waits again.")).to_be_focused()
    journal = (bench.rig.pending() / ".task-plain.attempts.json").read_text()
    assert "Look <b>again</b>" in journal
    assert "claude-other-1" in journal


def test_a_branch_is_read_in_colours_landed_and_taken_back(a_bench: Callable[..., PageBench]) -> None:
    """It asks once, the key ``l`` leads there, and the page says what happened; so to take it back again."""
    bench = a_bench(
        defaults={
            "workflow": "single",
            "isolation": "worktree",
            "landing": "branch",
            "verify": ["test -e first.txt"],
        }
    )
    repository = a_repository(bench.rig)
    bench.start()
    bench.rig.drop_command(
        "task-work", "echo 'def evil(): return \"<b onclick=1>\"' > '<i>ü.py'; echo x > plain", title="Work"
    )
    bench.rig.result("task-work")
    page = bench.owner()
    page.goto(f"{bench.url}/tasks/task-work")
    page.get_by_role("link", name="Diff").click()
    expect(page.locator("summary code")).to_have_text(["<i>ü.py", "plain"])
    expect(page.locator("ins .code-keyword")).to_have_text(["def", "return"])
    expect(page.locator("ins .code-string")).to_have_text('"<b onclick=1>"')
    assert page.locator("main i, pre b").count() == 0
    page.get_by_role("link", name="Work", exact=True).click()
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Land it")).to_be_focused()
    page.keyboard.press("Enter")
    said = page.get_by_text("Its branch is merged.")

    expect(said).to_be_focused()
    assert git(repository, "show", "main:plain") == "x"
    expect(page.get_by_text("Land…")).to_have_count(0)
    page.get_by_role("link", name="Undo…").click()
    expect(page.locator("main")).to_contain_text(
        re.compile(r"Main goes back from \w{12} to \w{12}: nothing came after it")
    )
    expect(page.get_by_role("listitem")).to_have_text(["test -e first.txt"])
    assert git(repository, "show", "main:plain") == "x"
    page.get_by_role("button", name="Undo it").click()
    expect(page.get_by_text("What it had landed was taken back.")).to_be_focused()
    assert git(repository, "ls-tree", "--name-only", "main") == "first.txt"
    assert bench.complaints == []


def test_it_is_retried_from_the_beginning_and_steered_while_it_is_watched(bench: PageBench) -> None:
    """What can be done changes with the task; the focus stays where it is, and a screen reader hears the end."""
    go_on = bench.rig.home / "go-on"
    bench.rig.drop_command(
        "task-bad", f"test ! -e tried && touch tried && exit 1; until test -e {go_on}; do sleep 0.1; done; exit 2",
        title="Bad", max_attempts=1,
    )  # fmt: skip
    page = bench.owner()
    page.locator(".needs").get_by_role("link").click()
    page.get_by_role("link", name="Retry…").click()
    expect(page.locator("#does-1")).to_contain_text("Kept: the files that it left. Done again: the work")
    expect(page.locator("#does-2")).to_contain_text("Done again: all of it")
    expect(page.get_by_label("Model")).to_have_count(0)
    page.get_by_label("From the beginning").check()
    page.get_by_role("button", name="Retry it").click()
    expect(page.get_by_text("The task waits again.")).to_be_focused()
    expect(page.locator(".fields .state")).to_have_text("running")
    page.evaluate("window.same = true")
    summary = page.get_by_text("Cancel…")
    summary.click()
    summary.focus()
    go_on.touch()

    expect(page.get_by_role("link", name="Retry…")).to_be_visible()
    expect(page.locator("#said")).to_have_text("Bad: failed")
    assert page.evaluate("window.same") is True
    page.goto(f"{bench.url}/history?outcome=failed")
    page.get_by_role("button", name="Acknowledge…").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Acknowledge 1 task?")
    page.get_by_role("button", name="Acknowledge 1 task").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 task: done")
    page.goto(bench.url)
    expect(page.locator(".needs li")).to_have_count(0)
    assert bench.complaints == []


def test_typed_and_chosen_things_stay_when_the_page_changes_by_itself(bench: PageBench) -> None:
    """The focus, the choice in a list, an opened question; what is typed in the editor."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.cli("sources", "pause", "b", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    page = bench.owner()
    page.get_by_role("link", name="Waits").focus()
    bench.rig.drop_command("task-other", "true", title="Other")
    expect(page.locator("ol.waiting li")).to_have_count(2)
    expect(page.get_by_role("link", name="Waits")).to_be_focused()
    page.get_by_role("link", name="Waits").click()
    page.get_by_text("Edit", exact=True).click()
    page.locator("textarea").fill("typed")
    page.get_by_text("Cancel…").click()
    page.get_by_label("Priority").select_option("9")
    page.get_by_label("Priority").focus()
    bench.rig.cli("tasks", "priority", "task-other", "8", check=True)

    expect(page.locator(".fields")).to_contain_text("behind")
    expect(page.get_by_label("Priority")).to_be_focused()
    expect(page.get_by_label("Priority")).to_have_value("9")
    expect(page.get_by_role("button", name="Cancel it")).to_be_visible()
    expect(page.locator("textarea")).to_have_value("typed")
    assert Path(bench.rig.pending() / "task-waits.md").exists()
