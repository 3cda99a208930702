"""What can be asked and done about the queue itself: its health, sources, statistics, tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from task_queue.app.health import HealthView
from task_queue.app.statistics import StatsView
from task_queue.app.tokens import CreatedToken, TokensView, TokenView
from task_queue.client.answers import SourceAnswer, SourceAnswers, WorkerAnswers
from task_queue.client.operation import Operation, asking, part, reading, telling

_STATISTICS_TAKE_S = 120.0
_SOURCE = reading(SourceAnswer)


def health() -> Operation[HealthView]:
    """Whether tasks are accepted; needs no credential."""
    return Operation("GET", "/v1/health", reading(HealthView), repeatable=True, good=(200, 503))


def sources() -> Operation[SourceAnswers]:
    """Those that the credential may see, and whether they start tasks."""
    return asking("/v1/sources", reading(SourceAnswers))


def pause(source_id: str) -> Operation[SourceAnswer]:
    """Start nothing new of it; what runs goes on."""
    return _change(source_id, "pause")


def resume(source_id: str) -> Operation[SourceAnswer]:
    """Let it go on."""
    return _change(source_id, "resume")


def drain(source_id: str) -> Operation[SourceAnswer]:
    """Start nothing new of it; its state is ``drained`` once nothing of it runs."""
    return _change(source_id, "drain")


def workers() -> Operation[WorkerAnswers]:
    """What the worker of each source does."""
    return asking("/v1/workers", reading(WorkerAnswers))


def stats(*, since: datetime | None = None, by: str | None = None) -> Operation[StatsView]:
    """Counts, times, costs and success of what ended."""
    return asking("/v1/stats", reading(StatsView), takes_s=_STATISTICS_TAKE_S, since=since, by=by)


def create_token(
    name: str, roles: Sequence[str], *, expires: str | None = None, own: bool = False, **lists: Sequence[str]
) -> Operation[CreatedToken]:
    """*expires*: after how long, such as ``90d``. *lists*: ``sources``, ``repositories``, ``types`` and so on."""
    content: Mapping[str, object] = {"name": name, "roles": roles, "expires": expires, "own": own, **lists}
    return telling("POST", "/v1/tokens", reading(CreatedToken), content)


def tokens() -> Operation[TokensView]:
    """Every token, with its policy and when it was used last."""
    return asking("/v1/tokens", reading(TokensView))


def revoke_token(token_id: str) -> Operation[TokenView]:
    """From the answer on, the token is refused."""
    return telling("DELETE", f"/v1/tokens/{part(token_id)}", reading(TokenView), repeatable=True)


def _change(source_id: str, what: str) -> Operation[SourceAnswer]:
    return telling("POST", f"/v1/sources/{part(source_id)}/{what}", _SOURCE, repeatable=True)
