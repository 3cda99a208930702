"""Nothing moves that need not: what a person points at stays, little else jumps, and nothing is animated on request."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.page.bench import PageBench
from tests.sampling import short_and_long

_NOTE_SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => {
    for (const each of list.getEntries()) {
        if (!each.hadRecentInput) window.shifts.push({ value: each.value, at: each.startTime });
    }
}).observe({ type: "layout-shift", buffered: true });
"""
_GOAL = 0.1
_MOVING = (
    "* { transition: color 5s; animation: nudge 5s infinite; } @keyframes nudge { to { margin-left: 1px; } }"
)
_MOVES = """() => [...document.querySelectorAll("*")].filter(each => {
    const style = getComputedStyle(each);
    return style.animationName !== "none" || style.transitionProperty !== "none";
}).length"""


def top_of(row: Locator) -> float:
    box = row.bounding_box()
    assert box is not None
    return box["y"]


def cumulative(shifts: list[dict[str, Any]]) -> float:
    """As browsers report it: the worst window of at most 5 s without a pause of 1 s."""
    worst = total = 0.0
    begun = last = float("-inf")
    for each in sorted(shifts, key=lambda shift: shift["at"]):
        if each["at"] - last > 1000 or each["at"] - begun > 5000:
            total, begun = 0.0, each["at"]
        total, last = total + each["value"], each["at"]
        worst = max(worst, total)
    return worst


@pytest.mark.parametrize("reached", short_and_long(["pointer"], ["keyboard"]))
def test_what_a_person_points_at_stays_where_it_is(bench: PageBench, reached: str) -> None:
    """Also at the top of a page that is too short to be scrolled, and where what was above it goes."""
    bench.rig.cli("sources", "pause", "b", check=True)
    for number in range(3):
        bench.rig.drop_command(f"task-{number}", "true", source="b", title=f"Waits {number}")
    page = bench.owner()
    row = page.get_by_role("link", name="Waits 2")
    row.wait_for()
    if reached == "pointer":
        row.hover()
    else:
        row.focus()
    before = top_of(row)
    bench.rig.drop_command("task-bad", "exit 1", title="Bad", max_attempts=1)
    expect(page.locator(".needs li")).to_have_count(2)

    assert top_of(row) == pytest.approx(before, abs=1)
    bench.rig.cli("tasks", "ack", "task-bad", check=True)
    expect(page.locator(".needs li")).to_have_count(1)
    assert top_of(row) == pytest.approx(before, abs=1)
    bench.rig.cli("tasks", "rm", "task-1", "--yes", check=True)
    expect(page.locator("ol.waiting li")).to_have_count(2)
    assert top_of(row) == pytest.approx(before, abs=1)
    assert bench.complaints == []


def test_little_else_jumps_while_tasks_come_run_and_end(bench: PageBench) -> None:
    bench.rig.cli("sources", "pause", "b", check=True)
    page = bench.visitor()
    page.add_init_script(_NOTE_SHIFTS)
    page.goto(bench.link())
    expect(page.get_by_text("Nothing runs or waits")).to_have_count(2)
    go_on = bench.rig.home / "go-on"
    for number in range(2):
        bench.rig.drop_command(
            f"task-{number}", f"until test -e {go_on}; do sleep 0.1; done", title=f"Runs {number}"
        )
    expect(page.locator("article.running")).to_contain_text("Runs 0")
    bench.rig.drop_command("task-waits", "true", source="b", title="Waits")
    expect(page.get_by_role("link", name="Waits")).to_be_visible()
    bench.rig.drop_command("task-bad", "exit 1", title="Bad", max_attempts=1)
    go_on.touch()
    expect(page.locator(".needs")).to_contain_text("task-bad")
    expect(page.locator("article.running")).to_have_count(0)

    shifts = page.evaluate("window.shifts")
    assert cumulative(shifts) <= _GOAL


@pytest.mark.parametrize("wish", short_and_long(["reduce"], ["no-preference"]))
def test_nothing_is_animated_for_who_asks_for_that(bench: PageBench, wish: str) -> None:
    """Also not what a browser or a later rule of ours would animate."""
    page = bench.owner(reduced_motion=wish, bypass_csp=True)  # the rule is one of the test
    page.add_style_tag(content=_MOVING)

    assert (page.evaluate(_MOVES) == 0) is (wish == "reduce")
