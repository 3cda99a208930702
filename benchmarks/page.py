"""The page in a real browser: how soon it is painted with much behind it, and how soon it shows what happened."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.figures import Findings, Size, progress
from benchmarks.history import write_past
from benchmarks.measure import cpu_ms, memory_mb
from benchmarks.parts import run_alone
from task_queue.config.locations import locate
from tests.page.bench import PageBench

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
_ANSWERED = "performance.getEntriesByType('navigation')[0].responseEnd"
_SEEN_AT = """name => new Promise(seen => {
    const look = () => {
        if (!document.body.innerText.includes(name)) return;
        watch.disconnect();
        requestAnimationFrame(() => seen(Date.now()));
    };
    const watch = new MutationObserver(look);
    watch.observe(document.body, { subtree: true, childList: true, characterData: true });
    look();
})"""
_SOURCES = {Size.SHORT: 50, Size.FULL: 500}
_PAST = {Size.SHORT: 100_000, Size.FULL: 1_000_000}
_TRANSCRIPT_MB = {Size.SHORT: 20, Size.FULL: 200}
_TABS = {Size.SHORT: 10, Size.FULL: 50}
_RUNS = 5
_FRAME = {"t": "2026-02-07T12:00:00+00:00", "dir": "in"}


def measure(size: Size) -> Findings:
    found = Findings("page", size)
    if shutil.which("chromium") is None:
        found.skip("all of it", "chromium is not installed: make apt")
        return found
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        _many_sources(found, browser, _SOURCES[size])
        _much_behind_it(found, browser, _PAST[size], _TRANSCRIPT_MB[size])
        _many_tabs(found, browser, _TABS[size])
        browser.close()
    return found


def _many_sources(found: Findings, browser: Browser, number: int) -> None:
    progress(f"{number} sources")
    names = tuple(f"source-{place:03}" for place in range(number))
    with _bench(browser, names) as bench:
        bench.start()
        page = bench.owner()
        _add(found, f"the board, {number} sources", _paints(bench, page, "/"))
        _shown_after(found, bench, [page], names[0], f"the board, {number} sources")


def _much_behind_it(found: Findings, browser: Browser, past: int, transcript_mb: int) -> None:
    progress(f"{past:,} past tasks, a transcript of {transcript_mb} MB")
    with _bench(browser, ("a", "b", "c", "d")) as bench:
        state = locate(bench.rig.config, environ=bench.rig.environment).state_dir
        write_past(state / "events", past)
        size = _write_transcript(bench, transcript_mb)
        bench.start()
        page, of = bench.owner(), f"of {past:,}"
        for name, query in (
            ("history", ""),
            ("its last page", "?before=200"),
            ("its failed ones", "?outcome=failed"),
            ("a text that a new one has", f"?text=mend-{past - 100}"),
            ("a text that none has, one answer", "?text=nowhere-at-all"),
        ):
            _add(found, f"{name}, {of}", _paints(bench, page, f"/history{query}"))
        _add(found, f"all answers for an old one, {of}", _searched(bench, page, f"mend-{past // 2}"))
        _add(found, f"statistics of 30 days, {of}", _paints(bench, page, "/statistics"))
        for name, query in (
            ("its end", ""),
            ("its middle", f"?before={size // 2}"),
            ("a text at its beginning", "?text=needle-at-the-begin"),
            ("a text that it does not have", "?text=nowhere-at-all"),
        ):
            paints = _paints(bench, page, f"/tasks/task-long/transcript{query}")
            _add(found, f"a transcript of {size >> 20} MB, {name}", paints)
        found.add("memory of the API, MB", "afterwards", memory_mb(int(bench.state["pid"]))["Rss"])


def _many_tabs(found: Findings, browser: Browser, number: int) -> None:
    progress(f"{number} windows")
    with _bench(browser, ("a", "b")) as bench:
        bench.start()
        seen = [bench.owner()]
        for _ in range(number - 1):
            seen.append(bench.visitor())  # a browser has few connections for all its tabs
            seen[-1].context.add_cookies([{**each} for each in seen[0].context.cookies()])  # type: ignore[typeddict-item] # the same person
            seen[-1].goto(bench.url)
        _load(found, bench, f"{number} windows that are seen")
        _shown_after(found, bench, [seen[0], seen[-1]], "a", f"the first and the last of {number} windows")
        for page in seen:
            page.context.close()
        context = bench.owner().context
        context.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true });")
        for _ in range(number):
            context.new_page().goto(f"{bench.url}/")
        _load(found, bench, f"{number} hidden tabs")


_Paints = tuple[Sequence[float], Sequence[float], float]
"""Milliseconds until each answer had come, until something was painted; of CPU of the API, each."""


def _add(found: Findings, subject: str, paints: _Paints) -> None:
    answered, painted, cpu = paints
    found.add("answered, ms", subject, answered)
    found.add("painted, ms", subject, painted)
    found.add("CPU of the API, ms", subject, cpu)


def _paints(bench: PageBench, page: Page, path: str) -> _Paints:
    answered: list[float] = []
    painted: list[float] = []
    pid = int(bench.state["pid"])
    before = cpu_ms(pid)
    for _ in range(_RUNS):
        page.goto(f"{bench.url}{path}")
        painted.append(_painted_ms(page))
        answered.append(float(page.evaluate(_ANSWERED)))
    return answered, painted, (cpu_ms(pid) - before) / _RUNS


def _painted_ms(page: Page) -> float:
    while not (at := float(page.evaluate(_PAINTED))):
        time.sleep(0.01)
    return at


def _searched(bench: PageBench, page: Page, text: str) -> _Paints:
    """As ``_paints``, of all answers together until the task with *text* is there."""
    pid = int(bench.state["pid"])
    before, answered, painted = cpu_ms(pid), 0.0, 0.0
    page.goto(f"{bench.url}/history?text={text}")
    while True:
        painted += _painted_ms(page)
        answered += float(page.evaluate(_ANSWERED))
        if page.locator("a.row").count():
            break
        page.locator("a[rel=next]").click()
    return [answered], [painted], cpu_ms(pid) - before


def _shown_after(found: Findings, bench: PageBench, pages: Sequence[Page], source: str, subject: str) -> None:
    """From the rename of a document into ``pending/`` to the frame that shows it."""
    bench.rig.cli("sources", "pause", source, check=True)
    for run in range(_RUNS):
        name = f"task-shown-{run}"
        for page in pages:
            page.evaluate(f"window.seen = ({_SEEN_AT})('Shown {run}'); 0")
        begun = time.time() * 1000
        bench.rig.drop(name, f"---\npriority: 10\n---\n# Shown {run}\n", source=source)
        found.add(
            "drop to pixel, ms", subject, [float(page.evaluate("window.seen")) - begun for page in pages]
        )


def _write_transcript(bench: PageBench, megabytes: int) -> int:
    queue = bench.rig.queue()
    logs = queue / "logs" / "task-long" / "attempt-1"
    for folder in (queue / "completed", queue / "results", logs):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (queue / "completed" / "task-long.md").write_text("# Long\n")
    result = {"task_id": "task-long", "success": True, "state": "completed", "outcome": "succeeded"}
    (queue / "results" / "task-long.json").write_text(json.dumps(result))

    def line(text: str) -> str:
        raw = {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}
        return json.dumps({**_FRAME, "raw": raw}) + "\n"

    path, number = logs / "transcript.jsonl", 0
    with path.open("w") as file:
        file.write(line("the needle-at-the-begin"))
        while file.tell() < megabytes << 20:
            file.writelines(
                line(f"Step {number + more}: " + "some words of the agent. " * 20) for more in range(1000)
            )
            number += 1000
    return path.stat().st_size


def _load(found: Findings, bench: PageBench, subject: str) -> None:
    pid = int(bench.state["pid"])
    before, seconds = cpu_ms(pid), 10
    time.sleep(seconds)
    found.add("share of one CPU in the API, %", subject, (cpu_ms(pid) - before) / seconds / 10)
    found.add("memory of the API, MB", subject, memory_mb(pid)["Rss"])


@contextmanager
def _bench(browser: Browser, sources: tuple[str, ...]) -> Generator[PageBench]:
    with tempfile.TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:
        bench = PageBench(browser, Path(folder) / "home", sources=sources)
        try:
            yield bench
        finally:
            bench.close()


if __name__ == "__main__":
    run_alone("page")
