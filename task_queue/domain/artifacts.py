"""Files that are handed in with a task or by who works on it: which names, types and parts are accepted. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from task_queue.domain.errors import TaskQueueError
from task_queue.domain.text import without_invisible

MOST_ARTIFACTS = 200
"""Of one task."""
LONGEST_NAME_BYTES = 180
BUNDLE_TYPE = "application/x-git-bundle"
OTHER_TYPE = "application/octet-stream"
MEDIA_TYPES = frozenset(
    {
        *(OTHER_TYPE, BUNDLE_TYPE, "application/json", "application/x-ndjson", "application/pdf"),
        *("application/zip", "application/gzip", "application/x-tar", "application/zstd"),
        *("image/png", "image/jpeg", "image/gif", "image/webp"),
        *("text/plain", "text/markdown", "text/csv", "text/x-diff"),
    }
)
"""None of them is executed by a browser that shows it."""
_UNUSABLE = frozenset("/\\\ufffd")
_RANGE = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})")
_WANTED = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?")
_DIGEST = re.compile(r"(?i:sha-256)=:?([A-Za-z0-9+/]{43}=):?")


class ArtifactError(TaskQueueError):
    """An artifact is not accepted, or not there. ``code`` and ``details`` are for programs."""

    def __init__(self, message: str, *, code: str, details: Mapping[str, str | int] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = dict(details or {})


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One that is whole. ``sha256``: in hexadecimal digits."""

    name: str
    size: int
    sha256: str
    media_type: str


@dataclass(frozen=True, slots=True)
class PartialArtifact:
    """One of which ``offset`` bytes are here, from its beginning."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class ArtifactPart:
    """What one request brings: ``length`` bytes from ``start`` on, of ``total``.

    ``start`` is None where the whole file comes in one request. It and 0 begin anew, whatever was here before.
    """

    start: int | None
    length: int
    total: int

    @property
    def ends_the_file(self) -> bool:
        return (self.start or 0) + self.length == self.total


def demand_name(name: str) -> None:
    """Raises ArtifactError unless *name* is a plain, visible name of a file."""
    if not name or len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME_BYTES:
        why = f"must have 1 to {LONGEST_NAME_BYTES} bytes"
    elif name.startswith(".") or _UNUSABLE.intersection(name):
        why = "must not begin with a dot, and have no slash, backslash or byte that is not UTF-8"
    elif without_invisible(name) != name or "\n" in name or "\t" in name or name != name.strip():
        why = "must not have control characters, invisible ones, or blanks at its ends"
    else:
        return
    raise ArtifactError(f"the name of an artifact {why}", code="bad_name")


def media_type_in(content_type: str | None) -> str:
    """Without parameters. Raises ArtifactError where it is none that artifacts may have."""
    media_type = (content_type or OTHER_TYPE).partition(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        known = ", ".join(sorted(MEDIA_TYPES))
        raise ArtifactError(f"an artifact must be one of: {known}", code="unsupported_media_type")
    return media_type


def part_of(content_range: str | None, content_length: str | None, *, largest: int) -> ArtifactPart:
    """What the headers of a request say that it brings. Raises ArtifactError.

    ``bytes */TOTAL`` without content asks to finish an upload whose last answer was lost.
    """
    if content_length is None or not content_length.isdecimal() or len(content_length) > 15:
        raise ArtifactError("an upload needs the header Content-Length", code="length_required")
    length = int(content_length)
    if content_range is None:
        part = ArtifactPart(None, length, length)
    else:
        match = _RANGE.fullmatch(content_range.strip())
        if match is None:
            raise ArtifactError(
                "Content-Range must be 'bytes START-END/TOTAL' or 'bytes */TOTAL'", code="bad_range"
            )
        total = int(match[3])
        start = total if match[1] is None else int(match[1])
        end = total if match[2] is None else int(match[2]) + 1
        if not start <= end <= total or end - start != length:
            raise ArtifactError("Content-Range does not fit Content-Length, or its total", code="bad_range")
        part = ArtifactPart(start, length, total)
    if part.total > largest:
        raise ArtifactError(f"an artifact may have at most {largest:,} bytes", code="too_large")
    return part


def sha256_in(*headers: str | None) -> str | None:
    """The sha256 in the first of *headers* that is given (``Repr-Digest``, ``Digest``). Raises ArtifactError."""
    given = next((header for header in headers if header), None)
    if given is None:
        return None
    for each in given.split(","):
        match = _DIGEST.fullmatch(each.strip())
        if match is not None:
            try:
                return base64.b64decode(match[1], validate=True).hex()
            except binascii.Error:
                break
    raise ArtifactError("the digest must be 'sha-256=:BASE64:'", code="bad_digest")


def digest_header(sha256: str) -> str:
    """The value of ``Repr-Digest`` (RFC 9530)."""
    return f"sha-256=:{base64.b64encode(bytes.fromhex(sha256)).decode()}:"


def wanted_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and end of what a ``Range`` asks for, of *size* bytes; None: everything."""
    match = _WANTED.fullmatch((header or "").strip())
    if match is None:
        return None
    start, end = int(match[1]), size if match[2] is None else min(int(match[2]) + 1, size)
    if not start < end:
        raise ArtifactError(
            f"there are {size:,} bytes only", code="range_not_satisfiable", details={"size": size}
        )
    return start, end
