"""What is live stays true: after the API was killed, the network was cut or fell silent, in tabs that nobody sees."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.cut_network import CutNetwork
from tests.page.bench import PageBench
from tests.waiting import eventually

LOST = "The connection is lost"


@pytest.fixture
def network(bench: PageBench) -> Iterator[CutNetwork]:
    network = CutNetwork(lambda: bench.port)
    yield network
    network.close()


def through(network: CutNetwork, bench: PageBench) -> Page:
    page = bench.visitor()
    page.clock.install()
    page.goto(bench.link().replace(f":{bench.port}/", f":{network.port}/"))
    expect(page.get_by_text("Nothing runs or waits")).to_have_count(2)
    page.evaluate("window.same = true")
    return page


def test_a_network_that_was_cut_or_fell_silent_leaves_no_gap(bench: PageBench, network: CutNetwork) -> None:
    """What happened meanwhile is shown, the page says that it may be old, and is not loaded again."""
    page = through(network, bench)
    bench.rig.cli("sources", "pause", "a", check=True)
    network.cut()
    bench.rig.drop_command("task-meanwhile", "true", title="Meanwhile")
    expect(page.locator("#lost")).to_contain_text(LOST)
    network.mend()
    expect(page.get_by_role("link", name="Meanwhile")).to_be_visible()
    expect(page.locator("#lost")).to_be_hidden()

    network.fall_silent()
    bench.rig.drop_command("task-later", "true", title="Later")

    def is_there() -> bool:
        """A connection that the browser kept for later is silent, too: it tries more than one."""
        page.clock.fast_forward(20_000)
        return page.get_by_role("link", name="Later").is_visible()

    eventually(is_there, what="what happened meanwhile is shown")
    assert page.evaluate("window.same") is True


@pytest.mark.long
def test_tabs_that_nobody_sees_have_no_stream(bench: PageBench) -> None:
    """More of them than a browser has connections for one server, opened in the background, and looked at later."""
    first = bench.owner()
    context = first.context
    context.add_init_script(
        "window.unseen = true; Object.defineProperty(document, 'hidden', { get: () => window.unseen });"
    )
    tabs = [context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{bench.url}/")
        expect(tab.get_by_text("Nothing runs or waits")).to_have_count(2)
    first.close()
    api = psutil.Process(int(bench.state["pid"]))
    eventually(lambda: not _connected(api, bench.port), what="no tab has a connection", timeout=30)
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    tabs[3].evaluate("window.unseen = false; document.dispatchEvent(new Event('visibilitychange'))")

    expect(tabs[3].get_by_role("link", name="Waits")).to_be_visible()
    expect(tabs[4].get_by_role("link", name="Waits")).to_have_count(0)
    assert bench.complaints == []


@pytest.mark.long
def test_who_is_signed_out_elsewhere_learns_of_it(bench: PageBench) -> None:
    """Also where a token is revoked; a form that is sent then changes nothing. What is gone is said to be gone."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    boss = bench.owner()
    boss.get_by_role("link", name="Waits").click()
    page = bench.signed_in(bench.token("worker", "operate"))
    page.get_by_role("link", name="Waits").click()
    expect(page.get_by_text("Cancel…")).to_be_visible()
    bench.rig.cli("tokens", "revoke", "worker", check=True)
    expect(page.locator("#lost")).to_contain_text("You are signed out")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page).to_have_url(f"{bench.url}/sign-in")
    assert not (bench.rig.pending() / ".task-waits.cancel").exists()
    bench.rig.cli("tasks", "rm", "task-waits", "--yes")

    expect(boss.locator("#lost")).to_contain_text("There is no task task-waits")


def _connected(api: psutil.Process, port: int) -> list[object]:
    found = api.net_connections(kind="tcp")
    return [each for each in found if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port]
