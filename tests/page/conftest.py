from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.page.bench import PageBench

expect.set_options(timeout=20_000)
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium: a browser of Playwright's own would have to be fetched.

    Not for the session: while Playwright is there, its thread has an event loop that runs, and other tests need one.
    """
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; make apt installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def a_bench(browser: Browser) -> Iterator[Callable[..., PageBench]]:
    made: list[PageBench] = []
    with TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:

        def make(**config: Any) -> PageBench:
            made.append(PageBench(browser, Path(folder) / str(len(made)), **config))
            return made[-1]

        yield make
        for bench in made:
            bench.close()


@pytest.fixture
def bench(a_bench: Callable[..., PageBench]) -> PageBench:
    """The daemon, with the page."""
    bench = a_bench()
    bench.start()
    return bench
