"""What statistics and estimates need to know of an end, beyond what came of it: its kind, its times, its tokens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from task_queue.domain.attempt.model_usage import main_model, tokens_in

if TYPE_CHECKING:
    from task_queue.domain.model import Attempt, Result


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """Over all attempts of a task. None: not known, as of results that earlier releases wrote."""

    task_type: str | None = None
    executor: str | None = None
    model: str | None = None
    """The one that most was spent on."""
    waited: timedelta | None = None
    """From when it could have started to its first attempt; None where its document was changed since."""
    ran: timedelta | None = None
    """The time of its attempts; less than ``took``, which includes the waits between them."""
    attempts: int | None = None
    limited: int | None = None
    """How many of the attempts a usage limit sent back."""
    input_tokens: int | None = None
    """With those that were read from the cache or written to it."""
    output_tokens: int | None = None
    seconds_by_phase: Mapping[str, float] = field(default_factory=dict[str, float])


def figures_of(result: Result) -> TaskFigures:
    tokens = tokens_in(result.model_usage)
    return TaskFigures(
        task_type=result.task_type,
        executor=result.executor,
        model=main_model(result.model_usage),
        waited=None if result.waited_ms is None else timedelta(milliseconds=result.waited_ms),
        ran=sum((each.ended_at - each.started_at for each in result.attempts), timedelta()),
        attempts=len(result.attempts),
        limited=sum(each.outcome == "limited" for each in result.attempts),
        input_tokens=tokens and tokens[0],
        output_tokens=tokens and tokens[1],
        seconds_by_phase=result.product.seconds_by_phase,
    )


def waited_before(
    attempts: Iterable[Attempt], arrived_at: datetime, *, not_before: datetime | None
) -> timedelta | None:
    """How long a task waited for its first attempt that could start.

    None if none of *attempts* began after its document got there: it was changed or brought back since.
    """
    first = next((each.started_at for each in attempts if each.started_at >= arrived_at), None)
    if first is None:
        return None
    return max(timedelta(), first - (arrived_at if not_before is None else max(arrived_at, not_before)))


def figures_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same as JSON, of a result's file that any release wrote."""
    usage = _object(content, "model_usage")
    models = {model: _object(usage, model) for model in usage}
    tokens, waited = tokens_in(models), _number(content.get("waited_ms"))
    attempts = _objects(content.get("attempts"))
    return {
        "task_type": _text(content.get("task_type")),
        "executor": _text(content.get("executor")),
        "model": main_model(models),
        "waited": None if waited is None else waited / 1000,
        "ran": _seconds_of(attempts),
        "attempts": len(attempts) or None,
        "limited": sum(each.get("outcome") == "limited" for each in attempts) if attempts else None,
        "input_tokens": tokens and tokens[0],
        "output_tokens": tokens and tokens[1],
        "seconds_by_phase": _object(content, "seconds_by_phase"),
    }


def _seconds_of(attempts: list[Mapping[str, Any]]) -> float | None:
    total = 0.0
    for each in attempts:
        try:
            began, ended = (datetime.fromisoformat(each[key]) for key in ("started_at", "ended_at"))
            total += (ended - began).total_seconds()
        except (KeyError, TypeError, ValueError):
            return None
    return total if attempts else None


def _object(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value: object = content.get(key)
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: object) -> list[Mapping[str, Any]]:
    listed = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("Mapping[str, Any]", each) for each in listed if isinstance(each, dict)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
