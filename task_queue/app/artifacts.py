"""The artifacts of a task: who may hand them in and when, and what there is."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from task_queue.app.claim_names import ClaimName
from task_queue.app.claiming import WorkerDesk
from task_queue.app.finding import found
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments, demand_change, tracked
from task_queue.config.api_settings import ApiSettings
from task_queue.domain.artifacts import (
    ArtifactError,
    ArtifactPart,
    PartialArtifact,
    StoredArtifact,
    demand_name,
    media_type_in,
    part_of,
    sha256_in,
)
from task_queue.domain.policy import AccessRole, Caller
from task_queue.domain.task import TaskId, TaskState
from task_queue.platform import disk
from task_queue.store.folder.artifacts import Artifacts

_MB = 2**20


@dataclass(frozen=True, slots=True)
class ArtifactHeaders:
    """What a request to hand something in says of it; None: it does not."""

    content_length: str | None = None
    content_range: str | None = None
    content_type: str | None = None
    repr_digest: str | None = None
    digest: str | None = None
    claim: str | None = None


@dataclass(frozen=True, slots=True)
class ArtifactsView:
    """``uploads`` are those of which a part is here."""

    artifacts: tuple[StoredArtifact, ...]
    uploads: tuple[PartialArtifact, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """What one request came to: the whole artifact, or how much of it is here."""

    artifact: StoredArtifact | None
    part: PartialArtifact | None = None
    is_new: bool = False


def artifacts_of(
    installation: Installation, task_id: str, caller: Caller, kept: KeptDocuments
) -> ArtifactsView:
    """Raises UnknownTaskError, OSError."""
    artifacts, _ = _of(installation, tracked(installation, task_id, caller, kept).id)
    return ArtifactsView(artifacts.stored(), artifacts.partial())


def opened_artifact(
    installation: Installation, task_id: str, name: str, caller: Caller, kept: KeptDocuments
) -> tuple[StoredArtifact, BinaryIO]:
    """The artifact and its content. Raises UnknownTaskError, OSError, ArtifactError also where a part only is here."""
    artifacts, _ = _of(installation, tracked(installation, task_id, caller, kept).id)
    demand_name(name)
    opened = artifacts.open(name)
    if opened is None:
        part = artifacts.part(name)
        if part is None:
            raise ArtifactError(f"task {task_id} has no artifact of that name", code="artifact_not_found")
        raise ArtifactError(
            f"{part.offset:,} bytes of it are here, and more is to come",
            code="artifact_incomplete",
            details={"state": "uploading", "offset": part.offset},
        )
    return opened


class HandIn:
    """One request that hands an artifact in. ``close`` it, whatever happened."""

    def __init__(
        self,
        installation: Installation,
        desk: WorkerDesk,
        named: tuple[str, str],
        headers: ArtifactHeaders,
        *,
        caller: Caller,
        kept: KeptDocuments,
    ) -> None:
        """*named*: the task's id and the artifact's name.

        Raises UnknownTaskError, NotAllowedError, ArtifactError, ConfigError, OSError.
        """
        task_id, name = named
        self._installation = installation
        self._desk = desk
        self._caller = caller
        self._claim = None if headers.claim is None else ClaimName.parsed(headers.claim)
        demand_name(name)
        if self._claim is None:
            task = demand_change(installation, task_id, caller, kept)
        else:
            caller.demand(AccessRole.WORK)
            task = tracked(installation, task_id, caller, kept)
        self._task_id = task.id
        config = installation.config
        limits = config.api or ApiSettings()
        self._media_type = media_type_in(headers.content_type)
        self._sha256 = sha256_in(headers.repr_digest, headers.digest)
        self._part = part_of(headers.content_range, headers.content_length, largest=limits.artifact_mb * _MB)
        self._artifacts = self._demand_right()
        self._demand_room(self._part, config.limits.min_free_mb)
        with _disk_trouble(self._artifacts):
            self._upload = self._artifacts.begin(
                name, offset=self._part.start or None, most_bytes=limits.artifacts_mb * _MB
            )

    def write(self, data: bytes) -> None:
        """The next bytes. Raises ArtifactError, OSError; nothing is left of it then."""
        with _disk_trouble(self._artifacts):
            self._upload.write(data)

    def finish(self) -> Received:
        """All that the request brings has been written. Raises ArtifactError, OSError."""
        with _disk_trouble(self._artifacts):
            if not self._part.ends_the_file:
                return Received(None, self._upload.keep())
            self._demand_right_at_end()
            artifact, is_new = self._upload.publish(self._media_type, sha256=self._sha256)
            return Received(artifact, is_new=is_new)

    def close(self) -> None:
        """What is here of an artifact that is not whole stays, for who goes on."""
        self._upload.close()

    def _demand_right_at_end(self) -> None:
        try:
            self._demand_right()
        except BaseException:
            self._upload.discard()
            raise

    def _demand_right(self) -> Artifacts:
        """Of the claim's owner, or while the task waits: an attempt may not find other files than it began with."""
        artifacts, state = _of(self._installation, self._task_id)
        if self._claim is not None:
            self._desk.demand_held(self._claim, self._task_id, self._caller)
        elif state is not TaskState.PENDING:
            raise ArtifactError(
                f"task {self._task_id} is {state}: artifacts are handed in while it waits, or by who works on it",
                code=f"task_{state.value}",
                details={"state": state.value},
            )
        return artifacts

    def _demand_room(self, part: ArtifactPart, min_free_mb: int) -> None:
        folder = self._artifacts.folder.parents[2]
        free_mb = disk.free_mb_at(folder)
        if free_mb is not None and free_mb - part.length // _MB < min_free_mb:
            raise ArtifactError(
                f"{free_mb:,} MB are free on the disk of {folder}, and {min_free_mb:,} must stay",
                code="no_space",
            )


def _of(installation: Installation, task_id: str) -> tuple[Artifacts, TaskState]:
    known = TaskId(task_id)
    listed, state = found(installation.sources(), known)
    return Artifacts(listed.folders, known), state


@contextmanager
def _disk_trouble(artifacts: Artifacts) -> Generator[None]:
    try:
        yield
    except OSError as error:
        why = disk.why_refused(error.errno, artifacts.folder)
        if why is None:
            raise
        raise ArtifactError(why, code="no_space") from error
