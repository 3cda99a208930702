"""What an attempt came to whose runner died, read back from its transcript: its ending, or what it had spent."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from task_queue.domain.attempt.current_phase import PHASE
from task_queue.domain.attempt.exits import outcome_of_exit
from task_queue.domain.attempt.progress import Progress, envelopes_in, progress_of
from task_queue.domain.attempt.proof import is_signed_by_runner
from task_queue.domain.attempt.results import bare_ending
from task_queue.domain.attempt.spending import Meter, added, meter_after
from task_queue.domain.attempt.verdict import judge
from task_queue.domain.document.choices import Isolation
from task_queue.domain.model import Claim, Ending, Work, WorkProduct

SESSION_LOST = "session lost"
"""Type of the note that says that the next conversation has a fresh session under the old id."""
CHECKOUT = "site"
"""Type of the note that says where the attempt works: keys of ``WorkProduct``."""
VOUCHED = "vouched"
"""Type of the note with the runner's token, written once its command has succeeded: it vouches for that alone."""


def rebuilt_ending(claim: Claim, lines: Iterable[str], *, before: Meter, now: datetime) -> Ending | None:
    """None if the agent had not reported its end. *before* is the session's meter.

    Also None where the agent's end is only the end of a phase: such an attempt goes on from its steps; and
    where it is a success that the runner did not vouch for: the agent can write a transcript, too.
    """
    lines = tuple(lines)
    if _has_phases(lines):
        return None
    code = _exit_code(lines)
    if code is not None:
        outcome, work = outcome_of_exit(code), Work()
    else:
        progress = progress_of(lines)
        if progress.result is None:
            return None
        work = progress.work(session_id=claim.session_id, before=before)
        outcome = judge(progress.observation(session_id=claim.session_id))
    ending = bare_ending(claim, outcome, by="recovery", now=now, work=work)
    ending = replace(ending, token=_token_in(lines))
    return ending if is_signed_by_runner(claim, ending) else None


def work_so_far(claim: Claim, lines: Iterable[str], *, before: Meter) -> Work:
    """What the attempt's conversations cost, each reported by the CLI or estimated from the answers that are there.

    With where it worked, and what its phases took, where it had any. *before* is the session's meter.
    """
    lines = tuple(lines)
    costs: dict[str, float] = {}
    total = Work(
        session_id=claim.session_id,
        session_cost_usd=before.reported,
        session_estimated_usd=before.estimated,
        session_model_usage=dict(before.models),
    )
    for spoken in _conversations(lines):
        mine = spoken.session_id in {None, claim.session_id}
        meter = Meter() if spoken.is_new or not mine else meter_after(total)
        work = spoken.progress.work(session_id=claim.session_id, before=meter)
        total = added(total, work, keeps_session=mine)
        if spoken.phase is not None and work.total_cost_usd is not None:
            costs[spoken.phase] = costs.get(spoken.phase, 0.0) + work.total_cost_usd
    return replace(total, product=_product(lines, costs))


@dataclass(slots=True)
class _RecordedConversation:
    progress: Progress = field(default_factory=Progress)
    session_id: str | None = None
    is_new: bool = False
    """The session that was to be continued was lost."""
    phase: str | None = None


def _conversations(lines: Iterable[str]) -> list[_RecordedConversation]:
    """Each begins with the SDK's first request to the CLI; an attempt has one a phase, and more if it tried again."""
    found: list[_RecordedConversation] = []
    lost = False
    phase: str | None = None
    for direction, raw, _ in envelopes_in(lines):
        frame: Mapping[str, Any] = {} if isinstance(raw, str) else raw
        phase = _phase_in(direction, frame) or phase
        lost = lost or frame.get("type") == SESSION_LOST
        if direction == "out" and _opens(frame):
            found.append(_RecordedConversation(is_new=lost, phase=phase))
            lost = False
        if found:
            found[-1].progress.add(direction, raw)
            if direction == "in":
                found[-1].session_id = frame.get("session_id") or found[-1].session_id
    return found


def _product(lines: Iterable[str], costs: dict[str, float]) -> WorkProduct | None:
    """None for an attempt without phases."""
    checkout: Mapping[str, Any] = {}
    seconds: dict[str, float] = {}
    phase, since = None, None
    for direction, raw, at in envelopes_in(lines):
        frame: Mapping[str, Any] = {} if isinstance(raw, str) else raw
        if phase is not None and since is not None:
            seconds[phase] = round(seconds.get(phase, 0.0) + (at - since).total_seconds(), 3)
        phase, since = _phase_in(direction, frame) or phase, at
        if direction == "note" and frame.get("type") == CHECKOUT:
            checkout = frame
    if phase is None:
        return None
    return WorkProduct(
        workspace=_text(checkout.get("workspace")),
        isolation=Isolation.WORKTREE if checkout.get("isolation") == Isolation.WORKTREE else Isolation.NONE,
        branch=_text(checkout.get("branch")),
        base_commit=_text(checkout.get("base_commit")),
        cost_by_phase=costs,
        seconds_by_phase=seconds,
    )


def _phase_in(direction: str, frame: Mapping[str, Any]) -> str | None:
    return _text(frame.get("phase")) if direction == "note" and frame.get("type") == PHASE else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _opens(frame: Mapping[str, Any]) -> bool:
    request: Mapping[str, Any] = frame.get("request") or {}
    return request.get("subtype") == "initialize"


def _has_phases(lines: Iterable[str]) -> bool:
    return any('"type": "workflow"' in line for line in lines)


def _exit_code(lines: tuple[str, ...]) -> int | None:
    """What a ``command`` ended with: its transcript's last line, but for the runner's word."""
    own = [line for line in lines[-2:] if _of_type(line, VOUCHED) is None]
    raw = _of_type(own[-1], "exit") if own else None
    code = None if raw is None else raw.get("code")
    return code if isinstance(code, int) else None


def _token_in(lines: tuple[str, ...]) -> str:
    raw = _of_type(lines[-1], VOUCHED) if lines else None
    return "" if raw is None else str(raw.get("token"))


def _of_type(line: str, kind: str) -> dict[str, Any] | None:
    """What the envelope in *line* holds, if it is of that type."""
    try:
        raw: Any = json.loads(line)["raw"]
        return raw if raw["type"] == kind else None
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
