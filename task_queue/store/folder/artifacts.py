"""The artifacts of one task, in ``artifacts/`` of its folder of logs.

While one is uploaded it is ``.NAME.partial``, on which the upload holds a lock; whole, it gets its name. What is known
of it is in ``.NAME.json`` before that, and counts for the file of that size and time only.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from task_queue.domain.artifacts import (
    MOST_ARTIFACTS,
    OTHER_TYPE,
    ArtifactError,
    PartialArtifact,
    StoredArtifact,
)
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.store.folder.files import make_folder, read_record
from task_queue.store.folder.layout import Layout

_PARTIAL = ".partial"
_RECORD = ".json"
_AT_ONCE = 2**20


@dataclass(frozen=True, slots=True)
class ArtifactRecord:
    """What is known of the file that has this size and time."""

    size: int
    mtime_ns: int
    sha256: str
    media_type: str
    schema_version: int = 1


class Artifacts:
    """Of one task. Every method may raise OSError."""

    def __init__(self, layout: Layout, task_id: TaskId) -> None:
        self._layout = layout
        self._log = layout.log(task_id)
        self.folder = layout.artifacts(task_id)

    def stored(self) -> tuple[StoredArtifact, ...]:
        """Those that are whole, by name."""
        found = (self.named(name) for name in sorted(self._names()) if not name.startswith("."))
        return tuple(each for each in found if each is not None)

    def partial(self) -> tuple[PartialArtifact, ...]:
        """Those of which a part is here, by name."""
        names = (name for name in sorted(self._names()) if name.startswith(".") and name.endswith(_PARTIAL))
        return tuple(each for name in names if (each := self.part(name[1 : -len(_PARTIAL)])) is not None)

    def named(self, name: str) -> StoredArtifact | None:
        opened = self.open(name)
        if opened is None:
            return None
        opened[1].close()
        return opened[0]

    def part(self, name: str) -> PartialArtifact | None:
        with suppress(FileNotFoundError, NotADirectoryError):
            about = self._partial(name).lstat()
            if stat.S_ISREG(about.st_mode):
                return PartialArtifact(name, about.st_size)
        return None

    def open(self, name: str) -> tuple[StoredArtifact, BinaryIO] | None:
        """What is known of it, and its content; None where there is none that is whole."""
        try:
            file = durable.open_regular(self.folder / name)
        except OSError as error:
            if error.errno in durable.NO_REGULAR_FILE:
                return None
            raise
        try:
            about = os.fstat(file.fileno())
            record = read_record(ArtifactRecord, self.folder / f".{name}{_RECORD}")
            if isinstance(record, ArtifactRecord) and (record.size, record.mtime_ns) == (
                about.st_size,
                about.st_mtime_ns,
            ):
                return StoredArtifact(name, record.size, record.sha256, record.media_type), file
            return StoredArtifact(name, about.st_size, _sha256_of(file.fileno()), OTHER_TYPE), file
        except BaseException:
            file.close()
            raise

    def size(self) -> int:
        """Bytes of all of them, also of parts."""
        return sum(self._sizes())

    def begin(self, name: str, *, offset: int | None, most_bytes: int) -> ArtifactUpload:
        """Go on with an upload at *offset*, None: anew; *most_bytes* is for all artifacts of the task.

        Raises ArtifactError where another one is at work, or the part that is here ends elsewhere.
        """
        make_folder(self._layout, self._log)
        make_folder(self._layout, self.folder)
        others = {each.removeprefix(".").removesuffix(_PARTIAL) for each in self._names()} - {name}
        if len(others) >= 2 * MOST_ARTIFACTS:  # each has a record
            raise ArtifactError(f"a task may have at most {MOST_ARTIFACTS} artifacts", code="artifacts_full")
        return ArtifactUpload(self, name, self._partial(name), offset=offset, most_bytes=most_bytes)

    def _partial(self, name: str) -> Path:
        return self.folder / f".{name}{_PARTIAL}"

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)  # noqa: PTH208 - names only
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _sizes(self) -> Iterator[int]:
        for name in self._names():
            with suppress(FileNotFoundError):
                yield (self.folder / name).lstat().st_size


class ArtifactUpload:
    """One that no other upload of its name meets. After an error of the disk nothing of it is left."""

    def __init__(
        self, artifacts: Artifacts, name: str, path: Path, *, offset: int | None, most_bytes: int
    ) -> None:
        self._artifacts = artifacts
        self._name = name
        self._path = path
        self._most_bytes = most_bytes
        self._fd = _locked(path)
        try:
            if offset is None:
                os.ftruncate(self._fd, 0)
            self.offset = os.fstat(self._fd).st_size
            if offset is not None:
                self._demand_offset(offset)
        except BaseException:
            self.close()
            raise

    def write(self, data: bytes) -> None:
        """Append. Raises OSError, ArtifactError where the task's artifacts would be too large together."""
        if self._artifacts.size() + len(data) > self._most_bytes:
            self.discard()
            raise ArtifactError(
                f"the artifacts of a task may have at most {self._most_bytes:,} bytes together",
                code="artifacts_full",
            )
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.discard()
            raise
        self.offset += len(data)

    def keep(self) -> PartialArtifact:
        """What is here is durable from now on."""
        os.fsync(self._fd)
        durable.sync_directory(self._path.parent)
        return PartialArtifact(self._name, self.offset)

    def publish(self, media_type: str, *, sha256: str | None) -> tuple[StoredArtifact, bool]:
        """Give the whole file its name; also whether that was new. Raises ArtifactError unless it has *sha256*."""
        digest = _sha256_of(self._fd)
        if sha256 is not None and digest != sha256:
            self.discard()
            raise ArtifactError("what has arrived has another sha256: send it again", code="digest_mismatch")
        target = self._path.parent / self._name
        is_new = not os.path.lexists(target)
        try:
            os.fsync(self._fd)
            about = os.fstat(self._fd)
            record = ArtifactRecord(about.st_size, about.st_mtime_ns, digest, media_type)
            durable.replace(self._path.parent / f".{self._name}{_RECORD}", encode(record))
            self._path.rename(target)
            durable.sync_directory(target.parent)
        except OSError:
            self.discard()
            raise
        return StoredArtifact(self._name, about.st_size, digest, media_type), is_new

    def discard(self) -> None:
        """Remove what is here of it."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what is here stays for who goes on."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _demand_offset(self, offset: int) -> None:
        if offset != self.offset:
            raise ArtifactError(
                f"{self.offset:,} bytes of it are here: go on there",
                code="offset_mismatch",
                details={"state": "uploading", "offset": self.offset},
            )


def _sha256_of(fd: int) -> str:
    digest, at = hashlib.sha256(), 0
    while data := os.pread(fd, _AT_ONCE, at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def _locked(path: Path) -> int:
    """A descriptor of the file that *path* names, made where there is none, locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    while True:
        fd = os.open(path, flags, 0o600)
        try:
            if _is_ours_alone(fd, path):
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _is_ours_alone(fd: int, path: Path) -> bool:
    """False: it was published just now, by who held the lock."""
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise OSError(errno.ENOTSUP, "not a regular file", str(path))
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(fd), path.lstat())
    except FileNotFoundError:
        return False
    except BlockingIOError:
        raise ArtifactError(
            "another upload of that name is at work", code="upload_running", details={"state": "uploading"}
        ) from None
