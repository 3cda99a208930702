"""How much one paint of a page reads, however much there is: bounded by what it shows."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.history import write_past
from task_queue.app.history import history
from task_queue.app.transcript_pages import transcript_page
from tests.app.bench import A, Bench
from tests.counting import counting

PAST = 5_000


def test_the_history_decodes_the_ends_that_it_shows(bench: Bench) -> None:
    """Also with a filter that few of them match, and one that none does."""
    write_past(bench.installation.locations.events, PAST)
    decoded = {}
    for text, shown in ((None, 50), (f"mend-{PAST // 2}", 1), ("nowhere", 0)):
        with counting() as (calls, _):
            answer = history(bench.installation, text=text, limit=50)
        assert len(answer.tasks) == shown
        decoded[text] = calls["decoded"]

    assert decoded == {None: 51, f"mend-{PAST // 2}": 1, "nowhere": 0}


def test_a_part_of_a_long_transcript_is_read_alone(bench: Bench) -> None:
    bench.place("pending")
    bench.claim()
    line = json.dumps(
        {"t": "2026-02-07T12:00:00+00:00", "dir": "note", "raw": {"type": "output", "text": "x" * 900}}
    )
    path: Path = bench.attempt() / "transcript.jsonl"
    path.write_text(f"{line}\n" * 10_000)
    for before in (None, 5_000_000):
        with counting() as (calls, _):
            page = transcript_page(bench.installation, A, before=before)
        assert calls["pread"] == 1
        assert calls["object_in"] <= 200 == round(len(page.entries), -2)
