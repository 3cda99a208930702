"""``/``: what goes on, what waits, what needs a person; and the stream that keeps it true."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow, served
from task_queue.api.page.live import Beginning, LivePart, first_sight, live
from task_queue.api.page.rendering import fragment, page
from task_queue.api.page.visitors import Visitor, VisitorNow
from task_queue.app.board import Board, board
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments
from task_queue.domain.task import TaskState

router = APIRouter(include_in_schema=False)


_LIVE = "/live/board"


@router.get("/")
def get_board(
    request: Request, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    begun = Beginning.now(installation)
    seen = board(installation, visitor.caller, kept)
    first = first_sight(request, _LIVE, visitor, _part_of(seen), begun)
    return page(request, "board.html", visitor, first=first, needs=len(seen.attention))


@router.get(_LIVE)
async def follow_board(request: Request, visitor: VisitorNow) -> Response:
    return live(served(request), request, _LIVE, visitor, _board_now)


def _board_now(installation: Installation, visitor: Visitor, kept: KeptDocuments) -> LivePart:
    return _part_of(board(installation, visitor.caller, kept))


def _part_of(seen: Board) -> LivePart:
    html = fragment("board_now.html", board=seen, now=seen.now)
    runs_elsewhere = seen.fleet is not None and any(
        task.state is TaskState.RUNNING for task in seen.fleet.tasks
    )
    return LivePart(html, moves=runs_elsewhere or any(source.running for source in seen.busy))
