"""Finishes what workers handed in: each attempt's commits are checked and landed by a process of its own, then settled.

What a worker reported is on disk, so a process that takes this one's place goes on with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.daemon.finishing import FinishingProcess
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.dispatch.leased_source import LeasedSource, OpenClaim
from task_queue.domain.errors import EngineUnavailable, TaskFileError, TaskQueueError
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.task import TaskId
from task_queue.domain.work.elsewhere import taken_over
from task_queue.ports.claims import WorkerReport
from task_queue.ports.finishing import CommitBundle, FinishedWork, FinishingRequest

log = logging.getLogger(__name__)
_MOST_TRIES = 5
_AGAIN_AFTER_S = 15.0
_JobKey = tuple[str, TaskId, int]


@dataclass(frozen=True, slots=True)
class _Job:
    source: LeasedSource
    hold: OpenClaim
    report: WorkerReport

    @property
    def key(self) -> _JobKey:
        return self.source.id, self.hold.claim.task_id, self.hold.claim.attempt


class HandedInWork:
    """``finish`` is what sources call; they hold the lock of all claims then."""

    def __init__(
        self,
        lock: Callable[[], AbstractContextManager[object]],
        orders: Mapping[str, ConfiguredOrders],
        bundle_of: Callable[[str, TaskId, str], Path],
        changed: Callable[[], None],
    ) -> None:
        """*bundle_of* says where an artifact of a task of a source is."""
        self._lock = lock
        self._orders = orders
        self._bundle_of = bundle_of
        self._changed = changed
        self._mutex = threading.Lock()
        self._jobs: dict[_JobKey, _Job] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._processes: dict[str, FinishingProcess] = {}
        self._stopping = threading.Event()

    def finish(self, source: LeasedSource, hold: OpenClaim) -> None:
        """Settle the attempt: at once where nothing was handed in, else once that is checked and landed."""
        report = hold.report
        assert report is not None
        if report.handed_in is None:
            product = report.work.product and taken_over(report.work.product)
            source.settle(hold, report.outcome, replace(report.work, product=product))
            return
        job = _Job(source, hold, report)
        with self._mutex:
            self._jobs[job.key] = job
            if source.id not in self._threads and not self._stopping.is_set():
                thread = threading.Thread(
                    target=self._work_on, args=(source.id,), name="finishing", daemon=True
                )
                thread.start()  # it waits for the mutex
                self._threads[source.id] = thread

    def forget(self, source_id: str) -> None:
        """The source is not served any more: what runs gives up, and nothing more of it is settled."""
        with self._mutex:
            for key in [key for key in self._jobs if key[0] == source_id]:
                del self._jobs[key]
            if source_id in self._processes:
                self._processes[source_id].stop()

    def stop(self) -> None:
        """Let what runs give up: the next process goes on with it."""
        self._stopping.set()
        with self._mutex:
            threads = list(self._threads.values())
            for process in self._processes.values():
                process.stop()
        for thread in threads:
            thread.join()

    def _work_on(self, source_id: str) -> None:
        try:
            self._finish_all_of(source_id)
        except BaseException:
            with self._mutex:
                del self._threads[source_id]  # so that the next thing that is handed in starts another
            raise

    def _finish_all_of(self, source_id: str) -> None:
        while (job := self._next(source_id)) is not None:
            try:
                finished = self._finished(job)
            except Exception:  # the other tasks of the source go on
                log.exception("not finished source=%s task=%s", *job.key[:2])
                why = "what was handed in could not be finished: the log of the API says why"
                finished = FinishedWork(Outcome(OutcomeKind.UNAVAILABLE, why), job.report.work)
            if finished is not None:
                self._settle(job, finished)

    def _next(self, source_id: str) -> _Job | None:
        with self._mutex:
            found = next((job for key, job in self._jobs.items() if key[0] == source_id), None)
            if found is None or self._stopping.is_set():
                del self._threads[source_id]
                return None
            return found

    def _finished(self, job: _Job) -> FinishedWork | None:
        """None where it is to end before."""
        why = ""
        for _ in range(_MOST_TRIES):
            if not self._is_wanted(job):
                return None
            try:
                return self._try(job)
            except TaskFileError as error:
                return FinishedWork(Outcome(OutcomeKind.REJECTED, error.in_full), job.report.work)
            except (TaskQueueError, OSError) as error:
                why = error.in_full if isinstance(error, TaskQueueError) else str(error)
            if self._is_wanted(job):
                log.warning("not finished source=%s task=%s error=%s", *job.key[:2], why)
                self._stopping.wait(_AGAIN_AFTER_S)
        return FinishedWork(Outcome(OutcomeKind.UNAVAILABLE, why), job.report.work)

    def _is_wanted(self, job: _Job) -> bool:
        with self._mutex:
            return job.key in self._jobs and not self._stopping.is_set()

    def _try(self, job: _Job) -> FinishedWork:
        process = FinishingProcess(self._request(job))
        source_id = job.source.id
        with self._mutex:
            self._processes[source_id] = process
            is_wanted = job.key in self._jobs and not self._stopping.is_set()
        if not is_wanted:
            process.stop()
        try:
            return process.finished()
        finally:
            with self._mutex:
                del self._processes[source_id]

    def _request(self, job: _Job) -> FinishingRequest:
        handed_in, claim = job.report.handed_in, job.hold.claim
        assert handed_in is not None
        with self._lock():
            engine = job.source.engine
            task, journal = engine.queue.task(claim), engine.queue.journal(claim)
            place = engine.attempts.place_of(claim)
        order = self._orders[job.source.id].order_for(claim, task, journal, place)
        path = self._bundle_of(job.source.id, claim.task_id, handed_in.bundle)
        bundle = CommitBundle(path, handed_in.tip, handed_in.base_commit)
        return FinishingRequest(order, job.report.outcome, job.report.work, bundle)

    def _settle(self, job: _Job, finished: FinishedWork) -> None:
        while not self._stopping.is_set():
            try:
                with self._lock(), self._mutex:
                    job_now = self._jobs.get(job.key)
                    if job_now is None:
                        return
                    job_now.source.settle(job_now.hold, finished.outcome, finished.work)
                    del self._jobs[job.key]
            except EngineUnavailable as error:
                log.warning("not settled source=%s task=%s error=%s", *job.key[:2], error.in_full)
                self._stopping.wait(_AGAIN_AFTER_S)
            else:
                self._changed()
                return
