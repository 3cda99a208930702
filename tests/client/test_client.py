"""Both clients against the real API: what they ask is answered, typed, over the socket and over TCP."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.client import (
    ApiError,
    AsyncClient,
    Client,
    Unreachable,
    claim_operations,
    queue_operations,
    task_operations,
    view_operations,
)
from task_queue.domain.errors import TaskQueueError
from tests.api.bench import ApiBench
from tests.cut_network import CutNetwork
from tests.house.tables import ROOT
from tests.waiting import eventually

Ask = Callable[..., Any]
HELLO: dict[str, Any] = {"title": "Say hello", "instructions": "echo hello", "executor": "sh"}


def blocking(server: str, **settings: Any) -> Ask:
    def ask(name: str, *args: Any, **kwargs: Any) -> Any:
        with Client(server, **settings) as client:
            return getattr(client, name)(*args, **kwargs)

    return ask


def awaiting(server: str, **settings: Any) -> Ask:
    async def asked(name: str, *args: Any, **kwargs: Any) -> Any:
        async with AsyncClient(server, **settings) as client:
            return await getattr(client, name)(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(asked(*args, **kwargs))


@pytest.fixture(params=[blocking, awaiting], ids=lambda made: made.__name__)
def asker(request: pytest.FixtureRequest) -> Callable[..., Ask]:
    """Makes a function that asks with one of the two clients."""
    made: Callable[..., Ask] = request.param
    return made


@pytest.fixture
def network(bench: ApiBench) -> Iterator[CutNetwork]:
    made = CutNetwork(lambda: bench.port)
    yield made
    made.close()


def operations() -> dict[str, object]:
    made = [
        (name, function)
        for module in (task_operations, queue_operations, claim_operations)
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__
    ]
    return {name: function for name, function in made if not name.startswith("_")}


@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_both_clients_have_every_operation(client: type) -> None:
    assert operations()
    for name, function in operations().items():
        assert inspect.getattr_static(client, name).__doc__ == function.__doc__


def test_no_operation_of_the_api_is_forgotten(bench: ApiBench) -> None:
    """Each path of the description is one that a client asks for."""
    paths = bench.get("/v1/openapi.json").json["paths"]
    sources = "".join(
        inspect.getsource(module)
        for module in (task_operations, queue_operations, claim_operations, view_operations)
    )
    words = {
        path: path.rstrip("/").rpartition("/")[2] if not path.endswith("}") else path.split("/")[-2]
        for path in paths
    }

    assert paths
    assert {
        path for path, word in words.items() if f'"{word}"' not in sources and f"/{word}" not in sources
    } == set()


def test_files_are_handed_in_and_read(bench: ApiBench, asker: Callable[..., Ask]) -> None:
    ask = asker(f"unix:{bench.socket_path}")
    task = ask("submit", **HELLO).task.id
    bench.ask("PUT", f"/v1/tasks/{task}/artifacts/a.txt", b"figures", Content_Type="text/plain")

    assert [(each.name, each.size) for each in ask("artifacts", task).artifacts] == [("a.txt", 7)]
    assert ask("artifact", task, "a.txt") == b"figures"
    assert ask("artifact", task, "a.txt", offset=3) == b"ures"
    assert ask("uploaded", task, "a.txt") is None
    assert ask("uploaded", task, "none.txt") == 0
    assert ask("append_event", task, "note", message="look at a.txt").percent is None
    assert "look at a.txt" in str(ask("events_page", task=task).events[-1].data)


def test_the_way_of_a_task(bench: ApiBench, asker: Callable[..., Ask]) -> None:
    """Over TCP with a token from a file: submitted, found, changed, cancelled, acknowledged, tried again."""
    file = bench.rig.home / "token"
    file.write_text(bench.token("ci", "operate", "submit") + "\n")
    bench.rig.start()
    bench.post("/v1/sources/a/pause")
    ask = asker(f"http://127.0.0.1:{bench.port}", token_file=file)

    accepted = ask("submit", **HELLO, labels={"team": "web"}, priority=3)
    task = ask("task", accepted.task.id)
    found = ask("tasks", status=["queued"], label=["team=web"], limit=1)
    before = ask("document", task.id)
    changed = ask("change", task.id, document=before.text.replace("hello", "bye"), etag=before.etag)
    with pytest.raises(ApiError) as refused:
        ask("change", task.id, document="x", etag=before.etag)
    withdrawn = ask("withdraw", task.id)
    seen = ask("acknowledge", task.id)
    again = ask("retry", task.id, fresh=True)
    listed = ask("bulk", "cancel", dry_run=True, ids=[task.id])

    assert not accepted.replayed
    assert (task.status, task.priority, task.submitted_by) == ("queued", 3, "ci")
    assert ([each.id for each in found.tasks], found.counts["queued"]) == ([task.id], 1)
    assert changed.id == task.id
    assert "echo bye" in ask("document", task.id).text
    assert (refused.value.status, refused.value.code) == (412, "document_changed")
    assert (withdrawn.status, seen.status, again.status) == ("cancelled", "cancelled", "queued")
    assert [(each.id, each.done) for each in listed.tasks] == [(task.id, False)]
    assert ask("events_page", task=task.id).events[0].type == "person_acted"


def test_the_queue_itself(bench: ApiBench, asker: Callable[..., Ask]) -> None:
    """As the owner over the socket: health, sources, statistics, tokens."""
    ask = asker(f"unix:{bench.socket_path}")
    made = ask("create_token", "ci", ["read"], expires="90d", sources=["*"])

    assert ask("health").status == "no_daemon"
    assert [source.state for source in ask("sources").sources] == ["open"]
    assert ask("pause", "a").state == "paused"
    assert ask("resume", "a").state == "open"
    assert ask("drain", "a").state == "draining"
    assert not ask("workers").daemon
    assert ask("stats", by="source").all.ended == 0
    assert [token.name for token in ask("tokens").tokens] == ["ci"]
    assert not ask("revoke_token", made.id).good
    with pytest.raises(ApiError, match="revoked") as refused:
        asker(f"http://127.0.0.1:{bench.port}", token=made.token)("sources")
    assert refused.value.code == "unauthorized"


def test_what_a_task_left(bench: ApiBench, asker: Callable[..., Ask]) -> None:
    bench.rig.start()
    ask = asker(f"unix:{bench.socket_path}")
    task = ask("submit", **HELLO).task.id
    eventually(lambda: ask("task", task).status == "completed", what="it is completed")

    assert ask("result", task)["task_id"] == task
    assert ask("report", task).startswith("#")
    lines = ask("transcript", task)
    assert lines.data.count(b"\n") >= 2
    assert (lines.next_offset, lines.attempt) == (len(lines.data), 1)
    for action in ("land", "undo"):
        with pytest.raises(ApiError) as refused:
            ask(action, task)
        assert refused.value.status == 409


def test_a_lost_answer_makes_no_second_task(
    bench: ApiBench, network: CutNetwork, asker: Callable[..., Ask]
) -> None:
    """The question is asked again with the key that the client chose."""
    token = bench.token("ci", "submit")
    network.lose_answers()
    accepted = asker(f"http://127.0.0.1:{network.port}", token=token)("submit", **HELLO)

    assert accepted.replayed
    assert network.questions == 2
    assert [path.stem for path in bench.rig.pending().glob("*.md")] == [accepted.task.id]


def test_a_lost_answer_loses_no_claim(a_bench: Callable[..., ApiBench], asker: Callable[..., Ask]) -> None:
    """The second answer has the claim of the first."""
    bench = a_bench()
    document = json.loads(bench.rig.config.read_text())
    document["task_source_directories"][0] |= {"served_by": "workers", "slots": 2}
    bench.rig.config.write_text(json.dumps(document))
    bench.start()
    network = CutNetwork(lambda: bench.port)
    task = blocking(f"unix:{bench.socket_path}")("submit", **HELLO).task.id
    ask = asker(f"http://127.0.0.1:{network.port}", token=bench.token("builder", "work"))
    network.lose_answers()
    answer = ask("claim", wait_seconds=10)
    network.close()

    assert network.questions == 2
    assert (answer.claim.order.task_id, answer.claim.epoch) == (task, 1)


def test_what_may_have_been_done_is_not_asked_again(
    bench: ApiBench, network: CutNetwork, asker: Callable[..., Ask]
) -> None:
    token = bench.token("ci", "submit")
    ask = asker(f"http://127.0.0.1:{network.port}", token=token)
    task = ask("submit", **HELLO).task.id
    network.lose_answers()
    with pytest.raises(Unreachable) as lost:
        ask("cancel", task)

    assert lost.value.maybe_done
    assert ask("task", task).cancel_requested
    assert network.questions == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # sockets that httpx2 forgets
def test_a_server_that_comes_back_is_waited_for(bench: ApiBench, network: CutNetwork) -> None:
    """What was not sent is asked again, whatever it is; not for longer than the client is patient."""
    token = bench.token("ci", "submit")
    address = f"http://127.0.0.1:{network.port}"
    task = blocking(address, token=token)("submit", **HELLO).task.id
    bench.kill()
    waiting = threading.Thread(target=lambda: blocking(f"unix:{bench.socket_path}")("cancel", task))
    waiting.start()
    with pytest.raises(Unreachable) as impatient:
        blocking(f"unix:{bench.socket_path}", patience_s=0)("health")
    bench.start()
    waiting.join(timeout=60)

    assert not impatient.value.maybe_done
    assert bench.get(f"/v1/tasks/{task}").json["cancel_requested"]


def test_events_go_on_over_a_kill_of_the_server(bench: ApiBench) -> None:
    """None is missed and none comes twice."""
    client = Client(f"unix:{bench.socket_path}")
    first = client.submit(**HELLO).task.id
    events = client.events()
    seen = [next(events)]
    bench.kill()
    second = bench.rig.cli(
        "tasks", "add", "echo bye", "--executor", "sh", "--source", "a", "--json", check=True
    )
    bench.start()
    third = client.submit(**HELLO).task.id
    seen += itertools.islice(events, 2)
    events.close()
    client.close()

    assert [event.task_id for event in seen][::2] == [first, third]
    assert str(seen[1].task_id) in second.stdout
    assert len({event.cursor for event in seen}) == 3


def test_events_to_await_end_with_their_credential(bench: ApiBench) -> None:
    token = bench.token("reader", "read")

    async def follow() -> list[str]:
        types = []
        async with AsyncClient(f"http://127.0.0.1:{bench.port}", token=token) as client:
            async for event in client.events():
                types.append(event.type)
                await asyncio.to_thread(bench.rig.cli, "tokens", "revoke", "reader")
        return types

    with pytest.raises(ApiError) as ended:
        asyncio.run(follow())
    assert ended.value.code in {"credential_ended", "unauthorized"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("example.org", "not the address"),
        ("ftp://example.org", "not the address"),
        ("https://example.org:port", "not the address"),
        ("https://me:secret@example.org", "not the address"),
        ("https://example.org/?token=x", "not the address"),
        ("http://example.org", "every machine on the way"),
    ],
)
def test_odd_addresses_are_refused(address: str, reason: str) -> None:
    with pytest.raises(TaskQueueError, match=reason):
        Client(address)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read"), ("a b\n", "in one line"), ("", "one line")]
)
def test_odd_token_files_are_refused(tmp_path: Path, content: str | None, reason: str) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    with Client("http://127.0.0.1:9", token_file=file) as client, pytest.raises(TaskQueueError, match=reason):
        client.health()


def test_the_documented_example_works(bench: ApiBench, capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/client.md has it, with the address and the token of this bench."""
    bench.rig.start()
    token = bench.rig.home / "token"
    token.write_text(bench.token("ci", "submit"))
    text = (ROOT / "docs" / "client.md").read_text()
    blocks = [block.split("```", 1)[0] for block in text.split("```python\n")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        example = block.replace("https://queue.example.org", f"http://127.0.0.1:{bench.port}")
        example = example.replace("/etc/ci/task-queue-token", str(token)).replace("claude", "sh")
        example = example.replace("Make the tests pass.", "true")
        exec(compile(example, "client.md", "exec"), {})
        assert capsys.readouterr().out.endswith(" completed\n")
