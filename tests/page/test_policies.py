"""People with less than everything: what they see, and what they are offered."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.page.bench import PageBench

FIRST_OF_THE_STREAM = """async () => {
    const reader = (await fetch('/live/tasks/task-waits')).body.getReader();
    let text = '';
    while (!text.includes('form_token')) text += new TextDecoder().decode((await reader.read()).value);
    await reader.cancel();
    return text;
}"""


def test_who_sees_its_own_only_changes_its_own_and_learns_nothing_of_others(bench: PageBench) -> None:
    """On the board, the history, the schedules, in addresses that are typed, and in what many tasks are done to."""
    for source in ("a", "b"):
        bench.rig.cli("sources", "pause", source, check=True)
    bench.rig.drop_command("task-other", "exit 1", title="Hidden", max_attempts=1)
    schedules = bench.rig.queue("a") / "schedules"
    schedules.mkdir(mode=0o700)
    (schedules / "hidden.md").write_text('---\nschedule: "30 2 * * *"\n---\n# Hidden\n')
    token = bench.rig.cli(
        "tokens", "create", "--name", "ann", "--role", "submit", "--own", "--sources", "a",
        *(part for name in ("repositories", "types", "capabilities", "executors") for part in (f"--{name}", "*")),
        check=True,
    ).stdout.strip()  # fmt: skip
    page = bench.signed_in(token)
    page.get_by_role("link", name="Add").click()
    expect(page.get_by_label("Source").get_by_role("option")).to_have_text(["a"])
    page.get_by_label("Document").fill("---\nexecutor: sh\n---\n# Mine\n")
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_text("Cancel…")).to_be_visible()
    expect(page.get_by_label("Source")).to_have_count(0)
    for path, status in (
        ("/", 200),
        ("/history", 200),
        ("/schedules", 403),
        ("/workers", 403),
        ("/tasks/task-other", 404),
    ):
        answer = page.goto(f"{bench.url}{path}")
        assert answer is not None
        assert (path, answer.status) == (path, status)
        assert "Hidden" not in page.content(), path
        assert status == 404 or "task-other" not in page.content(), path
    page.goto(bench.url)
    expect(page.get_by_role("navigation").get_by_role("link")).to_have_text(
        ["task-queue", "Board", "Add", "History"]
    )
    expect(page.locator("ol.waiting li")).to_have_count(1)
    assert "$" not in page.locator(".facts").inner_text()
    form_token = page.locator("input[name=form_token]").first.input_value()
    refused = page.request.post(f"{bench.url}/tasks/task-other/cancel", form={"form_token": form_token})
    many = page.request.post(f"{bench.url}/history/bulk", form={"form_token": form_token, "action": "retry"})
    pause = page.request.post(f"{bench.url}/sources/a/pause", form={"form_token": form_token})

    assert (refused.status, pause.status) == (404, 403)
    assert "Nothing to retry" in many.text()
    assert not (bench.rig.pending() / ".task-other.cancel").exists()


@pytest.mark.long
def test_a_form_of_another_session_is_refused(bench: PageBench) -> None:
    """Also of the same person: each session has a token of its own, which ends with it."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    one, two = bench.owner(), bench.owner()
    tokens = []
    for page in (one, two):
        page.goto(f"{bench.url}/tasks/task-waits")
        live = page.evaluate(FIRST_OF_THE_STREAM)
        tokens.append(page.locator("input[name=form_token]").first.input_value())
        assert tokens[-1] in live
        assert len({*tokens}) == len(tokens)
        assert all(token not in live for token in tokens[:-1])
    stolen = two.request.post(f"{bench.url}/tasks/task-waits/cancel", form={"form_token": tokens[0]})

    assert stolen.status == 403
    assert not (bench.rig.pending() / ".task-waits.cancel").exists()
