"""Room on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path


def free_mb_at(folder: Path) -> int | None:
    """MiB that are free where *folder* lies; None if it is not a directory."""
    return shutil.disk_usage(folder).free // 2**20 if folder.is_dir() else None
