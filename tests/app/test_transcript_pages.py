"""A transcript in parts: whole lines, each once, from the end to the beginning; or where a text occurs."""

from __future__ import annotations

import json

import pytest

from task_queue.app.transcript_pages import MOST_FOUND, TranscriptPage, transcript_page
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.task import TaskId
from tests.app.bench import A, Bench

TASK = TaskId(A)


def written(bench: Bench, texts: list[str], *, torn: str = "") -> None:
    bench.place("pending")
    bench.claim()
    lines = [
        json.dumps(
            {"t": "2026-02-07T12:00:00+00:00", "dir": "note", "raw": {"type": "output", "text": text}},
            ensure_ascii=False,
        )
        for text in texts
    ]
    (bench.attempt() / "transcript.jsonl").write_text("".join(f"{line}\n" for line in lines) + torn)


def texts_of(page: TranscriptPage) -> list[str]:
    return [entry.body for entry in page.entries]


def test_the_parts_from_the_end_to_the_beginning_have_each_line_once(bench: Bench) -> None:
    texts = [f"{number} {'x' * 997}" for number in range(600)]
    written(bench, texts, torn='{"t": "2026')
    seen: list[str] = []
    before: int | None = None
    for _ in range(20):
        page = transcript_page(bench.installation, TASK, before=before)
        seen = texts_of(page) + seen
        before = page.start
        if page.start == 0:
            break

    assert seen == texts
    assert before == 0


def test_a_line_longer_than_a_part_is_shown_whole(bench: Bench) -> None:
    written(bench, ["first", "y" * 600_000])

    assert [len(text) for text in texts_of(transcript_page(bench.installation, TASK))] == [5, 600_000]


def test_a_text_is_found_wherever_it_is_and_not_too_often(bench: Bench) -> None:
    written(bench, [*(f"line {number}" for number in range(1000)), "The Needle"])
    one = transcript_page(bench.installation, TASK, text="the needle")
    many = transcript_page(bench.installation, TASK, text="line")
    none = transcript_page(bench.installation, TASK, text="nowhere")

    assert (texts_of(one), one.found) == (["The Needle"], 1)
    assert (many.found, none.found, none.entries) == (MOST_FOUND, 0, ())


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ('He said "no" \\ yes', '"NO" \\'),
        ("Über das Maß", "ÜBER das MASS"),
        ("two\nlines", "two\nlines"),
        ("<b>&amp;</b>", "<B>&AMP;"),
    ],
)
def test_a_text_is_found_as_it_is_shown(bench: Bench, said: str, asked: str) -> None:
    """Whatever JSON makes of its characters, and in whatever case, of other alphabets too."""
    written(bench, ["another", said])

    assert texts_of(transcript_page(bench.installation, TASK, text=asked)) == [said]


def test_an_entry_keeps_its_name_when_the_part_moves_on(bench: Bench) -> None:
    texts = [f"{number} {'x' * 997}" for number in range(200)]
    written(bench, texts)
    before = {entry.body: name for name, entry in transcript_page(bench.installation, TASK).named}
    with (bench.attempt() / "transcript.jsonl").open("a") as file:
        file.write(
            '{"t": "2026-02-07T12:00:00+00:00", "dir": "note", "raw": {"type": "output", "text": "%s"}}\n'
            % ("new" * 900)
        )
    after = {entry.body: name for name, entry in transcript_page(bench.installation, TASK).named}

    assert len(set(after.values())) == len(after)
    assert {body: after[body] for body in after if body in before} == {
        body: before[body] for body in before if body in after
    }
    assert before.keys() - after.keys()


def test_what_is_not_there_yet_is_empty_and_a_wrong_attempt_is_named(bench: Bench) -> None:
    bench.place("pending")
    bench.claim()
    page = transcript_page(bench.installation, TASK)

    assert (page.entries, page.start, page.end, page.later) == ((), 0, 0, False)
    with pytest.raises(TaskQueueError, match="attempt"):
        transcript_page(bench.installation, TASK, attempt=7)
