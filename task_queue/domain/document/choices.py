"""The closed sets among the settings, and the name of the built-in executor.

Apart from ``settings``, because listings need these and not its readers.
"""

from __future__ import annotations

from enum import StrEnum

CLAUDE = "claude"
"""The built-in executor; every other name is a configured command."""


class WorkType(StrEnum):
    """What kind of work a task asks for: shown, and of some kinds no change of files is expected."""

    GENERAL = "general"
    ANALYSIS = "analysis"
    CODING = "coding"
    RESEARCH = "research"
    REVIEW = "review"
    DOCUMENTATION = "documentation"


class Effort(StrEnum):
    """How hard the model thinks, in the agent's own words."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    XHIGH = "xhigh"
    MAX = "max"


class Workflow(StrEnum):
    """Which phases a task goes through."""

    AUDITED = "audited"
    """Implement, audit and iterate."""
    SINGLE = "single"
    SKILL = "skill"
    """One agent that follows the packaged skill."""


class Isolation(StrEnum):
    """Where a task's agent works."""

    NONE = "none"
    """In the workspace itself."""
    WORKTREE = "worktree"
    """In a git worktree on a branch of its own."""


class Profile(StrEnum):
    """What an agent may do (``permissions``); ``domain.permission.profiles`` orders them."""

    GUARDED = "guarded"
    TRUSTED = "trusted"
    SANDBOXED = "sandboxed"
    READONLY = "readonly"
    BYPASS = "bypass"


class OnDependencyFailure(StrEnum):
    """What happens to a task when one that it depends on failed."""

    BLOCK = "block"
    FAIL = "fail"
    RUN = "run"


class OnLostSession(StrEnum):
    """What follows a crash whose session cannot be continued."""

    REVIEW = "review"
    """The task fails, with what is on disk."""
    RERUN = "rerun"


class Landing(StrEnum):
    """What becomes of the branch of a task that worked in a worktree."""

    BRANCH = "branch"
    """It stays."""
    MERGE = "merge"
