"""``/``: what goes on, what waits, what needs a person; and the stream that keeps it true."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from task_queue.api.callers import InstallationNow, KeptNow, served
from task_queue.api.page.live import LivePart, live
from task_queue.api.page.rendering import fragment, page
from task_queue.api.page.visitors import Visitor, VisitorNow
from task_queue.app.board import board
from task_queue.app.installation import Installation
from task_queue.app.tracking import KeptDocuments

router = APIRouter(include_in_schema=False)


@router.get("/")
def get_board(
    request: Request, visitor: VisitorNow, installation: InstallationNow, kept: KeptNow
) -> Response:
    seen = board(installation, visitor.caller, kept)
    return page(request, "board.html", visitor, board=seen, now=seen.now)


@router.get("/live/board")
async def follow_board(request: Request, visitor: VisitorNow) -> Response:
    return live(served(request), request, visitor, _board_now)


def _board_now(installation: Installation, visitor: Visitor, kept: KeptDocuments) -> LivePart:
    seen = board(installation, visitor.caller, kept)
    html = fragment("board_now.html", board=seen, now=seen.now)
    return LivePart(html, moves=any(source.running for source in seen.busy))
