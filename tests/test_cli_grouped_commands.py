"""Everything that the original system's README names: each command, flag, path and JSON key, typed in an empty home.

By itself (``python tests/test_cli_grouped_commands.py``, from any directory) or with the others by pytest. What
needs a finished or a running task shares one story: a project is set up, tasks end in the foreground, a daemon
serves others. Nothing but 127.0.0.1 is reached: the agent is the real one, its model is scripted.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
if __name__ == "__main__":
    sys.path[0] = str(ROOT)  # not its own folder: tests/platform would hide the standard library's module

import pytest  # noqa: E402 - after the path

from task_queue.demo.scripted_model import (  # noqa: E402 - after the path
    Reply,
    Request,
    Say,
    ScriptedModel,
    UseTool,
    child_environment,
    in_turn,
)
from tests.processes import environments, kill  # noqa: E402
from tests.waiting import eventually  # noqa: E402

ID = "task-20260207-120000-fix-auth-timeout"
PART = "task-20260207-120000"
BROKEN = "task-20260207-120500-broken"
SLOW = "task-20260207-130000-slow"
NEXT = "task-20260207-130500-next"
STALE = "task-20260207-110000-stale"
OTHER = "task-20260207-140000-other"
DOCUMENT = """# Task: Raise the time-out

## Task
Log-ins end after half a minute. Write the new limit to limit.txt.

## Expected Outcome
- limit.txt holds it
"""
CHECKOUT_FILES = ("task-queue.service", "README.md", "LICENSE", "tests/test_cli_grouped_commands.py")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Home:
    """An empty home, and a project in it; its processes get a built environment."""

    path: Path

    @property
    def project(self) -> Path:
        return self.path / "workspaces" / "datachat"

    @property
    def config(self) -> Path:
        return self.path / ".config" / "task-queue" / "config.json"

    def queue(self, source: str = "ad-hoc") -> Path:
        return self.project / "tasks" / source

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path),
            "XDG_RUNTIME_DIR": str(self.path / "run"),
            "PYTHONPATH": str(ROOT),
            "TZ": "UTC",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "task_queue.cli", *arguments],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def type(self, line: str) -> Answer:
        """What ``python -m task_queue.cli`` says to *line*, typed in the project's folder."""
        process = self.start(*shlex.split(line))
        try:
            out, err = process.communicate(timeout=200)
        finally:
            process.kill()
        return Answer(process.returncode, out, err)

    def configure(self, **keys: Any) -> None:
        self.config.write_text(json.dumps(json.loads(self.config.read_text()) | keys))

    def read(self, path: Path) -> Any:
        return json.loads(path.read_text())


def a_home(path: Path) -> Home:
    home = Home(path)
    home.project.mkdir(parents=True)
    return home


def command(script: str, **keys: object) -> str:
    """A document whose text a shell runs."""
    front = "".join(f"{key}: {value}\n" for key, value in keys.items())
    return f"---\nexecutor: sh\n{front}---\n{script}\n"


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@dataclass
class Story:
    """What was seen on the way, by the name of the moment."""

    home: Home
    said: dict[str, Answer] = field(default_factory=dict[str, Answer])
    seen: dict[str, Any] = field(default_factory=dict[str, Any])

    def type(self, moment: str, line: str) -> Answer:
        self.said[moment] = self.home.type(line)
        return self.said[moment]


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    return a_home(tmp_path)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    story = Story(a_home(tmp_path_factory.mktemp("home")))
    implementer = in_turn(
        UseTool("Write", {"file_path": str(story.home.project / "limit.txt"), "content": "60 s\n"}),
        Say("The limit is written."),
    )

    def script(request: Request) -> Reply:
        if "StructuredOutput" not in request.tool_names:
            return implementer(request)
        verdict = {
            "verdict": "pass",
            "summary": "As asked.",
            "findings": [],
            "checks_run": [],
            "criteria": [],
        }
        return Say("Judged.") if request.turn > 1 else UseTool("StructuredOutput", verdict)

    with ScriptedModel(script) as model:
        set_up(story, child_environment(story.home.path / "agent", model))
        in_the_foreground(story)
    try:
        as_a_service(story)
        yield story
    finally:
        for pid, lines in environments():
            if f"HOME={story.home.path}".encode() in lines:
                kill(pid)


def set_up(story: Story, agent_environment: dict[str, str]) -> None:
    home = story.home
    story.type("init", "init")
    story.seen["config"] = home.read(home.config)
    story.seen["folders"] = {str(path.relative_to(home.project)) for path in home.project.rglob("*")}
    home.configure(
        agent={"env": agent_environment},
        executors={"sh": {"kind": "command", "argv": ["sh", "-s"]}},
        settle_seconds=0.05,
        sweep_seconds=2,
    )
    git(home.project, "init", "--quiet")
    git(home.project, "commit", "--quiet", "--allow-empty", "--message", "Begin")
    workspace = shlex.quote(str(home.project))
    line = f"sources add {home.path}/mine --id my-queue --project-workspace {workspace} --description 'My custom queue'"
    story.type("sources add", line)
    story.type("sources list", "sources list")
    story.seen["sources"] = home.type("sources list --json").json["sources"]


def in_the_foreground(story: Story) -> None:
    home = story.home
    staged = home.queue() / "staging" / f"{ID}.md"
    staged.write_text(DOCUMENT)
    staged.rename(home.queue() / "pending" / f"{ID}.md")
    (home.queue("planned") / "pending" / f"{BROKEN}.md").write_text(command("exit 1", max_attempts=1))
    (home.path / "mine" / "pending" / "task-001.md").write_text(command("echo done"))
    story.type("status before", "status")
    story.type("run", "run --cycles 5")
    for name in ("show", "logs"):
        story.type(name, f"tasks {name} {PART}")
    story.type("detailed", "status --detailed")


def as_a_service(story: Story) -> None:
    home = story.home
    for source, name in (("ad-hoc", SLOW), ("ad-hoc", NEXT), ("planned", OTHER)):
        (home.queue(source) / "pending" / f"{name}.md").write_text(command("echo begun; sleep 1000"))
    a_stale_lock(home)
    daemon = home.start("daemon")
    try:
        locks = [
            home.queue(source) / "pending" / f".{name}.lock"
            for source, name in (("ad-hoc", SLOW), ("planned", OTHER))
        ]
        eventually(lambda: all(lock.exists() for lock in locks), what="both run")
        eventually(lambda: '"alive"' in home.type("status --json").out, what="the runner has reported")
        story.seen["lock"] = home.read(locks[0])
        story.seen["locked"] = sorted(path.name for path in (home.queue() / "pending").glob(".task-*.lock"))
        story.seen["daemon"] = daemon.pid
        for line in ("status", "status --detailed", "workers status", "workers list"):
            story.type(f"running: {line}", line)
        story.seen["workers"] = home.type("workers status --json").json["workers"]
        story.type("second daemon", "daemon")
        story.type("cancel", "tasks cancel task-20260207-130000")
        story.seen["cancelled"] = (home.queue() / "failed" / f"{SLOW}.md").exists()
        for name in (NEXT, OTHER):
            home.type(f"tasks cancel {name}")
        story.type("logs of the daemon", "logs")
        story.type("logs --lines", "logs --lines 2")
        follow_the_log(story)
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)
    story.seen["exit code of the daemon"] = daemon.returncode


def a_stale_lock(home: Home) -> None:
    """Of the original system, which did not remove it when a task failed; its process is gone."""
    (home.queue() / "pending" / f"{STALE}.md").write_text(command("true"))
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = {
        "task_id": STALE,
        "worker": "ad-hoc",
        "thread_id": "140234567890123",
        "pid": gone.pid,
        "started_at": "2026-02-07T12:35:00.123456",
    }
    (home.queue() / "pending" / f".{STALE}.lock").write_text(json.dumps(lock))


def follow_the_log(story: Story) -> None:
    """One line of it, then Ctrl+C."""
    process = story.home.start("logs", "--follow")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    story.said["logs --follow"] = Answer(process.returncode, first + out, err)


def kinds(content: dict[str, Any], *keys: str) -> dict[str, type]:
    """The JSON type of each of *keys*; a missing key is an error."""
    return {key: type(content[key]) for key in keys}


def is_a_time(text: str) -> bool:
    return isinstance(datetime.fromisoformat(text), datetime)


# --- init, configuration, folders


@pytest.mark.parametrize("source", ["ad-hoc", "planned"])
@pytest.mark.parametrize("folder", ["staging", "pending", "completed", "failed", "results", "reports"])
def test_init_makes_the_folders(story: Story, source: str, folder: str) -> None:
    assert story.said["init"].code == 0
    assert f"tasks/{source}/{folder}" in story.seen["folders"]


def test_init_makes_planning_in_the_planned_queue(story: Story) -> None:
    assert "tasks/planned/planning" in story.seen["folders"]
    assert "tasks/ad-hoc/planning" not in story.seen["folders"]


def test_the_configuration_has_its_place_keys_and_types(story: Story) -> None:
    config = story.seen["config"]

    assert kinds(config, "version", "project_workspace", "created_at", "updated_at") == dict.fromkeys(
        ("version", "project_workspace", "created_at", "updated_at"), str
    )
    assert (config["version"], config["project_workspace"]) == ("2.1", str(story.home.project))
    assert is_a_time(config["created_at"])
    assert is_a_time(config["updated_at"])


@pytest.mark.parametrize(("number", "source"), list(enumerate(["ad-hoc", "planned"])))
def test_the_configuration_lists_the_two_sources(story: Story, number: int, source: str) -> None:
    listed = story.seen["config"]["task_source_directories"]

    assert len(listed) == 2
    assert kinds(listed[number], "id", "path", "description", "added_at") == dict.fromkeys(
        ("id", "path", "description", "added_at"), str
    )
    assert (listed[number]["id"], listed[number]["path"]) == (
        source,
        str(story.home.queue(source) / "pending"),
    )
    assert is_a_time(listed[number]["added_at"])


def test_a_configuration_of_version_2_1_loads_and_stays_as_it_is(empty: Home) -> None:
    sample = json.loads((ROOT / "tests" / "data" / "2.1" / "config.json").read_text())
    for source in sample["task_source_directories"]:
        source["path"] = str(empty.queue(source["id"]) / "pending")
        Path(source["path"]).mkdir(parents=True, mode=0o700)
    empty.config.parent.mkdir(parents=True)
    empty.config.write_text(json.dumps(sample))

    listed = empty.type("sources list --json").json["sources"]

    assert [source["id"] for source in listed] == ["ad-hoc", "planned"]
    assert empty.type("status").code == 3  # the daemon is down
    assert empty.read(empty.config) == sample


@pytest.mark.parametrize("line", ["status", "sources list", "tasks show task-a", "workers list"])
def test_without_a_configuration_init_is_named(empty: Home, line: str) -> None:
    answer = empty.type(line)

    assert answer.code == 1
    assert "task-queue init" in answer.err


# --- sources


def test_sources_list_shows_each_source(story: Story) -> None:
    out = story.said["sources list"].out

    assert story.said["sources list"].code == 0
    assert [name in out for name in ("ad-hoc", "planned", "my-queue", "My custom queue")] == [True] * 4


def test_sources_add_takes_id_workspace_and_description(story: Story) -> None:
    added = story.seen["sources"][2]

    assert story.said["sources add"].code == 0
    assert (added["id"], added["description"]) == ("my-queue", "My custom queue")
    assert added["project_workspace"] == str(story.home.project)
    assert Path(added["path"]).is_dir()


def test_sources_add_by_hand_needs_no_workspace_of_its_own_after_init(empty: Home) -> None:
    empty.type("init")

    answer = empty.type("sources add tasks/more --id my-queue")

    assert answer.code == 0, answer.err


def test_sources_rm_takes_source_id(empty: Home) -> None:
    empty.type("init")

    answer = empty.type("sources rm --source-id planned")

    assert answer.code == 0
    assert [source["id"] for source in empty.read(empty.config)["task_source_directories"]] == ["ad-hoc"]
    assert empty.queue("planned").is_dir()


# --- tasks that ended


def test_run_cycles_works_in_the_foreground(story: Story) -> None:
    """And says by its exit code that one of the tasks failed."""
    assert story.said["run"].code == 1, story.said["run"].err
    assert f"{ID}: completed" in story.said["run"].err


@pytest.mark.parametrize(
    "path",
    [
        f"tasks/ad-hoc/completed/{ID}.md",
        f"tasks/ad-hoc/results/{ID}.json",
        f"tasks/ad-hoc/reports/{ID}.md",
        f"tasks/planned/failed/{BROKEN}.md",
        f"tasks/planned/results/{BROKEN}.json",
        "../../mine/completed/task-001.md",
        "../../mine/results/task-001.json",
    ],
)
def test_each_file_of_an_ended_task_has_its_place(story: Story, path: str) -> None:
    assert (story.home.project / path).is_file()


def test_a_document_is_kept_as_it_was(story: Story) -> None:
    assert (story.home.queue() / "completed" / f"{ID}.md").read_text() == DOCUMENT


def test_a_result_has_its_keys_and_types(story: Story) -> None:
    result = story.home.read(story.home.queue() / "results" / f"{ID}.json")
    expected = {
        "success": bool,
        "output": str,
        "error": str,
        "task_id": str,
        "started_at": str,
        "completed_at": str,
        "duration_ms": int,
        "duration_api_ms": int,
        "total_cost_usd": float,
        "usage": dict,
        "session_id": str,
        "num_turns": int,
    }

    assert kinds(result, *expected) == expected
    assert list(result)[: len(expected)] == list(expected)
    assert (result["success"], result["error"], result["task_id"]) == (True, "", ID)
    assert is_a_time(result["started_at"])
    assert is_a_time(result["completed_at"])


@pytest.mark.parametrize("key", ["input_tokens", "cache_read_input_tokens", "output_tokens"])
def test_the_usage_of_a_result_is_counted(story: Story, key: str) -> None:
    assert type(story.home.read(story.home.queue() / "results" / f"{ID}.json")["usage"][key]) is int


def test_the_result_of_a_failed_task_says_why(story: Story) -> None:
    result = story.home.read(story.home.queue("planned") / "results" / f"{BROKEN}.json")

    assert (result["success"], type(result["error"])) == (False, str)
    assert "exit code 1" in result["error"]


def test_one_agent_implements_and_another_audits(story: Story) -> None:
    result = story.home.read(story.home.queue() / "results" / f"{ID}.json")

    assert (story.home.project / "limit.txt").read_text() == "60 s\n"
    assert result["audit"]["verdict"] == "pass"


def test_approved_work_is_committed(story: Story) -> None:
    """On top of what was there before the task."""
    result = story.home.read(story.home.queue() / "results" / f"{ID}.json")

    assert git(story.home.project, "show", "HEAD:limit.txt") == "60 s\n"
    assert (type(result["base_commit"]), len(result["commits"])) == (str, 1)


def test_tasks_show_names_the_document_by_a_part_of_the_id(story: Story) -> None:
    answer = story.said["show"]

    assert answer.code == 0
    assert str(story.home.queue() / "completed" / f"{ID}.md") in answer.out


def test_tasks_logs_names_the_result_by_a_part_of_the_id(story: Story) -> None:
    answer = story.said["logs"]

    assert answer.code == 0
    assert str(story.home.queue() / "results" / f"{ID}.json") in answer.out


def test_status_counts_what_waits(story: Story) -> None:
    out = story.said["status before"].out

    assert story.said["status before"].code == 3  # the daemon is down
    assert [name in out for name in ("ad-hoc", "planned", "my-queue", ID)] == [True] * 4


def test_detailed_status_lists_what_ended(story: Story) -> None:
    out = story.said["detailed"].out

    assert f"{ID}  completed: succeeded" in out.replace("   ", "  ")
    assert f"{BROKEN}  failed: failed" in out


# --- the daemon, and what runs


def test_the_lock_of_a_running_task_has_its_keys_and_types(story: Story) -> None:
    lock = story.seen["lock"]
    expected = {"task_id": str, "worker": str, "thread_id": str, "pid": int, "started_at": str}

    assert kinds(lock, *expected) == expected
    assert list(lock)[: len(expected)] == list(expected)
    assert (lock["task_id"], lock["worker"], lock["pid"]) == (SLOW, "ad-hoc", story.seen["daemon"])
    assert lock["thread_id"].isdecimal()
    assert is_a_time(lock["started_at"])


def test_sources_work_side_by_side_and_each_on_one_task(story: Story) -> None:
    assert story.seen["locked"] == [f".{SLOW}.lock"]
    assert OTHER in story.said["running: workers list"].out


def test_a_lock_of_a_process_that_is_gone_keeps_no_task(story: Story) -> None:
    """It is older than the others, so it ran first."""
    assert (story.home.queue() / "completed" / f"{STALE}.md").is_file()


@pytest.mark.parametrize("line", ["status", "status --detailed"])
def test_status_shows_what_runs(story: Story, line: str) -> None:
    answer = story.said[f"running: {line}"]

    assert SLOW in answer.out
    assert f"pid {story.seen['daemon']}" in answer.out


def test_workers_list_has_a_line_for_each_source(story: Story) -> None:
    answer = story.said["running: workers list"]

    assert answer.code == 0
    assert [line.split()[0] for line in answer.out.splitlines()] == [
        "SOURCE",
        "ad-hoc",
        "planned",
        "my-queue",
    ]


def test_workers_status_says_more_of_each(story: Story) -> None:
    answer, worker = story.said["running: workers status"], story.seen["workers"][0]

    assert answer.code == 0
    assert f"{SLOW}, since " in answer.out
    assert (worker["task_id"], worker["running"][0]["attempt"], worker["next"]["task_id"]) == (SLOW, 1, NEXT)


def test_a_second_daemon_is_refused(story: Story) -> None:
    assert story.said["second daemon"].code == 1
    assert str(story.seen["daemon"]) in story.said["second daemon"].err


def test_tasks_cancel_ends_a_running_task_by_a_part_of_its_id(story: Story) -> None:
    assert (story.said["cancel"].code, story.seen["cancelled"]) == (0, True)
    assert f"cancelled: {SLOW}" in story.said["cancel"].out


def test_logs_shows_the_daemons_log(story: Story) -> None:
    assert story.said["logs of the daemon"].code == 0
    assert SLOW in story.said["logs of the daemon"].out


def test_logs_lines_shows_the_last_ones(story: Story) -> None:
    lines = story.said["logs --lines"].out.splitlines()

    assert (story.said["logs --lines"].code, len(lines)) == (0, 2)


def test_logs_follow_ends_with_control_c(story: Story) -> None:
    assert story.said["logs --follow"].code in {130, -signal.SIGINT}
    assert story.said["logs --follow"].out


def test_sigterm_ends_the_daemon_in_good_order(story: Story) -> None:
    assert story.seen["exit code of the daemon"] == 0
    assert list((story.home.queue() / "pending").iterdir()) == []


# --- the program and the checkout


@pytest.mark.parametrize(
    "line",
    [
        "init",
        "status",
        "sources list",
        "sources add",
        "sources rm",
        "tasks show",
        "tasks logs",
        "tasks cancel",
        "workers status",
        "workers list",
        "logs",
        "run",
    ],
)
def test_every_command_has_help(empty: Home, line: str) -> None:
    answer = empty.type(f"{line} --help")

    assert answer.code == 0
    assert f"Usage: task-queue {line}" in answer.out


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        ("status", ["--detailed"]),
        ("sources add", ["--id", "--project-workspace", "--description"]),
        ("sources rm", ["--source-id"]),
        ("logs", ["--follow", "--lines"]),
        ("run", ["--cycles"]),
    ],
)
def test_every_flag_is_known(empty: Home, line: str, flags: list[str]) -> None:
    out = empty.type(f"{line} --help").out

    assert [flag for flag in flags if f"{flag} " not in out] == []


@pytest.mark.parametrize("name", CHECKOUT_FILES)
def test_the_checkout_has_the_files(name: str) -> None:
    path = ROOT / name

    assert path.is_file()
    assert not path.is_symlink()


def test_the_unit_can_be_enabled() -> None:
    """``systemctl --user enable task-queue``; ``tests/test_unit_file.py`` looks at what it starts."""
    assert "\n[Install]\nWantedBy=default.target\n" in (ROOT / "task-queue.service").read_text()


def test_the_skill_is_called_task_worker(empty: Home) -> None:
    answer = empty.type("skill show task-worker")

    assert answer.code == 0
    assert "name: task-worker" in answer.out


if __name__ == "__main__":
    sys.exit(pytest.main(["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), "-n", "0", __file__]))
