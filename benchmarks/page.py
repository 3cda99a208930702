"""The page in a real browser: how soon it is painted with much behind it, and how soon it shows what happened.

``python -m benchmarks.page [--sources 500] [--past 1000000] [--transcript 200] [--tabs 50] [--runs 5]``
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.history import write_past
from benchmarks.measure import cpu_ms, machine, memory_mb, table
from task_queue.config.locations import locate
from tests.page.bench import PageBench

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"
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
_FRAME = {"t": "2026-02-07T12:00:00+00:00", "dir": "in"}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sources", type=int, default=500)
    parser.add_argument("--past", type=int, default=1_000_000)
    parser.add_argument("--transcript", type=int, default=200, help="MB")
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    print(machine())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        if asked.sources:
            _many_sources(browser, asked.sources, asked.runs)
        if asked.past or asked.transcript:
            _much_behind_it(browser, asked.past, asked.transcript, asked.runs)
        if asked.tabs:
            _many_tabs(browser, asked.tabs)
        browser.close()
    print(machine())


def _many_sources(browser: Browser, number: int, runs: int) -> None:
    names = tuple(f"source-{place:03}" for place in range(number))
    with _bench(browser, names) as bench:
        bench.start()
        page = bench.owner()
        table(f"{number} sources: ms, {runs} runs", _COLUMNS, [("board", *_paints(bench, page, "/", runs))])
        _shown_after(bench, [page], names[0], "one board", runs)


def _much_behind_it(browser: Browser, past: int, transcript_mb: int, runs: int) -> None:
    with _bench(browser, ("a", "b", "c", "d")) as bench:
        if past:
            state = locate(bench.rig.config, environ=bench.rig.environment).state_dir
            write_past(state / "events", past)
        size = _write_transcript(bench, transcript_mb)
        bench.start()
        page = bench.owner()
        rows: list[tuple[str, float, float, float, float]] = []
        if past:
            for name, query in (
                ("history", ""),
                ("... its last page", "?before=200"),
                ("... of failed ones", "?outcome=failed"),
                ("... with a text that a new one has", f"?text=mend-{past - 100}"),
                ("... with a text that none has, one answer", "?text=nowhere-at-all"),
            ):
                rows.append((name, *_paints(bench, page, f"/history{query}", runs)))
            rows.append(("... all answers for an old one", *_searched(bench, page, f"mend-{past // 2}")))
            rows.append(("statistics of 30 days, the first time", *_paints(bench, page, "/statistics", 1)))
            rows.append(("statistics of 30 days", *_paints(bench, page, "/statistics", runs)))
        address = "/tasks/task-long/transcript"
        for name, query in (
            ("transcript, its end", ""),
            ("... in the middle", f"?before={size // 2}"),
            ("... a text at its beginning", "?text=needle-at-the-begin"),
            ("... a text that it does not have", "?text=nowhere-at-all"),
        ):
            rows.append((name, *_paints(bench, page, f"{address}{query}", runs)))
        table(f"{past:,} past tasks, a transcript of {size >> 20} MB: ms, {runs} runs", _COLUMNS, rows)
        _memory(bench)


def _many_tabs(browser: Browser, number: int) -> None:
    with _bench(browser, ("a", "b")) as bench:
        bench.start()
        seen = [bench.owner()]
        for _ in range(number - 1):
            seen.append(bench.visitor())  # a browser has few connections for all its tabs
            seen[-1].context.add_cookies([{**each} for each in seen[0].context.cookies()])  # type: ignore[typeddict-item] # the same person
            seen[-1].goto(bench.url)
        _load(bench, f"{number} windows that are seen")
        _shown_after(bench, [seen[0], seen[-1]], "a", f"the first and the last of {number} windows", 5)
        for page in seen:
            page.context.close()
        context = bench.owner().context
        context.add_init_script("Object.defineProperty(document, 'hidden', { get: () => true });")
        begun = time.perf_counter()
        for _ in range(number):
            context.new_page().goto(f"{bench.url}/")
        print(f"{number} hidden tabs opened in {time.perf_counter() - begun:.1f} s")
        _load(bench, f"{number} hidden tabs")


_COLUMNS = ("", "answered", "painted", "slowest", "CPU of the API")


def _paints(bench: PageBench, page: Page, path: str, runs: int) -> tuple[float, float, float, float]:
    """Medians of when the answer had come and of when something was painted, the slowest of the latter; CPU of each."""
    answered, painted = [], []
    pid = int(bench.state["pid"])
    before = cpu_ms(pid)
    for _ in range(runs):
        page.goto(f"{bench.url}{path}")
        while not (at := float(page.evaluate(_PAINTED))):
            time.sleep(0.01)
        answered.append(float(page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd")))
        painted.append(at)
    return median(answered), median(painted), max(painted), (cpu_ms(pid) - before) / runs


def _searched(bench: PageBench, page: Page, text: str) -> tuple[float, float, float, float]:
    """As ``_paints``, of all answers together until the task with *text* is there."""
    pid = int(bench.state["pid"])
    before, answered, painted = cpu_ms(pid), 0.0, []
    page.goto(f"{bench.url}/history?text={text}")
    while True:
        while not (at := float(page.evaluate(_PAINTED))):
            time.sleep(0.01)
        answered += float(page.evaluate("performance.getEntriesByType('navigation')[0].responseEnd"))
        painted.append(at)
        if page.locator("a.row").count():
            break
        page.locator("a[rel=next]").click()
    return answered, sum(painted), max(painted), cpu_ms(pid) - before


def _shown_after(bench: PageBench, pages: Sequence[Page], source: str, what: str, runs: int) -> None:
    """From the rename of a document into ``pending/`` to the frame that shows it."""
    bench.rig.cli("sources", "pause", source, check=True)
    took = []
    for run in range(runs):
        name = f"task-shown-{run}"
        for page in pages:
            page.evaluate(f"window.seen = ({_SEEN_AT})('Shown {run}'); 0")
        begun = time.time() * 1000
        bench.rig.drop(name, f"---\npriority: 10\n---\n# Shown {run}\n", source=source)
        took += [float(page.evaluate("window.seen")) - begun for page in pages]
    print(f"drop to pixel, {what}: median {median(took):.0f} ms, slowest {max(took):.0f} ms")


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


def _load(bench: PageBench, what: str) -> None:
    pid = int(bench.state["pid"])
    before, seconds = cpu_ms(pid), 10
    time.sleep(seconds)
    print(
        f"{what}: {(cpu_ms(pid) - before) / seconds / 10:.1f} % of one CPU in the API, {memory_mb(pid)['Rss']:.0f} MB"
    )


def _memory(bench: PageBench) -> None:
    print(f"the API afterwards: {memory_mb(int(bench.state['pid']))['Rss']:.0f} MB")


@contextmanager
def _bench(browser: Browser, sources: tuple[str, ...]) -> Generator[PageBench]:
    with tempfile.TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:
        bench = PageBench(browser, Path(folder) / "home", sources=sources)
        try:
            yield bench
        finally:
            bench.close()


if __name__ == "__main__":
    main()
