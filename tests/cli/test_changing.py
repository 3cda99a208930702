"""Commands that change something, as real processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.bench import Bench, a_bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def test_init_is_safe_to_repeat(bench: Bench) -> None:
    """The second time nothing changes."""
    before = bench.config.read_bytes()

    answer = bench.run("init")

    assert answer.code == 0
    assert bench.config.read_bytes() == before


def test_init_makes_a_place_for_planning_documents(bench: Bench) -> None:
    """In the planned queue only; again where it was removed."""
    planning = bench.pending("planned").with_name("planning")
    made = planning.is_dir()
    planning.rmdir()

    bench.run("init")

    assert made
    assert planning.is_dir()
    assert not bench.pending("ad-hoc").with_name("planning").exists()


def test_many_inits_at_once_make_each_source_once(tmp_path: Path) -> None:
    """Each says what is there; none is told of an error."""
    bench = Bench(tmp_path)
    bench.project.mkdir()
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "task_queue.cli", "init"],
            env=bench.environ,
            cwd=bench.project,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(6)
    ]
    said = [process.communicate(timeout=60)[0] for process in processes]

    assert [process.returncode for process in processes] == [0] * 6, said
    assert [sum(f"made: {name}" in text for text in said) for name in ("ad-hoc", "planned")] == [1, 1]
    assert all("ad-hoc in" in text and "planned in" in text for text in said)
    listed = json.loads(bench.config.read_text())["task_source_directories"]
    assert [source["id"] for source in listed] == ["ad-hoc", "planned"]


def test_init_in_a_second_project_says_how_to_give_it_a_queue(bench: Bench) -> None:
    """The usual names are taken by the first, whose folders stay what they are."""
    second = bench.home / "second"
    second.mkdir()

    answer = bench.run("init", str(second))

    assert answer.code == 0
    assert f"none of them works in {second}" in answer.out
    assert list(second.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (("Fix the login",), ""),
        (("-",), "# Fix the login\n"),
        ((), "# Fix the login\n"),
        (("--file", "in.md"), ""),
    ],
    ids=["text", "dash", "piped", "file"],
)
def test_add_hands_in_a_document(bench: Bench, arguments: tuple[str, ...], given: str) -> None:
    """Whole in pending/, named by time and title, nothing left in staging/."""
    (bench.project / "in.md").write_text("# Fix the login\n")

    answer = bench.run("tasks", "add", *arguments, given=given)

    document = bench.pending() / f"{answer.out.strip()}.md"
    assert document.name.startswith("task-2")
    assert document.name.endswith("-fix-the-login.md")
    assert "Fix the login" in document.read_text()
    assert list((bench.pending().parent / "staging").iterdir()) == []


def test_add_says_on_stderr_where_the_task_stands(bench: Bench) -> None:
    """The answer is the id alone, for ``$(task-queue tasks add ...)``."""
    shop = bench.home / "shop"
    shop.mkdir()
    bench.run("sources", "add", str(shop / "tasks"), "--id", "shop", "--project-workspace", str(shop))

    answers = [bench.run("tasks", "add", name, folder=shop) for name in ("1 bun", "2 buns", "3 buns")]

    documents = [shop / "tasks" / "pending" / f"{answer.out.removesuffix(chr(10))}.md" for answer in answers]
    assert all(document.exists() for document in documents)
    assert [answer.err.splitlines()[0] for answer in answers] == [
        "queued in shop (~/shop), 1st of 1: next",
        "queued in shop (~/shop), 2nd of 2: behind 1 other",
        "queued in shop (~/shop), 3rd of 3: behind 2 others",
    ]


def test_add_where_no_source_works_adds_nothing(bench: Bench) -> None:
    answer = bench.run("tasks", "add", "x", folder=bench.home)

    assert (answer.code, answer.out) == (1, "")
    assert "no source works in" in answer.err
    assert list(bench.pending().iterdir()) == []


def test_check_says_each_fault_with_its_place(bench: Bench) -> None:
    """As a compiler does; add says the same, each with its hint."""
    (bench.project / "good.md").write_text("# Good\n")
    (bench.project / "bad.md").write_text("---\npriorty: 1\ntimeout: soon\n---\nx\n")

    checked = bench.run("tasks", "check", "good.md", "bad.md")
    listed = bench.run("tasks", "check", "bad.md", "--json").json
    added = bench.run("tasks", "add", "--file", "bad.md")

    assert checked.code == added.code == 1
    assert [line[:25] for line in checked.out.splitlines()] == [
        "good.md: ok, Good",
        "bad.md:2: unknown key 'pr",
        "bad.md:3: timeout: must b",
    ]
    assert [fault["line"] for fault in listed["files"][0]["faults"]] == [2, 3]
    assert [line[:22] for line in added.err.splitlines() if line.startswith("error")] == [
        "error: line 2: unknown",
        "error: line 3: timeout",
    ]
    assert bench.run("tasks", "check", "good.md").code == 0


@pytest.mark.parametrize("text", ["---\npriorty: 1\n---\nx", "", "---\npriority: 1\n---\n"])
def test_add_refuses_what_could_not_run(bench: Bench, text: str) -> None:
    """The mistake is told now, not in failed/ later."""
    answer = bench.run("tasks", "add", "-", given=text)

    assert answer.code == 1
    assert answer.err.startswith("error: ")
    assert list(bench.pending().iterdir()) == []


def test_concurrent_adds_all_get_an_id(bench: Bench) -> None:
    """The same title in the same second: twelve tasks."""
    command = [sys.executable, "-m", "task_queue.cli", "tasks", "add", "same"]
    processes = [
        subprocess.Popen(
            command, env=bench.environ, cwd=bench.project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for _ in range(12)
    ]
    ids = {process.communicate(timeout=60)[0] for process in processes}

    assert len(ids) == 12
    assert len(list(bench.pending().glob("task-*.md"))) == 12


def test_a_full_queue_takes_nothing_more(bench: Bench) -> None:
    """limits.max_pending, with what to do."""
    text = bench.config.read_text()
    bench.config.write_text(text.replace('"version"', '"limits": {"max_pending": 1},\n  "version"'))
    bench.run("tasks", "add", "one")

    answer = bench.run("tasks", "add", "two")

    assert answer.code == 1
    assert "queue full: 1 tasks wait in" in answer.err
    assert "no task of it starts before the daemon runs: task-queue daemon" in answer.err
    assert "task-queue config set limits.max_pending N" in answer.err
    assert "full: 1 wait, and tasks add takes no more than 1" in bench.run("status").out


def test_cancel_without_a_daemon_says_what_happens_then(bench: Bench) -> None:
    """The request is kept."""
    task_id = bench.run("tasks", "add", "one").out.strip()

    answer = bench.run("tasks", "cancel", task_id)

    assert answer.code == 0
    assert "cancelled when it starts" in answer.err
    assert (bench.pending() / f".{task_id}.cancel").exists()


def test_retry_gives_a_failed_task_back(bench: Bench) -> None:
    """From failed/ to pending/."""
    failed = bench.pending().parent / "failed" / "task-a.md"
    failed.write_text("# A\n")

    answer = bench.run("tasks", "retry", "task-a")

    assert answer.code == 0, answer.err
    assert (bench.pending() / "task-a.md").exists()
    assert not failed.exists()


@pytest.mark.parametrize(("folder", "code"), [("completed", 0), ("failed", 1)])
def test_wait_tells_by_its_exit_code(bench: Bench, folder: str, code: int) -> None:
    """1 if a task did not succeed."""
    (bench.pending().parent / folder / "task-a.md").write_text("# A\n")

    assert bench.run("tasks", "wait", "task-a", "--timeout", "5").code == code


def test_wait_ends_with_its_timeout(bench: Bench) -> None:
    """A task that goes nowhere does not hold a script for ever."""
    (bench.pending() / "task-a.md").write_text("# A\n")

    answer = bench.run("tasks", "wait", "task-a", "--timeout", "0.1", "--json")

    assert (answer.code, answer.json["not_ended"]) == (1, ["task-a"])


def test_sources_are_added_paused_resumed_and_removed(bench: Bench) -> None:
    """The whole life of a source."""
    for arguments in (("add", "tasks/web", "--id", "web"), ("pause", "--source-id", "web")):
        assert bench.run("sources", *arguments).code == 0
    paused = {
        entry["id"]: entry["paused"] for entry in bench.run("sources", "list", "--json").json["sources"]
    }
    assert bench.run("sources", "resume", "--source-id", "web").code == 0
    assert bench.run("sources", "rm", "--source-id", "web").code == 0

    assert paused == {"ad-hoc": False, "planned": False, "web": True}
    assert len(bench.run("sources", "list", "--json").json["sources"]) == 2
    assert (bench.pending("web")).is_dir()


@pytest.mark.long
def test_fifty_concurrent_sources_all_stay(bench: Bench) -> None:
    """As many processes at once, each with a source of its own: none overwrites what another wrote."""
    names = [f"s{number:02}" for number in range(50)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "task_queue.cli", "sources", "add", f"tasks/{name}", "--id", name],
            env=bench.environ,
            cwd=bench.project,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    complaints = [process.communicate(timeout=250)[1] for process in processes]

    assert [process.returncode for process in processes] == [0] * 50, complaints
    listed = bench.run("sources", "list", "--json").json["sources"]
    assert sorted(source["id"] for source in listed) == sorted(["ad-hoc", "planned", *names])
    assert all((bench.project / "tasks" / name / "pending").is_dir() for name in names)
