"""The morning's report: what is so by results and events, and nothing else; foreign text stays text in every form."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from task_queue.app.report import ReportView, report
from task_queue.app.report_page import as_html, as_markdown, bar, headline, sections_of
from task_queue.domain.event_record import record_of
from task_queue.domain.events import AccountPaused, AccountResumed, Event, TaskLimited
from task_queue.domain.task import TaskId
from task_queue.store.event_log import EventLog
from tests.app.bench import Bench
from tests.app.test_history import BROKEN, DONE

NASTY = "task-nasty"
FOREIGN = "<script>alert(1)</script> [link](http://x) \x1b[31m`code`"


def log(bench: Bench, *events: Event, ago: timedelta = timedelta(hours=1)) -> None:
    at = bench.clock.now() - ago

    def then() -> datetime:
        return at

    writer = EventLog(bench.installation.locations.events, now=then)
    for event in events:
        writer.append(record_of(event))
    writer.close()


def a_result(bench: Bench, task_id: str, folder: str, **content: Any) -> None:
    bench.place(folder, task_id, "# Mend it\n")
    bench.write(bench.layout().result(TaskId(task_id)), {"task_id": task_id, **content})


def report_of(bench: Bench, *, hours: int = 24) -> ReportView:
    return report(bench.anew(), since=bench.clock.now() - timedelta(hours=hours))


def a_night(bench: Bench) -> None:
    bench.daemon_runs()
    usage = {"claude-opus-4": {"costUSD": 0.2}, "claude-haiku-4": {"costUSD": 0.05}}
    landing = {"state": "landed", "target": "main"}
    a_result(
        bench, "task-done", "completed", success=True, outcome="succeeded", landing=landing, model_usage=usage
    )
    need = {
        "kind": "failed",
        "sentence": "it failed (pytest)",
        "command": "task-queue tasks retry task-broken",
    }
    a_result(
        bench,
        "task-broken",
        "failed",
        success=False,
        outcome="verify_failed",
        error="pytest -q failed",
        attention=[need],
    )
    bench.write(bench.layout().needs(TaskId("task-broken")), {})
    log(bench, DONE, BROKEN)
    ledger = bench.installation.locations.ledger
    entry = {"source": "ad-hoc", "task_id": "task-done", "attempt": 1, "usd": 0.25}
    at = (bench.clock.now() - timedelta(hours=1)).isoformat()
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.write_text(json.dumps(entry | {"at": at}) + "\n")


def test_a_night_in_the_order_in_which_it_matters(bench: Bench) -> None:
    a_night(bench)

    view = report_of(bench)

    assert headline(view) == "1 done, 1 failed, 1 needs you, $0.25"
    assert {section.title: [row.said for row in section.rows] for section in sections_of(view)} == {
        "Needs you": ["it failed (pytest)"],
        "Done": ["Mend it: succeeded, landed on main ($0.25)"],
        "Failed": ["Mend it: verify_failed: pytest -q failed ($0.25)"],
        "Spent": ["$0.25", "$0.25 ████████████", "$0.20 ████████████", "$0.05 ███"],
    }
    assert view.spent.by_model == {"claude-opus-4": 0.2, "claude-haiku-4": 0.05}


def test_what_is_older_is_not_in_it_but_for_what_needs_a_person(bench: Bench) -> None:
    a_night(bench)

    view = report_of(bench, hours=0)

    assert (view.done, view.failed, view.spent.usd) == ((), (), 0)
    assert [each.kind for each in view.attention] == ["failed"]


@pytest.mark.parametrize("result", ["{", None, '{"outcome": "crashed"}'])
def test_a_broken_result_is_never_a_success(bench: Bench, result: str | None) -> None:
    """Torn, gone, or of another end than the event log has."""
    bench.place("completed", "task-done")
    if result is not None:
        bench.layout().result(TaskId("task-done")).write_text(result)
    log(bench, DONE)

    view = report_of(bench)

    assert (view.done, [task.task_id for task in view.unclear]) == ((), ["task-done"])
    assert "1 unknown" in headline(view)


def test_the_most_urgent_comes_first(bench: Bench) -> None:
    """What keeps the queue from working, then what may have acted, then what only changed nothing."""
    for number, kind in enumerate(["nothing_changed", "review", "a kind of a later release", "not_landed"]):
        a_result(
            bench, f"task-{number}", "completed", attention=[{"kind": kind, "sentence": kind, "command": "x"}]
        )
        bench.write(bench.layout().needs(TaskId(f"task-{number}")), {})

    kinds = [each.kind for each in report_of(bench).attention]

    assert kinds == ["daemon", "a kind of a later release", "review", "not_landed", "nothing_changed"]


def test_what_limits_did_is_in_their_order(bench: Bench) -> None:
    until = bench.clock.now()
    limited = TaskLimited("ad-hoc", TaskId("task-a"), 1, "five_hour", until)
    log(bench, limited, AccountPaused("ad-hoc", "usage limit", until), AccountResumed("the limit was reset"))

    assert [each.said for each in report_of(bench).limits] == [
        "task-a met a usage limit: five_hour",
        "the account was paused: usage limit",
        "the account went on: the limit was reset",
    ]


def test_foreign_text_is_text_in_markdown_and_html(bench: Bench) -> None:
    bench.daemon_runs()
    need = {"kind": "failed", "sentence": FOREIGN, "command": FOREIGN}
    a_result(bench, NASTY, "failed", success=False, outcome="verify_failed", error=FOREIGN, attention=[need])
    bench.write(bench.layout().needs(TaskId(NASTY)), {})
    log(bench, replace(BROKEN, task_id=TaskId(NASTY), reason=FOREIGN))

    view = report_of(bench)
    page, text = as_html(view), as_markdown(view)

    assert not tags_in(page) & {"script", "a", "img"}
    assert "\x1b" not in page + text
    outside_of_code = re.sub(r"(`+) .*? \1(?!`)", "", text)
    assert "\\<script\\>" in outside_of_code
    assert not re.search(r"(?<!\\)[<\[`]", outside_of_code.replace(f"`{NASTY}`", ""))


def tags_in(page: str) -> set[str]:
    found: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its name
            found.add(tag)

    Tags().feed(page)
    return found


def test_long_sections_are_cut_and_counted_on_pages(bench: Bench) -> None:
    for number in range(40):
        task_id = TaskId(f"task-{number}")
        a_result(bench, task_id, "completed", success=True, outcome="succeeded")
        log(bench, replace(DONE, task_id=task_id))

    view = report_of(bench)

    assert "- and 10 more\n" in as_markdown(view)
    assert len(next(section for section in sections_of(view) if section.title == "Done").rows) == 40


def test_a_bar_shows_what_is_more_than_nothing() -> None:
    assert [bar(usd, 10.0, width=4) for usd in (0.0, 0.01, 5.0, 10.0)] == ["", "█", "██", "████"]
    assert bar(0.0, 0.0) == ""
