"""Whether anything of the served sources will start by itself, and what a person has to do where nothing does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from task_queue.daemon.admission import SharedAdmission
from task_queue.daemon.served_source import ServedSource
from task_queue.domain.holds import Held
from task_queue.domain.standstill import Standstill, standstill_of

_TURNS_GIVEN = 3
"""After as many turns in trouble, `run --drain` does not wait for the source to become well."""


def standstill_among(served: Sequence[ServedSource], admission: SharedAdmission) -> Standstill | None:
    """Until when nothing will start by itself, None if something runs, or may start at any moment.

    Only where every worker rests, so that none is about to end a task for which others wait.
    """
    before = [each.worker.rest for each in served]
    still = standstill_of(wait for each in served for wait in _waits_of(each, admission))
    rests = all(
        _is_given_up(each) or (rest is not None and rest == each.worker.rest)
        for each, rest in zip(served, before, strict=True)
    )
    return still if rests else None


def stuck_among(served: Sequence[ServedSource], admission: SharedAdmission) -> Mapping[str, str]:
    """Why nothing of a source starts until a person acts, by source; only of those where that is so."""
    found = {each.source.id: _why_stuck(each, admission) for each in served}
    return {source_id: why for source_id, why in found.items() if why is not None}


def _waits_of(served: ServedSource, admission: SharedAdmission) -> Iterator[Held | None]:
    """What *served* waits for: nothing where nothing is left; None for a task that may start at any moment."""
    worker, source_id = served.worker, served.source.id
    stuck = _why_stuck(served, admission)
    lull = worker.lull
    if stuck is not None:
        yield Held(stuck, needs_person=True)
    elif worker.running is not None or lull is None:
        yield None
    else:
        yield from (admission.held(source_id, task) for task in lull.held)
        if lull.delayed is not None:
            yield Held(f"{lull.delayed.id} is delayed", lull.until)


def _why_stuck(served: ServedSource, admission: SharedAdmission) -> str | None:
    if served.worker.running is not None:
        return None
    if _is_given_up(served):
        return served.worker.trouble
    if served.worker.drained:
        return None
    return admission.limits.why_closed(served.source.id)


def _is_given_up(served: ServedSource) -> bool:
    """Whether its worker can do nothing, however often it looks."""
    worker = served.worker
    return worker.trouble is not None and (worker.needs_person or worker.failed_turns >= _TURNS_GIVEN)
