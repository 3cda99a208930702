"""The board of a host of a fleet shows what came in at the others, as text that stays text, to who sees everything."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from task_queue.domain.fleet_sight import HostOfFleet
from task_queue.domain.task import TaskState
from tests.page.bench import PageBench
from tests.sighted import SETTINGS, keep_sight, task_of

HOSTS = (HostOfFleet("back", "up", 1), HostOfFleet("front", "up"), HostOfFleet("third", "drained"))
HOSTILE = """<img src=x onerror="window.hit=1">"""


@pytest.fixture
def joined(a_bench: Callable[..., PageBench]) -> PageBench:
    """``back``, whose database does not answer any more."""
    bench = a_bench()
    credential = bench.rig.home / "credential"
    credential.write_text("tqh_nothing")
    credential.chmod(0o600)
    fleet = {**SETTINGS, "db": "postgresql://fleet@127.0.0.1:1/queue", "credential_file": str(credential)}
    content = json.loads(bench.rig.config.read_text())
    bench.rig.config.write_text(json.dumps({**content, "fleet": fleet}))
    bench.start()
    return bench


def keep(bench: PageBench, *, runs: bool) -> None:
    (state,) = (bench.rig.home / ".local/state/task-queue").iterdir()
    state_of_first = TaskState.RUNNING if runs else TaskState.COMPLETED
    keep_sight(
        state,
        task_of("task-1", state_of_first, title=HOSTILE, outcome=None if runs else "succeeded"),
        task_of("task-2", TaskState.PENDING, source="own@front"),
        hosts=HOSTS,
        more=1234,
    )


def test_the_board_shows_it_live_and_names_the_hosts(joined: PageBench) -> None:
    keep(joined, runs=True)
    page = joined.owner(bypass_csp=True)  # the checker is a script of another origin
    part = page.locator("#fleet")

    expect(part.locator("h2")).to_contain_text("host back; third drained; front up")
    expect(part.locator("li")).to_have_count(2)
    expect(part.locator("li").first).to_contain_text(f"running {HOSTILE}")
    expect(part.locator("li").first).to_contain_text("came in at front, runs here since")
    expect(part.locator("li").last).to_contain_text("own@front")
    expect(part).to_contain_text("and 1,234 more")
    assert [each["id"] for each in Axe().run(page).response["violations"]] == []
    keep(joined, runs=False)
    expect(part.locator("li").last).to_contain_text("came in at front, succeeded here at")
    assert page.evaluate("window.hit") is None

    part.get_by_role("link", name="About task-2").click()
    expect(page.locator("h1")).to_have_text("On another host")
    expect(page.get_by_role("alert")).to_contain_text("Task task-2 is not of this host: it came in at front")


def test_who_does_not_see_everything_sees_nothing_of_it(joined: PageBench) -> None:
    keep(joined, runs=True)
    page = joined.signed_in(joined.token("limited", "read", sources="a"))

    expect(page.locator("#source-a")).to_be_visible()
    expect(page.locator("#fleet")).to_have_count(0)
    page.goto(f"{joined.url}/tasks/task-1")
    expect(page.locator("h1")).to_have_text("Not found")
