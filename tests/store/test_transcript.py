"""The transcript file: bounded, redacted, complete lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from task_queue.domain.attempt.progress import progress_of
from task_queue.domain.secrets import redacted, secrets_in
from task_queue.store.transcript import FileTranscript


def _envelopes(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_frame_is_one_envelope(tmp_path: Path) -> None:
    """Time, number, direction and the raw frame, in order."""
    path = tmp_path / "transcript.jsonl"
    with FileTranscript(path) as transcript:
        transcript.write("in", {"type": "system", "subtype": "init"})
        transcript.write("err", "a line\nand another")

    first, second = _envelopes(path)
    assert first["raw"] == {"type": "system", "subtype": "init"}
    assert [first["seq"], second["seq"]] == [1, 2]
    assert second == {"t": second["t"], "seq": 2, "dir": "err", "raw": "a line\nand another"}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_secret_is_never_written(tmp_path: Path) -> None:
    """By its value, even where a cut goes through it, and by its shape."""
    path = tmp_path / "transcript.jsonl"
    secret = 'very"secret\\value'
    secrets = secrets_in({"MY_API_KEY": secret, "PATH": "/usr/bin:/bin"})
    with FileTranscript(path, secrets=secrets) as transcript:
        transcript.write("in", {"text": f"it is {secret} and sk-ant-api03-abcdefgh in /usr/bin:/bin"})
        transcript.write("in", {"text": "x" * (16 * 1024 - 5) + secret + "x" * 100_000})

    text = path.read_text()
    assert "secret" not in text
    assert "sk-ant" not in text
    assert "very" not in text
    assert "/usr/bin:/bin" in text


def test_a_long_result_is_cut_and_says_so(tmp_path: Path) -> None:
    """No envelope is longer than 64 KiB; the note names the full length."""
    path = tmp_path / "transcript.jsonl"
    with FileTranscript(path) as transcript:
        transcript.write(
            "in", {"type": "user", "content": [{"type": "tool_result", "content": "é" * 500_000}]}
        )
        transcript.write("in", {"type": "odd", "list": ["y" * 100] * 10_000})

    first, second = path.read_bytes().splitlines()
    assert max(len(first), len(second)) <= 64 * 1024
    assert "500000 characters in all" in first.decode()
    assert json.loads(second)["raw"]["type"] == "odd"


def test_a_full_transcript_still_takes_the_result(tmp_path: Path) -> None:
    """After its bound there is one note, and then only what the verdict needs."""
    path = tmp_path / "transcript.jsonl"
    with FileTranscript(path, limit_mb=1) as transcript:
        for _ in range(100):
            transcript.write("in", {"type": "user", "text": "z" * 30_000})
        transcript.write("in", {"type": "result", "total_cost_usd": 1.5})

    envelopes = _envelopes(path)
    assert sum(envelope["dir"] == "note" for envelope in envelopes) == 1
    assert envelopes[-1]["raw"]["type"] == "result"
    assert path.stat().st_size < 1.1 * 2**20
    assert progress_of(path.read_text().splitlines()).cost_usd == 1.5


def test_what_leaves_the_runner_is_redacted_in_depth() -> None:
    """Outcome, output and denials carry texts of the agent's; a password in a URL is a secret, too."""
    secrets = secrets_in(
        {"API_KEY": "planted-key", "https_proxy": "http://me:pass-word@host:1", "PATH": "/bin"}
    )

    told = redacted({"input": {"command": ["curl planted-key"]}, "of": ("pass-word", 1, None)}, secrets)

    assert told == {"input": {"command": ["curl [redacted]"]}, "of": ("[redacted]", 1, None)}
