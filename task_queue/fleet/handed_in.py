"""Files that were handed in with tasks of a source, on their way to the host that carries one out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from task_queue.domain.artifacts import ArtifactError
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.task import TaskId
from task_queue.fleet.database import Cursor, Database
from task_queue.store.folder.artifacts import Artifacts

MOST_BYTES = 256 * 2**20
"""Of all files of one task."""
_PIECE = 4 * 2**20
_OF_TASK = "source = %(source)s AND host = %(host)s AND task = %(task)s"


class BrokenFilesError(EngineUnavailable):
    """What the tables have of a file is not what was handed in: no host can have it, until it comes in anew."""


class HandedInFiles:
    """Methods raise EngineUnavailable."""

    def __init__(self, database: Database, source: str) -> None:
        self._database, self._source = database, source

    def bring_in(self, host: str, task_id: TaskId, files: Artifacts) -> None:
        """Keep those of a task that came in on *host*, and no others. Idempotent."""
        where = self._where(host, task_id)
        try:
            stored = files.stored()
            with self._database.transaction() as cursor:
                cursor.execute(f"SELECT name, sha256 FROM artifact WHERE {_OF_TASK}".encode(), where)
                if sorted(cursor.fetchall()) == sorted((each.name, each.sha256) for each in stored):
                    return
                forget_files(cursor, where)
                for each in stored:
                    cursor.execute(
                        "INSERT INTO artifact (source, host, task, name, media_type, sha256) VALUES "
                        "(%(source)s, %(host)s, %(task)s, %(name)s, %(media_type)s, %(sha256)s)",
                        {**where, "name": each.name, "media_type": each.media_type, "sha256": each.sha256},
                    )
                    if _keep_content(cursor, {**where, "name": each.name}, files) != each.sha256:
                        raise EngineUnavailable(f"{each.name}, which came with {task_id}, is being changed")
        except OSError as error:
            raise EngineUnavailable(f"{error.filename or files.folder}: {error.strerror or error}") from error

    def fetch(self, host: str, task_id: TaskId, into: Artifacts) -> None:
        """Have them here, whole. Raises BrokenFilesError where the tables do not have them so."""
        where = self._where(host, task_id)
        with self._database.transaction() as cursor:
            known = _known(cursor, where)
            for name, media_type, sha256, _ in known:
                try:
                    _write(cursor, {**where, "name": name}, into, media_type, sha256)
                except (OSError, ArtifactError) as error:
                    is_wrong = isinstance(error, ArtifactError) and error.code == "digest_mismatch"
                    if is_wrong and _known(cursor, where) == known:  # else they have come in anew meanwhile
                        raise BrokenFilesError(
                            f"{name}, which came with it, is cut off or damaged in the database of the fleet: try the "
                            "task again on the host that it came in on, and it comes in anew"
                        ) from error
                    raise EngineUnavailable(f"{name}, which came with {task_id}: {error}") from error

    def _where(self, host: str, task_id: TaskId) -> dict[str, object]:
        return {"source": self._source, "host": host, "task": task_id}


def _known(cursor: Cursor, where: Mapping[str, object]) -> list[tuple[str, str, str, str]]:
    """Name, media type and sha256 of each, and which transaction brought it in."""
    cursor.execute(
        f"SELECT name, media_type, sha256, xmin::text FROM artifact WHERE {_OF_TASK} ORDER BY name".encode(),
        where,
    )
    return cursor.fetchall()


def _keep_content(cursor: Cursor, where: Mapping[str, object], files: Artifacts) -> str:
    """The sha256 of what is kept."""
    digest, opened = hashlib.sha256(), files.open(str(where["name"]))
    if opened is None:
        return ""
    with opened[1] as content:
        for place, piece in enumerate(iter(lambda: content.read(_PIECE), b"")):
            digest.update(piece)
            cursor.execute(
                "INSERT INTO artifact_piece (source, host, task, name, place, content) VALUES "
                "(%(source)s, %(host)s, %(task)s, %(name)s, %(place)s, %(content)s)",
                {**where, "place": place, "content": piece},
            )
    return digest.hexdigest()


def _write(
    cursor: Cursor, where: Mapping[str, object], into: Artifacts, media_type: str, sha256: str
) -> None:
    upload = into.begin(str(where["name"]), offset=None, most_bytes=2 * MOST_BYTES)
    try:
        place = 0
        while True:
            cursor.execute(
                f"SELECT content FROM artifact_piece WHERE {_OF_TASK} AND name = %(name)s "
                "AND place = %(place)s".encode(),
                {**where, "place": place},
            )
            row = cursor.fetchone()
            if row is None:
                break
            upload.write(bytes(row[0]))
            place += 1
        upload.publish(media_type, sha256=sha256)
    finally:
        upload.close()


def forget_files(cursor: Cursor, where: Mapping[str, object]) -> None:
    """*where*: ``source``, ``host``, and ``task``, the name of its document there."""
    for table in ("artifact_piece", "artifact"):
        cursor.execute(f"DELETE FROM {table} WHERE {_OF_TASK}".encode(), where)
