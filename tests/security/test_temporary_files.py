"""Another user of the machine can neither stop an agent by names in ``/tmp``, nor read what its sessions leave."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from task_queue.platform import temporary
from tests.acceptance.agents import AgentRig, bash
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_sandbox import WHY_NOT
from tests.processes import kill
from tests.waiting import eventually

WHERE = 'printf "%s\\n" "$CLAUDE_CODE_TMPDIR" >> where; mktemp >> where'
SANDBOXED = pytest.param(
    "sandboxed", marks=pytest.mark.skipif(WHY_NOT is not None, reason=f"no sandbox: {WHY_NOT}")
)


@pytest.fixture
def shared() -> Iterator[Path]:
    """As ``/tmp``; its path is as short as that of sockets must be."""
    with TemporaryDirectory(prefix="tq-") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def in_a_shared_folder(make_agent_rig: MakeAgentRig, shared: Path, *replies: Reply) -> AgentRig:
    """Agents for which the system's temporary folder is one in which another user has made a name first."""

    def script(request: Request) -> Reply:
        return replies[request.turn - 1] if request.turn <= len(replies) else Say("all done")

    rig = make_agent_rig(script)
    # The CLI refuses a folder of another user and a link alike; a link can be made without being root.
    (shared / f"claude-{os.getuid()}").symlink_to("/nowhere")
    document = json.loads(rig.config.read_text())
    document["agent"]["env"]["TMPDIR"] = str(shared)
    rig.config.write_text(json.dumps(document))
    return rig


def folders_of_attempts(rig: AgentRig) -> list[Path]:
    return list(rig.home.glob(".local/share/task-queue/tmp/*/*"))


@pytest.mark.parametrize("profile", ["guarded", "readonly", SANDBOXED])
def test_a_name_that_another_user_made_first_stops_no_agent(
    make_agent_rig: MakeAgentRig, shared: Path, profile: str
) -> None:
    """The agent has a folder of its own, closed to others, which goes with it."""
    rig = in_a_shared_folder(make_agent_rig, shared, *([] if profile == "readonly" else [bash(WHERE)]))
    rig.start()
    rig.ask("task-a", "do it", permissions=profile)

    result = rig.result("task-a", timeout=120)

    assert result["outcome"] == "succeeded", result
    if profile != "readonly":
        assert str(rig.home / ".local/share/task-queue/tmp") in rig.side_effects("where")[0]
    assert folders_of_attempts(rig) == []


def test_what_a_killed_runner_left_is_removed_by_the_next_daemon(
    make_agent_rig: MakeAgentRig, shared: Path
) -> None:
    """The folder of one that lives is not."""
    working = bash('echo start >> log; mkdir -p "$CLAUDE_CODE_TMPDIR/x"; sleep 600')
    rig = in_a_shared_folder(make_agent_rig, shared, working)
    daemon = rig.start()
    rig.ask("task-a", "do it", max_attempts=1)
    rig.started("log")
    (left,) = eventually(lambda: folders_of_attempts(rig), what="the attempt has its folder")
    mode = stat.S_IMODE(left.stat().st_mode)
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    rig.start()
    kept = folders_of_attempts(rig)
    daemon = rig.daemons[-1]
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    kill(rig.run_record("task-a")["pid"])

    rig.start()

    eventually(lambda: folders_of_attempts(rig) == [], what="the folder of the killed runner goes")
    assert (kept, mode) == ([left], 0o700)


def test_nobody_else_reads_what_a_session_leaves_and_the_owner_keeps_the_usual_modes(
    make_agent_rig: MakeAgentRig,
) -> None:
    """In the foreground the umask is the owner's, and so are the modes in the workspace."""
    written = "{workspace}/written"

    def script(request: Request) -> Reply:
        match request.turn:
            case 1:
                return bash("umask; echo made > made; mkdir folder")
            case 2:
                return UseTool(
                    "Write", {"file_path": written.format(workspace=rig.workspace), "content": "x"}
                )
            case _:
                return Say("all done")

    rig = make_agent_rig(script)
    rig.home.chmod(0o755)
    rig.ask("task-a", "do it")
    before = os.umask(0o022)
    try:
        done = rig.cli("run", "--drain")
    finally:
        os.umask(before)

    records = rig.home / ".claude"
    open_to_others = [path for path in records.rglob("*.sh") if reachable_by_others(path, rig.home)]
    open_to_others += [path for path in records.rglob("*.jsonl") if reachable_by_others(path, rig.home)]
    modes = {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in rig.workspace.iterdir()}
    assert done.returncode == 0, done.stderr
    assert list(records.rglob("*.jsonl"))
    assert (records / "shell-snapshots").is_dir()
    assert open_to_others == []
    assert modes | {"made": "0o644", "written": "0o644", "folder": "0o755"} == modes


def reachable_by_others(path: Path, root: Path) -> bool:
    way = [path, *path.parents[: len(path.relative_to(root).parts)]]
    return all(each.stat().st_mode & 0o007 for each in way)


def test_a_folder_goes_however_deep_it_is_and_whatever_modes_it_has(tmp_path: Path) -> None:
    """An agent can leave both: deeper than the stack and than a path can be."""
    victim = tmp_path / "kept"
    victim.write_text("kept")
    here = own = temporary.make(tmp_path / "tmp")
    before = Path.cwd()
    try:
        for _ in range(3000):
            os.chdir(here)
            here = Path("deep")
            here.mkdir()
            Path("link").symlink_to(victim)
    finally:
        os.chdir(before)
    closed = own / "closed"
    (closed / "inner").mkdir(parents=True)
    closed.chmod(0)

    temporary.remove_tree(own)

    assert not own.exists()
    assert victim.read_text() == "kept"


@pytest.mark.parametrize("made", ["file", "link", "missing"])
def test_what_is_no_folder_goes_too(tmp_path: Path, made: str) -> None:
    path = tmp_path / "1-1-x"
    (tmp_path / "target").mkdir()
    match made:
        case "file":
            path.write_text("")
        case "link":
            path.symlink_to(tmp_path / "target")
        case _:
            pass

    assert temporary.sweep(tmp_path) == (1 if made == "missing" else 2)
    assert list(tmp_path.iterdir()) == []
