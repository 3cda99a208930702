"""Runs a program under ptrace and numbers every system call that changes the watched folders, by actor.

At the n-th such call of one actor it kills that process before the call is carried out, or makes the call
fail. strace counts per thread and cannot tell the daemon from the runner it leads to; here one number line
per actor covers all its threads, and only calls on the watched folders are counted, so that every number is
a different step of the protocol. A seccomp filter keeps all other calls at full speed.

    python -m tests.proof.tracer '{"watch": ["/folder"], "log": "/file", "kill": ["daemon", 17]}' PROGRAM ...

Instead of a number, ``kill`` may name the call and its path: ``["daemon", "fsync", "/folder/results"]``.

Actors by depth in the process tree: daemon, template, runner, agent (and whatever the agent starts).
The tracer ends when the last traced process has ended; if it is killed, so is everything below it.
Linux on x86-64 only.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import struct
import sys
from pathlib import Path
from typing import Any, TextIO

ACTORS = ("daemon", "template", "runner", "agent")

_CALLS = {
    1: "write", 18: "pwrite64", 20: "writev", 2: "open", 257: "openat", 85: "creat", 74: "fsync", 75: "fdatasync",
    76: "truncate", 77: "ftruncate", 82: "rename", 264: "renameat", 316: "renameat2", 83: "mkdir", 258: "mkdirat",
    84: "rmdir", 86: "link", 265: "linkat", 87: "unlink", 263: "unlinkat", 88: "symlink", 90: "chmod",
    91: "fchmod", 268: "fchmodat",
}  # fmt: skip
_ON_DESCRIPTOR = {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "fchmod"}
_NAMES = {  # (descriptor's argument or None, path's argument) of each name that the call takes; the last is told
    "open": ((None, 0),), "openat": ((0, 1),), "creat": ((None, 0),), "truncate": ((None, 0),),
    "rename": ((None, 0), (None, 1)), "renameat": ((0, 1), (2, 3)), "renameat2": ((0, 1), (2, 3)),
    "mkdir": ((None, 0),), "mkdirat": ((0, 1),), "rmdir": ((None, 0),), "link": ((None, 0), (None, 1)),
    "linkat": ((0, 1), (2, 3)), "unlink": ((None, 0),), "unlinkat": ((0, 1),), "symlink": ((None, 1),),
    "chmod": ((None, 0),), "fchmodat": ((0, 1),),
}  # fmt: skip
_FLAGS_ARGUMENT = {"open": 1, "openat": 2}

_TRACEME, _CONT, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS = 0, 7, 12, 13, 24, 0x4200
_EVENT_SECCOMP = 7
_CALL_RETURNS = signal.SIGTRAP | 0x80
_OPTIONS = 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000  # fork, vfork, clone, exec, seccomp; die with us
_WALL = 0x40000000
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_FILTER = 38, 22, 2
_RET_ALLOW, _RET_TRACE = 0x7FFF0000, 0x7FF00000
_AT_FDCWD = -100

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


_REGISTERS = (
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi",
    "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs",
)  # fmt: skip


class _Registers(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulonglong) for name in _REGISTERS]

    def argument(self, number: int) -> int:
        return int(getattr(self, ("rdi", "rsi", "rdx", "r10", "r8", "r9")[number]))


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def why_not_here() -> str | None:
    """Why nothing can be traced on this machine, None if it can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the tracer knows Linux on x86-64 only, not {platform.system()} on {platform.machine()}"
    child = os.fork()
    if child == 0:
        os._exit(0 if _libc.ptrace(_TRACEME, 0, None, None) == 0 else 1)
    return "ptrace is not permitted here" if os.waitpid(child, 0)[1] else None


class Tracer:
    """One run of one program; *spec* is documented at the module."""

    def __init__(self, spec: dict[str, Any], log: TextIO) -> None:
        self._watch = [os.path.realpath(folder) for folder in spec["watch"]]
        self._kill: tuple[object, ...] | None = tuple(spec["kill"]) if spec.get("kill") else None
        self._fault: dict[str, Any] | None = spec.get("fault")
        """{"actor", "nth", "times", "errno"}: which calls fail; *times* in a row from *nth* on."""
        self._every_open = bool(spec.get("opens"))
        self._results = bool(spec.get("results"))
        """Only calls that succeeded are told, once they return; of those with two names, both."""
        self._returning: dict[int, dict[str, Any]] = {}
        self._log = log
        self._depth: dict[int, int] = {}
        self._group: dict[int, int] = {}
        self._counts = dict.fromkeys(ACTORS, 0)
        self._root = 0

    def run(self, argv: list[str]) -> int:
        """The program's exit code, negative for a signal."""
        self._root = os.fork()
        if self._root == 0:
            self._become_traced(argv)
        os.waitpid(self._root, 0)
        self._ptrace(_SETOPTIONS, self._root, _OPTIONS)
        self._depth[self._root], self._group[self._root] = 0, self._root
        self._ptrace(_CONT, self._root, 0)
        code = 0
        while True:
            try:
                pid, status = os.waitpid(-1, _WALL)
            except ChildProcessError:
                return code
            if os.WIFSTOPPED(status):
                self._stopped(pid, status)
            elif pid == self._root:
                code = os.waitstatus_to_exitcode(status)
                self._tell({"ended": "daemon", "code": code})

    def _become_traced(self, argv: list[str]) -> None:
        try:
            _libc.ptrace(_TRACEME, 0, None, None)
            os.kill(os.getpid(), signal.SIGSTOP)
            _install_filter(every_open=self._every_open)
            os.execvpe(argv[0], argv, os.environ)
        finally:
            os._exit(127)

    def _stopped(self, pid: int, status: int) -> None:
        event, number = status >> 16, os.WSTOPSIG(status)
        deliver = 0
        if pid not in self._group:  # its first stop: SIGSTOP, by the kernel, for us
            self._introduce(pid)
        elif event == _EVENT_SECCOMP:
            self._at_call(pid)
        elif number == _CALL_RETURNS:
            self._at_return(pid)
        elif event == 0 and number != signal.SIGTRAP:
            deliver = number
        self._ptrace(_SYSCALL if pid in self._returning else _CONT, pid, deliver)

    def _introduce(self, pid: int) -> None:
        group, parent = pid, 0
        try:
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                key, _, value = line.partition(":")
                if key == "Tgid":
                    group = int(value)
                elif key == "PPid":
                    parent = int(value)
        except OSError:
            pass
        self._group[pid] = group
        if group == pid:
            self._depth[pid] = self._depth.get(parent, len(ACTORS)) + 1

    def _at_call(self, pid: int) -> None:
        registers = _Registers()
        if not self._ptrace(_GETREGS, pid, ctypes.addressof(registers)):
            return  # killed meanwhile
        call = _CALLS.get(registers.orig_rax)
        if call is None:
            return
        path = self._path_of(pid, call, registers)
        if path is None or not any(path == w or path.startswith(w + "/") for w in self._watch):
            return
        group = self._group[pid]
        actor = ACTORS[min(self._depth.get(group, 3), 3)]
        self._counts[actor] += 1
        nth = self._counts[actor]
        entry: dict[str, Any] = {"actor": actor, "nth": nth, "call": call, "path": path}
        if self._kill in {(actor, nth), (actor, call, path)}:
            self._kill = None
            os.kill(group, signal.SIGKILL)
            self._tell({"killed": entry})
            return
        fault = self._fault
        if fault and fault["actor"] == actor and fault["nth"] <= nth < fault["nth"] + fault["times"]:
            registers.orig_rax = 2**64 - 1
            registers.rax = 2**64 - getattr(errno, fault["errno"])
            self._ptrace(_SETREGS, pid, ctypes.addressof(registers))
            self._tell({"failed": entry})
            return
        if self._results:
            if len(_NAMES.get(call, ())) == 2:
                entry["from"] = self._name(pid, registers, *_NAMES[call][0])
            self._returning[pid] = entry
            return
        self._tell(entry)

    def _at_return(self, pid: int) -> None:
        entry, registers = self._returning.pop(pid), _Registers()
        if self._ptrace(_GETREGS, pid, ctypes.addressof(registers)) and registers.rax < 2**63:
            self._tell(entry)

    def _path_of(self, pid: int, call: str, registers: _Registers) -> str | None:
        try:
            if call in _ON_DESCRIPTOR:
                return str(Path(f"/proc/{pid}/fd/{registers.argument(0)}").readlink())
            paths = [self._name(pid, registers, folder, name) for folder, name in _NAMES[call]]
        except OSError:
            return None
        watched = [p for p in paths if any(p.startswith(w) for w in self._watch)]
        return watched[-1] if watched else paths[-1]

    def _name(self, pid: int, registers: _Registers, folder: int | None, name: int) -> str:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            memory.seek(registers.argument(name))
            raw = b""
            while b"\0" not in raw and len(raw) < 4096:
                address = registers.argument(name) + len(raw)
                raw += memory.read(min(4096, 4096 - address % 4096))
        path = os.fsdecode(raw.split(b"\0", 1)[0])
        if path.startswith("/"):
            return os.path.normpath(path)
        fd = _AT_FDCWD if folder is None else ctypes.c_int(registers.argument(folder) & 0xFFFFFFFF).value
        base = Path(f"/proc/{pid}/cwd" if fd == _AT_FDCWD else f"/proc/{pid}/fd/{fd}").readlink()
        return os.path.normpath(f"{base}/{path}")

    def _ptrace(self, request: int, pid: int, data: int) -> bool:
        return bool(_libc.ptrace(request, pid, None, ctypes.c_void_p(data)) == 0)

    def _tell(self, entry: dict[str, Any]) -> None:
        self._log.write(json.dumps(entry) + "\n")
        self._log.flush()


def _install_filter(*, every_open: bool) -> None:
    """Stop at the calls of the table; at opens only where they create or truncate, unless *every_open*."""
    program: list[tuple[int, int, int, int]] = [(0x20, 0, 0, 0)]  # load the call's number
    for number, name in _CALLS.items():
        flags = _FLAGS_ARGUMENT.get(name)
        if flags is None or every_open:
            program += [(0x15, 0, 1, number), (0x06, 0, 0, _RET_TRACE)]
        else:
            changing = os.O_CREAT | os.O_TRUNC
            program += [
                (0x15, 0, 4, number),
                (0x20, 0, 0, 16 + 8 * flags),  # load the flags
                (0x45, 0, 1, changing),
                (0x06, 0, 0, _RET_TRACE),
                (0x06, 0, 0, _RET_ALLOW),
            ]
    program.append((0x06, 0, 0, _RET_ALLOW))
    raw = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    prepared = _FilterProgram(len(program), raw)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.prctl(_PR_SET_SECCOMP, _SECCOMP_FILTER, ctypes.byref(prepared), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def main() -> int:
    spec = json.loads(sys.argv[1])
    with Path(spec["log"]).open("a", encoding="utf-8") as log:
        return Tracer(spec, log).run(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main() & 0xFF)
