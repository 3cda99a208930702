"""The folder of an attempt that a worker elsewhere carries out: who holds it, its frames, what it reported."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress

from task_queue.domain.artifacts import ArtifactError, demand_name
from task_queue.domain.attempt.frames import FULL, kept_of
from task_queue.domain.errors import EngineUnavailable
from task_queue.domain.model import Claim, RunRecord
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.records import encode
from task_queue.ports.claims import FramesMissingError, KeyedOrder, ToldProgress, WorkerReport
from task_queue.ports.leased_log import HeldFrames
from task_queue.store.folder.archive import Archive
from task_queue.store.folder.artifacts import Artifacts
from task_queue.store.folder.attempts import ENDING, TRANSCRIPT
from task_queue.store.folder.files import make_attempt, publish_once, read_record
from task_queue.store.folder.layout import RUN, Layout
from task_queue.store.folder.progress import note_progress
from task_queue.store.folder.records import RunFile, run_bytes

ORDER, REPORT = "order.json", "report.json"
_FULL_TEXT = f'"dir": "note", "raw": "{FULL}"'.encode()
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class LeasedAttempts:
    """Implements ports.leased_log.LeasedLog."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._archive = Archive(layout)

    def begin(self, run: RunRecord, keyed: KeyedOrder | None) -> None:
        """Say durably who holds the attempt: from here on it is a worker's, over kills of this process.

        *keyed* is durable before that.
        """
        assert run.claim is not None
        with _available():
            folder = make_attempt(self._layout, run.task_id, run.attempt)
            if keyed is not None:
                durable.replace(folder / ORDER, encode(keyed))
            publish_once(folder / RUN, run_bytes(run))

    def run_of(self, task_id: TaskId, attempt: int) -> RunRecord | None:
        """None where no worker held that attempt."""
        with _available():
            run = read_record(RunFile, self._layout.attempt(task_id, attempt) / RUN)
        if not isinstance(run, RunFile) or run.lease is None or run.claim is None:
            return None
        return run.record

    def keyed_order_of(self, claim: Claim) -> KeyedOrder | None:
        """None where the claim was asked for without a key."""
        with _available():
            keyed = read_record(KeyedOrder, self._layout.attempt_of(claim) / ORDER)
        return keyed if isinstance(keyed, KeyedOrder) else None

    def last_attempt(self, task_id: TaskId) -> int:
        with _available():
            return max(self._archive.attempts_used(task_id), default=0)

    def has_ended(self, claim: Claim) -> bool:
        return os.path.lexists(self._layout.attempt_of(claim) / ENDING)

    def state_of(self, task_id: TaskId) -> str:
        with _available():
            state = self._archive.ended_state(task_id) or self._archive.state_of(task_id)
        return "unknown" if state is None else state.value

    def report(self, claim: Claim, report: WorkerReport) -> bool:
        """Keep how a worker says that it ended, durably; False if it, or another process, has said it before."""
        with _available():
            folder = make_attempt(self._layout, claim.task_id, claim.attempt)
            try:
                durable.publish(folder / REPORT, encode(report))
            except FileExistsError:
                return False
        return True

    def has_artifact(self, claim: Claim, name: str) -> bool:
        """Whether that artifact of the task is whole."""
        with _available(), suppress(ArtifactError):
            demand_name(name)
            return Artifacts(self._layout, claim.task_id).named(name) is not None
        return False

    def note_progress(self, claim: Claim, progress: ToldProgress) -> None:
        """Keep how far the task is, for people and over kills of this process."""
        with _available():
            note_progress(self._layout, claim.task_id, progress.percent, progress.step)

    def report_of(self, claim: Claim) -> WorkerReport | None:
        with _available():
            report = read_record(WorkerReport, self._layout.attempt_of(claim) / REPORT)
        return report if isinstance(report, WorkerReport) else None

    def add_frames(
        self, claim: Claim, offset: int, lines: Sequence[str], *, held: HeldFrames, room: int
    ) -> HeldFrames:
        """Add what of *lines* is not among those *held* already; what is held then.

        Beyond *room* bytes only what the verdict needs is kept, and a note says so; the other lines count nevertheless.
        """
        if offset > held.count:
            raise FramesMissingError(held.count)
        new = lines[held.count - offset :]
        is_full = held.is_full
        if new:
            with _available():
                folder = make_attempt(self._layout, claim.task_id, claim.attempt)
                is_full = _append(folder / TRANSCRIPT, new, is_full=is_full, room=room)
        return HeldFrames(max(held.count, offset + len(lines)), is_full)

    def frames_of(self, claim: Claim) -> HeldFrames:
        """What is there; half a line that a kill left is taken away."""
        with _available(), suppress(FileNotFoundError):
            return _whole_lines(self._layout.attempt_of(claim) / TRANSCRIPT)
        return HeldFrames()


def _append(path: os.PathLike[str], lines: Sequence[str], *, is_full: bool, room: int) -> bool:
    """All of it in one piece, or nothing; whether the transcript is full then."""
    fd = os.open(path, _FLAGS, 0o600)
    try:
        size = os.fstat(fd).st_size
        kept = kept_of(lines, room=room - size, is_full=is_full)
        whole = b"".join(kept.lines)
        written = os.write(fd, whole) if whole else 0
        if written < len(whole):
            os.ftruncate(fd, size)
            raise OSError(28, os.strerror(28), os.fspath(path))
    finally:
        os.close(fd)
    return kept.is_full


def _whole_lines(path: os.PathLike[str]) -> HeldFrames:
    fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        count, end, at, is_full, before = 0, 0, 0, False, b""
        while part := os.read(fd, 2**20):
            count += part.count(b"\n")
            last = part.rfind(b"\n")
            end = at + last + 1 if last >= 0 else end
            at += len(part)
            is_full = is_full or _FULL_TEXT in before + part
            before = part[-len(_FULL_TEXT) :]
        if end < at:
            os.ftruncate(fd, end)
        return HeldFrames(count, is_full)
    finally:
        os.close(fd)


@contextmanager
def _available() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise EngineUnavailable(
            f"{error.filename or 'the queue folder'}: {error.strerror or error}"
        ) from error
