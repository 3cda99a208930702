"""What a browser and its user are owed: accessible pages, keys, no need of scripts, text that stays text."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import expect

from tests.page.bench import PageBench
from tests.sampling import short_and_long

HOSTILE = """<img src=x onerror="window.hit=1"><script>window.hit=1</script>"""
PAGES = (
    "/",
    "/add",
    "/add?template=fix-bug",
    "/history",
    "/report",
    "/statistics",
    "/schedules",
    "/workers",
    "/settings",
    "/tasks/task-done",
    "/tasks/task-done/transcript",
    "/tasks/task-done/events",
    "/tasks/task-bad",
    "/tasks/task-bad/retry",
    "/tasks/task-waits",
    "/tasks/task-none",
    "/nowhere",
)


def furnished(bench: PageBench) -> None:
    """One task of each kind, and a schedule."""
    bench.rig.drop_command("task-done", "echo done", title="Done")
    bench.rig.drop_command("task-bad", "exit 3", title="Bad", max_attempts=1)
    bench.rig.drop_command("task-waits", "true", title="Waits", not_before="2999-01-01T00:00:00Z")
    schedules = bench.rig.queue("b") / "schedules"
    schedules.mkdir(mode=0o700)
    (schedules / "nightly.md").write_text('---\nschedule: "30 2 * * *"\nexecutor: sh\n---\ntrue\n')


@pytest.mark.parametrize("theme", short_and_long(["light"], ["dark"]))
def test_no_rule_of_accessibility_is_broken(bench: PageBench, theme: str) -> None:
    furnished(bench)
    page = bench.owner(color_scheme=theme, bypass_csp=True)  # the checker is a script of another origin
    expect(page.locator(".needs li")).to_have_count(1)
    expect(page.locator("ol.waiting li")).to_have_count(1)
    found = {}
    for path in PAGES:
        page.goto(f"{bench.url}{path}")
        results = Axe().run(page)
        found[path] = [each["id"] for each in results.response["violations"]]

    assert found == {path: [] for path in PAGES}


@pytest.mark.parametrize("width", short_and_long([360], [1280]))
def test_no_page_is_wider_than_its_window(bench: PageBench, width: int) -> None:
    furnished(bench)
    bench.rig.drop_command("task-long", f"echo {'x' * 2000}", title="y" * 150)
    page = bench.owner(viewport={"width": width, "height": 700})
    expect(page.locator(".source")).not_to_have_count(0)
    expect(page.locator(".needs li").first).to_be_visible()
    wide = []
    for path in (*PAGES, "/tasks/task-long", "/tasks/task-long/transcript"):
        page.goto(f"{bench.url}{path}")
        if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
            wide.append(path)

    assert wide == []


def test_foreign_text_stays_text(bench: PageBench) -> None:
    """In titles, output, transcripts, events, file names and the address; and nothing is fetched for it."""
    bench.rig.drop_command(
        "task-evil",
        f"cat <<'EOF'\n{HOSTILE}\n[x](javascript:hit=1) ![y](http://127.0.0.9/y)\nEOF",
        title=f"'{HOSTILE}'",
    )
    bench.rig.drop_command("task-bad", f"cat <<'EOF' >&2\n{HOSTILE}\nEOF\nexit 1", max_attempts=1)
    (bench.rig.pending("b") / f"{HOSTILE.replace('/', '_')}.md").write_text("ignored")
    page = bench.owner()
    expect(page.locator(".needs li")).to_have_count(1)
    paths = (
        "/",
        "/history",
        "/report",
        "/tasks/task-evil",
        "/tasks/task-evil/transcript",
        "/tasks/task-evil/events",
        "/tasks/task-bad",
        "/tasks/task-bad/retry",
        "/tasks/task-bad/transcript",
        f"/history?text={HOSTILE}",
    )
    for path in paths:
        page.goto(f"{bench.url}{path}")
        assert page.evaluate("window.hit") is None, path
        assert page.locator("img, main script, a[href^=javascript]").count() == 0, path
    page.goto(f"{bench.url}/tasks/task-evil")

    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>")
    assert bench.complaints == []


def test_the_keys_do_what_their_list_says(bench: PageBench) -> None:
    furnished(bench)
    page = bench.owner()
    expect(page.locator("a.row")).to_have_count(2)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="Waits")).to_be_focused()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Bad")
    page.keyboard.press("r")
    expect(page.get_by_role("link", name="Retry…")).to_be_focused()
    for key, path in (("h", "/history"), ("m", "/report"), ("n", "/add"), ("b", "/")):
        page.keyboard.press(key)
        expect(page).to_have_url(f"{bench.url}{path}")
        page.locator("main").focus()


def test_everything_but_the_live_works_without_scripts(bench: PageBench) -> None:
    page = bench.owner(java_script_enabled=False)
    page.get_by_role("link", name="Add").click()
    page.get_by_label("Document").fill(
        "---\nexecutor: sh\ntitle: Plain\nnot_before: 2999-01-01T00:00:00Z\n---\ntrue\n"
    )
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Plain")
    page.get_by_text("Cancel…").click()
    page.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_text("A cancel was asked for")).to_be_visible()


@pytest.mark.long
def test_a_lost_connection_comes_back_by_itself(bench: PageBench) -> None:
    """Killed with -9; the daemon starts it again at the same port, and what happened meanwhile is there."""
    page = bench.owner()
    expect(page.get_by_text("Nothing runs or waits")).to_have_count(2)
    page.evaluate("window.same = true")
    bench.kill_api()
    bench.rig.drop_command("task-meanwhile", "sleep 100", title="Meanwhile")

    expect(page.locator("article.running")).to_contain_text("Meanwhile", timeout=30_000)
    assert page.evaluate("window.same") is True
