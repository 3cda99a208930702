"""An answer that is a part of a file, streamed."""

from __future__ import annotations

import os
from typing import BinaryIO

from fastapi import Response
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

_AT_ONCE = 2**20


class FileAnswer(Response):
    """Some bytes of a file that is open, and is closed however the answer ends."""

    def __init__(self, file: BinaryIO, start: int, end: int, headers: dict[str, str], status: int) -> None:
        super().__init__(status_code=status, headers=headers | {"content-length": str(end - start)})
        self._file, self._start, self._end = file, start, end

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        with self._file:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            at, fd = self._start, self._file.fileno()
            while at < self._end and (
                data := await run_in_threadpool(os.pread, fd, min(_AT_ONCE, self._end - at), at)
            ):
                at += len(data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
