"""Contents that Git LFS keeps outside of the objects: those of the agent's commits come to the owner's repository."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.platform import durable

_NAME = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20
_MODE = 0o444


def bring_large_files(own: Path, common_dir: Path) -> int:
    """Copy what the checkout's repository *own* has and the owner's lacks; how many.

    A file counts only where its content has the sha256 that it is named after. Raises GitError.
    """
    brought = 0
    for source in sorted((own / "lfs/objects").glob("??/??/*")):
        target = common_dir / "lfs/objects" / source.name[:2] / source.name[2:4] / source.name
        if not _NAME.fullmatch(source.name) or target.exists() or not _is_what_it_says(source):
            continue
        try:
            durable.make_directory(target.parent)
            with durable.open_regular(source) as file, tempfile.NamedTemporaryFile(dir=target.parent) as copy:
                shutil.copyfileobj(file, copy, _CHUNK_BYTES)
                copy.flush()
                Path(copy.name).chmod(_MODE)
                with contextlib.suppress(FileExistsError):
                    os.link(copy.name, target)
        except OSError as error:
            raise GitError(
                f"{target}: {error.strerror}", hint="make room, or the repository writable"
            ) from error
        brought += 1
    return brought


def _is_what_it_says(source: Path) -> bool:
    digest = hashlib.sha256()
    with contextlib.suppress(OSError):
        if not stat.S_ISREG(source.lstat().st_mode):
            return False
        with durable.open_regular(source) as file:
            while data := file.read(_CHUNK_BYTES):
                digest.update(data)
        return digest.hexdigest() == source.name
    return False
