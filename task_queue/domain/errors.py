"""Exceptions: each means that the queue itself could not do its job.

What the agent did is never an exception; it is an Outcome (see ``model``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

_MOST_FAULTS = 20


class TaskQueueError(Exception):
    """One sentence that says where and what; ``hint`` says what to do now."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    @property
    def in_full(self) -> str:
        """The message and what to do now, where there is one line for both."""
        return f"{self}; {self.hint}" if self.hint else str(self)


class ConfigError(TaskQueueError):
    """The configuration cannot be used; it is never overwritten in that case."""


class TaskFileError(TaskQueueError):
    """A task document that cannot be run as it stands. ``line`` is 1-based, None where no line is to blame.

    ``keys`` are those of the front matter that are to blame, the first that the document has, where only its
    reader knows the line; one item of a list is spelled ``key: item``. ``faults`` are all that is wrong with the
    document, each a TaskFileError; the error itself where there is one only.
    """

    def __init__(
        self, message: str, *, line: int | None = None, hint: str | None = None, keys: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.keys = keys
        self._faults: tuple[TaskFileError, ...] = ()

    @classmethod
    def of(cls, faults: Sequence[TaskFileError]) -> TaskFileError:
        """All of *faults* (at least one) in one, in the order of their lines; of very many the first.

        Of the class that all of them have; TaskFileError where they differ.
        """
        each = sorted((one for fault in faults for one in fault.faults), key=lambda one: one.line or 0)
        if len(each) == 1:
            return each[0]
        hidden = len(each) - _MOST_FAULTS
        kinds = {type(one) for one in each}
        several = (kinds.pop() if len(kinds) == 1 else cls)("", line=each[0].line)
        several._faults = (
            tuple(each) if hidden <= 0 else (*each[:_MOST_FAULTS], cls(f"and {hidden} more faults"))
        )
        return several

    @property
    def what(self) -> str:
        """The message without the line."""
        return super().__str__()

    @property
    def faults(self) -> tuple[TaskFileError, ...]:
        return self._faults or (self,)

    def __str__(self) -> str:
        if self._faults:
            return "; ".join(map(str, self._faults))
        return self.what if self.line is None else f"line {self.line}: {self.what}"

    @property
    def in_full(self) -> str:
        return "; ".join(fault.in_full for fault in self._faults) if self._faults else super().in_full


class NotConfiguredError(TaskFileError):
    """The document is in order, but the configuration in force does not have or allow what it asks for: it waits."""


class UnknownTaskError(TaskQueueError):
    """A person named a task that is not there, or not in the state that the request needs."""


class AmbiguousTaskError(TaskQueueError):
    """A person named a task by a part that several ids have; ``hint`` lists them."""


class TaskMovedOn(TaskQueueError):  # noqa: N818 - what happened to the task, not a fault
    """A task began, ended or was changed while a person was about to change it: nothing was done to it."""


class QueueFull(TaskQueueError):  # noqa: N818 - a limit that was reached, as ClaimHeld
    """As many tasks wait already as may, by ``max_pending`` of the source or of ``limits``."""

    def __init__(self, pending: Path, waiting: int, max_pending: int, *, hint: str | None = None) -> None:
        super().__init__(
            f"queue full: {waiting:,} tasks wait in {pending}, and {max_pending:,} may (max_pending)",
            hint=hint,
        )
        self.pending, self.waiting, self.max_pending = pending, waiting, max_pending


class EngineError(TaskQueueError):
    """A source's tasks cannot be kept or arbitrated."""


class ClaimHeld(EngineError):  # noqa: N818 - a signal between workers, not an error to a person
    """Another process holds the claim: look elsewhere."""


class ClaimLost(EngineError):  # noqa: N818 - as above
    """The claim is no longer ours: drop the outcome."""


class EngineUnavailable(EngineError):  # noqa: N818 - as above
    """The source cannot be read or written now: pause it and say why."""


class ExecutorError(TaskQueueError):
    """The agent could not be driven at all (no runner, no CLI): the attempt is released, not counted."""


class NeedsPersonError(ExecutorError):
    """The same, and nothing changes before a person acts: ``hint`` says what to do."""


class GitError(TaskQueueError):
    """Git could not do what was asked of it; nothing of the user's was changed."""


class GitTookTooLong(GitError):  # noqa: N818 - as above
    """Git, or a hook or filter that it ran, did not end in time, and was ended; what it had begun may be half done."""


class CheckoutLost(GitError):  # noqa: N818 - as above
    """The directory that a task worked in is gone, with what was in it; the attempt counts, and work is done again."""
