"""Git is killed in the last step of a landing, at each of its calls: what is half done is taken back, no more."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from task_queue.domain.errors import GitError
from task_queue.git.advance import Advance, finish_interrupted
from task_queue.git.landing import Advanced, LandingOutcome, LandingPlan, land
from task_queue.platform.identity import ProcessIdentity, identity_of, own_identity
from task_queue.platform.records import encode
from tests.git.conftest import Scratch
from tests.proof.tracer import why_not_here
from tests.sampling import short_and_long

ROOT = Path(__file__).parents[2]
SHARES = 4
"""The calls are shared out among so many tests, so that they can run side by side."""


@pytest.fixture
def ahead(scratch: Scratch) -> Scratch:
    """``side`` is ahead of ``main``, in every way in which files can differ; a person's file lies there, too."""
    for name in ("changed.txt", "gone.txt", "file", "folder/inside", "run.sh", "deep/down/gone.txt"):
        scratch.write(name, f"{name} as it was\n")
    scratch.run("add", ".")
    scratch.run("commit", "-q", "-m", "Before")
    scratch.run("checkout", "-q", "-b", "side")
    scratch.write("changed.txt", "changed\n" * 20000)
    scratch.run("rm", "-q", "gone.txt", "file", "folder/inside", "deep/down/gone.txt")
    for name in ("added.txt", "deep/added.txt", "file/inside", "folder"):
        scratch.write(name, f"{name} is new\n")
    (scratch.root / "link").symlink_to("added.txt")
    (scratch.root / "run.sh").chmod(0o755)
    scratch.run("add", ".")
    scratch.run("commit", "-q", "-m", "After")
    scratch.run("checkout", "-q", "main")
    scratch.write("mine.txt", "mine\n")
    return scratch


def bring(scratch: Scratch, env: dict[str, str] | None = None) -> LandingOutcome:
    request = LandingPlan("side", "main", "Land it\n", scratch.root.parent / "beside", "a:task:1:session")
    git = replace(scratch.git, environment=env or scratch.env)
    return land(git, request, add_note=lambda _: None)


def killing(scratch: Scratch, nth: int) -> tuple[dict[str, str], Path]:
    """An environment in which git is killed before the n-th call that changes something in its last step."""
    folder = scratch.root.parent / "bin"
    folder.mkdir(exist_ok=True)
    log = folder / "log"
    log.unlink(missing_ok=True)
    real = shutil.which("git", path=scratch.env["PATH"])
    spec = json.dumps({"watch": [str(scratch.root)], "log": str(log), "kill": ["daemon", nth]})
    traced = shlex.join([sys.executable, "-m", "tests.proof.tracer", spec, str(real)])
    (folder / "git").write_text(
        "#!/bin/sh\n"
        f'for word; do case $word in --ff-only) PYTHONPATH={ROOT} exec {traced} "$@";; esac; done\n'
        f'exec {real} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    return {**scratch.env, "PATH": f"{folder}:{scratch.env['PATH']}"}, log


def cut_off(scratch: Scratch, nth: int) -> bool:
    """Land, with git killed at its n-th call; False if it has fewer. An announcement is left, as by a killed runner."""
    env, log = killing(scratch, nth)
    announce(scratch)
    Scratch(scratch.root, env).run("merge", "--ff-only", "--no-overwrite-ignore", "side", check=False)
    return any("killed" in json.loads(line) for line in log.read_text().splitlines())


def announce(scratch: Scratch, runner: ProcessIdentity | None = None, *, back_to: str | None = None) -> Path:
    """As a runner does before its last step, to ``side`` or *back_to*."""
    old, new = scratch.run("rev-parse", "main"), back_to or scratch.run("rev-parse", "side")
    action: Literal["merge", "undo"] = "undo" if back_to else "merge"
    step = Advance(
        "side", "main", old, new, True, "a:task:0:dead", runner or own_identity(), action, back=bool(back_to)
    )
    record = scratch.root / ".git/task-queue-advance.json"
    record.write_bytes(encode(step))
    return record


@pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
@pytest.mark.parametrize("share", short_and_long(range(1), range(1, SHARES)))
def test_killed_at_any_call_it_lands_once_all_the_same(ahead: Scratch, share: int, tmp_path: Path) -> None:
    """By the next landing: the files are whole, nothing is locked, and what is a person's is as it was."""
    template = tmp_path / "template"
    shutil.copytree(ahead.root, template, symlinks=True)
    points = 0
    while cut_off(ahead, nth := 1 + share + points * SHARES):
        points += 1
        told = finish_interrupted(ahead.git, marker="a:task:1:session")
        at = ahead.run("rev-parse", "main")

        assert (at == ahead.run("rev-parse", "side")) == (told is None)
        assert ahead.status() == ["?? mine.txt"], nth
        assert isinstance(bring(ahead), Advanced)
        assert ahead.run("rev-parse", "main") == ahead.run("rev-parse", "side")
        assert ahead.status() == ["?? mine.txt"]
        assert list((ahead.root / ".git").rglob("*.lock")) == []
        shutil.rmtree(ahead.root)
        shutil.copytree(template, ahead.root, symlinks=True)
    assert points > 3


@pytest.mark.skipif(bool(why_not_here()), reason=str(why_not_here()))
@pytest.mark.parametrize("nth", [14, 20, 34, 40, 45])
def test_what_a_person_changed_since_stays(ahead: Scratch, nth: int) -> None:
    """Whatever git had come to: files, new ones, ones in the way, and what was staged; the rest is taken back."""
    assert cut_off(ahead, nth)
    (ahead.root / ".git/index.lock").unlink(missing_ok=True)
    (ahead.root / ".git/HEAD.lock").unlink(missing_ok=True)
    ahead.write("changed.txt", "theirs\n")
    ahead.write("added.txt", "theirs\n")
    ahead.write("first.txt", "theirs\n")
    shutil.rmtree(ahead.root / "file", ignore_errors=True)
    ahead.write("file/theirs", "theirs\n")
    ahead.write("gone.txt", "theirs\n")
    ahead.run("add", "gone.txt")

    told = finish_interrupted(ahead.git, marker="a:task:1:session")

    for name in ("changed.txt", "added.txt", "first.txt", "file/theirs", "gone.txt"):
        assert (ahead.root / name).read_text() == "theirs\n"
    assert ahead.run("show", ":gone.txt") == "theirs"
    assert "added.txt, changed.txt, file, gone.txt" in (told or "")
    assert set(ahead.status()) == {
        "M  gone.txt",
        " M changed.txt",
        " D file",
        " M first.txt",
        "?? added.txt",
        "?? file/theirs",
        "?? mine.txt",
    }


@pytest.mark.parametrize("back", [False, True], ids=["landing", "undoing"])
def test_what_a_person_committed_in_the_middle_of_it_stays(ahead: Scratch, back: bool) -> None:
    """Git had put the files there, the branch was not moved, and its process died: the files follow that commit."""
    before = ahead.run("rev-parse", "main")
    if back:
        ahead.run("merge", "-q", "--ff-only", "side")
    announce(ahead, back_to=before if back else None)
    ahead.run("read-tree", "-m", "-u", "main", before if back else "side")
    ahead.run("add", "mine.txt")
    ahead.run("commit", "-q", "-m", "By hand", "--", "mine.txt")
    files = ahead.run("ls-tree", "-r", "--name-only", "main").split()

    told = finish_interrupted(ahead.git, marker="a:task:1:session")

    assert "was cut off, and taken back" in (told or "")
    assert ahead.status() == []
    assert ahead.run("ls-files").split() == files
    assert ("added.txt" in files) == back


def test_a_lock_of_somebody_elses_is_left(ahead: Scratch) -> None:
    """One that is older than the step; one that a live process holds, which is named, keeps everything waiting."""
    lock = ahead.root / ".git/index.lock"
    lock.touch()
    os.utime(lock, (0, 0))
    announce(ahead)
    finish_interrupted(ahead.git, marker="a:task:1:session")
    assert lock.exists()

    record = announce(ahead)
    lock.touch()
    with lock.open() as held:
        holder = subprocess.Popen(["sleep", "60"], stdin=held)
    with holder:
        try:
            with pytest.raises(GitError, match=f"at work there: process {holder.pid}"):
                finish_interrupted(ahead.git, marker="a:task:1:session")
        finally:
            holder.kill()
    assert (lock.exists(), record.exists()) == (True, True)


def test_a_runner_that_lives_sees_to_its_own(ahead: Scratch) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            identity = identity_of(other.pid)
            record = announce(ahead, identity)
            with pytest.raises(GitError, match="its process cleans up"):
                bring(ahead)
        finally:
            other.kill()

    assert record.exists()


def test_a_torn_announcement_is_told(ahead: Scratch) -> None:
    (ahead.root / ".git/task-queue-advance.json").write_text("{")

    with pytest.raises(GitError, match=r"advance\.json cannot be read"):
        bring(ahead)
