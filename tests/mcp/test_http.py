"""``/mcp`` of the API: each caller by its own policy, and what the door refuses before."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from tests.api.bench import ApiBench
from tests.mcp.clients import over_http, text_of
from tests.mcp.test_stdio import READING, TASK

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}
ACCEPT = "application/json, text/event-stream"


def url_of(bench: ApiBench) -> str:
    return f"http://127.0.0.1:{bench.port}/mcp"


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


@pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
def test_a_conversation_of_who_may_submit(bench: ApiBench, mode: str) -> None:
    """It changes what it submitted itself, and nothing else that it sees."""
    bench.rig.drop("task-of-another", "# x")
    token = bench.token("ci", "submit")

    async def talk(client: Client) -> None:
        added = (await client.call_tool("add", TASK)).structured_content
        page = (await client.call_tool("list", {})).structured_content
        own = await client.call_tool("cancel", {"id": added["task"]["id"]})
        other = await client.call_tool("cancel", {"id": "task-of-another"})

        assert added["task"]["submitted_by"] == "ci"
        assert page["counts"]["queued"] == 2
        assert not own.is_error
        assert other.is_error
        assert "only change tasks that it submitted itself" in text_of(other)

    over_http(url_of(bench), token, talk, mode=mode)


def test_who_reads_is_shown_only_what_reads(bench: ApiBench) -> None:
    """And of a policy for one source neither others nor the statistics over all."""

    async def tries_to_change(client: Client) -> list[str]:
        with pytest.raises(MCPError, match="no such tool"):
            await client.call_tool("add", TASK)
        return await names(client)

    bench.rig.drop("task-x", "# x")

    async def looks(client: Client) -> tuple[list[str], Any, bool]:
        seen = (await client.call_tool("list", {})).structured_content
        direct = await client.call_tool("get", {"id": "task-x"})
        return await names(client), seen["tasks"], direct.is_error

    limited = bench.token("limited", "read", sources="b")

    assert over_http(url_of(bench), bench.token("reader", "read"), tries_to_change) == READING
    assert over_http(url_of(bench), limited, looks) == (["list", "get", "events"], [], True)
    assert over_http(url_of(bench), bench.token("worker", "work"), names) == READING


def test_the_owner_needs_no_token_over_the_socket(bench: ApiBench) -> None:
    async def speak() -> list[str]:
        transport = httpx2.AsyncHTTPTransport(uds=bench.socket_path)
        async with (
            httpx2.AsyncClient(transport=transport) as http,
            Client(streamable_http_client("http://localhost/mcp", http_client=http)) as client,
        ):
            return await names(client)

    assert len(asyncio.run(speak())) == 7


def test_who_has_no_good_credential_hears_where_the_metadata_is(bench: ApiBench) -> None:
    nobody = bench.post("/mcp", INITIALIZE, token="", Accept=ACCEPT)
    wrong = bench.post("/mcp", INITIALIZE, token="tq_wrong", Accept=ACCEPT)
    where = f"http://127.0.0.1:{bench.port}/.well-known/oauth-protected-resource/mcp"
    metadata = bench.get("/.well-known/oauth-protected-resource/mcp", token="")

    assert (nobody.code, wrong.code) == ("unauthorized", "unauthorized")
    assert nobody.headers["www-authenticate"] == f'Bearer resource_metadata="{where}"'
    assert wrong.headers["www-authenticate"] == nobody.headers["www-authenticate"]
    assert metadata.json["resource"] == url_of(bench)
    assert metadata.json["bearer_methods_supported"] == ["header"]
    assert "authorization_servers" not in metadata.json


def test_a_revoked_token_ends_the_conversation(bench: ApiBench) -> None:
    token = bench.token("ci", "submit")

    async def talk(client: Client) -> None:
        assert "add" in await names(client)
        await asyncio.to_thread(bench.rig.cli, "tokens", "revoke", "ci", check=True)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whichever of the client's errors a 401 becomes
            await client.call_tool("list", {})
        assert bench.get("/v1/tasks", token=token).code == "unauthorized"

    over_http(url_of(bench), token, talk, mode="legacy")


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Origin": "https://evil.example"}, INITIALIZE, 403),
        ({"Sec_Fetch_Site": "cross-site"}, INITIALIZE, 403),
        ({"Host": "evil.example"}, INITIALIZE, 421),
        ({"Content_Type": "text/plain"}, INITIALIZE, 415),
        ({}, b"{", 400),
        ({}, b"[" * 100_000, 400),
        ({}, b"x" * 2**21 + b"x", 413),
        ({}, {"jsonrpc": "2.0"}, 400),
        ({}, [INITIALIZE], 400),
        ({"MCP_Protocol_Version": "1999-01-01"}, INITIALIZE, 400),
        ({"Accept": "text/html"}, INITIALIZE, 406),
    ],
)
def test_what_is_no_message_of_a_client_is_refused(
    bench: ApiBench, headers: dict[str, str], body: Any, status: int
) -> None:
    token = bench.token("ci", "submit")

    assert bench.post("/mcp", body, token=token, **{"Accept": ACCEPT, **headers}).status == status
    assert bench.post("/mcp", INITIALIZE, token=token, Accept=ACCEPT).status == 200


def test_there_is_no_stream_to_listen_on(bench: ApiBench) -> None:
    assert bench.get("/mcp", Accept="text/event-stream").status == 405
    assert bench.ask("DELETE", "/mcp").status == 405


def test_the_metadata_name_the_identity_provider(a_bench: Callable[..., ApiBench], tmp_path: Path) -> None:
    oidc = {
        "issuer": "https://id.example.org",
        "audience": "task-queue",
        "jwks_file": str(tmp_path / "keys.json"),
        "claim": "groups",
        "policies": {},
    }
    (tmp_path / "keys.json").write_text(json.dumps({"keys": []}))
    bench = a_bench(api={"oidc": oidc})
    bench.start()

    metadata = bench.get("/.well-known/oauth-protected-resource").json
    assert metadata["authorization_servers"] == ["https://id.example.org"]
