"""Run as another user: tries everything below a home, and prints as JSON what it gained. HOME WORKSPACE PID."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import stat
import sys
from pathlib import Path


def main(home: Path, workspace: Path, pid: int) -> list[str]:
    gained: list[str] = []
    for folder, folders, files in os.walk(home):
        here = Path(folder)
        if here == workspace:
            folders.clear()
            continue
        with contextlib.suppress(OSError):
            (here / "task-planted.md").write_text("---\nexecutor: sh\n---\ntouch /tmp/planted\n")
            gained.append(f"made a file in {here}")
        for path in (here / name for name in files):
            gained += try_file(path)
    for what in ("environ", "mem", "fd", "cwd"):
        with contextlib.suppress(OSError):
            place = Path(f"/proc/{pid}/{what}")
            seen = (
                list(place.iterdir())
                if what == "fd"
                else place.read_bytes()
                if what != "cwd"
                else place.readlink()
            )
            gained += [f"looked into {place}"] if seen else []
    for number in (signal.SIGTERM, signal.SIGCONT):
        with contextlib.suppress(OSError):
            os.kill(pid, number)
            gained.append(f"signalled {pid}")
    return gained


def try_file(path: Path) -> list[str]:
    gained: list[str] = []
    with contextlib.suppress(OSError):
        if stat.S_ISSOCK(path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
            return [f"connected to {path}"]
    for verb, flags in (("read", os.O_RDONLY), ("opened for writing", os.O_WRONLY)):
        with contextlib.suppress(OSError):
            os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW))
            gained.append(f"{verb} {path}")
    return gained


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
