"""A model endpoint on loopback with scripted answers: what demo and tests run the real agent against.

It speaks as much of the Messages API as the real CLI asks for: streamed and plain messages, token counts,
probes. The CLI's own side requests (titles, topic detection) carry no tools; they are answered with an empty
nicety and never reach the script, so turn numbers count the task's turns only.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_HANG_POLL_S = 0.05
_CLOSING = "No response requested."
_ADDED_BY_CLI = re.compile(r"<system-reminder>.*?</system-reminder>\s*", re.DOTALL)
_Headers = Mapping[str, str]
_Block = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Say:
    """Text that ends the turn."""

    text: str
    input_tokens: int = 1000
    output_tokens: int = 100
    headers: _Headers = field(default_factory=dict[str, str])
    stop_reason: str | None = "end_turn"
    leave_out: tuple[str, ...] = ()
    """Events that are missing from the end of the stream."""


@dataclass(frozen=True, slots=True)
class UseTool:
    """One tool call, after optional text; *more* are calls of the same message."""

    name: str
    input: Mapping[str, Any]
    text: str = ""
    input_tokens: int = 1000
    output_tokens: int = 100
    headers: _Headers = field(default_factory=dict[str, str])
    more: Sequence[UseTool] = ()


@dataclass(frozen=True, slots=True)
class Refuse:
    """The model declines: stop reason ``refusal``."""

    text: str = ""
    input_tokens: int = 1000
    output_tokens: int = 10
    headers: _Headers = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class ModelError:
    """An HTTP error in the API's own shape."""

    status: int
    error_type: str
    message: str
    headers: _Headers = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Hang:
    """No answer until the event is set or the time is over; then ``then``, or a dropped connection."""

    until: threading.Event | None = None
    seconds: float = 3600.0
    then: Say | UseTool | None = None


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection breaks without an answer."""


Message = Say | UseTool | Refuse
Reply = Message | ModelError | Hang | Drop


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a task's turn, as the script sees it."""

    body: Mapping[str, Any]
    turn: int
    """1-based: how many answers the conversation holds already, plus one; goes on after a resume."""
    tries: int
    """1-based: how often exactly this turn has been asked for (retries, repetitions after a resume)."""

    @property
    def user_texts(self) -> list[str]:
        """Text of each user message in turn; tool results are not among it."""
        return [
            "\n".join(str(b.get("text", "")) for b in _blocks(m) if b.get("type") == "text")
            for m in self.body["messages"]
            if m["role"] == "user"
        ]

    @property
    def first_text(self) -> str:
        """The conversation's first user message: the task, by which a script recognises the conversation.

        Without what the CLI adds to it: the branch, the commits' hashes and their subjects, which may be those of
        another task's work.
        """
        return _ADDED_BY_CLI.sub("", self.user_texts[0]) if self.user_texts else ""

    @property
    def last_text(self) -> str:
        """The latest user message that holds text."""
        return next((text for text in reversed(self.user_texts) if text), "")

    @property
    def tool_results(self) -> list[str]:
        """Content of every tool result so far, in the order of the calls."""
        blocks = [block for message in self.body["messages"] for block in _blocks(message)]
        calls = [block["id"] for block in blocks if block.get("type") == "tool_use"]
        results = [block for block in blocks if block.get("type") == "tool_result"]
        results.sort(key=lambda block: calls.index(block["tool_use_id"]))
        return [_text_of(block.get("content")) for block in results]

    @property
    def tool_names(self) -> list[str]:
        return [str(tool["name"]) for tool in self.body.get("tools", [])]

    @property
    def system_text(self) -> str:
        return _text_of(self.body.get("system"))


Script = Callable[[Request], Reply]


def in_turn(*replies: Reply) -> Script:
    """The n-th turn gets the n-th reply; the last one is repeated."""
    return lambda request: replies[min(request.turn, len(replies)) - 1]


def by_task(scripts: Mapping[str, Script], *, otherwise: Reply | None = None) -> Script:
    """Choose the script by a text that the conversation's first message contains."""

    def choose(request: Request) -> Reply:
        for marker, script in scripts.items():
            if marker in request.first_text:
                return script(request)
        return otherwise or ModelError(400, "invalid_request_error", "no script for this task")

    return choose


class ScriptedModel:
    """Serves *script* on 127.0.0.1 while the context is open. The script is called from several threads."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._closing = threading.Event()
        self._seen = threading.Condition()
        self._requests: list[Request] = []
        self._tries: dict[tuple[str, int], int] = {}
        self._ids = count(1)
        self._server = _Server(("127.0.0.1", 0), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            kwargs={"poll_interval": 0.05},
            name="scripted-model",
            daemon=True,
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def requests(self) -> list[Request]:
        """The turns asked for so far; a copy."""
        with self._seen:
            return list(self._requests)

    def wait_for_request(self, number: int = 1, timeout: float = 30.0) -> Request:
        """The *number*-th request (1-based); raises TimeoutError if it does not come."""
        with self._seen:
            if not self._seen.wait_for(lambda: len(self._requests) >= number, timeout):
                raise TimeoutError(f"{len(self._requests)} requests in {timeout} s, expected {number}")
            return self._requests[number - 1]

    def reply_to(self, body: Mapping[str, Any]) -> Reply:
        """What the script answers to *body*; called by the server."""
        if not body.get("tools"):
            return Say("{}", input_tokens=1, output_tokens=1)
        with self._seen:
            turn = 1 + sum(_is_answer(message) for message in body["messages"])
            key = (Request(body, turn, 0).first_text, turn)
            self._tries[key] = self._tries.get(key, 0) + 1
            request = Request(body, turn, self._tries[key])
            self._requests.append(request)
            self._seen.notify_all()
        return self._script(request)

    def hang(self, reply: Hang) -> Reply:
        """Wait as *reply* says; returns what is to follow."""
        waited = 0.0
        while waited < reply.seconds and not (reply.until is not None and reply.until.is_set()):
            if self._closing.wait(_HANG_POLL_S):
                return Drop()
            waited += _HANG_POLL_S
        return reply.then or Drop()

    def next_id(self) -> int:
        return next(self._ids)


def child_environment(
    home: Path, model: ScriptedModel, *, path: str = "/usr/local/bin:/usr/bin:/bin"
) -> dict[str, str]:
    """The whole environment of an agent that can reach nothing but *model*; built, never inherited."""
    assert urlsplit(model.base_url).hostname == "127.0.0.1", "a scripted agent must not reach a real account"
    return {
        "PATH": path,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": model.base_url,
        "ANTHROPIC_API_KEY": "scripted-model-needs-none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], model: ScriptedModel) -> None:
        super().__init__(address, _Connection)
        self.model = model

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of our business."""


class _Connection(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]  # only _Server constructs us

    def do_HEAD(self) -> None:
        self._send(200, b"")

    def do_GET(self) -> None:
        self._send_json(200, {"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        path = urlsplit(self.path).path
        if path == "/v1/messages":
            self._answer(self.server.model.reply_to(body), body)
        elif path == "/v1/messages/count_tokens":
            self._send_json(200, {"input_tokens": 1000})
        else:
            self._send_json(200, {})

    def _answer(self, reply: Reply, body: Mapping[str, Any]) -> None:
        if isinstance(reply, Hang):
            reply = self.server.model.hang(reply)
        if isinstance(reply, Hang | Drop):
            self.close_connection = True
        elif isinstance(reply, ModelError):
            error = {"type": "error", "error": {"type": reply.error_type, "message": reply.message}}
            self._send_json(reply.status, error, reply.headers)
        elif body.get("stream"):
            leave_out = reply.leave_out if isinstance(reply, Say) else ()
            message = _message(reply, body, self.server.model.next_id())
            self._stream(message, reply.headers, leave_out=leave_out)
        else:
            self._send_json(200, _message(reply, body, self.server.model.next_id()), reply.headers)

    def _stream(self, message: Mapping[str, Any], headers: _Headers, *, leave_out: tuple[str, ...]) -> None:
        sent = [event for event in _events(message) if event["type"] not in leave_out]
        events = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in sent)
        self._send(200, events.encode(), headers, kind="text/event-stream; charset=utf-8")

    def _send_json(self, status: int, body: Mapping[str, Any], headers: _Headers | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers)

    def _send(
        self, status: int, body: bytes, headers: _Headers | None = None, *, kind: str = "application/json"
    ) -> None:
        self.send_response(status)
        for name, value in {
            "content-type": kind,
            "content-length": str(len(body)),
            "request-id": f"req_{self.server.model.next_id()}",
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - name given by BaseHTTPRequestHandler
        """Silence: the requests are kept, and stderr belongs to the calling program."""


def _message(reply: Message, body: Mapping[str, Any], number: int) -> dict[str, Any]:
    content: list[_Block] = [{"type": "text", "text": reply.text}] if reply.text else []
    stop_reason = reply.stop_reason if isinstance(reply, Say) else "refusal"
    if isinstance(reply, UseTool):
        stop_reason = "tool_use"
        content += [
            {
                "type": "tool_use",
                "id": f"toolu_{number:08d}_{place}",
                "name": call.name,
                "input": dict(call.input),
            }
            for place, call in enumerate((reply, *reply.more))
        ]
    return {
        "id": f"msg_{number:08d}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "scripted"),
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": reply.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": reply.output_tokens,
        },
    }


def _events(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {
        **message,
        "content": [],
        "stop_reason": None,
        "usage": {**message["usage"], "output_tokens": 1},
    }
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        if block["type"] == "tool_use":
            empty: dict[str, Any] = dict(block, input={})
            delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
        else:
            empty = dict(block, text="")
            delta = {"type": "text_delta", "text": block["text"]}
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    end = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": message["usage"]}
    yield {"type": "message_stop"}


def _blocks(message: Mapping[str, Any]) -> list[_Block]:
    content: str | list[_Block] = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _is_answer(message: Mapping[str, Any]) -> bool:
    """An answer of the script; the CLI closes an interrupted turn with one of its own before it resumes."""
    texts = [block.get("text") for block in _blocks(message)]
    return message["role"] == "assistant" and texts != [_CLOSING]


def _text_of(content: Any) -> str:
    """Text of what the API allows as content: nothing, a string, or a list of blocks."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "\n".join(str(block.get("text", "")) for block in content)
