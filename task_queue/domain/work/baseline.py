"""What the checks say of a commit that a task begins on: which failed before it did anything, and since when. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from task_queue.domain.model import WorkProduct


@dataclass(frozen=True, slots=True)
class BaseResult:
    """One command on one commit of a branch."""

    target: str
    """The branch."""
    commit: str
    command: str
    passed: bool
    set_up: str
    """Hash of the set-up commands that ran before it: with others, it is another check."""
    at: datetime
    verdict: str = ""
    """In a few words; empty where it passed."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """The checks of a task on the commit that it began on."""

    repository: str
    """Root of the owner's working tree."""
    commit: str
    target: str
    failed: tuple[str, ...]
    """Commands that failed there, each with its verdict."""
    regressed: tuple[str, ...] = ()
    """Those that passed on an earlier commit of the branch: the branch was broken since."""


@dataclass(frozen=True, slots=True)
class BrokenBase:
    """Why a source is held: what a task of it found of the commit that it began on."""

    task_id: str
    repository: str
    """Root of the owner's working tree."""
    target: str
    commit: str
    commands: tuple[str, ...]
    """They passed on an earlier commit of the target, and fail on this one."""
    at: datetime
    resumed: bool = False
    """A person let the source go on with this commit."""


def baseline_of(results: Sequence[BaseResult], *, repository: str, target: str, commit: str) -> Baseline:
    """*results* are all that is known, the present ones of *commit* among them."""
    here = [result for result in results if result.commit == commit]
    failed = [result for result in here if not result.passed]
    regressed = [
        result.command
        for result in failed
        if any(_is_of(result, earlier) and earlier.passed and earlier.target == target for earlier in results)
    ]
    return Baseline(
        repository=repository,
        commit=commit,
        target=target,
        failed=tuple(f"{result.command} ({result.verdict})" for result in failed),
        regressed=tuple(dict.fromkeys(regressed)),
    )


def broken_base(task_id: str, product: WorkProduct | None, *, at: datetime) -> BrokenBase | None:
    """What an attempt's work found of the commit that it began on, where that holds its source."""
    found = product.baseline if product is not None else None
    if not found or not found.get("regressed"):
        return None
    return BrokenBase(
        task_id=task_id,
        repository=str(found["repository"]),
        target=str(found["target"]),
        commit=str(found["commit"]),
        commands=tuple(found["regressed"]),
        at=at,
    )


def failed_before(baseline: Baseline) -> str:
    """For the implementer and the report: which checks failed before the work began."""
    where = f"{baseline.commit[:12]} of {baseline.target}"
    if not baseline.failed:
        return f"On {where}, on which the work began, all of these checks pass."
    listed = "\n".join(f"- `{command}`" for command in baseline.failed)
    return f"These checks failed already on {where}, before the work began:\n\n{listed}"


def sent_back(target: str, onto: str, findings: str, baseline: Baseline | None, *, moved: bool) -> str:
    """For the implementer: why its branch did not land, and what it finds now. *moved*: so did the target meanwhile."""
    why = (
        f"While you worked, {target} moved to {onto[:12]}. Your branch merges with it without a conflict, and the"
        " merge is in your checkout now. On it, these checks fail:"
        if moved
        else "Your work was committed, and these checks fail on what was committed, which differs from the files"
        " that were checked before, because of a hook or of files that are left out of the commit:"
    )
    return "\n\n".join(part for part in (why, findings, failed_before(baseline) if baseline else "") if part)


def known_of(
    results: Iterable[BaseResult], commands: Sequence[str], *, commit: str, set_up: str
) -> tuple[BaseResult, ...] | None:
    """What is known of every one of *commands* on *commit*; None where one was not run there."""
    found = {
        result.command: result for result in results if result.commit == commit and result.set_up == set_up
    }
    return tuple(found[command] for command in commands) if all(name in found for name in commands) else None


def _is_of(result: BaseResult, other: BaseResult) -> bool:
    """The same check, of another commit."""
    return other.commit != result.commit and (other.command, other.set_up) == (result.command, result.set_up)
