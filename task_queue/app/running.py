"""What runs: the locks in ``pending/``, the runner behind each, and the end of its transcript."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from task_queue.app.answers import FileView, MeasureView, RunningView
from task_queue.app.files import Record, lines_with, number_in, record, tail_of, text_in, time_in, whole_in
from task_queue.domain.attempt.current_phase import CurrentPhase
from task_queue.domain.document import naming
from task_queue.domain.task import TaskId
from task_queue.platform.identity import ProcessIdentity
from task_queue.platform.liveness import life_of
from task_queue.store.folder.attempts import ALIVE
from task_queue.store.folder.layout import Layout

if TYPE_CHECKING:
    from task_queue.domain.attempt.progress import Progress

_TRANSCRIPT_TAIL = 4 * 2**20
_SEARCHED_FOR_PHASE = 64 * 2**20
_CLAIM_KEYS = ("attempt", "session_id", "pid_start_ticks", "boot_id")
_OF_THE_ORIGINAL = (
    "of the original system; the daemon moves it away unless process {pid} is a live task-queue daemon"
)


def running_in(
    source: str, folders: Layout, names: Iterable[str], now: datetime
) -> tuple[list[RunningView], list[FileView]]:
    """The claims among the locks called *names*, and the locks that are none."""
    running: list[RunningView] = []
    odd: list[FileView] = []
    for name in sorted(names):
        claim = record(folders.pending / name)
        if claim is None:
            continue
        if isinstance(claim, str):
            odd.append(
                FileView(name, f"a lock that {claim}; it keeps its task from running", needs_person=True)
            )
        elif _is_of_the_original(claim):
            odd.append(FileView(name, _OF_THE_ORIGINAL.format(pid=claim["pid"])))
        elif not _is_claim(claim):
            odd.append(
                FileView(
                    name, "a lock that is not a claim; it keeps its task from running", needs_person=True
                )
            )
        else:
            running.append(_running(source, folders, claim, now))
    return running, odd


def _is_of_the_original(claim: Record) -> bool:
    return "pid" in claim and "attempt" not in claim


def _is_claim(claim: Record) -> bool:
    has_id = naming.is_task_id(text_in(claim, "task_id") or "")
    return has_id and whole_in(claim, "attempt") is not None and all(key in claim for key in _CLAIM_KEYS)


def _running(source: str, folders: Layout, claim: Record, now: datetime) -> RunningView:
    from task_queue.app.documents import title_of  # only where something runs

    task_id = TaskId(text_in(claim, "task_id") or "")
    attempt = whole_in(claim, "attempt") or 0
    document = text_in(claim, "document") or naming.document_of(task_id)
    folder = folders.attempt(task_id, attempt)
    transcript = folder / "transcript.jsonl"
    lines, whole = tail_of(transcript, _TRANSCRIPT_TAIL)
    progress, phase = _progress(lines)
    if lines and not whole and phase.name is None:
        phase = _earlier_phase(transcript)
    run = record(folder / "run.json")
    return RunningView(
        task_id=task_id,
        title=title_of(folder / "task.md"),
        attempt=attempt,
        worker=text_in(claim, "worker") or "",
        since=time_in(claim, "started_at"),
        runner=_runner_of(run, folder),
        resumes=claim.get("resumes") is True,
        cancelling="/" not in document and os.path.lexists(folders.cancel(document)),
        turn=progress.turns if lines else None,
        turns_counted=whole,
        tool=_tool(progress),
        retrying=_retrying(progress),
        cost_usd=progress.answers_usd or None,
        silent_s=_silence(transcript, now),
        marker=f"{source}:{task_id}:{attempt}:{text_in(claim, 'session_id')}",
        phase=phase if phase.name else None,
        step=str(phase),
        measures=tuple(_measures(run, now, progress if whole else None)) if isinstance(run, dict) else (),
    )


def _runner_of(run: Record | str | None, folder: Path) -> str:
    if run is None:
        return "starting"
    if isinstance(run, str):
        return "gone"
    if run.get("lease") is not None and run.get("abandoned") is not True:
        return "remote"
    pid, ticks, boot = whole_in(run, "pid"), whole_in(run, "pid_start_ticks"), text_in(run, "boot_id")
    if run.get("abandoned") is True or pid is None or ticks is None or boot is None:
        return "gone"
    process = ProcessIdentity(pid, ticks, boot, text_in(run, "pid_namespace") or "")
    return life_of(process, folder / ALIVE)


def _progress(lines: Iterable[str]) -> tuple[Progress, CurrentPhase]:
    from task_queue.domain.attempt.progress import Progress, envelopes_in  # only where something runs

    progress, phase = Progress(), CurrentPhase()
    for direction, frame, at in envelopes_in(lines):
        phase.add(direction, frame, at)
        try:
            progress.add(direction, frame)
        except RecursionError:
            return Progress(), phase  # frames of an unknown shape: the rest of the answer is still right
    return progress, phase


def _earlier_phase(transcript: Path) -> CurrentPhase:
    """Of an attempt that has written much since the phase began."""
    try:
        for line in lines_with(b'"type": "phase"', transcript, limit=_SEARCHED_FOR_PHASE):
            _, phase = _progress([line])
            if phase.name is not None:
                return phase
    except OSError:
        pass
    return CurrentPhase()


def _measures(run: Record, now: datetime, progress: Progress | None) -> Iterator[MeasureView]:
    """*progress* is None where it is not that of the whole attempt."""
    bounds: object = run.get("bounds")
    if not isinstance(bounds, dict):
        return
    known, since = cast("Record", bounds), time_in(run, "started_at")
    timeout_s, turns = number_in(known, "timeout_s"), number_in(known, "max_turns")
    budget = number_in(known, "max_budget_usd")
    if timeout_s and since is not None:
        yield MeasureView("time", max(0.0, (now - since).total_seconds()), timeout_s)
    if turns and progress is not None:
        yield MeasureView("turns", progress.turns + (number_in(known, "turns_before") or 0.0), turns)
    if budget and progress is not None:
        yield MeasureView("cost", progress.answers_usd + (number_in(known, "usd_before") or 0.0), budget)


def _tool(progress: Progress) -> str | None:
    if progress.hooks_in_flight:
        return f"hook {' '.join(progress.hooks_in_flight.values())}"
    if progress.last_tool is None:
        return None
    return f"{progress.last_tool} {progress.last_argument}".rstrip()


def _retrying(progress: Progress) -> str | None:
    if not progress.retries:
        return None
    last = progress.retries[-1]
    return f"retry {last.get('attempt')}: {last.get('error')} {last.get('error_status') or ''}".rstrip()


def _silence(transcript: Path, now: datetime) -> float | None:
    try:
        return max(0.0, now.timestamp() - transcript.stat().st_mtime)
    except OSError:
        return None
