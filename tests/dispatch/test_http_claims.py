"""The same over HTTP, with tokens: the application as it is served, with a clock that the test moves."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from task_queue.api.application import application
from task_queue.api.guard import RequestGuard
from task_queue.api.settings import ServedApi
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.app.tokens import create_token
from task_queue.config.api_settings import ApiSettings
from task_queue.domain.policy import AccessPolicy, AccessRole
from tests.dispatch.claims_contract import LEASE_S, ClaimsBench, ClaimsContract, Got, Refused
from tests.waiting import eventually

_LISTS: tuple[str, ...] = ("sources", "repositories", "types", "executors")
_VERBS = {"succeeded": "complete", "interrupted": "release", "limited": "release"}


def policy_of(lists: Collection[str], *, own: bool = False) -> AccessPolicy:
    """Of a worker: *lists* allow everything, the others nothing."""
    return AccessPolicy(
        (AccessRole.WORK,),
        ("*",) if "sources" in lists else (),
        ("*",) if "repositories" in lists else (),
        ("*",) if "types" in lists else (),
        ("*",) if "capabilities" in lists else (),
        ("*",) if "executors" in lists else (),
        own=own,
    )


class HttpBench(ClaimsBench):
    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> None:
        super().__init__(home, **keys)
        for name, value in self.rig.environment.items():
            monkeypatch.setenv(name, value)
        policy = policy_of(dict.fromkeys((*_LISTS, "capabilities"), ("*",)))
        self.tokens = {name: self.token(name, policy) for name in ("w1", "w2")}
        self.port = 0

    def token(self, name: str, policy: AccessPolicy) -> str:
        return create_token(Installation(str(self.rig.config)), name, policy).token

    def start(self) -> None:
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._started.wait(20)

    async def _serve(self) -> None:
        self._loop, self._ends = asyncio.get_running_loop(), asyncio.Event()
        installation = Installation(str(self.rig.config), clock=self.clock)
        api: list[ServedApi] = []

        def changed() -> None:
            self._loop.call_soon_threadsafe(api[0].note_change)

        desk = WorkerDesk(installation, changed=changed)
        api.append(ServedApi(installation, ApiSettings(), self._ends, desk))
        app = RequestGuard(application(api[0]), hosts={"127.0.0.1"})
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        desk.start()
        self._started.set()
        await self._ends.wait()
        api[0].note_change()
        server.should_exit = True
        await serving
        await asyncio.to_thread(desk.stop)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._ends.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def ask(self, path: str, body: Any, worker: str, **more: str) -> Any:
        """Raises Refused."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {
            "Authorization": f"Bearer {self.tokens[worker]}",
            "Content-Type": "application/json",
            **more,
        }
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status >= 400:
            details = content["details"]
            raise Refused(content["code"], str(details.get("offset", details.get("state", ""))))
        return content

    def claim(
        self,
        worker: str = "w1",
        *,
        lease_s: float = LEASE_S,
        sources: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        executors: Sequence[str] | None = None,
        capabilities: Sequence[str] = (),
        key: str | None = None,
        **more: Any,
    ) -> Got | None:
        wish = {
            "worker_id": worker,
            "lease_seconds": lease_s,
            "sources": sources,
            "types": types,
            "executors": executors,
            "capabilities": capabilities,
            **more,
        }
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self.ask("/v1/claims", wish, worker, **headers)
        claim = answer["claim"]
        if claim is None:
            assert answer["task"] is None
            return None
        assert answer["task"]["status"] == "running"
        order = claim["order"]
        assert order["task_id"] == answer["task"]["id"]
        return Got(claim["id"], claim["epoch"], order["task_id"], order["document"], order)

    def heartbeat(self, got: Got, worker: str = "w1", *, epoch: int | None = None) -> str:
        body = {"epoch": got.epoch if epoch is None else epoch, "progress": {"percent": 10}}
        return str(self.ask(f"/v1/claims/{got.id}/heartbeat", body, worker)["directive"])

    def frames(self, got: Got, offset: int, *lines: str) -> int:
        body = {"epoch": got.epoch, "offset": offset, "lines": lines}
        return int(self.ask(f"/v1/claims/{got.id}/frames", body, "w1")["offset"])

    def report(
        self, got: Got, kind: str = "succeeded", worker: str = "w1", *, epoch: int | None = None
    ) -> str:
        verb = _VERBS.get(kind, "fail")
        reason = f"said by {worker}"
        outcome = (
            {"kind": kind, "reason": reason}
            if verb == "release"
            else {"outcome": {"kind": kind, "reason": reason}}
        )
        work = {"output": f"done by {worker}", "num_turns": 1}
        body = {"epoch": got.epoch if epoch is None else epoch, "work": work, **outcome}
        answer = self.ask(f"/v1/claims/{got.id}/{verb}", body, worker)
        assert answer["task"]["id"] == got.task_id
        return str(answer["answer"])


class TestHttpClaims(ClaimsContract):
    @pytest.fixture
    def bench(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpBench]:
        bench = HttpBench(tmp_path, monkeypatch)
        bench.start()
        yield bench
        bench.close()

    def test_a_worker_waits_for_a_task(self, bench: HttpBench) -> None:
        """Until one comes, or its time is over; one for whom nothing came does not take any."""
        got: list[Got | None] = []
        assert bench.claim(wait_seconds=0.1) is None
        waiting = threading.Thread(target=lambda: got.append(bench.claim(wait_seconds=30)))
        waiting.start()
        bench.drop("task-1")
        waiting.join(20)

        assert [each and each.task_id for each in got] == ["task-1"]

    def test_who_goes_away_while_it_waits_gets_no_task(self, bench: HttpBench) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", bench.port, timeout=30)
        headers = {"Authorization": f"Bearer {bench.tokens['w1']}", "Content-Type": "application/json"}
        connection.request("POST", "/v1/claims", '{"worker_id": "w1", "wait_seconds": 60}', headers)
        connection.close()
        bench.drop("task-1")

        eventually(lambda: bench.claim("w2", wait_seconds=5) is not None)

    @pytest.mark.parametrize("key", ["", "k" * 201])
    def test_a_key_that_is_none_is_refused(self, bench: HttpBench, key: str) -> None:
        bench.drop("task-1")
        with pytest.raises(Refused, match="invalid_request"):
            bench.claim(key=key)

        assert bench.got(key="k" * 200).epoch == 1

    @pytest.mark.parametrize("lease_s", [29, 86_401, -1, "x", None, True])
    def test_a_lease_out_of_range_is_refused(self, bench: HttpBench, lease_s: Any) -> None:
        with pytest.raises(Refused, match="invalid_request"):
            bench.claim(lease_s=lease_s)

    def test_a_worker_claims_in_its_own_name_only(self, bench: HttpBench) -> None:
        with pytest.raises(Refused, match="worker_mismatch"):
            bench.ask("/v1/claims", {"worker_id": "w1"}, "w2")

    @pytest.mark.parametrize("empty", ["sources", "repositories", "types", "executors"])
    def test_an_empty_list_of_a_policy_allows_no_task(self, bench: HttpBench, empty: str) -> None:
        lists = [name for name in _LISTS if name != empty]
        bench.tokens["w3"] = bench.token("w3", policy_of(lists))
        bench.drop("task-1")

        assert bench.claim("w3") is None
        assert bench.got().task_id == "task-1"

    def test_the_capabilities_of_a_policy_bound_what_a_worker_gets(self, bench: HttpBench) -> None:
        """Whatever it says that it has; and with ``own`` it gets only what it submitted."""
        bench.tokens["w3"] = bench.token("w3", policy_of(_LISTS))
        bench.tokens["w4"] = bench.token("w4", policy_of(_LISTS, own=True))
        bench.drop("task-gpu", capabilities="[gpu]")

        assert bench.claim("w3", capabilities=["gpu"]) is None
        bench.drop("task-plain")
        assert bench.claim("w4") is None
        assert bench.got("w3").task_id == "task-plain"

    def test_who_may_not_work_claims_nothing(self, bench: HttpBench) -> None:
        bench.tokens["w3"] = bench.token("w3", AccessPolicy((AccessRole.OPERATE,), sources=("*",)))
        with pytest.raises(Refused, match="role_missing"):
            bench.claim("w3")

    def test_other_sources_are_refused(self, bench: HttpBench) -> None:
        with pytest.raises(Refused, match="source_not_found"):
            bench.claim(sources=["c"])

    def test_a_report_that_does_not_fit_is_refused(self, bench: HttpBench) -> None:
        """And changes nothing."""
        bench.drop("task-1")
        got = bench.got()
        path = f"/v1/claims/{got.id}"
        good = {"kind": "succeeded", "reason": "x"}
        for verb, body in (
            ("complete", {"outcome": {"kind": "failed", "reason": "x"}}),
            ("fail", {"outcome": good}),
            ("complete", {"outcome": {}}),
            ("complete", {"outcome": good, "work": {"total_cost_usd": -1}}),
            ("fail", {"outcome": {"kind": "limited", "reason": "x", "resets_at": "2030-01-01T00:00:00"}}),
            ("complete", {"outcome": good, "work": {"num_turns": "many"}}),
            ("complete", {"outcome": {**good, "kind": "well"}}),
            ("release", {"reason": "x", "kind": "failed"}),
            ("frames", {"offset": 0, "lines": ["two\nlines"]}),
            ("heartbeat", {"progress": {"percent": 101}}),
        ):
            with pytest.raises(Refused, match="invalid_request"):
                bench.ask(f"{path}/{verb}", {"epoch": 1, **body}, "w1")

        assert bench.report(got) == "applied"
