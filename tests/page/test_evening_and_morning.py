"""A person's evening and morning, clicked and typed in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.page.bench import PageBench

ONE_THING = re.compile(r"^\(1\) Board")


def test_a_task_is_typed_checked_added_and_followed_to_its_end(bench: PageBench) -> None:
    """Nothing is loaded again by hand: the board and the task say by themselves how it goes on."""
    go_on = bench.rig.home / "go-on"
    page = bench.owner()
    expect(page).to_have_title("Board · task-queue")
    page.get_by_role("link", name="Add").click()
    page.get_by_label("Source").select_option("b")
    page.get_by_label("Document").fill("---\nexecutor: sh\npriorty: 3\n---\n# Typed\n")
    page.get_by_role("button", name="Check it").click()
    expect(page.locator(".problem")).to_contain_text("line 3")
    expect(page.locator(".problem")).to_contain_text("did you mean 'priority'")

    script = f"echo begun; until test -e {go_on}; do sleep 0.1; done; echo done"
    page.get_by_label("Document").fill(f"---\nexecutor: sh\ntitle: Typed\n---\n{script}\n")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_role("status").filter(has_text="It would run")).to_be_visible()
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("The task was accepted.")).to_be_visible()
    expect(page.locator(".fields")).to_contain_text("running")

    board = page.context.new_page()
    board.goto(f"{bench.url}/")
    expect(board.locator("article.running")).to_contain_text("Typed")
    page.get_by_role("link", name="Transcript").click()
    expect(page.get_by_text("begun", exact=True)).to_be_visible()
    go_on.touch()
    expect(page.get_by_text("exit code 0")).to_be_visible()
    expect(board.locator("article.running")).to_have_count(0)
    page.get_by_role("link", name="Typed").click()
    expect(page.locator(".fields")).to_contain_text("completed")
    assert bench.complaints == []


def test_in_the_morning_what_failed_is_seen_retried_and_acknowledged(bench: PageBench) -> None:
    bench.rig.drop_command("task-bad", "test -e fixed", title="Bad one", max_attempts=1)
    bench.rig.drop_command("task-worse", "exit 7", title="Worse one", max_attempts=1)
    page = bench.owner()
    expect(page.locator(".needs li")).to_have_count(2)
    expect(page).to_have_title(re.compile(r"^\(2\) Board"))
    expect(page.locator("#icon")).to_have_attribute("href", re.compile("icon-needs"))
    page.get_by_role("link", name="Report").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("2 failed")
    page.get_by_role("link", name="History").click()
    expect(page.locator("tbody time").first).to_have_attribute("title", re.compile("20[0-9][0-9]"))
    page.get_by_label("Text").fill("worse")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("row")).to_have_count(2)
    page.get_by_role("link", name="Worse one").click()
    expect(page.get_by_role("heading", name="Needs you")).to_be_visible()
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(page.get_by_text("What it needed is acknowledged.")).to_be_visible()

    (bench.rig.workspace / "fixed").touch()
    page.goto(bench.url)
    expect(page).to_have_title(ONE_THING)
    page.locator(".needs").get_by_role("link").click()
    page.get_by_role("link", name="Retry…").click()
    page.get_by_role("button", name="Retry it").click()
    expect(page.locator(".fields")).to_contain_text("completed")
    page.get_by_role("link", name="Board").click()
    expect(page.locator(".needs li")).to_have_count(0)
    assert bench.complaints == []


def test_what_waits_is_changed_moved_and_cancelled(bench: PageBench) -> None:
    """A cancel asks once. The text that another one changed meanwhile is not overwritten, and not lost."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.cli("sources", "pause", "b", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    page = bench.owner()
    page.get_by_role("link", name="Waits").click()
    page.get_by_label("Priority").select_option("9")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_text("Its priority was changed.")).to_be_visible()
    page.get_by_role("button", name="Move").evaluate("button => button.form.source.value = 'b'")
    page.get_by_role("button", name="Move").click()
    expect(page.locator(".fields")).to_contain_text("in b")

    page.get_by_text("Edit", exact=True).click()
    page.locator("textarea").fill("---\nexecutor: sh\ntitle: Mine\n---\ntrue\n")
    other = (bench.rig.pending("b") / "task-waits.md").read_text().replace("Waits", "Theirs")
    (bench.rig.pending("b") / "task-waits.md").write_text(other)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("is not the one that was read")
    expect(page.locator("pre")).to_contain_text("title: Mine")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Theirs")

    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.locator(".fields .state")).to_have_text("cancelled")
    assert (bench.rig.queue("b") / "failed" / "task-waits.md").exists()
    assert bench.complaints == [
        "Failed to load resource: the server responded with a status of 412 (Precondition Failed)"
    ]
