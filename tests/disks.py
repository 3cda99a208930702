"""Small file systems of their own, for tests that fill one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def memory_disk(folder: Path, option: str) -> Iterator[None]:
    """A tmpfs with *option* on *folder*; skips the test where mounting is not permitted."""
    mount = ["mount", "-t", "tmpfs", "-o", f"{option},mode=0700", "scratch", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
