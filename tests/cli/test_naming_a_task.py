"""How a person names a task: by its id, its file, or a part of the id that only one task has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_queue.platform.identity import own_identity
from tests.cli.bench import Bench, a_bench, write_json

ID = "task-20260207-120000-fix-auth"
PART = "task-20260207-120000"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def place(bench: Bench, folder: str, task_id: str = ID, *, source: str = "ad-hoc") -> Path:
    path = bench.pending(source).with_name(folder) / f"{task_id}.md"
    path.write_text("# Fix\n")
    return path


def claim(bench: Bench, task_id: str, *, document: str) -> Path:
    """A lock of this very process, whose runner has reported, and the attempt's transcript."""
    me = own_identity()
    identity = {"pid": me.pid, "pid_start_ticks": me.pid_start_ticks, "boot_id": me.boot_id}
    record = {"task_id": task_id, "attempt": 1, "started_at": "2026-02-07T12:00:00+00:00", **identity}
    lock = bench.pending() / f".{document.removesuffix('.md')}.lock"
    write_json(
        lock, {"worker": "ad-hoc", "thread_id": "7", "session_id": "s", "document": document, **record}
    )
    attempt = bench.pending().with_name("logs") / task_id / "attempt-1"
    write_json(attempt / "run.json", record)
    (attempt / "transcript.jsonl").write_text(
        '{"dir": "note", "raw": {"type": "phase", "phase": "verify"}}\n'
    )
    return lock


@pytest.mark.parametrize(
    "typed",
    [PART, "120000-fix", "fix-auth", f"{ID}.md", f"tasks/ad-hoc/pending/{ID}.md", "12000", "auth.md"],
)
def test_a_unique_part_of_an_id_names_the_task(bench: Bench, typed: str) -> None:
    place(bench, "pending")
    place(bench, "pending", "task-20260208-130000-other")

    assert bench.run("tasks", "show", typed, "--json").json["task_id"] == ID


@pytest.mark.parametrize("folder", ["completed", "failed"])
def test_show_and_wait_find_an_ended_task_by_a_part(bench: Bench, folder: str) -> None:
    place(bench, folder, source="planned")

    shown = bench.run("tasks", "show", PART, "--json")
    waited = bench.run("tasks", "wait", PART, "--timeout", "5")

    assert (shown.json["task_id"], shown.json["state"]) == (ID, folder)
    assert ID in waited.out


@pytest.mark.parametrize("command", ["show", "logs", "cancel"])
def test_a_running_task_is_found_by_a_part(bench: Bench, command: str) -> None:
    place(bench, "pending")
    claim(bench, ID, document=f"{ID}.md")

    answer = bench.run("tasks", command, PART)

    assert answer.code == 0, answer.err
    assert ID in answer.out
    assert (bench.pending() / f".{ID}.cancel").exists() == (command == "cancel")


def test_retry_finds_a_failed_task_by_a_part(bench: Bench) -> None:
    place(bench, "failed")

    answer = bench.run("tasks", "retry", PART)

    assert (answer.code, answer.out) == (0, f"pending: {ID}\n")
    assert (bench.pending() / f"{ID}.md").exists()


@pytest.mark.parametrize(
    "command", [("show",), ("logs",), ("cancel",), ("retry",), ("wait", "--timeout", "1")], ids=" ".join
)
def test_a_part_of_several_ids_is_refused_with_the_candidates(bench: Bench, command: tuple[str, ...]) -> None:
    """Nothing is done to any of them."""
    place(bench, "pending")
    place(bench, "failed", f"{PART}-other", source="planned")
    name, *options = command

    answer = bench.run("tasks", name, PART, *options)

    assert (answer.code, answer.out) == (1, "")
    assert f"'{PART}' is part of the ids of 2 tasks" in answer.err
    assert f"name one of them: {ID}, {PART}-other" in answer.err
    assert not (bench.pending() / f".{ID}.cancel").exists()


def test_of_many_candidates_the_newest_are_named(bench: Bench) -> None:
    for hour in range(10):
        place(bench, "completed", f"task-20260207-{hour:02}0000-fix")

    answer = bench.run("tasks", "show", "fix")

    assert "is part of the ids of 10 tasks" in answer.err
    assert "task-20260207-090000-fix (5 more have it)" in answer.err


def test_a_whole_id_wins_over_one_that_contains_it(bench: Bench) -> None:
    place(bench, "completed")
    place(bench, "failed", f"{ID}.2")

    assert bench.run("tasks", "show", ID, "--json").json["state"] == "completed"
    assert bench.run("tasks", "show", "fix-auth.2", "--json").json["state"] == "failed"


def test_a_running_record_with_a_number_is_found_by_a_part(bench: Bench) -> None:
    """Its document keeps the plain name; the id that counts is the lock's."""
    place(bench, "completed")
    place(bench, "pending")
    claim(bench, f"{ID}.2", document=f"{ID}.md")

    shown = bench.run("tasks", "show", "auth.2", "--json")
    ambiguous = bench.run("tasks", "show", PART)

    assert (shown.json["task_id"], shown.json["state"]) == (f"{ID}.2", "running")
    assert f"name one of them: {ID}, {ID}.2" in ambiguous.err


def test_show_and_logs_name_the_files_of_a_running_record_with_a_number(bench: Bench) -> None:
    """The document is the plain one in pending/, the result has the number."""
    place(bench, "completed")
    document = place(bench, "pending")
    claim(bench, f"{ID}.2", document=f"{ID}.md")
    result = bench.pending().with_name("results") / f"{ID}.2.json"

    shown = bench.run("tasks", "show", f"{ID}.2", "--json").json
    logs = bench.run("tasks", "logs", f"{ID}.2", "--json").json

    assert (shown["document"], shown["result_path"]) == (str(document), str(result))
    assert (logs["document"], logs["result_path"]) == (str(document), str(result))
    assert (logs["attempt"], Path(logs["transcript"]).is_file()) == (1, True)


@pytest.mark.parametrize("command", ["show", "logs"])
@pytest.mark.parametrize("ended", [False, True])
def test_show_and_logs_name_the_document_and_the_result(bench: Bench, command: str, ended: bool) -> None:
    document = place(bench, "completed" if ended else "pending")
    result = bench.pending().with_name("results") / f"{ID}.json"
    if ended:
        write_json(result, {"success": True})

    said = bench.run("tasks", command, ID).out
    answer = bench.run("tasks", command, ID, "--json").json

    assert f"document   {document}\n" in said
    assert f"result     {result}{'' if ended else ' (not written yet)'}\n" in said
    assert (answer["document"], answer["result_path"]) == (str(document), str(result))


def test_the_raw_transcript_stays_json_lines(bench: Bench) -> None:
    place(bench, "pending")
    claim(bench, ID, document=f"{ID}.md")

    answer = bench.run("tasks", "logs", ID, "--raw")

    assert [json.loads(line)["dir"] for line in answer.out.splitlines()] == ["note"]


def test_paths_as_json_and_a_followed_transcript_exclude_each_other(bench: Bench) -> None:
    place(bench, "pending")

    assert bench.run("tasks", "logs", ID, "--json", "--follow").code == 2


def test_a_running_task_without_its_document_is_found(bench: Bench) -> None:
    """Deleted by hand while it runs: the lock says which task it is."""
    claim(bench, ID, document=f"{ID}.md")

    shown = bench.run("tasks", "show", PART, "--json")

    assert (shown.code, shown.json["state"]) == (0, "running")


@pytest.mark.parametrize("typed", ["", "farewell", "md", ".lock", "tasks/ad-hoc/pending/"])
def test_what_no_id_contains_names_no_task(bench: Bench, typed: str) -> None:
    """Neither the ending of a file name nor an empty word, which every id contains."""
    place(bench, "pending")

    answer = bench.run("tasks", "cancel", typed)

    assert answer.code == 1
    assert "there is no task" in answer.err
    assert "task-queue tasks list" in answer.err
    assert not (bench.pending() / f".{ID}.cancel").exists()


def test_a_lock_that_cannot_be_read_hides_no_task(bench: Bench) -> None:
    place(bench, "pending")
    (bench.pending() / f".{ID}.lock").write_text("{torn")

    assert bench.run("tasks", "show", PART, "--json").json["task_id"] == ID
