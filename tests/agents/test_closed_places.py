"""What no agent may read or write, tried with the real CLI by every way to a file that it has."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.agents.claude.options import SessionRequest
from task_queue.agents.prompts import prompts_for
from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from task_queue.domain.document.choices import Profile, Workflow
from task_queue.domain.document.naming import copy_of
from task_queue.domain.task import TaskId
from tests.agents.bench import Bench, MakeBench
from tests.sampling import short_and_long

SECRET = "the-key-that-pays"
NEW = "planted.md"


def closed_places(run: Bench) -> list[Path]:
    """A secret in each place of the queue, and a configuration that is reached through a link."""
    real = run.root / "real" / "config.json"
    real.parent.mkdir()
    config = run.root / "config.json"
    config.symlink_to(real)
    state = run.root / "state"
    state.mkdir()
    folders = ("pending", "schedules", "completed", "failed", "logs/task-b/attempt-1", "reports", "results")
    files = [run.queue / folder / "secret.md" for folder in (*folders, "planning")] + [
        state / "ledger.jsonl",
        real,
    ]
    copies = run.order.agent_copy.parents[1]
    files += [
        copies / source / copy_of(TaskId("secret"), source=source) for source in (run.order.source, "other")
    ]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(SECRET)
    run.order = replace(run.order, queue_dirs=(run.queue, state, config, real))
    return [*files, config]


def ways_to(file: Path, run: Bench) -> Iterator[str]:
    """Paths by which *file* can be named."""
    name = f"link-{len(list(run.workspace.iterdir()))}"
    (run.workspace / name).symlink_to(file)
    (run.workspace / f"{name}-folder").symlink_to(file.parent)
    yield str(file)
    yield name
    yield f"{name}-folder/{file.name}"
    yield os.path.relpath(file, run.workspace)
    yield f"/proc/self/root{file}"
    yield f"/proc/{os.getpid()}/root{file}"  # of a process outside of the sandbox
    yield f"/proc/self/cwd/{os.path.relpath(file, run.workspace)}"
    yield f"/{file}"
    yield str(file).upper()
    yield f"{file.parent}/./../{file.parent.name}/{file.name}"


class Calls:
    """A script that makes all its calls in one message; they are known only once there is a bench."""

    def __init__(self) -> None:
        self.made: list[UseTool] = []

    def __call__(self, request: Request) -> Reply:
        return replace(self.made[0], more=self.made[1:]) if request.turn == 1 else Say("done")

    def answers(self, run: Bench) -> list[str]:
        run.executor.run_session(run.order, run.transcript, SessionRequest(resume=False))
        answers = run.model.requests[-1].tool_results
        assert len(answers) == len(self.made)
        return answers


@pytest.mark.parametrize("profile", short_and_long([Profile.SANDBOXED, Profile.GUARDED], [Profile.READONLY]))
def test_file_tools_neither_read_nor_write_there(bench: MakeBench, profile: Profile) -> None:
    """By no path; the folders above show nothing of them; the task's own text can be read."""
    if profile is Profile.SANDBOXED and not shutil.which("bwrap"):
        pytest.skip("no bubblewrap")
    script = Calls()
    run = bench(script)
    run.given(permissions=profile)
    places = closed_places(run)
    calls = script.made
    calls += [UseTool("Read", {"file_path": str(run.order.agent_copy)})]
    for file in places:
        for way in ways_to(file, run):
            calls.append(UseTool("Read", {"file_path": way}))
            calls.append(UseTool("Grep", {"pattern": "pays", "path": way, "output_mode": "content"}))
    copies = run.order.agent_copy.parents[1]
    for folder in (run.queue, run.queue.parent, run.root, copies, f"/proc/self/root{run.queue}"):
        calls.append(UseTool("Grep", {"pattern": "pays", "path": str(folder), "output_mode": "content"}))
        calls.append(UseTool("Glob", {"pattern": "**/*secret.md", "path": str(folder)}))
    if profile is not Profile.READONLY:
        for file in places:
            for way in ways_to(file, run):
                calls.append(UseTool("Write", {"file_path": f"{Path(way).parent}/{NEW}", "content": "x"}))
                calls.append(UseTool("Edit", {"file_path": way, "old_string": "pays", "new_string": "x"}))

    own, *closed = script.answers(run)

    assert "Do it." in own
    assert not [answer for answer in closed if SECRET in answer or "secret.md:" in answer]
    assert all(file.read_text() == SECRET for file in places)
    assert not [*run.queue.rglob(NEW), *copies.rglob(NEW)]
    assert not run.order.agent_copy.exists()


@pytest.mark.skipif(not shutil.which("bwrap") or not shutil.which("socat"), reason="no bubblewrap or socat")
@pytest.mark.parametrize("every", short_and_long([4], [1]))
def test_commands_in_the_sandbox_neither_read_nor_write_there(bench: MakeBench, every: int) -> None:
    """By no path, with no new link, no mount and no other namespace."""
    script = Calls()
    run = bench(script)
    run.given(permissions=Profile.SANDBOXED)
    places = closed_places(run)
    commands = [f"cat {run.order.agent_copy}"]
    for file in places[every - 1 :: every]:
        commands += [f"cat {way}" for way in ways_to(file, run)]
        commands += [
            f"ln {file} hard; cat hard",
            f"ln -s {file} soft; cat soft",
            f"cp {file} copy; cat copy",
            f"mv {file.parent} moved; cat moved/*",
            f"mkdir -p m; mount --bind {file.parent} m; cat m/*",
            f"unshare -rm cat {file}",
            f"for p in /proc/[0-9]*; do cat $p/root{file} $p/cwd/{os.path.relpath(file, run.workspace)}; done",
            f"grep -r pays {run.root}",
            f"umount {file} {file.parent}; cat {file}",
            f"echo x > {file}; echo x > {file.parent}/{NEW}",
            f"rm -rf {file.parent}",
        ]
    script.made += [UseTool("Bash", {"command": command}) for command in commands]

    own, *closed = script.answers(run)

    assert "Do it." in own
    assert not [
        (call.input, answer) for call, answer in zip(script.made[1:], closed, strict=True) if SECRET in answer
    ]
    assert all(file.read_text() == SECRET for file in places)
    assert not list(run.queue.rglob(NEW))


def test_the_skill_is_given_what_it_can_read(bench: MakeBench) -> None:
    """The path in its first message leads to the task's text."""
    script = Calls()
    run = bench(script)
    run.given(workflow=Workflow.SKILL)
    told = prompts_for(run.order).task(run.order, False) or ""
    script.made += [UseTool("Read", {"file_path": told.removeprefix("/task-worker ")})]

    (answer,) = script.answers(run)

    assert "Do it." in answer
