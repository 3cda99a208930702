"""The real page in a real browser: the daemon keeps its API alive, as on a person's machine."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page

from tests.acceptance.rig import Rig
from tests.waiting import eventually


def free_port() -> int:
    """One that stays the same when the API is started again."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class PageBench:
    """Whatever a browser complains about, or a page loads from elsewhere, is in ``complaints``."""

    def __init__(
        self, browser: Browser, home: Path, *, sources: tuple[str, ...] = ("a", "b"), **config: Any
    ) -> None:
        self.port = free_port()
        api = {"listen": ["unix", f"127.0.0.1:{self.port}"], **config.pop("api", {})}
        self.rig = Rig(home, sources=sources, api=api, **config)
        self.complaints: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []

    @property
    def state(self) -> dict[str, Any]:
        paths = list((self.rig.home / ".local" / "state" / "task-queue").glob("*/api.json"))
        found: dict[str, Any] = json.loads(paths[0].read_text()) if paths else {}
        return found

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.rig.start()
        eventually(self._is_served, what="the page is served")

    def _is_served(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True

    def kill_api(self) -> None:
        os.kill(int(self.state["pid"]), signal.SIGKILL)

    def link(self) -> str:
        return str(self.rig.json("web")["link"])

    def visitor(self, **options: Any) -> Page:
        """A new browser of nobody yet."""
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda said: self._hear(said.type, said.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda asked: self._see(asked.url))
        return page

    def owner(self, **options: Any) -> Page:
        """A browser that the owner has signed in; it shows the board."""
        page = self.visitor(**options)
        page.goto(self.link())
        return page

    def token(self, name: str, *roles: str, **lists: str) -> str:
        """A new one that allows everything but what *lists* say."""
        kinds = ("sources", "repositories", "types", "capabilities", "executors")
        options = [part for key in kinds for part in (f"--{key}", lists.get(key, "*"))]
        chosen = [part for role in roles for part in ("--role", role)]
        return self.rig.cli("tokens", "create", "--name", name, *chosen, *options, check=True).stdout.strip()

    def signed_in(self, token: str, **options: Any) -> Page:
        page = self.visitor(**options)
        page.goto(f"{self.url}/sign-in")
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        return page

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self.rig.close()

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _see(self, url: str) -> None:
        if not url.startswith("http://127.0.0.1:"):
            self.complaints.append(f"loaded {url}")
