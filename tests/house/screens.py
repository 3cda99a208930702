"""``docs/screens/``: the page after the demo, in a window, in the dark and on a phone.

``python -m tests.house.screens`` (``make screens``) plays the demo, serves the page and takes the pictures; it needs
Debian's chromium.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from task_queue.demo.show import run_demo
from task_queue.demo.stage import Stage, find_git
from tests.house.tables import ROOT
from tests.page.bench import free_port
from tests.waiting import eventually

SCREENS = ROOT / "docs" / "screens"
_WINDOW, _PHONE = {"width": 1120, "height": 760}, {"width": 390, "height": 760}
_SHOTS = (
    ("board", "/", _WINDOW, "light"),
    ("board-dark", "/", _WINDOW, "dark"),
    ("board-phone", "/", _PHONE, "light"),
    ("task", "/tasks/task-write-slugify", _WINDOW, "light"),
    ("diff", "/tasks/task-write-slugify/diff", _WINDOW, "light"),
    ("history", "/history", _WINDOW, "light"),
    ("statistics", "/statistics", _WINDOW, "light"),
)
_WAITING = (
    ("task-20260207-210000-upgrade-click", "Upgrade click and adapt the options"),
    ("task-20260207-210500-write-changelog", "Write the changelog of the release"),
    ("task-20260207-211000-cover-parser", "Cover the parser with tests"),
)


@contextmanager
def _served(folder: Path) -> Generator[str]:
    """A link that signs in, while a daemon serves what the demo left, with a task that runs and some that wait."""
    stage = Stage(folder, find_git())
    content = json.loads(stage.config.read_text())
    content["api"] = {"listen": [f"127.0.0.1:{free_port()}"]}
    content["executors"] = {"sleep": {"kind": "command", "argv": ["sleep", "600"]}}
    stage.config.write_text(json.dumps(content))
    layout = stage.layout("ad-hoc")
    for name, title in (("task-20260207-200000-tidy", "Tidy up the error messages"), *_WAITING):
        (layout.pending / f"{name}.md").write_text(f"---\nexecutor: sleep\n---\n# {title}\n")
    program = [sys.executable, "-m", "task_queue.cli", "--config", str(stage.config)]
    daemon = subprocess.Popen([*program, "daemon"], env=stage.environment, stderr=subprocess.DEVNULL)

    def link() -> str:
        asked = subprocess.run(
            [*program, "web", "--json"], env=stage.environment, capture_output=True, text=True, check=False
        )
        return str(json.loads(asked.stdout)["link"]) if asked.returncode == 0 else ""

    try:
        eventually(lambda: any(layout.pending.glob(".task-*.lock")), what="a task runs")
        eventually(lambda: link() != "", what="the page is served")
        yield link()
    finally:
        daemon.terminate()
        daemon.wait(60)


def _take(browser: Browser, link: str) -> None:
    session = browser.new_context()
    session.new_page().goto(link)
    cookies, url = session.cookies(), link.partition("/sign-in")[0]
    for name, path, size, theme in _SHOTS:
        context = browser.new_context(viewport=size, color_scheme=theme, device_scale_factor=1.5)  # type: ignore[arg-type]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(f"{url}{path}")
        page.screenshot(path=SCREENS / f"{name}.png")
        context.close()


if __name__ == "__main__":
    SCREENS.mkdir(exist_ok=True)
    played = Path(run_demo(lambda _: None, keep=True).folder)
    try:
        with _served(played) as found, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            _take(chromium, found)
            chromium.close()
    finally:
        shutil.rmtree(played, ignore_errors=True)
