"""``GET /v1/health``"""

from __future__ import annotations

from fastapi import APIRouter, Response

from task_queue.api.callers import InstallationNow, KeptNow, KnownCaller
from task_queue.app.health import HealthView, health

router = APIRouter(tags=["health"])


@router.get("/v1/health", responses={503: {"model": HealthView, "description": "Tasks cannot be accepted."}})
def get_health(
    response: Response, installation: InstallationNow, known: KnownCaller, kept: KeptNow
) -> HealthView:
    """Whether tasks are accepted: open to everyone. With the role `read`, what the queue does now, too."""
    view = health(installation, known, kept)
    if not view.is_ready:
        response.status_code = 503
    return view
