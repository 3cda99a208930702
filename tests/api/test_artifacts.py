"""Artifacts over HTTP: handed in whole or in parts, and what each refusal leaves behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import socket
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from task_queue.api.artifacts import batches
from task_queue.api.problems import ProblemError
from tests.api.bench import ApiBench, Reply
from tests.api.test_tasks import submitted
from tests.disks import memory_disk
from tests.waiting import eventually

BIN = "application/octet-stream"
CONTENT = bytes(range(256)) * 40


def digest_of(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def put(
    bench: ApiBench, path: str, data: bytes = CONTENT, *, token: str | None = None, **headers: str
) -> Reply:
    return bench.ask("PUT", path, data, token=token, **({"Content_Type": BIN} | headers))


@pytest.fixture
def task(bench: ApiBench) -> str:
    return str(submitted(bench).json["id"])


def folder_of(bench: ApiBench, task: str) -> Path:
    return bench.rig.pending().parent / "logs" / task / "artifacts"


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_what_is_handed_in_is_given_back(bench: ApiBench, task: str) -> None:
    path = f"/v1/tasks/{task}/artifacts/data%20(1).bin"
    first = put(bench, path, Repr_Digest=digest_of(CONTENT))
    again = put(bench, path, Digest=digest_of(CONTENT).replace(":", ""))
    head, got = bench.ask("HEAD", path), bench.get(path)
    part = bench.get(path, Range="bytes=10240-")
    middle = bench.get(path, Range="bytes=5-9")
    listed = bench.get(f"/v1/tasks/{task}/artifacts").json

    known = {
        "name": "data (1).bin",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "media_type": BIN,
    }
    assert (first.status, again.status) == (201, 200)
    assert first.json == again.json == known
    assert listed == {"artifacts": [known], "uploads": []}
    assert got.data == CONTENT
    assert got.headers["content-disposition"] == "attachment"
    assert head.headers["repr-digest"] == got.headers["repr-digest"] == digest_of(CONTENT)
    assert head.headers["content-length"] == str(len(CONTENT))
    assert part.status == 416
    assert (middle.status, middle.data) == (206, CONTENT[5:10])
    assert middle.headers["content-range"] == f"bytes 5-9/{len(CONTENT)}"
    for file in folder_of(bench, task).iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_an_upload_goes_on_where_it_stopped_also_over_a_kill(bench: ApiBench, task: str) -> None:
    """Each part that was answered is there after a kill; one that was cut off is there as far as it came."""
    path = f"/v1/tasks/{task}/artifacts/work.bundle"
    total = len(CONTENT)
    first = put(bench, path, CONTENT[:4000], Content_Range=f"bytes 0-3999/{total}")
    bench.kill()
    bench.start()
    asked = bench.ask("HEAD", path)
    with socket.create_connection(("127.0.0.1", bench.port)) as client:
        token = bench.token("ci", "operate")
        client.sendall(
            f"PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {total - 4000}\r\n"
            f"Authorization: Bearer {token}\r\nContent-Type: {BIN}\r\n"
            f"Content-Range: bytes 4000-{total - 1}/{total}\r\n\r\n".encode()
            + CONTENT[4000:6000]
        )
        partial = folder_of(bench, task) / ".work.bundle.partial"
        eventually(lambda: put(bench, path, b"", Content_Range="bytes */1").code == "upload_running")
        bench.kill()
    bench.start()
    here = int(bench.ask("HEAD", path).headers["upload-offset"])
    wrong = put(bench, path, CONTENT[here + 1 :], Content_Range=f"bytes {here + 1}-{total - 1}/{total}")
    last = put(
        bench,
        path,
        CONTENT[here:],
        Content_Range=f"bytes {here}-{total - 1}/{total}",
        Repr_Digest=digest_of(CONTENT),
    )

    assert (first.status, first.json) == (202, {"name": "work.bundle", "offset": 4000})
    assert (asked.status, asked.headers["upload-offset"]) == (204, "4000")
    assert 4000 <= here <= 6000
    assert (wrong.code, wrong.json["details"]) == ("offset_mismatch", {"state": "uploading", "offset": here})
    assert last.status == 201
    assert bench.get(path).data == CONTENT
    assert not partial.exists()


def test_an_upload_whose_last_answer_was_lost_is_finished(bench: ApiBench, task: str) -> None:
    """Killed after the last byte and before the file had its name: all is here, and nothing is sent again."""
    path = f"/v1/tasks/{task}/artifacts/a"
    put(bench, path, CONTENT, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT) + 1}")
    before = bench.get(path)
    listed = bench.get(f"/v1/tasks/{task}/artifacts").json
    done = put(bench, path, b"", Content_Range=f"bytes */{len(CONTENT)}", Repr_Digest=digest_of(CONTENT))

    assert (before.code, before.json["details"]["offset"]) == ("artifact_incomplete", len(CONTENT))
    assert listed == {"artifacts": [], "uploads": [{"name": "a", "offset": len(CONTENT)}]}
    assert done.status == 201
    assert bench.get(path).data == CONTENT


@pytest.mark.parametrize(
    ("name", "headers", "refusal"),
    [
        ("..%2f..%2fetc", {}, (404, "not_found")),
        ("..", {}, (422, "bad_name")),
        (".hidden", {}, (422, "bad_name")),
        ("a%5cb", {}, (422, "bad_name")),
        ("a%0ab", {}, (422, "bad_name")),
        ("a%00", {}, (422, "bad_name")),
        ("%ff", {}, (422, "bad_name")),
        ("%e2%80%aea", {}, (422, "bad_name")),
        ("%20a", {}, (422, "bad_name")),
        ("a" * 181, {}, (422, "bad_name")),
        ("%c3%a9" * 91, {}, (422, "bad_name")),
        ("a", {"Content_Type": "text/html"}, (415, "unsupported_media_type")),
        ("a", {"Content_Type": "image/svg+xml"}, (415, "unsupported_media_type")),
        ("a", {"Repr_Digest": digest_of(b"other")}, (422, "digest_mismatch")),
        ("a", {"Repr_Digest": "md5=:AAAA:"}, (400, "bad_digest")),
        ("a", {"Content_Range": "bytes 0-1/2"}, (400, "bad_range")),
        ("a", {"Content_Range": "bytes 5-10244/10245"}, (409, "offset_mismatch")),
        ("a", {"Content_Range": "lines 1-2/3"}, (400, "bad_range")),
        ("a", {"Task_Queue_Claim": "nonsense"}, (400, "bad_claim")),
        ("a", {"Task_Queue_Claim": "abc;epoch=1"}, (404, "claim_not_found")),
    ],
)
def test_what_is_refused_leaves_nothing(
    bench: ApiBench, task: str, name: str, headers: dict[str, str], refusal: tuple[int, str]
) -> None:
    reply = put(bench, f"/v1/tasks/{task}/artifacts/{name}", CONTENT, **headers)

    assert (reply.status, reply.code) == refusal
    assert bench.get(f"/v1/tasks/{task}/artifacts").json["artifacts"] == []
    folder = folder_of(bench, task)
    assert [name for name in files_in(folder) if (folder / name).stat().st_size] == []


def test_a_lying_length_publishes_nothing(bench: ApiBench, task: str) -> None:
    """Less than was announced is not the file; what is more is not a part of it."""
    token = bench.token("ci", "operate")

    def sent(name: str, announced: int) -> None:
        with socket.create_connection(("127.0.0.1", bench.port)) as client:
            client.sendall(
                f"PUT /v1/tasks/{task}/artifacts/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Length: {announced}\r\nAuthorization: Bearer {token}\r\n"
                f"Content-Type: {BIN}\r\n\r\n".encode()
                + b"x" * 100
            )
            client.shutdown(socket.SHUT_WR)
            while client.recv(4096):
                pass

    sent("less", 101)
    sent("more", 99)
    known = bench.get(f"/v1/tasks/{task}/artifacts").json

    assert "less" not in [each["name"] for each in known["artifacts"]]
    assert {each["size"] for each in known["artifacts"]} <= {99}
    assert "less" in [each["name"] for each in known["uploads"]]
    assert bench.get("/v1/health").status == 200


def test_sizes_are_bounded(a_bench: Callable[..., ApiBench]) -> None:
    """One file, and all of a task together; what says that it is huge is not waited for."""
    bench = a_bench(api={"artifact_mb": 1, "artifacts_mb": 2})
    bench.start()
    task = submitted(bench).json["id"]
    path = f"/v1/tasks/{task}/artifacts"
    mebibyte = b"m" * 2**20
    large = put(bench, f"{path}/large", mebibyte + b"m")
    fit = [put(bench, f"{path}/{name}", mebibyte[:-2000]).status for name in "ab"]
    third = put(bench, f"{path}/c", mebibyte[:9000])
    with socket.create_connection(("127.0.0.1", bench.port), timeout=10) as client:
        client.sendall(
            f"PUT {path}/huge HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 104857600\r\n"
            f"Authorization: Bearer {bench.token('ci', 'operate')}\r\n\r\n".encode()
        )
        huge = client.recv(100)

    assert (large.status, large.code) == (413, "too_large")
    assert fit == [201, 201]
    assert (third.status, third.code) == (413, "artifacts_full")
    assert huge.startswith(b"HTTP/1.1 413")
    assert [each["name"] for each in bench.get(path).json["artifacts"]] == ["a", "b"]


def test_a_large_upload_is_never_held_in_memory(bench: ApiBench, task: str) -> None:
    """100 MB: the process does not grow by more than a few batches."""
    assert bench.process is not None
    status = Path(f"/proc/{bench.process.pid}/status")

    def peak_kb() -> int:
        return next(
            int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")
        )

    put(bench, f"/v1/tasks/{task}/artifacts/warm")
    before = peak_kb()
    reply = put(bench, f"/v1/tasks/{task}/artifacts/large", bytes(100 * 2**20))

    assert reply.status == 201
    assert peak_kb() - before < 24 * 1024


def test_of_two_uploads_of_one_name_one_waits_its_turn(bench: ApiBench, task: str) -> None:
    """The second is refused while the first is at work, and what is published is one of them, whole."""
    path = f"/v1/tasks/{task}/artifacts/a"
    contents = [bytes([number]) * 3_000_000 for number in range(6)]
    replies: list[Reply] = []
    threads = [
        threading.Thread(target=lambda data=data: replies.append(put(bench, path, data))) for data in contents
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert {reply.status for reply in replies} <= {200, 201, 409}
    assert any(reply.status == 201 for reply in replies)
    assert all(reply.code == "upload_running" for reply in replies if reply.status == 409)
    assert bench.get(path).data in contents


def test_a_full_disk_leaves_nothing_half_published(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(limits={"min_free_mb": 0})
    folder = bench.rig.pending().parent / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    with memory_disk(folder, "size=4m"):
        bench.start()
        task = submitted(bench).json["id"]
        path = f"/v1/tasks/{task}/artifacts"
        small = put(bench, f"{path}/small")
        (folder / "ballast").write_bytes(bytes(2 * 2**20))
        full = put(bench, f"{path}/small", bytes(2_090_000))
        listed = bench.get(path).json
        (folder / "ballast").unlink()
        later = put(bench, f"{path}/small", bytes(2_000_000))
        bench.stop()

    assert small.status == 201
    assert (full.status, full.code) == (507, "no_space")
    assert [each["size"] for each in listed["artifacts"]] == [len(CONTENT)]
    assert listed["uploads"] == []
    assert later.status == 200


def test_what_must_stay_free_stays_free(a_bench: Callable[..., ApiBench]) -> None:
    bench = a_bench(limits={"min_free_mb": 2**24})
    bench.start()
    task = submitted(bench).json["id"]

    assert put(bench, f"/v1/tasks/{task}/artifacts/a").code == "no_space"


def test_who_may_hand_in(bench: ApiBench) -> None:
    """Who submitted the task, or operates; while it waits. Who sees the task may read."""
    mine, other = bench.token("mine", "submit"), bench.token("other", "submit")
    reader, worker = bench.token("reader", "read"), bench.token("worker", "work")
    blind = bench.token("blind", "submit", sources="none")
    task = submitted(bench, token=mine).json["id"]
    path = f"/v1/tasks/{task}/artifacts/a"

    assert put(bench, path, token=mine).status == 201
    assert [put(bench, path, token=each).code for each in (other, reader, worker)] == [
        "not_the_submitter"
    ] * 3
    assert put(bench, path, token=reader, Task_Queue_Claim="a;epoch=1").code == "role_missing"
    assert put(bench, path, token=worker, Task_Queue_Claim="a;epoch=1").code == "claim_not_found"
    assert put(bench, path, token=blind).code == bench.get(path, token=blind).code == "task_not_found"
    assert put(bench, path, token="").code == "unauthorized"
    assert bench.get(path, token=reader).data == CONTENT
    assert bench.get(f"/v1/tasks/{task}/artifacts/b").code == "artifact_not_found"
    bench.ask("DELETE", f"/v1/tasks/{task}")
    bench.rig.start()
    eventually(lambda: bench.get(f"/v1/tasks/{task}").json["status"] == "cancelled")
    late = put(bench, path, token=mine)
    assert (late.status, late.json["details"]) == (409, {"state": "failed"})
    assert bench.get(path, token=mine).data == CONTENT


def test_another_file_in_its_place_is_not_given_out(bench: ApiBench, task: str) -> None:
    """An agent runs as the same user: a link of its making leads nowhere."""
    path = f"/v1/tasks/{task}/artifacts"
    put(bench, f"{path}/a")
    (folder_of(bench, task) / "link").symlink_to("/etc/passwd")
    (folder_of(bench, task) / "a").write_bytes(b"changed")

    assert bench.get(f"{path}/link").code == "artifact_not_found"
    assert [each["name"] for each in bench.get(path).json["artifacts"]] == ["a"]
    assert bench.get(f"{path}/a").headers["repr-digest"] == digest_of(b"changed")


def test_a_removed_task_takes_its_artifacts_along(bench: ApiBench) -> None:
    """A later task of that name must not have them."""
    (bench.rig.pending() / "task-a.md").write_text("---\nexecutor: sh\n---\n# A\n\ntrue\n")
    assert put(bench, "/v1/tasks/task-a/artifacts/x").status == 201
    bench.rig.cli("tasks", "rm", "task-a", "--yes", check=True)
    (bench.rig.pending() / "task-a.md").write_text("---\nexecutor: sh\n---\n# A\n\ntrue\n")

    assert bench.get("/v1/tasks/task-a/artifacts").json["artifacts"] == []
    kept = next(folder_of(bench, "task-a").parent.glob("removed-*.artifacts"))
    assert (kept / "x").read_bytes() == CONTENT


def test_a_slow_body_is_cut() -> None:
    async def drops() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    arrived: list[bytes] = []

    async def read() -> None:
        async for batch in batches(drops(), patience_s=0.1):
            arrived.append(batch)

    with pytest.raises(ProblemError) as refused:
        asyncio.run(read())
    assert b"".join(arrived).startswith(b"x")
    assert (refused.value.status, refused.value.code) == (408, "too_slow")


def test_a_download_may_be_given_up(bench: ApiBench, task: str) -> None:
    path = f"/v1/tasks/{task}/artifacts/a"
    put(bench, path, bytes(5 * 2**20))
    token = bench.token("ci", "read")
    for _ in range(3):
        with closing(http.client.HTTPConnection("127.0.0.1", bench.port)) as connection:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            connection.getresponse().read(100)
    assert bench.process is not None
    descriptors = Path(f"/proc/{bench.process.pid}/fd")

    def is_closed() -> bool:
        return not any(
            "artifacts" in str(each.readlink()) for each in descriptors.iterdir() if each.is_symlink()
        )

    assert eventually(is_closed)
    assert "Traceback" not in bench.errors()
