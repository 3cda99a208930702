"""Which process is which: identity that survives reused process ids, and the marker that finds whole trees.

A process id alone is not enough: ids are reused, after a reboot they collide, and in a container they count
anew. Start ticks (proc(5), field 22 of ``stat``) distinguish two bearers of one id, the boot id two boots, the
PID namespace two containers. Not the start time in seconds, which follows changes of the clock.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from task_queue.platform.wakeup import readable

MARKER_VARIABLE = "TASK_QUEUE_ATTEMPT"
_PROC = Path("/proc")
_POLL_S = 0.02
_EXEC_POLL_S = 0.002
_EXEC_PATIENCE_S = 2.0
"""Longer than any exec should take; a program that has wiped its own arguments looks the same for good."""
_GIT_GRACE_S = 2.0
"""Git removes its lock files on TERM; killed it leaves them, and every later git refuses to work there."""
_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_WALL = 0x40000000
"""Of wait(2): children that end with another signal than SIGCHLD, too."""
_PF_KTHREAD = 0x00200000
"""Of the kernel's include/linux/sched.h: a thread of its own, which has no environment."""
_ENDED = frozenset({b"Z", b"X"})
"""States of proc(5): a zombie, and one that is just being removed."""
_HELD_STILL = frozenset({b"T", b"t"})
_NOT_OURS = (FileNotFoundError, ProcessLookupError, PermissionError)
"""Gone, or another user's. Any other error (no descriptor left) must never pass for a process that ended."""


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for as long as the machine runs: an id alone is reused (source: proc(5), field 22)."""

    pid: int
    pid_start_ticks: int
    boot_id: str
    pid_namespace: str = ""
    """Where the id counts, as ``/proc/self/ns/pid`` names it; empty in records of releases that did not note it."""

    @property
    def is_in_sight(self) -> bool:
        """Whether its id means something here. Of one out of sight only a lock shows whether it lives."""
        return self.boot_id == boot_id() and self.pid_namespace in ("", pid_namespace())


@cache
def boot_id() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


@cache
def pid_namespace() -> str:
    return str((_PROC / "self/ns/pid").readlink())


def proc_is_ours() -> bool:
    """Whether /proc shows the process ids that count for us; not in a container that shows its host's."""
    return str((_PROC / "self").readlink()) == str(os.getpid())


def identity_of(pid: int) -> ProcessIdentity | None:
    """The process that bears *pid* now; None if there is none, or only a zombie."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in _ENDED:
        return None
    return ProcessIdentity(pid, int(fields[19]), boot_id(), pid_namespace())


def own_identity() -> ProcessIdentity:
    return _own_identity(os.getpid())


@cache
def _own_identity(pid: int) -> ProcessIdentity:
    """*pid*, because a forked process has what was cached before, but not the id."""
    fields = _stat_fields(pid)
    assert fields is not None
    return ProcessIdentity(pid, int(fields[19]), boot_id(), pid_namespace())


def is_alive(identity: ProcessIdentity) -> bool:
    """Whether exactly that process still runs; a zombie does not."""
    if not identity.is_in_sight:
        return False
    found = identity_of(identity.pid)
    return found is not None and found.pid_start_ticks == identity.pid_start_ticks


def open_process(identity: ProcessIdentity) -> int | None:
    """A pidfd of exactly that process, None if it is gone or out of sight."""
    if not identity.is_in_sight:
        return None
    try:
        fd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    # Checked after opening: from here on the descriptor cannot mean another process.
    alive = False
    try:
        alive = is_alive(identity)
    finally:
        if not alive:
            os.close(fd)
    return fd if alive else None


def pid_behind(pidfd: int) -> int:
    """Its process id, -1 once it has been reaped (proc(5), ``fdinfo``)."""
    lines = _contents(f"{_PROC}/self/fdinfo/{pidfd}").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(b"Pid:"))


def has_exited(pidfd: int) -> bool:
    """Whether the process behind *pidfd* has ended, reaped or not."""
    return bool(readable(pidfd, timeout_s=0))


def is_held_still(pid: int) -> bool:
    """Whether *pid* cannot act on a signal but a KILL: stopped by one, or by a debugger, or in a frozen cgroup."""
    fields = _stat_fields(pid)
    return fields is not None and (fields[0] in _HELD_STILL or _is_frozen(pid))


def _is_frozen(pid: int) -> bool:
    """By cgroups(7), version 2; of the older freezer's processes not even a KILL ends one."""
    try:
        path = _contents(f"{_PROC}/{pid}/cgroup").rpartition(b"0::")[2].strip().decode()
        return b"frozen 1" in _contents(f"/sys/fs/cgroup{path}/cgroup.events")
    except OSError:  # no cgroups here
        return False


def bearers(marker: str) -> list[ProcessIdentity]:
    """Every process, but ourselves, whose environment carries *marker*.

    A process shows no environment while the kernel puts another program into it (execve(2)), which takes
    many milliseconds on a busy machine; it is looked at again until it does.
    """
    wanted = f"{MARKER_VARIABLE}={marker}".encode(errors="surrogateescape")
    found: list[ProcessIdentity] = []
    pids = [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]
    undecided = [pid for pid in pids if pid != os.getpid()]
    give_up_at = time.monotonic() + _EXEC_PATIENCE_S
    while True:
        bare: list[int] = []
        for pid in undecided:
            environment = _environment(pid)
            if environment is None:
                bare.append(pid)
            elif wanted in environment and wanted in environment.split(b"\0"):
                identity = identity_of(pid)
                if identity is not None:
                    found.append(identity)
        if not bare or time.monotonic() >= give_up_at:
            return found
        undecided = bare
        time.sleep(_EXEC_POLL_S)


def _environment(pid: int) -> bytes | None:
    """What a process shows of its environment; None while it is between two programs."""
    try:
        environment = _contents(f"{_PROC}/{pid}/environ")
        if environment:
            return environment
        fields = _stat_fields(pid)
        if fields is None or fields[0] in _ENDED or int(fields[6]) & _PF_KTHREAD:
            return b""
        # One that was given no environment still shows its arguments.
        return _contents(f"{_PROC}/{pid}/environ") if _contents(f"{_PROC}/{pid}/cmdline") else None
    except _NOT_OURS:
        return b""


def descendants(pid: int) -> list[ProcessIdentity]:
    """Every live process below *pid*, nearest first."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            fields = _stat_fields(int(entry.name))
            if fields is not None:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[ProcessIdentity] = []
    queue = list(children.get(pid, ()))
    while queue:
        child = queue.pop(0)
        queue.extend(children.get(child, ()))
        identity = identity_of(child)
        if identity is not None:
            found.append(identity)
    return found


def send(identity: ProcessIdentity, number: signal.Signals) -> bool:
    """Signal exactly that process; False if it is gone."""
    fd = open_process(identity)
    if fd is None:
        return False
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def end_tree(
    marker: str,
    *,
    root: int | None = None,
    spared: ProcessIdentity | None = None,
    grace_s: float = 5.0,
    git_grace_s: float = _GIT_GRACE_S,
) -> int:
    """End whatever carries *marker* or descends from *root* (which itself is spared), but not *spared* or below it.

    TERM, then KILL after *grace_s* (git has at least *git_grace_s* to clean up), at once where it could not act on
    the TERM, until two passes in a row find nothing; returns how many processes there were. A process can start
    another between two looks, hence the second empty pass. Nothing is searched for below a *root* that the kernel
    says to have no descendant.
    """
    if root == os.getpid() and _has_no_descendant():
        return 0
    seen: set[ProcessIdentity] = set()
    begun = time.monotonic()
    empty_passes = 0
    while empty_passes < 2:
        found = set(bearers(marker))
        if root is not None:
            found.update(descendants(root))
            _reap()
        if spared is not None and is_alive(spared):
            found -= {spared, *descendants(spared.pid)}
        empty_passes = 0 if found else empty_passes + 1
        for identity in found:
            patience_s = max(grace_s, git_grace_s) if _is_git(identity.pid) else grace_s
            force = time.monotonic() >= begun + patience_s or is_held_still(identity.pid)
            if force or identity not in seen:
                send(identity, signal.SIGKILL if force else signal.SIGTERM)
        seen |= found
        if found:
            time.sleep(_POLL_S)
    return len(seen)


def kill_group(leader: int, *, patience_s: float = 5.0) -> None:
    """Kill the process group of *leader*, a child not yet waited for, and wait until none of its processes runs.

    A killed process goes on for a moment: it holds its port and its files until the kernel has ended it.
    What cannot die (it waits for a disk) is left after *patience_s*.
    """
    os.killpg(leader, signal.SIGKILL)
    give_up_at = time.monotonic() + patience_s
    while _runs_in_group(leader) and time.monotonic() < give_up_at:
        time.sleep(_POLL_S)


def _runs_in_group(leader: int) -> bool:
    wanted = str(leader).encode()
    everyone = [_stat_fields(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return any(one is not None and one[2] == wanted and one[0] not in _ENDED for one in everyone)


def _is_git(pid: int) -> bool:
    try:
        return _contents(f"{_PROC}/{pid}/comm").strip() == b"git"
    except _NOT_OURS:
        return False


def become_subreaper() -> None:
    """Orphans below us become our children, so that nothing that descends from us escapes (prctl(2))."""
    import ctypes  # a process that only reads goes without

    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _has_no_descendant() -> bool:
    """Whether the kernel says so of this process: who is left of a subreaper's tree is its child, or below one.

    Costs two system calls, where a search opens files of every process of the machine.
    """
    import ctypes

    is_subreaper = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(is_subreaper), 0, 0, 0)
    return bool(is_subreaper.value) and not _reap()


def _reap() -> bool:
    """Collect children that have ended: orphans come to a subreaper as its own children. Whether any are left."""
    try:
        while os.waitpid(-1, os.WNOHANG | _WALL)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _stat_fields(pid: int) -> list[bytes] | None:
    """The fields of ``/proc/<pid>/stat`` after the command's name: state first, parent next."""
    try:
        raw = _contents(f"{_PROC}/{pid}/stat")
    except _NOT_OURS:
        return None
    return raw[raw.rindex(b")") + 2 :].split()


def _contents(path: str) -> bytes:
    """Of a file below /proc. Bare calls, because each attempt ends with a look at all processes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while part := os.read(fd, 1 << 17):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(fd)
