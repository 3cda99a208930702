"""Removes what is beyond ``retention`` of one source: results with reports and documents, and the logs of attempts.

What ordering and ``reindex`` need is durable in ``results/.ended.jsonl`` before the first file of a task goes, and its
result goes last: one that was killed anywhere is gone on with the next time. Never removed: files that the queue did
not write (another file in a task's folder of logs stays there), and those of tasks that ``domain.retention`` keeps.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from task_queue.domain.attention import AttentionKind
from task_queue.domain.document import naming
from task_queue.domain.retention import EndFacts, PrunedKind, why_kept
from task_queue.domain.task import ENDED, TaskId, TaskState
from task_queue.domain.work.worktrees import Idle, Keep, overdue
from task_queue.platform import durable
from task_queue.platform.json_files import json_object, records_in, text_in, texts_in, whole_in
from task_queue.platform.lockfile import locked, locked_itself
from task_queue.platform.temporary import remove_tree
from task_queue.store.event_rebuild import settled_from
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.past_ends import PastEnd, PastSettled, note_past_ends, past_end, past_ends
from task_queue.store.folder.states import ended_state, known_end
from task_queue.store.folder.unfinished import unfinished_in
from task_queue.store.folder.unreviewed import IsSettled, open_needs
from task_queue.store.snapshot import FolderSnapshot, ReadSource

_AT_ONCE = 200
"""Tasks that one durable write notes."""
_PATIENCE_S = 30.0
_LIMIT = 64 * 2**20
_REMOVED = ".removed-"
_OF_LOGS = re.compile(
    r"(?:\.removed-)?(?:attempt-(\d{1,9})|artifacts)|progress\.json|(?:result|report)-\d+-[0-9a-f]{8}\.(?:json|md)"
)
"""What the queue itself puts into a task's folder of logs; what it set aside there for a person stays."""
OnPruneStep = Callable[[int, int], None]
"""Called with how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Prunable:
    """One thing that is beyond a limit."""

    kind: PrunedKind
    name: str
    """The task's id, or the name of a file of the event log."""
    source: str | None
    size_bytes: int
    why_kept: str | None = None
    """None: it goes, or would go."""


def needed_by_waiting(sources: Iterable[ReadSource]) -> Mapping[TaskId, str]:
    """The tasks that those wait for which wait in *sources*, each with one of these. Raises OSError."""
    needed: dict[TaskId, str] = {}
    for source in sources:
        for task in FolderSnapshot(source.layout, source.layers).survey().waiting:
            needed.update(dict.fromkeys(task.depends_on, task.id))
    return needed


@dataclass(frozen=True, slots=True)
class _Ended:
    """A task whose files are beyond a limit."""

    task_id: TaskId
    state: TaskState | None
    result: Mapping[str, Any] | None
    """Its result's JSON; None where there is none any more."""
    path: Path
    """Of the result, or of the folder of logs."""


class SourceRetention:
    """Of one source. Raises OSError, ValueError where what waits or runs cannot be read."""

    def __init__(
        self,
        source: str,
        layout: Layout,
        *,
        needed: Mapping[TaskId, str],
        is_settled: IsSettled,
        now: datetime,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """*is_settled* says of a merge command whether there is nothing left to merge."""
        self._source = source
        self._layout = layout
        self._needed = needed
        self._is_settled = is_settled
        self._now = now
        self._stopping = stopping
        self._unfinished: Collection[str] = ()

    def prune(
        self,
        *,
        results: Keep | None,
        logs: Keep | None,
        dry_run: bool = False,
        step: OnPruneStep = lambda _done, _of: None,
    ) -> tuple[Prunable, ...]:
        """What is beyond the limits, the newest first, and why of it what stays; *dry_run*: nothing goes.

        Two at a time take turns.
        """
        if not self._layout.results.is_dir():
            return ()
        with ExitStack() as alone:
            if not dry_run:
                alone.enter_context(locked(self._layout.results / ".prune.lock", within_s=_PATIENCE_S))
            self._unfinished = unfinished_in(self._layout.pending)
            # Logs first: without a result, less is known of them.
            return (
                *self._pruned(PrunedKind.LOGS, logs, self._logs, dry_run=dry_run, step=step),
                *self._pruned(PrunedKind.RESULTS, results, self._results, dry_run=dry_run, step=step),
            )

    def _pruned(
        self,
        kind: PrunedKind,
        keep: Keep | None,
        idle: Callable[[Keep], Iterator[Idle]],
        *,
        dry_run: bool,
        step: OnPruneStep,
    ) -> Iterator[Prunable]:
        if keep is None:
            return
        paths = [each.directory for each in overdue(idle(keep), keep, now=self._now)]
        for begin in range(0, len(paths), _AT_ONCE):
            if self._stopping():
                return
            step(begin, len(paths))
            looked_at = [self._looked_at(kind, path) for path in paths[begin : begin + _AT_ONCE]]
            going = [ended for ended, thing in looked_at if thing.why_kept is None]
            if going and not dry_run:
                note_past_ends(self._layout, (self._noted(kind, ended) for ended in going))
            if dry_run:
                yield from (thing for _, thing in looked_at)
            else:
                yield from self._removed(kind, looked_at)

    def _results(self, keep: Keep) -> Iterator[Idle]:
        with os.scandir(self._layout.results) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    about = entry.stat(follow_symlinks=False)
                    path = Path(entry.path)
                    size = self._size(PrunedKind.RESULTS, path) if keep.size_bytes is not None else 0
                    yield Idle(path, datetime.fromtimestamp(about.st_mtime, UTC), size)

    def _logs(self, keep: Keep) -> Iterator[Idle]:
        """Folders of logs with something of the queue, or with nothing, whose task has a result or had one."""
        past = {naming.key_of(task_id) for task_id in past_ends(self._layout)}
        for folder in self._layout.logs.iterdir() if self._layout.logs.is_dir() else ():
            result = self._layout.results / f"{folder.name}.json"
            try:
                about = result.lstat()
            except FileNotFoundError:
                if folder.name not in past:
                    continue
                about = folder.lstat()
            if folder.is_dir() and (any(_in_logs(folder)) or not _names(folder)):
                size = self._size(PrunedKind.LOGS, folder) if keep.size_bytes is not None else 0
                yield Idle(folder, datetime.fromtimestamp(about.st_mtime, UTC), size)

    def _looked_at(self, kind: PrunedKind, path: Path) -> tuple[_Ended, Prunable]:
        key = path.name if kind is PrunedKind.LOGS else path.name.removesuffix(".json")
        content = json_object(self._layout.results / f"{key}.json", limit=_LIMIT)
        result = content if isinstance(content, dict) else None
        task_id = TaskId(text_in(result or {}, "task_id") or "") if result else self._past_id(key)
        ended, facts = _Ended(task_id, None, result, path), EndFacts(is_ours=False)
        is_known = result is None or isinstance(result.get("success"), bool)
        if naming.is_task_id(task_id) and naming.key_of(task_id) == key and is_known:
            ended = replace(ended, state=known_end(self._layout, task_id))
            facts = self._facts(ended, key)
        thing = Prunable(kind, task_id or key, self._source, self._size(kind, path), why_kept(facts))
        return ended, thing

    def _past_id(self, key: str) -> TaskId:
        if key in past_ends(self._layout):
            return TaskId(key)
        return next((each for each in past_ends(self._layout) if naming.key_of(each) == key), TaskId(""))

    def _facts(self, ended: _Ended, key: str) -> EndFacts:
        result = ended.result or {}
        path = self._layout.result(ended.task_id)
        need = next((kind for _, kind, _, _ in open_needs(self._layout, path, self._is_settled)), None)
        left = [
            text_in(each, "command") or "" for each in records_in(result, "attention") if _is_unlanded(each)
        ]
        merges = (*left, *texts_in(result, "keep")[:1])
        names = (ended.task_id, naming.unnumbered(ended.task_id))
        return EndFacts(
            has_ended=ended.state is not None,
            is_unfinished=key in self._unfinished,
            needed_by=next((self._needed[name] for name in names if name in self._needed), None),
            is_unlanded=any(not self._is_settled(merge) for merge in merges),
            open_need=need,
        )

    def _noted(self, kind: PrunedKind, ended: _Ended) -> tuple[TaskId, PastEnd, PastSettled | None]:
        task_id, result = ended.task_id, ended.result or {}
        earlier = past_end(self._layout, task_id)
        numbers = [match[1] for match in map(_OF_LOGS.fullmatch, _names(self._layout.log(task_id))) if match]
        used = [int(number) for number in numbers if number]
        used += [whole_in(each, "number") or 0 for each in records_in(result, "attempts")]
        attempts = max((*used, earlier.attempts if earlier else 0), default=0)
        if kind is PrunedKind.LOGS or ended.result is None:
            return task_id, PastEnd(None, attempts), None
        mtime = ended.path.lstat().st_mtime
        at, event = settled_from(self._source, ended.result, otherwise_at=mtime)
        settled = PastSettled(task_id, at, event.attempt or 1, event.data)
        return task_id, PastEnd(ended.state, attempts), settled

    def _removed(
        self, kind: PrunedKind, looked_at: Iterable[tuple[_Ended, Prunable]]
    ) -> tuple[Prunable, ...]:
        things: list[Prunable] = []
        results: list[Path] = []
        for ended, thing in looked_at:
            why = thing.why_kept or self._why_not_removed(kind, ended)
            things.append(replace(thing, why_kept=why))
            if why is None and kind is PrunedKind.RESULTS:
                results.append(ended.path)
        # A power cut must not leave a document whose result is gone: nothing would look at it again.
        layout = self._layout
        for folder in (*map(layout.ended, ENDED), layout.reports, layout.acknowledged, layout.needing):
            if results and folder.is_dir():
                durable.sync_directory(folder)
        for path in results:
            path.unlink(missing_ok=True)
        durable.sync_directory(layout.results)
        return tuple(things)

    def _why_not_removed(self, kind: PrunedKind, ended: _Ended) -> str | None:
        try:
            with ExitStack() as in_hand:
                if ended.state is not None:
                    document = self._layout.ended(ended.state) / naming.document_of(ended.task_id)
                    if os.path.lexists(document) and not in_hand.enter_context(locked_itself(document)):
                        return "its task was retried just now"
                if kind is PrunedKind.LOGS:
                    _remove_logs(ended.path)
                else:
                    for path in self._beside_result(ended.task_id, ended.state):
                        path.unlink(missing_ok=True)
        except OSError as error:
            return f"{error.filename or ended.path}: {error.strerror or error}"
        return None

    def _beside_result(self, task_id: TaskId, state: TaskState | None) -> Iterator[Path]:
        """What goes with it, in this order: the document first, so that no process retries a task without a result."""
        layout = self._layout
        if state is not None:
            yield layout.ended(state) / naming.document_of(task_id)
        yield from (layout.report(task_id), layout.acknowledgement(task_id), layout.needs(task_id))

    def _size(self, kind: PrunedKind, path: Path) -> int:
        if kind is PrunedKind.LOGS:
            return sum(_size_below(each) for each in _in_logs(path))
        task_id = TaskId(path.name.removesuffix(".json"))
        state = ended_state(self._layout, task_id)
        return sum(map(_size_of, (path, *self._beside_result(task_id, state))))


def _is_unlanded(need: Mapping[str, Any]) -> bool:
    return need.get("kind") == AttentionKind.NOT_LANDED


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only
    except (FileNotFoundError, NotADirectoryError):
        return []


def _in_logs(folder: Path) -> Iterator[Path]:
    """What the queue put into a task's *folder* of logs."""
    if not folder.is_symlink():
        yield from (folder / name for name in _names(folder) if _OF_LOGS.fullmatch(name))


def _remove_logs(folder: Path) -> None:
    """Each attempt under another name first, so that none is half there."""
    for path in list(_in_logs(folder)):
        going = path
        if not path.name.startswith(_REMOVED):
            going = path.with_name(f"{_REMOVED}{path.name}")
            path.rename(going)
        remove_tree(going)
    if not _names(folder):
        folder.rmdir()


def _size_of(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _size_below(path: Path) -> int:
    return _size_of(path) + sum(
        _size_of(Path(folder) / name) for folder, _, names in os.walk(path) for name in names
    )
