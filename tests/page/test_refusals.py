"""What is refused before it is looked at: a page that says what, where and what to do, and nothing typed is lost."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.page.bench import PageBench

LONG = "# Long\n" + "word " * 600_000
TYPED = "---\nexecutor: sh\n---\n# Typed <b>for long</b>\n"
HTML = {"Accept": "text/html"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_a_form_that_is_too_large_is_not_sent_and_without_scripts_refused(bench: PageBench) -> None:
    page = bench.owner()
    page.goto(f"{bench.url}/add")
    page.get_by_label("Document").fill(LONG)
    page.get_by_role("button", name="Add it").click()
    expect(page.get_by_role("alert")).to_contain_text("2.0 MiB is the most. Shorten the text")
    expect(page.get_by_label("Document")).to_have_value(LONG)
    page.get_by_label("Document").fill("short")
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_text("It would run")).to_be_visible()
    assert bench.complaints == []

    plain = bench.owner(java_script_enabled=False)
    plain.goto(f"{bench.url}/add")
    plain.get_by_label("Document").fill(LONG)
    plain.get_by_role("button", name="Add it").click()
    expect(plain.get_by_role("alert")).to_contain_text("at most 2,097,152 bytes")
    expect(plain.get_by_role("alert")).to_contain_text("Shorten the text")
    expect(plain.locator("main")).to_contain_text("POST /add")
    plain.get_by_role("link", name="Back").click()
    expect(plain).to_have_url(f"{bench.url}/add")
    assert list(bench.rig.pending().glob("*.md")) == []


def test_other_refusals_are_pages_for_people_and_problems_for_programs(bench: PageBench) -> None:
    """Of another type, broken UTF-8, with another form token; where there is text in the form, it is on the page."""
    page = bench.owner()
    foreign = urlencode({"text": TYPED, "source": "a", "form_token": "0"})
    for headers, body, status, said in (
        ({"Content-Type": "text/plain"}, "text=x", 415, "The body must be"),
        (FORM, "text=%ff", 400, "not UTF-8"),
        (FORM, foreign, 403, "# Typed &lt;b&gt;for long"),
    ):
        answer = page.request.post(f"{bench.url}/add", data=body, headers={**headers, **HTML})
        for_program = page.request.post(f"{bench.url}/add", data=body, headers=headers)

        assert (answer.status, for_program.status) == (status, status)
        assert said in answer.text()
        assert for_program.headers["content-type"] == "application/problem+json"


def test_what_was_typed_outlives_the_session(bench: PageBench) -> None:
    """It is shown where the session ended meanwhile; a form without any text leads to where one signs in."""
    page = bench.owner()
    page.goto(f"{bench.url}/add")
    page.get_by_label("Document").fill(TYPED)
    other = page.context.new_page()
    other.goto(bench.url)
    other.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Add it").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    expect(page.get_by_role("alert")).to_contain_text("Sign in in another tab")
    expect(page.locator("pre")).to_have_text(TYPED)
    assert list(bench.rig.pending().glob("*.md")) == []


@pytest.mark.long
def test_what_is_not_there_says_where_to_look(bench: PageBench) -> None:
    """With the ways to go on that every page has."""
    page = bench.owner()
    for path in ("/nowhere", "/tasks/task-none", "/tasks/task-none/cancel"):
        page.goto(f"{bench.url}{path}")
        expect(page.get_by_role("alert")).not_to_contain_text("openapi")
        expect(page.get_by_role("navigation").get_by_role("link", name="History")).to_be_visible()
