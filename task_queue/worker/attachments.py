"""Files that came with a task: fetched from the server into the private queue, where its runner finds them."""

from __future__ import annotations

from typing import Any

from task_queue.client import Client
from task_queue.domain.artifacts import BUNDLE_TYPE, ArtifactError, demand_name, media_type_in
from task_queue.store.folder.artifacts import Artifacts
from task_queue.worker.held_claims import HeldTask
from task_queue.worker.uploads import BUNDLE_NAME

_PIECE = 8 * 2**20


def fetch_attachments(client: Client, held: HeldTask, artifacts: Artifacts) -> None:
    """Let *artifacts* have what the order of *held* lists, from where an earlier try ended.

    Raises ArtifactError where one is not what the order says, ApiError, Unreachable, OSError.
    """
    listed = [each for each in held.claim.order.artifacts if not _is_of_a_worker(each)]
    for each in listed:
        demand_name(each["name"])
        have = artifacts.named(each["name"])
        if have is None or have.sha256 != each["sha256"]:
            _fetch(client, held, artifacts, each, most_bytes=sum(int(one["size"]) for one in listed))


def _fetch(
    client: Client, held: HeldTask, artifacts: Artifacts, wanted: dict[str, Any], *, most_bytes: int
) -> None:
    name, size = str(wanted["name"]), int(wanted["size"])
    media_type = media_type_in(wanted["media_type"])
    part = artifacts.part(name)
    offset = part.offset if part is not None and 0 < part.offset <= size else None
    upload = artifacts.begin(name, offset=offset, most_bytes=2 * most_bytes + _PIECE)
    try:
        while upload.offset < size:
            length = min(_PIECE, size - upload.offset)
            data = client.artifact(held.task_id, name, offset=upload.offset, length=length)
            if len(data) != length:
                upload.discard()
                raise ArtifactError(
                    f"the server does not have {size:,} bytes of {name}", code="size_mismatch"
                )
            upload.write(data)
        upload.publish(media_type, sha256=wanted["sha256"])
    finally:
        upload.close()


def _is_of_a_worker(artifact: dict[str, Any]) -> bool:
    """Commits that an earlier attempt handed in."""
    return artifact["media_type"] == BUNDLE_TYPE and BUNDLE_NAME.fullmatch(artifact["name"]) is not None
