"""The API under load: open streams and submissions at once, the daemon beside it, and what an idle API costs.

``python -m benchmarks.door [--streams 200] [--submits 1000] [--idle 60]``
"""

from __future__ import annotations

import argparse
import queue
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

from tests.api.bench import ApiBench
from tests.waiting import eventually

_EVENTS = b"GET /v1/events?after=end HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n"
_AT_ONCE = 8


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--submits", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tq-", ignore_cleanup_errors=True) as folder:
        bench = ApiBench(Path(folder) / "0", limits={"max_pending": 1_000_000})
        daemon = bench.rig.start()
        try:
            eventually(lambda: bench.state and bench.get("/v1/health").status == 200, what="the API serves")
            api = int(bench.state["pid"])
            bench.post("/v1/sources/a/pause")
            token = bench.token("boss", "admin")
            bench.get("/v1/tasks", token=token)
            _idle(api, arguments.idle)
            _load(bench, token, (api, daemon.pid), arguments.streams, arguments.submits)
        finally:
            bench.rig.close()


def _idle(pid: int, seconds: float) -> None:
    before = _cpu_ms(pid)
    time.sleep(seconds)
    print(f"idle API: {(_cpu_ms(pid) - before) * 60 / seconds:.1f} ms CPU per minute, {_rss_mb(pid):.0f} MB")


def _load(bench: ApiBench, token: str, pids: tuple[int, int], streams: int, submits: int) -> None:
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
    quiet = _cpu_ms(api)
    time.sleep(5)
    print(f"{streams} quiet streams: {(_cpu_ms(api) - quiet) / 50:.0f} % of one CPU, {_rss_mb(api):.0f} MB")
    work: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    for number in range(submits):
        work.put(number)
    took: list[float] = []
    accepted: dict[bytes, float] = {}
    before = {pid: _cpu_ms(pid) for pid in (api, daemon)}
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
    print(f"{submits} submissions, {_AT_ONCE} at once: {submits / lasted:.0f}/s, {_told(took)}")
    print(f"events at {streams} streams: {_told(late)} after the answer, {missed} missed")
    cpu = {pid: _cpu_ms(pid) - before[pid] for pid in before}
    print(
        f"meanwhile: API {cpu[api] / lasted / 10:.0f} % CPU, {_rss_mb(api):.0f} MB; "
        f"daemon {cpu[daemon] / lasted / 10:.0f} % CPU, {_rss_mb(daemon):.0f} MB"
    )
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


def _told(seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {cuts[49] * 1000:.0f} ms, p99 {cuts[98] * 1000:.0f} ms"


def _cpu_ms(pid: int) -> float:
    """Of all its threads, those that have ended included (clock_getcpuclockid(3), for the whole process)."""
    return time.clock_gettime((~pid << 3) | 2) * 1000


def _rss_mb(pid: int) -> float:
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024


if __name__ == "__main__":
    main()
