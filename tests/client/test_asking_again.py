"""What is asked again and for how long, and how a stream of events is read, without any network."""

from __future__ import annotations

import json
from typing import Any

import pytest

from task_queue.client import ApiError, Unreachable
from task_queue.client.asking_again import Attempts, NoAnswer, Wait
from task_queue.client.following import Following
from task_queue.client.operation import HttpAnswer, Operation, text_in
from task_queue.client.problems import problem_in

SAFE = Operation("GET", "/x", text_in, repeatable=True)
UNSAFE = Operation("POST", "/x", text_in)
EVENT: dict[str, Any] = {
    "cursor": "1",
    "at": "",
    "type": "t",
    "source": None,
    "task_id": None,
    "attempt": None,
    "data": {},
}


def problem(status: int, **headers: str) -> HttpAnswer:
    content = {"code": "queue_full", "detail": "full", "details": {"n": 1}}
    return HttpAnswer(
        status,
        {name.replace("_", "-"): value for name, value in headers.items()},
        json.dumps(content).encode(),
    )


def test_a_busy_server_is_asked_again_when_it_says() -> None:
    attempts = Attempts(SAFE, patience_s=70)

    assert attempts.after(problem(503, retry_after="30")) == Wait(30)
    assert attempts.after(problem(429, retry_after="30")) == Wait(30)
    with pytest.raises(ApiError) as given_up:
        attempts.after(problem(503, retry_after="30"))
    assert (given_up.value.code, given_up.value.retry_after_s) == ("queue_full", 30)


def test_pauses_grow_until_the_patience_ends() -> None:
    attempts = Attempts(SAFE, patience_s=60)
    pauses: list[float] = []

    def give_up() -> None:
        while isinstance(wait := attempts.after(NoAnswer("cut", sent=True)), Wait):
            pauses.append(wait.seconds)

    with pytest.raises(Unreachable):
        give_up()

    assert 0.1 <= pauses[0] <= 0.25
    assert max(pauses) <= 10
    assert sum(pauses) <= 60
    assert len(pauses) > 6


def test_what_is_not_safe_is_asked_again_only_if_it_was_not_sent() -> None:
    attempts = Attempts(UNSAFE, patience_s=60)

    assert isinstance(attempts.after(NoAnswer("refused", sent=False)), Wait)
    with pytest.raises(Unreachable) as lost:
        attempts.after(NoAnswer("cut", sent=True))
    assert lost.value.maybe_done
    with pytest.raises(ApiError):
        Attempts(UNSAFE, patience_s=60).after(problem(503, retry_after="1"))


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500])
def test_a_refusal_is_final(status: int) -> None:
    with pytest.raises(ApiError) as refused:
        Attempts(SAFE, patience_s=60).after(problem(status))
    assert (refused.value.status, refused.value.details) == (status, {"n": 1})


@pytest.mark.parametrize("data", [b"<h1>Bad\nGateway</h1>", b"\xff\x00", b"[]", b'{"code": 1}', b""])
def test_an_answer_of_a_proxy_is_a_problem_too(data: bytes) -> None:
    found = problem_in(502, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, data)

    assert (found.status, found.code, found.retry_after_s) == (502, "http_502", None)
    assert found.detail.startswith("502 Bad Gateway")
    assert "\n" not in found.detail


def test_a_stream_may_be_cut_anywhere() -> None:
    """Also within a character, and where Python, not the stream, would see the end of a line."""
    event = json.dumps({**EVENT, "type": "ü\u2028"}, ensure_ascii=False)
    data = f"retry: 2000\n\n: still here\n\nid: c1\nevent: t\ndata: {event}\n\n".encode()
    for cut in range(len(data)):
        following = Following()
        assert following.question().headers == {"accept": "text/event-stream"}
        found = [*following.events_in(data[:cut]), *following.events_in(data[cut:])]
        assert [event.type for event in found] == ["ü\u2028"]
        assert following.question().headers["last-event-id"] == "c1"
        assert following.pause_after(None) == 2


def test_half_an_event_of_a_cut_stream_is_forgotten() -> None:
    following = Following(after="end", types=["t"])
    whole = f"id: c1\ndata: {json.dumps(EVENT)}\n\n".encode()
    assert following.question().query == (("after", "end"), ("type", "t"))
    assert list(following.events_in(whole[:-5])) == []
    assert following.question().query == (("after", "end"), ("type", "t"))
    assert len(list(following.events_in(whole))) == 1
    assert following.question().query == (("type", "t"),)


def test_a_stream_that_is_refused_ends_and_one_that_is_busy_does_not() -> None:
    following = Following()
    with pytest.raises(Unreachable):
        following.pause_after(NoAnswer("cut", sent=False))
    assert following.pause_after(problem(503, retry_after="5")) == 5
    assert list(following.events_in(b": hi\n\n")) == []
    assert following.pause_after(NoAnswer("cut", sent=True)) <= 0.25
    with pytest.raises(ApiError):
        following.pause_after(problem(403))
    with pytest.raises(ApiError, match="revoked"):
        list(following.events_in(b"event: credential_ended\ndata: {}\n\n"))


@pytest.mark.parametrize("data", [b"<html>", b"{}", b'{"id": 1}'])
def test_an_answer_that_is_none_of_this_api_is_named(data: bytes) -> None:
    with pytest.raises(ApiError, match="not one of this API") as odd:
        Operation("GET", "/x", lambda reply: json.loads(reply.data)["name"]).result(HttpAnswer(200, {}, data))
    assert odd.value.code == "unexpected_answer"
