"""What runs: the locks in ``pending/``, the runner behind each, and the end of its transcript."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from task_queue.domain import naming
from task_queue.domain.model import ProcessIdentity, TaskId
from task_queue.domain.progress import progress_of
from task_queue.platform.identity import is_alive
from task_queue.views.documents import title_of
from task_queue.views.files import Record, record, tail_of, text_in, time_in, whole_in
from task_queue.views.model import FileView, Folders, RunningView

_TRANSCRIPT_TAIL = 4 * 2**20
_CLAIM_KEYS = ("attempt", "session_id", "pid_start_ticks", "boot_id")
_OF_THE_ORIGINAL = (
    "lock of the original system; it stands only while its process {pid} is a live task-queue daemon, "
    "else the daemon moves it to logs/"
)


def running_in(
    source: str, folders: Folders, names: list[str], now: datetime
) -> tuple[list[RunningView], list[FileView]]:
    """The claims among *names*, and the locks that are none."""
    running: list[RunningView] = []
    odd: list[FileView] = []
    for name in sorted(names):
        if not (name.startswith(".task-") and name.endswith(".lock")):
            continue
        claim = record(folders.pending / name)
        if claim is None:
            continue
        why = claim if isinstance(claim, str) else _why_no_claim(claim)
        if why is not None:
            odd.append(
                FileView(name, why if not isinstance(claim, str) else f"{why}; see: task-queue doctor")
            )
        elif not isinstance(claim, str):
            running.append(_running(source, folders, claim, now))
    return running, odd


def _why_no_claim(claim: Record) -> str | None:
    if naming.is_task_id(text_in(claim, "task_id") or "") and all(key in claim for key in _CLAIM_KEYS):
        return None if whole_in(claim, "attempt") is not None else "lock with an attempt that is no number"
    if "pid" in claim and "attempt" not in claim:
        return _OF_THE_ORIGINAL.format(pid=claim["pid"])
    return "lock that misses what a claim needs; see: task-queue doctor"


def _running(source: str, folders: Folders, claim: Record, now: datetime) -> RunningView:
    task_id = TaskId(text_in(claim, "task_id") or "")
    attempt = whole_in(claim, "attempt") or 0
    document = text_in(claim, "document") or naming.document_of(task_id)
    folder = folders.attempt(task_id, attempt)
    transcript = folder / "transcript.jsonl"
    lines, whole = tail_of(transcript, _TRANSCRIPT_TAIL)
    progress = progress_of(lines)
    return RunningView(
        task_id=task_id,
        title=title_of(folder / "task.md"),
        attempt=attempt,
        worker=text_in(claim, "worker") or "",
        since=time_in(claim, "started_at"),
        runner=_runner_of(folder),
        resumes=claim.get("resumes") is True,
        cancelling="/" not in document and os.path.lexists(folders.cancel(document)),
        turn=progress.turns,
        turns_counted=whole,
        tool=progress.tool,
        cost_usd=progress.cost_usd,
        silent_s=_silence(transcript, now),
        marker=f"{source}:{task_id}:{attempt}:{text_in(claim, 'session_id')}",
    )


def _runner_of(folder: Path) -> str:
    run = record(folder / "run.json")
    if run is None:
        return "starting"
    if isinstance(run, str):
        return "gone"
    pid, ticks, boot = whole_in(run, "pid"), whole_in(run, "pid_start_ticks"), text_in(run, "boot_id")
    if run.get("abandoned") is True or pid is None or ticks is None or boot is None:
        return "gone"
    return "alive" if is_alive(ProcessIdentity(pid, ticks, boot)) else "gone"


def _silence(transcript: Path, now: datetime) -> float | None:
    try:
        return max(0.0, now.timestamp() - transcript.stat().st_mtime)
    except OSError:
        return None
