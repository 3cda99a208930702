"""``task-queue mcp`` as a process, and the client of the package ``mcp``."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from mcp import Client, MCPError

from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.mcp.clients import over_stdio, text_of
from tests.warm import PROGRAM

TASK = {"title": "Fix it", "instructions": "Do it well."}
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
READING = ["list", "get", "events", "stats"]


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
def test_a_conversation(rig: Rig, mode: str) -> None:
    """Of either generation of clients. The client checks each answer against the schema that the tool tells."""

    async def talk(client: Client) -> None:
        async def call(name: str, **given: Any) -> Any:
            result = await client.call_tool(name, given)
            assert not result.is_error, result
            assert json.loads(text_of(result)) == result.structured_content
            return result.structured_content

        await client.list_tools()
        added = await call("add", **TASK, priority=8)
        again = await call("add", **TASK)
        once = await call("add", document="# Once", idempotency_key="k1")
        replayed = await call("add", document="# Once", idempotency_key="k1")
        task_id = added["task"]["id"]
        page = await call("list", limit=1, sort="-priority")
        rest = await call("list", cursor=page["cursor"], sort="-priority")
        seen = await call("get", id=task_id)
        document = await client.read_resource(seen["files"]["document"])
        cancelled = await call("cancel", id=task_id)
        events = await call("events", id=task_id, types=["cancel_asked"])
        stats = await call("stats")

        assert [added["deduplicated"], again["deduplicated"], replayed["deduplicated"]] == [False, True, True]
        assert again["task"]["id"] == task_id
        assert replayed["task"]["id"] == once["task"]["id"]
        assert [task["id"] for task in (*page["tasks"], *rest["tasks"])] == [task_id, once["task"]["id"]]
        assert page["counts"]["queued"] == 2
        assert rest["cursor"] is None
        assert "Do it well." in document.contents[0].text  # type: ignore[union-attr] # it is text
        assert cancelled["task"]["cancel_requested"] is True
        assert "the daemon does not run" in cancelled["said"]
        assert [event["type"] for event in events["events"]] == ["cancel_asked"]
        assert stats["all"]["ended"] == 0

    over_stdio(rig, talk, mode=mode)


def test_what_failed_is_shown_in_short_and_can_be_tried_again(rig: Rig) -> None:
    rig.drop_command("task-x", "printf 'x%.0s' $(seq 5000); exit 3", max_attempts=1)
    rig.start()
    rig.result("task-x", timeout=30)

    async def talk(client: Client) -> None:
        seen = (await client.call_tool("get", {"id": "task-x"})).structured_content
        long = await client.read_resource(seen["files"]["transcript"])
        retried = await client.call_tool("retry", {"id": "task-x"})
        twice = await client.call_tool("retry", {"id": "task-x"})

        assert (seen["task"]["status"], seen["task"]["outcome"]) == ("failed", "failed")
        assert seen["output"] is None or len(seen["output"]) <= 2000
        assert set(seen["files"]) == {"document", "report", "result", "transcript"}
        assert "xxxx" in long.contents[0].text  # type: ignore[union-attr] # it is text
        assert not retried.is_error
        assert twice.is_error == ("not failed" in text_of(twice))

    over_stdio(rig, talk)


def test_every_tool_says_what_it_does_and_takes_nothing_unknown(rig: Rig) -> None:
    async def talk(client: Client) -> None:
        tools = (await client.list_tools()).tools
        hints = {tool.name: tool.annotations for tool in tools}

        assert [
            tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint
        ] == READING
        assert [name for name, hint in hints.items() if hint and hint.destructive_hint] == ["cancel"]
        for tool in tools:
            assert tool.input_schema["additionalProperties"] is False, tool.name
            assert tool.output_schema is not None, tool.name
            refused = await client.call_tool(tool.name, {**_GOOD[tool.name], "surprise": 1})
            assert refused.is_error, tool.name
            assert "surprise: Extra inputs" in text_of(refused)

    over_stdio(rig, talk)


_GOOD: dict[str, dict[str, Any]] = {
    "add": TASK,
    "list": {},
    "events": {},
    "stats": {},
    **{key: {"id": "task-x"} for key in ("get", "cancel", "retry")},
}
_NESTED: Any = 1
for _ in range(100):
    _NESTED = [_NESTED]
HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("add", {}, "title must be one line"),
    ("add", {"title": "a\nb", "instructions": "x"}, "title must be one line"),
    ("add", {"title": 5, "instructions": "x"}, "title: Input should be a valid string"),
    ("add", {"title": "x" * 1001, "instructions": "x"}, "at most 1000 characters"),
    ("add", {"document": "x" * 1_200_000}, "at most 1100000 characters"),
    ("add", {**TASK, "priority": "8"}, "priority: Input should be a valid integer"),
    ("add", {**TASK, "priority": 11}, "less than or equal to 10"),
    ("add", {**TASK, "max_budget_usd": 1e300}, "max_budget_usd"),
    ("add", {**TASK, "not_before": "soon"}, "not_before: Input should be a valid datetime"),
    ("add", {**TASK, "not_before": "2027-01-01T00:00:00"}, "timezone"),
    ("add", {**TASK, "source": "../a"}, "source is not known"),
    ("add", {**TASK, "depends_on": ["../x"]}, "depends_on"),
    ("add", {**TASK, "type": "no such type"}, "type"),
    ("add", {**TASK, "labels": {"a": "x" * 5000}}, "labels"),
    ("add", {**TASK, "labels": {"a": _NESTED}}, ""),
    ("add", {**TASK, "submitted_by": "root"}, "submitted_by: Extra inputs"),
    ("add", {**TASK, "workspace": "/etc"}, "workspace: Extra inputs"),
    ("add", {"document": "---\nworkspace: /etc\n---\n# x"}, "workspace"),
    ("add", {"document": "---\nnonsense: 1\n---\n# x"}, "nonsense"),
    ("list", {"limit": 0}, "greater than or equal to 1"),
    ("list", {"limit": 10**30}, "limit"),
    ("list", {"cursor": "nonsense"}, "the cursor is not one of this list"),
    ("list", {"status": "queued"}, "status"),
    ("get", {"id": "../../etc/passwd"}, "there is no task"),
    ("get", {"id": "task-\x1b[2J"}, "there is no task"),
    ("get", {"id": "x" * 10_000}, "at most 250 characters"),
    ("get", {"id": None}, "id: Input should be a valid string"),
    ("cancel", {"id": ["a"]}, "id: Input should be a valid string"),
    ("retry", {"id": "task-x", "fresh": "yes"}, "fresh: Input should be a valid boolean"),
    ("events", {"types": ["no such"]}, "there is no type of event"),
    ("stats", {"by": "moon"}, "by: Input should be"),
]


def test_hostile_arguments_are_refused_with_what_to_do(rig: Rig) -> None:
    """And the server goes on."""

    async def talk(client: Client) -> None:
        for name, given, why in HOSTILE:
            result = await client.call_tool(name, given)
            assert result.is_error, (name, result)
            assert why in text_of(result), (name, text_of(result))
            assert len(text_of(result)) < 4000
            assert "defect" not in text_of(result)
        for uri in ("task-queue://tasks/../x/document", "file:///etc/passwd", "task-queue://tasks/x/secrets"):
            with pytest.raises(MCPError, match="resources are called"):
                await client.read_resource(uri)
        with pytest.raises(MCPError, match="no such tool"):
            await client.call_tool("rm", {})
        strange = await client.call_tool("add", {"title": "a\x1b[2J\u202e", "instructions": "b\x00\x9b"})
        assert (await client.call_tool("list", {})).structured_content["tasks"] != [] or strange.is_error

    over_stdio(rig, talk)
    assert "Traceback" not in (rig.home / "mcp.err").read_text()


def test_read_only_it_changes_nothing(rig: Rig) -> None:
    rig.drop("task-x", "# x")

    async def talk(client: Client) -> None:
        assert [tool.name for tool in (await client.list_tools()).tools] == READING
        for name in ("add", "cancel", "retry"):
            with pytest.raises(MCPError, match="no such tool"):
                await client.call_tool(name, _GOOD[name])

    over_stdio(rig, talk, "--read-only")
    assert [path.name for path in rig.pending().iterdir() if path.suffix == ".md"] == ["task-x.md"]


def test_the_source_is_that_of_the_folder_or_named(make_rig: MakeRig) -> None:
    rig = make_rig(sources=("a", "b"))

    async def source_of_new(client: Client) -> Any:
        result = await client.call_tool("add", TASK)
        return result.structured_content["task"]["source"] if not result.is_error else text_of(result)

    nowhere = over_stdio(rig, source_of_new)
    here = over_stdio(rig, source_of_new, cwd=rig.queue("b"))
    named = over_stdio(rig, source_of_new, "--source", "a")

    assert nowhere == "source is needed; sources: a, b"
    assert (here, named) == ("b", "b"), "the second is a duplicate of the first"
    assert rig.cli("mcp", "--source", "none").returncode == 1


def test_without_a_known_attempt_in_the_marker_nothing_is_seen(rig: Rig) -> None:
    """A marker above the server counts, too; a person's session in a task's checkout is not the task."""
    rig.drop("task-x", "# x")

    async def seen(client: Client) -> list[str]:
        tools = (await client.list_tools()).tools
        if not tools:
            return []
        listed = (await client.call_tool("list", {})).structured_content
        return [task["id"] for task in listed["tasks"]]

    def with_marker(marker: str, *above: str) -> Any:
        return over_stdio(rig, seen, environment={"TASK_QUEUE_ATTEMPT": marker}, above=above)

    assert with_marker("nonsense") == []
    assert with_marker("a:task-y:1:s") == []
    assert with_marker("b:task-x:1:s") == []
    assert with_marker("a:task-x:1:s") == ["task-x"]
    below = ("sh", "-c", 'env -u TASK_QUEUE_ATTEMPT "$@"; true', "sh")
    assert with_marker("a:task-y:1:s", *below) == []
    assert over_stdio(rig, seen) == ["task-x"]


def test_a_client_that_closes_its_end_gets_all_answers(rig: Rig) -> None:
    """As a pipe of the shell does: ``task-queue mcp < questions``."""
    asked = range(2, 14)
    adding = [_call(each, "add", {"document": f"# Task {each}"}) for each in asked]
    done = _answers_to(rig, HELLO, INITIALIZED, *adding)

    assert not [each for each in done.values() if "error" in each]
    assert sorted(done) == [1, *asked]
    assert len(list(rig.pending().glob("*.md"))) == len(asked)


def test_rubbish_on_standard_input_stops_nothing(rig: Rig) -> None:
    nested = json.dumps(_call(8, "list", {"text": 0})).replace("0}", "[" * 2000 + "]" * 2000 + "}")
    answers = _answers_to(
        rig,
        b"rubbish",
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0", "id": 3, "method": 5}',
        b'"' + b"x" * 5_000_000 + b'"',
        HELLO,
        INITIALIZED,
        nested.encode(),
        {"jsonrpc": "2.0", "id": 9, "method": "tools/list"},
    )

    assert answers[1]["result"]["serverInfo"]["name"] == "task-queue"
    assert len(answers[9]["result"]["tools"]) == 7


def _call(number: int, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
    params = {"name": tool, "arguments": arguments}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}


def _answers_to(rig: Rig, *lines: bytes | dict[str, Any]) -> dict[Any, dict[str, Any]]:
    """By the number of the question. The input ends after the last line."""
    done = subprocess.run(
        [*PROGRAM, "--config", str(rig.config), "mcp"],
        env=rig.environment,
        cwd=rig.home,
        input=b"\n".join(each if isinstance(each, bytes) else json.dumps(each).encode() for each in lines)
        + b"\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return {each.get("id"): each for each in map(json.loads, done.stdout.splitlines())}
