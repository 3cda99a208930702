"""A stream of events over lost connections: each event once, in order, none missed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from task_queue.client.answers import EventAnswer
from task_queue.client.asking_again import NoAnswer, backoff_s
from task_queue.client.operation import HttpAnswer, Operation, part, query_of
from task_queue.client.problems import ApiError, Unreachable, problem_in, unexpected

SILENCE_S = 30.0
"""A server says something every few seconds; one that is silent for so long is gone."""
_STREAM = "text/event-stream"
_LONGEST_LINE = 16 * 2**20


class Following:
    """What was seen, and how to go on. *after*: a cursor, ``end`` for only what is new, None for all that is kept."""

    def __init__(
        self, *, task: str | None = None, after: str | None = None, types: Sequence[str] = ()
    ) -> None:
        self._path = "/v1/events" if task is None else f"/v1/tasks/{part(task)}/events"
        self._after, self._types = after, types
        self._seen: str | None = None
        self._retry_s = 0.0
        self._failures = 0
        self._was_open = False
        self._rest = b""
        self._fields: dict[str, str] = {}

    def question(self) -> Operation[None]:
        """Opens the stream after what was seen."""
        self._rest, self._fields = b"", {}
        headers = {"accept": _STREAM, **({} if self._seen is None else {"last-event-id": self._seen})}
        query = query_of({"after": self._after if self._seen is None else None, "type": self._types})
        return Operation("GET", self._path, _nothing, query, headers=headers, takes_s=SILENCE_S)

    def events_in(self, data: bytes) -> Iterator[EventAnswer]:
        """Those that *data*, the next bytes of the stream, completes. Raises ApiError if the credential ended."""
        self._was_open, self._failures = True, 0
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            raise unexpected(200, "a line without end")
        for line in lines:
            if line.strip():
                name, _, value = line.decode().rstrip("\r").partition(":")
                self._fields[name] = value.removeprefix(" ")
            else:
                yield from self._completed()

    def pause_after(self, outcome: HttpAnswer | NoAnswer | None) -> float:
        """Seconds until it should be opened again. None: it was open, and ended.

        Raises ApiError if the server refused, Unreachable if there never was a connection.
        """
        if isinstance(outcome, HttpAnswer):
            problem = problem_in(outcome.status, outcome.headers, outcome.data)
            if outcome.status < 500 and outcome.status != 429:
                raise problem
            if problem.retry_after_s is not None:
                return problem.retry_after_s
        elif isinstance(outcome, NoAnswer) and not self._was_open:
            raise Unreachable(outcome.why, maybe_done=False)
        pause = backoff_s(self._failures)
        self._failures += 1
        return max(pause, self._retry_s)

    def _completed(self) -> Iterator[EventAnswer]:
        fields, self._fields = self._fields, {}
        retry = fields.get("retry", "")
        if retry.isascii() and retry.isdecimal():
            self._retry_s = int(retry) / 1000
        if fields.get("event") == "credential_ended":
            raise ApiError(401, "credential_ended", "the credential was revoked, or has expired")
        if "data" in fields:
            try:
                event = EventAnswer.model_validate_json(fields["data"])
            except ValueError as error:
                raise unexpected(200, str(error)) from error
            self._seen = fields.get("id", event.cursor)
            yield event


def _nothing(_reply: HttpAnswer) -> None:
    return None
