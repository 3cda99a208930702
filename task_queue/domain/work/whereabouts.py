"""Where the work of an ended task is, in a few words: in a list, and in the headline of its report. Pure."""

from __future__ import annotations

from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import LandingState, Result


def where_commits_are(*, state: str | None, target: str, branch: str | None, commits: int) -> str:
    """*state* is a ``LandingState``, or what another release wrote; None without a branch. Empty without commits."""
    match state:
        case LandingState.LANDED:
            return f"landed on {target or 'its target'}"
        case LandingState.WAITING:
            return f"waits to land on {target or 'its target'}"
        case LandingState.UNDONE:
            return f"undone on {target or 'its target'}"
        case LandingState.GIVEN_UP:
            return "its branch was given up"
        case None:
            number = f"{commits} commit{'' if commits == 1 else 's'}" if commits else ""
            return f"{number} on {branch}" if number and branch else number
        case _:
            return f"left on {branch or 'its branch'}"


def where_work_is(result: Result) -> str:
    """The same of a whole result, also without commits; empty where it does not say so."""
    product = result.product
    said = where_commits_are(
        state=product.landing_state,
        target=str((product.landing or {}).get("target") or ""),
        branch=product.branch,
        commits=len(product.commits),
    )
    if said:
        return said
    if not result.success:
        return "nothing landed" if product.isolation is Isolation.WORKTREE else ""
    if product.file_count or product.uncommitted:
        return "in files that are not committed"
    return "nothing changed" if product.base_commit or product.stat else ""
