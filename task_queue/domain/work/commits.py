"""The commits that we make: who signs them, their messages, and the trailers by which they are found again. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TASK_ID = "Task-Id"
TASK_QUEUE_ATTEMPT = "Task-Queue-Attempt"
TASK_QUEUE_COST = "Task-Queue-Cost"

_MAX_SUBJECT_CHARS = 72
_MAX_BODY_CHARS = 8000
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_TRAILER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*): (?P<value>.*)")


@dataclass(frozen=True, slots=True)
class Signature:
    """Author and committer, where they are not to be those of the repository's configuration."""

    author_name: str | None = None
    author_email: str | None = None
    committer_name: str | None = None
    committer_email: str | None = None

    @property
    def variables(self) -> dict[str, str]:
        given = {
            "GIT_AUTHOR_NAME": self.author_name,
            "GIT_AUTHOR_EMAIL": self.author_email,
            "GIT_COMMITTER_NAME": self.committer_name,
            "GIT_COMMITTER_EMAIL": self.committer_email,
        }
        return {name: value for name, value in given.items() if value}


def message_of(subject: str, body: str, trailers: Mapping[str, str]) -> str:
    """A commit message: one line, what it is about, and the trailers as its last paragraph."""
    parts = [_subject(subject) or "Carry out a task", _body(body), _block(trailers)]
    return "\n\n".join(part for part in parts if part) + "\n"


def trailers_in(message: str) -> dict[str, str]:
    """The trailers in a message's last paragraphs, up to one that holds anything else.

    Several paragraphs, because hooks append their own (``Signed-off-by``, ``Change-Id``).
    """
    found: dict[str, str] = {}
    for paragraph in reversed(message.strip().split("\n\n")):
        lines = [_TRAILER.fullmatch(line) for line in paragraph.strip().splitlines()]
        if not all(lines):
            break
        for line in lines:
            assert line is not None
            found.setdefault(line["name"], line["value"])
    return found


def _subject(text: str) -> str:
    line = " ".join(_CONTROLS.sub(" ", text).split())
    return line if len(line) <= _MAX_SUBJECT_CHARS else line[: _MAX_SUBJECT_CHARS - 1].rstrip() + "…"


def _body(text: str) -> str:
    """Foreign text, one paragraph or more; a line of it never looks like a trailer."""
    lines = _CONTROLS.sub(" ", text[:_MAX_BODY_CHARS]).strip().splitlines()
    return "\n".join(f"  {line}" if _TRAILER.fullmatch(line) else line.rstrip() for line in lines)


def _block(trailers: Mapping[str, str]) -> str:
    return "\n".join(
        f"{name}: {' '.join(_CONTROLS.sub(' ', value).split())}" for name, value in trailers.items()
    )
