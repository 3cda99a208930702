"""What needs a person although the verdict stands. Apart from the other nouns: reading commands need no more."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AttentionKind(StrEnum):
    """The first of them are of results, the others of the queue itself."""

    FAILED = "failed"
    DEAD_LETTER = "dead_letter"
    REVIEW = "review"
    """It was interrupted, and may have acted: a person decides whether it runs again."""
    NOT_LANDED = "not_landed"
    UNCOMMITTED = "uncommitted"
    UNWANTED = "unwanted"
    """The agent itself committed what no commit should hold: a secret, a large file."""
    REPOSITORY_CHANGED = "repository_changed"
    """In the owner's repository a ref went back or is gone, or configuration, hooks or stash are others."""
    MUCH_CHANGED = "much_changed"
    """It adds far more files than most tasks need."""
    NOTHING_CHANGED = "nothing_changed"
    DENIED = "denied"
    CHANGED_JUDGES = "changed_judges"

    DAEMON = "daemon"
    STOPPED = "stopped"
    """A person has stopped everything, and tasks wait."""
    CONFIGURATION = "configuration"
    ACCOUNT = "account"
    SOURCE = "source"
    BROKEN_BASE = "broken_base"
    """A check that passed on an earlier commit of a source's target fails on the present one."""
    SCHEDULE = "schedule"
    """A recurring task cannot be put into the queue."""
    LOCK = "lock"
    BLOCKED = "blocked"
    NOT_CONFIGURED = "not_configured"
    """A task asks for what the configuration in force does not have, and goes on once it has it."""
    RETURNED = "returned"
    """A task came back again and again for a cause of its own, and is not tried again without a person."""
    MORE = "more"
    """Of one source, more need a person than are named."""


_OF_RESULTS = (
    AttentionKind.REVIEW,
    AttentionKind.DEAD_LETTER,
    AttentionKind.FAILED,
    AttentionKind.REPOSITORY_CHANGED,
    AttentionKind.UNWANTED,
    AttentionKind.NOT_LANDED,
    AttentionKind.CHANGED_JUDGES,
    AttentionKind.UNCOMMITTED,
    AttentionKind.MUCH_CHANGED,
    AttentionKind.DENIED,
    AttentionKind.NOTHING_CHANGED,
)
"""The most urgent first."""


def kind_of_wait(*, lacks: str, needs_person: str) -> AttentionKind:
    """Of a task that only a person can free; the arguments as in ``ordering.Waiting``."""
    if lacks:
        return AttentionKind.NOT_CONFIGURED
    return AttentionKind.RETURNED if needs_person else AttentionKind.BLOCKED


def is_of_a_result(kind: str) -> bool:
    """Whether it may be acknowledged; what concerns the queue or a waiting task goes with its cause alone."""
    return kind in _OF_RESULTS


def urgency(kind: str) -> int:
    """The most urgent has the smallest: what keeps the queue from working, then results in the order of their harm."""
    return 0 if not is_of_a_result(kind) else 1 + _OF_RESULTS.index(AttentionKind(kind))


@dataclass(frozen=True, slots=True)
class Attention:
    kind: AttentionKind
    sentence: str
    """Foreign text may be in it; on one line."""
    command: str
    """What settles it, or shows what there is to decide."""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A person has seen what a result says, and needs nothing more of it."""

    completed_at: str
    """Of the result that was seen, as its file has it: one that a retry leads to is another one."""
    sentences: frozenset[str]

    def covers(self, sentence: str, *, completed_at: str) -> bool:
        """Whether *sentence* is one that was seen, of a result that was completed then."""
        return completed_at == self.completed_at and sentence in self.sentences
