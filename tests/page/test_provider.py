"""Signing in at an identity provider, which is made here: the code flow with PKCE, in a real browser."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from tests.api.test_oidc import Provider
from tests.page.bench import PageBench
from tests.sampling import short_and_long

EVERYTHING = {name: ["*"] for name in ("sources", "repositories", "types", "capabilities", "executors")}


class SignInServer:
    """The provider's two addresses. ``claims`` and ``nonce`` may be set to what a wrong one would say."""

    def __init__(self, keys: Path) -> None:
        self.provider = Provider(keys)
        self.claims: dict[str, Any] = {}
        self.nonce: str | None = None
        self.asked: dict[str, str] = {}
        self.tokens_given = 0
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer_to(self, form: dict[str, str]) -> dict[str, str] | None:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest())
        if challenge.decode().rstrip("=") != self.asked["code_challenge"] or form["code"] != "good":
            return None
        self.tokens_given += 1
        nonce = self.nonce or self.asked["nonce"]
        return {"id_token": self.provider.token(nonce=nonce, **self.claims)}


class _Handler(BaseHTTPRequestHandler):
    owner: SignInServer

    def do_GET(self) -> None:
        self.owner.asked = {key: value[0] for key, value in parse_qs(urlsplit(self.path).query).items()}
        self.send_response(303)
        self.send_header("Location", self._back())
        self.end_headers()

    def _back(self) -> str:
        asked = self.owner.asked
        if self.path.startswith("/end"):
            return asked["post_logout_redirect_uri"]
        return f"{asked['redirect_uri']}?{urlencode({'code': 'good', 'state': asked['state']})}"

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        answer = self.owner.answer_to({key: value[0] for key, value in parse_qs(text).items()})
        data = json.dumps(answer or {"error": "invalid_grant"}).encode()
        self.send_response(200 if answer else 400)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in its base
        """Says nothing."""


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[SignInServer]:
    server = SignInServer(tmp_path / "keys.json")
    yield server
    server.close()


@pytest.fixture
def served(a_bench: Callable[..., PageBench], provider: SignInServer, tmp_path: Path) -> PageBench:
    oidc = {
        "issuer": "https://id.example.org",
        "audience": "task-queue",
        "jwks_file": str(tmp_path / "keys.json"),
        "policies": {"dev": {"roles": ["submit"], **EVERYTHING}},
        "sign_in": {
            "client_id": "task-queue",
            "authorize_url": f"{provider.url}/authorize",
            "token_url": f"{provider.url}/token",
            "end_session_url": f"{provider.url}/end",
        },
    }
    bench = a_bench(api={"oidc": oidc})
    bench.start()
    return bench


def test_who_comes_back_from_the_provider_is_signed_in_with_its_policy(
    served: PageBench, provider: SignInServer
) -> None:
    page = served.visitor()
    page.goto(served.url)
    page.get_by_role("link", name="Sign in with your organisation").click()
    expect(page).to_have_title("Board · task-queue")

    expect(page.locator(".who")).to_contain_text("oidc:ann")
    assert page.get_by_role("link", name="Add").is_visible()
    assert not page.get_by_role("link", name="Settings").is_visible()
    assert provider.tokens_given == 1
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Signed out")).to_be_visible()
    page.get_by_role("link", name="Sign out there, too").click()
    expect(page).to_have_url(f"{served.url}/sign-in")
    assert provider.asked == {"client_id": "task-queue", "post_logout_redirect_uri": f"{served.url}/sign-in"}
    page.goto(served.url)
    expect(page).to_have_url(f"{served.url}/sign-in")


@pytest.mark.parametrize(
    ("claims", "nonce", "said"),
    short_and_long(
        [({}, "of-another-try", "not good")],
        [
            ({"groups": ["sales"]}, None, "no policy"),
            ({"aud": "another"}, None, "not good"),
            ({"exp": 1}, None, "not good"),
        ],
    ),
)
def test_what_the_provider_says_is_checked(
    served: PageBench, provider: SignInServer, claims: dict[str, Any], nonce: str | None, said: str
) -> None:
    provider.claims, provider.nonce = claims, nonce
    page = served.visitor()
    page.goto(f"{served.url}/sign-in/provider")

    expect(page.get_by_role("alert")).to_contain_text(said)
    page.goto(served.url)
    expect(page).to_have_url(f"{served.url}/sign-in")


@pytest.mark.long
def test_an_answer_that_this_browser_did_not_ask_for_signs_nobody_in(
    served: PageBench, provider: SignInServer
) -> None:
    """Another one's code, put into a victim's browser, and a code without any question before."""
    mallory, victim = served.visitor(), served.visitor()
    mallory.goto(f"{served.url}/sign-in/provider")
    state = provider.asked["state"]
    victim.goto(f"{served.url}/sign-in/back?code=good&state={state}")
    expect(victim.get_by_role("alert")).to_be_visible()
    victim.context.add_cookies([{"name": "task_queue_sign_in", "value": "a.b.c", "url": served.url}])
    victim.goto(f"{served.url}/sign-in/back?code=good&state={state}")

    expect(victim.get_by_role("alert")).to_contain_text("not one to a question of this browser")
    assert provider.tokens_given == 1
