"""What goes to the server while a task runs and after it: its transcript, and its commits in pieces."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

from task_queue.client import ApiError, Client
from task_queue.worker.held_claims import FramesSent, HeldTask
from task_queue.worker.private_queue import PrivateQueue

BUNDLE_NAME = re.compile(r"commits-\d+\.bundle")
"""Of the commits of an attempt."""
_PIECE = 8 * 2**20
_AT_ONCE = 512 * 1024
_MOST_LINES = 2000
_LONGEST_LINE = 190_000


def send_frames(client: Client, queue: PrivateQueue, held: HeldTask) -> FramesSent:
    """Send the next lines that are there; how far that is then, the same as before if there are none.

    Raises ApiError, Unreachable, OSError.
    """
    sent = held.sent
    attempts = queue.attempts_of(held.local_id)
    if sent.attempt not in attempts:
        return sent
    data = queue.transcript(held.local_id, sent.attempt, sent.offset, _AT_ONCE)
    if not data:
        later = [each for each in attempts if each > sent.attempt]
        return FramesSent(later[0], 0, sent.lines) if later else sent
    lines = data.split(b"\n")[:-1][:_MOST_LINES]
    used = sum(len(line) + 1 for line in lines)
    try:
        answer = client.frames(held.claim.id, held.claim.epoch, sent.lines, [_frame(line) for line in lines])
    except ApiError as error:
        if error.code != "frames_missing":
            raise
        return FramesSent(sent.attempt, sent.offset, int(error.details["offset"]))
    return FramesSent(sent.attempt, sent.offset + used, answer.offset)


def upload_bundle(client: Client, held: HeldTask, name: str, file: Path) -> None:
    """All of *file*, from where an earlier try ended. Raises ApiError, Unreachable, OSError."""
    total = file.stat().st_size
    with file.open("rb") as content:
        digest = base64.b64encode(hashlib.file_digest(content, "sha256").digest()).decode()
        claim = f"{held.claim.id};epoch={held.claim.epoch}"
        start = client.uploaded(held.task_id, name)
        if start is None or start > total:
            start = 0  # of an earlier bundle; this one replaces it
        while True:
            content.seek(start)
            data = content.read(_PIECE)
            client.upload(
                held.task_id,
                name,
                data,
                start=start,
                total=total,
                digest=f"sha-256=:{digest}:",
                claim=claim,
            )
            start += len(data)
            if start >= total:
                return


def _frame(line: bytes) -> str:
    text = line.decode(errors="replace").replace("\r", " ")
    if len(text) <= _LONGEST_LINE and text.startswith("{") and text.endswith("}"):
        return text
    return json.dumps({"omitted_bytes": len(line)})
