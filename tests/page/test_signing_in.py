"""Who may look at the page, how they sign in, and what their browser keeps."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.page.bench import PageBench
from tests.sampling import short_and_long


def test_a_link_signs_in_once(bench: PageBench) -> None:
    link = bench.link()
    first, second = bench.visitor(), bench.visitor()
    first.goto(link)
    second.goto(link)

    expect(first).to_have_title("Board · task-queue")
    expect(second.get_by_role("alert")).to_contain_text("used already")
    assert "link=" not in first.url


@pytest.mark.long
def test_without_a_session_every_page_leads_to_the_door(bench: PageBench) -> None:
    page = bench.visitor()
    for path in ("/", "/history", "/report", "/add", "/tasks/task-x", "/schedules", "/workers", "/settings"):
        page.goto(f"{bench.url}{path}")
        expect(page).to_have_url(f"{bench.url}/sign-in")


def test_the_session_is_kept_where_no_script_and_no_other_site_has_it(bench: PageBench) -> None:
    page = bench.owner()
    (cookie,) = page.context.cookies()

    assert (cookie.get("httpOnly"), cookie.get("sameSite"), cookie.get("path")) == (True, "Strict", "/")
    assert page.evaluate("document.cookie") == ""
    kept = next((bench.rig.home / ".local").rglob("page-sessions.json")).read_text()
    assert str(cookie.get("value")) not in kept


@pytest.mark.long
def test_signed_out_is_out(bench: PageBench) -> None:
    page = bench.owner()
    (cookie,) = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{bench.url}/sign-in")
    page.context.add_cookies([{**cookie}])  # type: ignore[typeddict-item] # as a thief would
    page.goto(bench.url)

    expect(page).to_have_url(f"{bench.url}/sign-in")


def test_a_reader_sees_no_button_and_only_what_its_token_allows(bench: PageBench) -> None:
    """And is out once its token is revoked, also on a page that is open."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.cli("sources", "pause", "b", check=True)
    bench.rig.drop_command("task-mine", "true", source="a", title="Seen")
    bench.rig.drop_command("task-other", "true", source="b", title="Hidden")
    page = bench.signed_in(bench.token("reader", "read", sources="a"))
    expect(page.get_by_role("link", name="Seen")).to_be_visible()
    links = page.get_by_role("navigation").get_by_role("link").all_inner_texts()

    assert "Hidden" not in page.content()
    assert links == ["task-queue", "Board", "History", "Schedules"]
    page.get_by_role("link", name="Seen").click()
    expect(page.get_by_role("heading", name="Change it")).to_have_count(0)
    expect(page.get_by_role("button")).to_have_text(["Sign out"])
    for path, status in (("/tasks/task-other", 404), ("/report", 403), ("/settings", 403), ("/add", 403)):
        answer = page.goto(f"{bench.url}{path}")
        assert answer is not None
        assert answer.status == status
    bench.rig.cli("tokens", "revoke", "reader", check=True)
    page.goto(bench.url)
    expect(page).to_have_url(f"{bench.url}/sign-in")


@pytest.mark.long
def test_a_wrong_token_is_refused(bench: PageBench) -> None:
    page = bench.signed_in("tq_0_wrong")

    expect(page.get_by_role("alert")).to_contain_text("wrong, revoked or expired")


@pytest.mark.parametrize(
    ("headers", "form_token"),
    short_and_long(
        [({}, ""), ({"Origin": "http://evil.example"}, None)],
        [({}, "0" * 64), ({"Sec-Fetch-Site": "cross-site"}, None)],
    ),
)
def test_a_form_of_another_page_changes_nothing(
    bench: PageBench, headers: dict[str, str], form_token: str | None
) -> None:
    """*form_token* None: the right one, which no other page has."""
    bench.rig.cli("sources", "pause", "a", check=True)
    bench.rig.drop_command("task-waits", "true", title="Waits")
    page = bench.owner()
    page.get_by_role("link", name="Waits").click()
    right = page.locator("input[name=form_token]").first.input_value()
    (cookie,) = page.context.cookies()
    host = bench.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=20)
    sent = {"Cookie": f"{cookie.get('name')}={cookie.get('value')}", **headers}
    sent["Content-Type"] = "application/x-www-form-urlencoded"
    body = urlencode({"form_token": right if form_token is None else form_token})
    connection.request("POST", "/tasks/task-waits/cancel", body, sent)
    status = connection.getresponse().status
    connection.close()

    assert status == 403
    assert not (bench.rig.pending() / ".task-waits.cancel").exists()


def test_a_session_is_no_credential_for_programs(bench: PageBench) -> None:
    """What a browser sends by itself opens nothing below /v1."""
    page = bench.owner()
    answer = page.request.get(f"{bench.url}/v1/tasks")

    assert answer.status == 401
