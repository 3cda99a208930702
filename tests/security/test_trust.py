"""Who could have written the configuration or a source decides whether it is obeyed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from task_queue.config.locations import locate
from task_queue.domain.errors import EngineUnavailable
from task_queue.platform import durable
from task_queue.store.folder.engine import FolderEngine
from tests.acceptance.rig import Rig
from tests.sampling import short_and_long
from tests.store.contract import NOW
from tests.waiting import eventually

ACTING = [
    ("tasks", "add", "x"),
    ("tasks", "cancel", "task-x"),
    ("tasks", "retry", "task-x"),
    ("sources", "pause", "--source-id", "a"),
    ("sources", "rm", "--source-id", "a"),
    ("init",),
    ("run", "--drain"),
    ("daemon",),
]


@pytest.mark.parametrize("command", ACTING, ids=" ".join)
def test_no_command_acts_on_an_untrusted_configuration(rig: Rig, command: tuple[str, ...]) -> None:
    """It names the file and the command that puts it right, and changes nothing."""
    rig.config.chmod(0o666)
    before = rig.config.read_bytes()

    done = rig.cli(*command)

    assert done.returncode == 1
    assert f"{rig.config} is not trusted" in done.stderr
    assert f"chmod o-w {rig.config}" in done.stderr
    assert rig.config.read_bytes() == before
    assert list(rig.pending().iterdir()) == []


def test_reading_shows_an_untrusted_configuration(rig: Rig) -> None:
    """status and doctor work, say what is wrong, and end with 3."""
    rig.home.chmod(0o777)

    status, doctor = rig.cli("status"), rig.cli("doctor")

    assert (status.returncode, doctor.returncode) == (3, 3)
    assert "not trusted" in status.stdout
    assert f"fix: chmod o-w {rig.home}" in doctor.stdout


def test_a_configuration_that_others_changed_is_not_loaded(rig: Rig) -> None:
    """The running daemon goes on under the earlier one and says why."""
    rig.start()
    rig.config.chmod(0o666)
    rig.config.write_text(rig.config.read_text() + "\n")

    eventually(lambda: "not trusted" in (rig.state()["config_error"] or ""), what="the refusal is told")


@pytest.mark.parametrize("which", short_and_long(["pending", "."], ["logs"]))
def test_an_untrusted_source_is_not_served_until_it_is_put_right(rig: Rig, which: str) -> None:
    """Its folder, one beside it, or the one above: nothing of it runs, and the way out is shown."""
    folder = rig.queue() / which
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    rig.drop_command("task-a", "echo ran >> log")
    rig.start()
    eventually(lambda: rig.state()["sources"]["a"]["state"] == "unavailable", what="it is refused")
    status = rig.cli("status")
    untouched = rig.side_effects("log")
    folder.chmod(0o700)

    assert rig.result("task-a")["success"]
    assert untouched == []
    assert status.returncode == 3
    assert f"chmod o-w {folder.resolve()}" in " ".join(status.stdout.split())


def test_a_folder_that_opens_up_while_it_is_served_is_refused(tmp_path: Path) -> None:
    """Each claim looks again."""
    tmp_path.chmod(0o700)
    engine = FolderEngine(tmp_path / "q" / "pending", settle_s=lambda: 0)
    engine.open()
    (tmp_path / "q" / "pending" / "task-a.md").write_text("# Text")
    (waiting,) = engine.survey().waiting
    (tmp_path / "q").chmod(0o777)

    with pytest.raises(EngineUnavailable, match="not trusted") as refusal:
        engine.queue.claim(waiting.id, worker="test", now=NOW)
    assert refusal.value.hint == f"fix it with: chmod o-w {tmp_path / 'q'}"


def test_a_group_is_only_told(rig: Rig) -> None:
    """Many systems give each user a group of his own: doctor warns, the queue works."""
    rig.pending().chmod(0o770)
    rig.start()
    rig.drop_command("task-a", "true")

    assert rig.result("task-a")["success"]
    assert f"fix: chmod g-w {rig.pending()}" in rig.cli("doctor").stdout


def folders_of_state(rig: Rig) -> dict[str, Path]:
    """Every folder outside the sources and the configuration, by what it is for; made as the daemon makes them."""
    found = locate(rig.config, environ=rig.environment)
    names = {
        "state": found.state_dir,
        "runtime": found.runtime_dir,
        "worktrees": found.worktrees,
        "tmp": found.temporary,
        "documents": found.documents,
    }
    for folder in names.values():
        durable.make_directory(folder)
    return names


def linked_by_another(folder: Path) -> None:
    elsewhere = folder.with_name("elsewhere")
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    os.chown(folder, 65534, 65534, follow_symlinks=False)


WRONGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "world-writable": (lambda folder: folder.chmod(0o777), "chmod o-w"),
    "the one above it": (lambda folder: folder.parent.chmod(0o777), "chmod o-w"),
    "another user's": (lambda folder: os.chown(folder, 65534, 65534), "chown 0"),
    "a link of another user's": (linked_by_another, "chown -h 0"),
}
TELLING = [
    ("state", "world-writable"),
    ("runtime", "another user's"),
    ("worktrees", "a link of another user's"),
    ("documents", "the one above it"),
]
OTHERS = [
    (which, wrong)
    for which in ("state", "runtime", "worktrees", "tmp", "documents")
    for wrong in WRONGS
    if (which, wrong) not in TELLING
]


@pytest.mark.parametrize(("which", "wrong"), short_and_long(TELLING, OTHERS))
def test_state_that_another_user_could_change_is_not_used(rig: Rig, which: str, wrong: str) -> None:
    """Neither by the daemon nor by a command that acts; each names the folder and the fix, and doctor does."""
    if "another" in wrong and os.geteuid() != 0:
        pytest.skip("only root can make files of another user")
    spoil, fix = WRONGS[wrong]
    folder = folders_of_state(rig)[which]
    spoil(folder)
    before = sorted(rig.pending().iterdir())

    done = [
        rig.cli("daemon"),
        rig.cli("run", "--drain"),
        rig.cli("tasks", "add", "x"),
        rig.cli("tasks", "retry", "task-x"),
    ]
    status, doctor = rig.cli("status"), rig.cli("doctor")

    assert [(each.returncode, f"{folder} is not trusted" in flat(each.stderr)) for each in done] == [
        (1, True)
    ] * 4
    assert all(fix in flat(each.stderr) for each in done)
    assert sorted(rig.pending().iterdir()) == before
    assert status.returncode == 3
    assert f"{folder} is not trusted" in flat(status.stdout)
    assert fix in flat(doctor.stdout)


@pytest.mark.parametrize("which", short_and_long(["documents"], ["tmp"]))
def test_state_that_opens_up_while_the_daemon_runs_holds_the_next_task(rig: Rig, which: str) -> None:
    """It goes on by itself once the folder is closed again."""
    rig.start()
    folder = folders_of_state(rig)[which]
    folder.chmod(0o777)
    rig.drop_command("task-a", "echo ran >> log")
    eventually(lambda: f"{folder} is not trusted" in json.dumps(rig.state()), what="the source says why")
    untouched = rig.side_effects("log")
    folder.chmod(0o700)

    assert rig.result("task-a")["success"]
    assert untouched == []


def flat(text: str) -> str:
    return " ".join(text.split())
