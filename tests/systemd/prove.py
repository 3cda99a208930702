"""Shows under a real systemd what the unit promises. Run it as root: ``python -m tests.systemd.prove``.

    --daemon stand-in | real    the stand-in of this folder (default), or this checkout's task-queue

A user manager of its own is started in namespaces of its own (mounts, processes, control groups), so
nothing outside is touched and nothing is left behind. Where that is impossible it says why and ends with 0.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from task_queue.app import service
from tests.systemd.stand_in import marked
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
MANAGER = Path("/lib/systemd/systemd")
APART = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--mount-proc", "--kill-child"]
RUNTIME = Path("/run/user/0")
GROUP = f"/sys/fs/cgroup/proof-{os.getpid()}"
MOUNT_GROUPS = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
PREPARE = f"""
mount -t tmpfs tmpfs /run
{MOUNT_GROUPS}
mkdir -p -m 700 /run/systemd/system {RUNTIME} {GROUP}
echo $$ > {GROUP}/cgroup.procs
"""
CLEAN_UP = f"{MOUNT_GROUPS}; find {GROUP} -depth -type d -exec rmdir {{}} +"
COMMANDS = {
    "stand-in": [sys.executable, "-m", "tests.systemd.stand_in"],
    "real": [sys.executable, "-m", "task_queue.cli"],
}
# Only the durations of the unit are shortened.
QUICK = "[Service]\nRestartSec=500ms\nWatchdogSec=4\nTimeoutStopSec=6\n[Unit]\nStartLimitBurst=50\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--daemon", choices=COMMANDS, default="stand-in")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        return prove(given.daemon)
    obstacle = why_not()
    try:
        if obstacle is None:
            return prove_apart(given.daemon)
    finally:
        clean_up()
    print(f"skipped: {obstacle}")
    return 0


def prove_apart(kind: str) -> int:
    """Run this program once more, where it may do as it likes."""
    home = Path(tempfile.mkdtemp(prefix="proof-"))
    try:
        inside = [sys.executable, "-m", "tests.systemd.prove", "--inside", "--daemon", kind]
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "XDG_RUNTIME_DIR": str(RUNTIME),
        }
        script = f"{PREPARE}exec {shlex.join(inside)}"
        return subprocess.run(
            [*APART, "sh", "-ec", script], env=environment, cwd=ROOT, check=False
        ).returncode
    finally:
        shutil.rmtree(home, ignore_errors=True)


def why_not() -> str | None:
    """What is missing here for the proof."""
    if os.geteuid() != 0:
        return "it takes root to mount a control group tree"
    if not MANAGER.exists():
        return f"there is no {MANAGER} (package systemd)"
    for program in ("unshare", "systemctl"):
        if shutil.which(program) is None:
            return f"there is no {program}"
    tried = subprocess.run([*APART, "sh", "-ec", PREPARE], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"no namespaces with a control group tree of their own: {tried.stderr.strip()}"
    return None


def clean_up() -> None:
    """The control groups outlive the namespaces in which they were made."""
    subprocess.run(["unshare", "--mount", "--cgroup", "sh", "-c", CLEAN_UP], capture_output=True, check=False)


def prove(kind: str) -> int:
    home = Path(os.environ["HOME"])
    proof = Proof(home, COMMANDS[kind])
    manager = start_manager()
    passed = failed = 0
    try:
        if kind == "real":
            give_work(home)
        for step in proof.steps():
            started = time.monotonic()
            try:
                step()
            except Exception:  # noqa: BLE001 - a failed step is reported, and the next is tried
                failed += 1
                print(f"FAILED  {step.__doc__}")
                traceback.print_exc()
                print(service.status())
            else:
                passed += 1
                print(f"ok      {step.__doc__} ({time.monotonic() - started:.1f} s)", flush=True)
    finally:
        manager.kill()
        manager.wait()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def start_manager() -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    manager = subprocess.Popen([MANAGER, "--user"], stdin=quiet, stdout=quiet, stderr=quiet)
    eventually((RUNTIME / "systemd" / "private").exists, timeout=60, what="the user manager answers")
    return manager


def give_work(home: Path) -> None:
    """A source with one task that takes long and needs no agent."""
    pending = home / "tasks" / "web" / "pending"
    pending.mkdir(parents=True, mode=0o700)
    config = home / ".config" / "task-queue" / "config.json"
    config.parent.mkdir(parents=True)
    content = {
        "version": "2.1",
        "project_workspace": str(home),
        "task_source_directories": [{"id": "web", "path": str(pending), "description": "", "added_at": None}],
        "executors": {"sleeper": {"kind": "command", "argv": ["sleep", "1000"]}},
        "stop_grace_seconds": 2,
    }
    config.write_text(json.dumps(content))
    config.chmod(0o600)
    text = "---\nexecutor: sleeper\nworkflow: single\non_lost_session: rerun\n---\n# Sleep\n"
    (pending / "task-20260207-120000-sleep.md").write_text(text)


class Proof:
    """The promises, in the order in which they build on each other."""

    def __init__(self, home: Path, command: list[str]) -> None:
        self._unit_dir = home / ".config" / "systemd" / "user"
        self._command = command
        self._runner: set[int] = set()

    def steps(self) -> tuple[Callable[[], None], ...]:
        return (
            self.install,
            self.work,
            self.crash,
            self.hang,
            self.reload,
            self.restart,
            self.stop,
            self.stop_while_hanging,
            self.uninstall,
        )

    def install(self) -> None:
        """install writes, enables and starts the unit, and returns once the daemon said READY"""
        quick = self._unit_dir / "task-queue.service.d" / "quick.conf"
        quick.parent.mkdir(parents=True)
        quick.write_text(QUICK)
        environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH")}
        service.install(self._unit_dir, self._command, environment=environment)

        found = service.status()
        assert (found.installed, found.enabled, found.active, found.sub) == (True, True, "active", "running")
        assert found.pid

    def work(self) -> None:
        """the daemon starts a runner"""
        self._runner = settled_runner()

    def crash(self) -> None:
        """kill -9 of the daemon: restarted, and the very same runner goes on, alone"""
        pid = service.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_other_than(pid), what="the daemon was restarted")

        assert service.status().restarts == 1
        self._same_runner()

    def hang(self) -> None:
        """the daemon hangs: ended by the watchdog, restarted, and the runner goes on"""
        pid = freeze()
        eventually(lambda: is_other_than(pid), timeout=60, what="the watchdog replaced the daemon")

        assert service.status().restarts == 2
        self._same_runner()

    def reload(self) -> None:
        """reload is answered, and neither the daemon nor the runner changes"""
        pid = service.status().pid
        systemctl("reload", service.UNIT)
        eventually(lambda: service.status().active == "active")

        assert service.status().pid == pid
        self._same_runner()

    def restart(self) -> None:
        """restart ends the runner first, and the new daemon starts another"""
        systemctl("restart", service.UNIT)

        assert not (self._runner & marked())
        self._runner = settled_runner()

    def stop(self) -> None:
        """stop is final: no daemon, no runner, nothing left in the unit's group, no failure"""
        group = control_group()
        systemctl("stop", service.UNIT)

        assert marked() == set()
        assert not (group / "cgroup.procs").exists() or (group / "cgroup.procs").read_text() == ""
        found = service.status()
        assert (found.active, found.result, found.pid) == ("inactive", "success", None)

    def stop_while_hanging(self) -> None:
        """stop of a daemon that hangs: ended after its time, and its runner is swept"""
        systemctl("start", service.UNIT)
        settled_runner()
        freeze()
        systemctl("stop", service.UNIT)

        assert service.status().result == "timeout"
        assert marked() == set()

    def uninstall(self) -> None:
        """uninstall leaves no unit behind"""
        assert service.uninstall(self._unit_dir)

        found = service.status()
        assert (found.installed, found.active) == (False, "inactive")

    def _same_runner(self) -> None:
        now = settled_runner()
        assert now == self._runner, f"was {self._runner}, is now {now}:\n{processes()}"


def processes() -> str:
    """What runs in here, as a tree."""
    return subprocess.run(
        ["ps", "-eo", "pid,ppid,args", "--forest"], capture_output=True, text=True, check=False
    ).stdout


def settled_runner() -> set[int]:
    """The marked processes, once they have not changed for half a second."""
    seen: set[int] = set()
    since = time.monotonic()

    def still() -> set[int]:
        nonlocal seen, since
        now = marked()
        if now != seen:
            seen, since = now, time.monotonic()
        return seen if time.monotonic() - since > 0.5 else set()

    return eventually(still, what="a runner works")


def is_other_than(pid: int) -> bool:
    found = service.status()
    return found.active == "active" and found.pid is not None and found.pid != pid


def freeze() -> int:
    """Make the daemon, and it alone, hang so that no signal but SIGKILL reaches it; return its pid."""
    pid = service.status().pid
    assert pid is not None
    ice = control_group() / "ice"
    ice.mkdir(exist_ok=True)
    (ice / "cgroup.procs").write_text(str(pid))
    (ice / "cgroup.freeze").write_text("1")
    eventually(lambda: "frozen 1" in (ice / "cgroup.events").read_text(), what="the daemon is frozen")
    return pid


def control_group() -> Path:
    group = systemctl("show", service.UNIT, "--property=ControlGroup", "--value").strip()
    return Path("/sys/fs/cgroup") / group.lstrip("/")


def systemctl(*arguments: str) -> str:
    done = subprocess.run(["systemctl", "--user", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or arguments[0] == "stop", done.stderr
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
