"""The commits that we make: who signs them, their messages, and the trailers by which they are found again. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from task_queue.domain.text import without_invisible

TASK_ID = "Task-Id"
TASK_QUEUE_ATTEMPT = "Task-Queue-Attempt"
TASK_QUEUE_COST = "Task-Queue-Cost"
TASK_QUEUE_UNDOES = "Task-Queue-Undoes"
"""Of a commit that takes a landing back: what the branch was with it."""

_ONLY_OURS = (TASK_ID, TASK_QUEUE_ATTEMPT, TASK_QUEUE_COST, TASK_QUEUE_UNDOES)
_MAX_SUBJECT_CHARS = 72
_MAX_BODY_CHARS = 8000
_OURS_IN_TEXT = re.compile(rf"\b({'|'.join(_ONLY_OURS)})\s*:", re.IGNORECASE)
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


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """One commit; who made it as ``Name <email>``."""

    commit: str
    author: str
    committer: str
    message: str


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


def doubts_about(commits: Sequence[CommitFacts], configured: Collection[str]) -> tuple[str, ...]:
    """What is odd about commits that the agent made; *configured* are the names it may commit as."""
    doubts: list[str] = []
    for commit in commits:
        short = commit.commit[:12]
        for role, who in (("author", commit.author), ("committer", commit.committer)):
            if who not in configured:
                doubts.append(f"the agent's commit {short} has another {role} than configured: {who}")
        trailers = trailers_in(commit.message)
        named = [f"{name}: {trailers[name]}" for name in _ONLY_OURS if name in trailers]
        if named:
            doubts.append(
                f"the agent's commit {short} carries what only the queue writes: {', '.join(named)}"
            )
    return tuple(doubts)


def _subject(text: str) -> str:
    line = " ".join(_harmless(text).split())
    return line if len(line) <= _MAX_SUBJECT_CHARS else line[: _MAX_SUBJECT_CHARS - 1].rstrip() + "…"


def _body(text: str) -> str:
    """Foreign text, one paragraph or more; a line of it never looks like a trailer."""
    lines = _harmless(text[:_MAX_BODY_CHARS]).strip().splitlines()
    return "\n".join(f"  {line}" if _TRAILER.fullmatch(line) else line.rstrip() for line in lines)


def _block(trailers: Mapping[str, str]) -> str:
    return "\n".join(
        f"{name}: {' '.join(without_invisible(value).split())}" for name, value in trailers.items()
    )


def _harmless(text: str) -> str:
    """Without what is not seen, and without what a search for our trailers would find."""
    return _OURS_IN_TEXT.sub(r"\1 -", without_invisible(text))
