"""The API: one request after the other, open streams and submissions at once, the daemon beside it, and at rest."""

from __future__ import annotations

import queue
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figures import Findings, Size, progress
from benchmarks.measure import cpu_ms, memory_mb, quantile
from benchmarks.parts import run_alone
from tests.api.bench import ApiBench, Reply
from tests.waiting import eventually

_EVENTS = b"GET /v1/events?after=end HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
_AT_ONCE = 8
_STREAMS = {Size.SHORT: 50, Size.FULL: 200}
_SUBMITS = {Size.SHORT: 100, Size.FULL: 1000}
_ASKED = {Size.SHORT: 20, Size.FULL: 100}
_IDLE_S = {Size.SHORT: 20.0, Size.FULL: 60.0}


def measure(size: Size) -> Findings:
    found = Findings("door", size)
    with tempfile.TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:
        bench = ApiBench(Path(folder) / "0", limits={"max_pending": 1_000_000})
        daemon = bench.rig.start()
        try:
            eventually(lambda: bench.state and bench.get("/v1/health").status == 200, what="the API serves")
            api = int(bench.state["pid"])
            bench.post("/v1/sources/a/pause")
            token = bench.token("boss", "admin")
            bench.get("/v1/tasks", token=token)
            progress("an idle API")
            _idle(found, api, _IDLE_S[size])
            _one_by_one(found, bench, token, _ASKED[size])
            progress(f"{_SUBMITS[size]} submissions and {_STREAMS[size]} streams")
            _load(found, bench, token, (api, daemon.pid))
        finally:
            bench.rig.close()
    return found


def _idle(found: Findings, pid: int, seconds: float) -> None:
    before = cpu_ms(pid)
    time.sleep(seconds)
    found.add("idle CPU, ms per minute", "API", (cpu_ms(pid) - before) * 60 / seconds)
    found.add("memory, MB", "API, idle", memory_mb(pid)["Rss"])


def _one_by_one(found: Findings, bench: ApiBench, token: str, asked: int) -> None:
    """Each question in turn, while nothing else asks."""
    body = {"title": "One", "instructions": "true", "executor": "sh"}
    known = bench.post("/v1/tasks", body, token=token).json["id"]
    questions: dict[str, Callable[[], Reply]] = {
        "GET /v1/health": lambda: bench.get("/v1/health"),
        "GET /v1/tasks": lambda: bench.get("/v1/tasks", token=token),
        "GET /v1/tasks/ID": lambda: bench.get(f"/v1/tasks/{known}", token=token),
        "POST /v1/tasks": lambda: bench.post("/v1/tasks", body, token=token),
    }
    taken: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(asked):
        for name, ask in questions.items():
            began = time.perf_counter()
            reply = ask()
            taken[name].append(1000 * (time.perf_counter() - began))
            assert reply.status < 300, reply.data
    for name, each in taken.items():
        found.add("an answer of the API, ms", name, each)
        found.add("p95 of the answers, ms", name, quantile(each, 0.95))


def _load(found: Findings, bench: ApiBench, token: str, pids: tuple[int, int]) -> None:
    streams, submits = _STREAMS[found.size], _SUBMITS[found.size]
    api, daemon = pids
    seen: list[dict[bytes, float]] = [{} for _ in range(streams)]
    clients = [_opened(bench.port, token) for _ in range(streams)]
    readers = [
        threading.Thread(target=_read, args=(client, times), daemon=True)
        for client, times in zip(clients, seen, strict=True)
    ]
    for reader in readers:
        reader.start()
    time.sleep(5)  # until all are open
    quiet = cpu_ms(api)
    time.sleep(5)
    found.add("share of one CPU, %", f"API, {streams} quiet streams", (cpu_ms(api) - quiet) / 50)
    found.add("memory, MB", f"API, {streams} quiet streams", memory_mb(api)["Rss"])
    work: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    for number in range(submits):
        work.put(number)
    took: list[float] = []
    accepted: dict[bytes, float] = {}
    before = {pid: cpu_ms(pid) for pid in (api, daemon)}
    begun = time.monotonic()

    def submit() -> None:
        while not work.empty():
            try:
                number = work.get_nowait()
            except queue.Empty:
                return
            asked = time.monotonic()
            reply = bench.post(
                "/v1/tasks",
                {"title": f"Task {number}", "instructions": "true", "executor": "sh"},
                token=token,
            )
            assert reply.status == 202, reply.data
            took.append(time.monotonic() - asked)
            accepted[reply.json["id"].encode()] = time.monotonic()

    workers = [threading.Thread(target=submit) for _ in range(_AT_ONCE)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    lasted = time.monotonic() - begun
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(len(times) < submits for times in seen):
        time.sleep(0.1)
    late = [times[task] - at for times in seen for task, at in accepted.items() if task in times]
    missed = sum(task not in times for times in seen for task in accepted)
    subject = f"{submits} submissions, {_AT_ONCE} at once, {streams} streams"
    found.add("submissions per s", subject, submits / lasted)
    for what, seconds in (("answer", took), ("event after the answer", late)):
        found.add(f"{what}, p50 ms", subject, 1000 * quantile(seconds, 0.5))
        found.add(f"{what}, p99 ms", subject, 1000 * quantile(seconds, 0.99))
    found.add("events missed", subject, missed)
    for name, pid in (("API", api), ("daemon", daemon)):
        found.add("share of one CPU, %", f"{name}, {subject}", (cpu_ms(pid) - before[pid]) / lasted / 10)
        found.add("memory, MB", f"{name}, {subject}", memory_mb(pid)["Rss"])
    for client in clients:
        client.close()


def _opened(port: int, token: str) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=120)
    client.sendall(_EVENTS + f"Authorization: Bearer {token}\r\n\r\n".encode())
    return client


def _read(client: socket.socket, times: dict[bytes, float]) -> None:
    """When each task was first named by an event."""
    left = b""
    try:
        while data := client.recv(1 << 18):
            now = time.monotonic()
            *lines, left = (left + data).split(b"\n")
            for line in lines:
                _, mark, rest = line.partition(b'"task_id":"')
                if mark:
                    times.setdefault(rest.partition(b'"')[0], now)
    except OSError:
        return


if __name__ == "__main__":
    run_alone("door")
