"""One slot: claims a task, follows it in the private queue, and says how it ended; one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from task_queue.app.claiming import ClaimView
from task_queue.app.tracked_task import TrackedTask
from task_queue.client import ApiError, Client, Unreachable
from task_queue.client.asking_again import backoff_s
from task_queue.domain.document.naming import branch_of
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.task import ENDED
from task_queue.platform import durable
from task_queue.worker.attachments import fetch_attachments
from task_queue.worker.endings import cancelled, failed, given_back, given_back_by_queue, report_of
from task_queue.worker.held_claims import ClaimStage, EndReport, HeldTask, HeldTasks
from task_queue.worker.lease import LOST, LeaseKeeper, WorkProgress
from task_queue.worker.local_tasks import local_document, local_id_of
from task_queue.worker.private_queue import PrivateQueue
from task_queue.worker.reachability import Reachability
from task_queue.worker.repositories import bundle_of, clone_at, prepare_clone, remove_branch
from task_queue.worker.settings import Tell, WorkerSettings, source_of
from task_queue.worker.uploads import send_frames, upload_bundle

T = TypeVar("T")
_LOOK_S = 0.5
_CLAIM_WAITS_S = 10.0
_LONGEST_PAUSE_S = 30.0
_MAY_PASS = frozenset({401, 403, 408, 429})
"""Refusals that another token or more time may end."""


@dataclass(frozen=True, slots=True)
class Shutdown:
    """``wanted``: take nothing new. ``daemon_gone``: the private daemon has ended, and interrupted what ran."""

    wanted: threading.Event = field(default_factory=threading.Event)
    daemon_gone: threading.Event = field(default_factory=threading.Event)


class _LaterError(Exception):
    """The worker ends first; the claim stays on disk, and the next start goes on with it."""


class Slot:
    """For one thread."""

    def __init__(
        self,
        number: int,
        settings: WorkerSettings,
        client: Client,
        queue: PrivateQueue,
        held: HeldTasks,
        *,
        workspaces: Path,
        reachability: Reachability,
        shutdown: Shutdown,
        tell: Tell,
    ) -> None:
        self._number, self._settings, self._client = number, settings, client
        self._queue, self._held, self._workspaces = queue, held, workspaces
        self._reachability, self._shutdown = reachability, shutdown
        self._tell: Tell = lambda text: tell(f"{source_of(number)}: {text}")
        self._progress = WorkProgress()
        self._unreachable = False

    def serve(self) -> None:
        """Until shutdown, or until there is nothing left to do where the settings say so."""
        before = self._held.of(self._number)
        if before is not None:
            self._tell(f"goes on with {before.task_id}")
            self._carry(before)
        failures = 0
        while not self._shutdown.wanted.is_set():
            try:
                claim = self._claim()
            except TaskQueueError as error:
                failures += 1
                self._tell(f"no claim: {error.in_full}") if failures == 1 else None
                self._shutdown.wanted.wait(min(_LONGEST_PAUSE_S, backoff_s(failures) * 4))
                continue
            failures = 0
            if claim is not None:
                self._carry(claim)
            if (self._settings.once and claim is not None) or (self._settings.drain and claim is None):
                return

    def _claim(self) -> HeldTask | None:
        """Raises TaskQueueError."""
        settings = self._settings
        answer = self._client.claim(
            lease_seconds=settings.lease_s,
            sources=settings.sources,
            capabilities=(*settings.capabilities, *self._queue.capabilities),
            executors=self._queue.executors,
            repositories=settings.repositories,
            except_repositories=self._reachability.unreachable(),
            wait_seconds=0 if settings.drain else _CLAIM_WAITS_S,
            idempotency_key=self._held.key_of(self._number),
        )
        if answer.claim is None or answer.task is None:
            return None
        claim: ClaimView = answer.claim
        self._tell(f"claimed {claim.order.task_id} of {answer.task.source}, attempt {claim.epoch}")
        return self._held.claimed(HeldTask(self._number, answer.task.source, claim, local_id_of(claim)))

    def _carry(self, held: HeldTask) -> None:
        self._progress = WorkProgress()
        with LeaseKeeper(
            self._client, held.claim.id, held.claim.epoch, lease_s=self._settings.lease_s, tell=self._tell
        ) as lease:
            lease.progress = lambda: self._progress
            try:
                while held.stage is not ClaimStage.LOST:
                    match held.stage:
                        case ClaimStage.CLAIMED:
                            held = self._held.keep(self._prepared(held, lease))
                        case ClaimStage.RUNNING:
                            held = self._held.keep(self._followed(held, lease))
                        case ClaimStage.ENDED:
                            self._report(held)
                            break
                else:
                    self._end_lost(held)
            except _LaterError:
                self._tell(f"leaves {held.task_id} for the next start")
                return
        self._held.forget(self._number)

    def _prepared(self, held: HeldTask, lease: LeaseKeeper) -> HeldTask:
        order = held.claim.order
        if order.base_commit is not None and (
            order.repository is None or not self._settings.allows(order.repository)
        ):
            what = order.repository or "the server names none for this source"
            why = f"this worker may not fetch the repository ({what}); see --repositories"
            return _ended(held, given_back("unavailable", why))
        workspace = self._workspaces / f"empty-{held.claim.epoch}-{held.local_id[-40:]}"
        try:
            if order.base_commit is None or order.repository is None:
                durable.make_directory(workspace)
            else:
                workspace = clone_at(self._workspaces, order.repository)
                self._tell(f"fetches {order.repository}")
                prepare_clone(workspace, order.repository, order.base_commit, self._base_of(held))
            document = local_document(order, workspace)
        except TaskFileError as error:
            return _ended(held, failed(f"the document cannot be carried out: {error.in_full}"))
        except (TaskQueueError, OSError) as error:
            if order.repository is not None:
                self._reachability.note_failure(order.repository)
            return _ended(held, given_back("unavailable", f"the repository cannot be fetched: {error}"))
        try:
            fetch_attachments(self._client, held, self._queue.artifacts(self._number, held.local_id))
        except (TaskQueueError, OSError) as error:
            return _ended(held, given_back("unavailable", f"a file of the task cannot be fetched: {error}"))
        if lease.cancelled.is_set():
            return _ended(held, cancelled())
        if lease.lost.is_set():
            return replace(held, stage=ClaimStage.LOST)
        if self._shutdown.wanted.is_set():
            return _ended(held, given_back("interrupted", "the worker is shut down"))
        ready = self._held.keep(replace(held, stage=ClaimStage.RUNNING, workspace=workspace))
        self._queue.add(self._number, held.local_id, document)
        return ready

    def _base_of(self, held: HeldTask) -> Callable[[Path], None]:
        def fetch(into: Path) -> None:
            into.write_bytes(self._client.base(held.claim.id))

        return fetch

    def _followed(self, held: HeldTask, lease: LeaseKeeper) -> HeldTask:
        """Until the task has ended here, or is not wanted any more. Raises _LaterError."""
        if held.workspace is not None:  # once more, where the worker was killed just before
            self._queue.add(self._number, held.local_id, local_document(held.claim.order, held.workspace))
        asked = False
        while True:
            gone = self._shutdown.daemon_gone.is_set()  # asked first: what it left is final then
            task = self._queue.task(held.local_id)
            if lease.lost.is_set():
                return replace(held, stage=ClaimStage.LOST)
            if lease.cancelled.is_set() and not asked and task is not None and not task.state.ended:
                self._queue.cancel(held.local_id)
                asked = True
            report = None if task is None else self._report_on(task, held, gone=gone)
            if report is not None:
                return _ended(held, report)
            if gone:
                raise _LaterError
            held = self._note(held, task)
            self._shutdown.daemon_gone.wait(_LOOK_S)

    def _report_on(self, task: TrackedTask, held: HeldTask, *, gone: bool) -> EndReport | None:
        ending = self._queue.ending(held.local_id, task.attempt) if task.attempt else {}
        if task.state.ended:
            return report_of(task, ending)
        if task.state.value != "pending":
            return None
        report = given_back_by_queue(ending)
        if report is None and gone:
            report = given_back("interrupted", "the worker is shut down")
        if report is not None:
            self._queue.remove(held.local_id)
        return report

    def _note(self, held: HeldTask, task: TrackedTask | None) -> HeldTask:
        if task is not None:
            told = {"percent": task.progress_percent, "step": task.current_step, "cost_usd": task.cost_usd}
            values = {name: value for name, value in told.items() if value is not None}
            self._progress = WorkProgress(values, self._queue.last_frame_at(held.local_id, task.attempt))
        try:
            sent = send_frames(self._client, self._queue, held)
        except (TaskQueueError, OSError):
            return held  # its signs of life say what is wrong, and the lines are still there
        return held if sent == held.sent else self._held.keep(replace(held, sent=sent))

    def _report(self, held: HeldTask) -> None:
        assert held.report is not None
        self._tell(f"{held.task_id} ended: {held.report.outcome['kind']}")
        is_taken = True
        try:
            held = self._insist(lambda: self._all_frames(held))
            handed_in = self._insist(lambda: self._handed_in(held))
            answer = self._insist(lambda: self._said(held, held.report, handed_in))
        except ApiError as error:
            if error.code in LOST:
                self._tell(f"{held.task_id} is not ours any more: {error}")
                return
            self._tell(f"the server refuses the report: {error}")
            is_taken = False
            refused = failed(f"the report of the worker was refused: {error}{self._where_it_stays(held)}")
            answer = self._insist(lambda: self._said(held, refused, None))
        self._tell(f"{held.task_id} is {answer.status.value} on the server")
        if is_taken and held.workspace is not None and held.claim.order.base_commit is not None:
            remove_branch(held.workspace, held.local_id)

    def _where_it_stays(self, held: HeldTask) -> str:
        if held.workspace is None or held.claim.order.base_commit is None:
            return ""
        return f"; its commits stay in {held.workspace} of the worker until a person removes that clone"

    def _all_frames(self, held: HeldTask) -> HeldTask:
        while held.stage is ClaimStage.ENDED and held.workspace is not None:
            sent = send_frames(self._client, self._queue, held)
            if sent == held.sent:
                break
            held = self._held.keep(replace(held, sent=sent))
        return held

    def _handed_in(self, held: HeldTask) -> dict[str, str] | None:
        report, base = held.report, held.claim.order.base_commit
        if report is None or base is None or held.workspace is None:
            return None
        folder = self._queue.locations.state_dir / "bundles"
        durable.make_directory(folder)
        file = folder / f"{self._number}.bundle"
        branch = report.branch or branch_of(held.local_id)
        left_by = None if report.verb == "complete" else held.local_id
        tip = bundle_of(held.workspace, branch, base_commit=base, into=file, left_by=left_by)
        if tip is None:
            return None
        name = f"commits-{held.claim.epoch}.bundle"
        upload_bundle(self._client, held, name, file)
        file.unlink(missing_ok=True)
        return {"bundle": name, "tip": tip, "base_commit": base}

    def _said(
        self, held: HeldTask, report: EndReport | None, handed_in: dict[str, str] | None
    ) -> TrackedTask:
        assert report is not None
        claim, outcome, work = held.claim, report.outcome, report.work
        match report.verb:
            case "complete":
                answer = self._client.complete(claim.id, claim.epoch, outcome, work=work, handed_in=handed_in)
            case "fail":
                answer = self._client.fail(claim.id, claim.epoch, outcome, work=work, handed_in=handed_in)
            case _:
                answer = self._client.release(
                    claim.id,
                    claim.epoch,
                    outcome["reason"],
                    kind=outcome["kind"],
                    resets_at=outcome.get("resets_at"),
                    work=work,
                    handed_in=handed_in,
                )
        return answer.task

    def _end_lost(self, held: HeldTask) -> None:
        """End what runs of it here; its branch stays. Raises _LaterError."""
        self._tell(f"{held.task_id} is ended here; its commits stay in {held.workspace}")
        asked = False
        while True:
            gone = self._shutdown.daemon_gone.is_set()
            task = self._queue.task(held.local_id)
            if task is None or task.state in ENDED:
                return
            if not asked:
                self._queue.cancel(held.local_id)
                asked = True
            if gone:
                raise _LaterError
            self._shutdown.daemon_gone.wait(_LOOK_S)

    def _insist(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer. Raises ApiError for one that stays, _LaterError."""
        failures = 0
        while True:
            try:
                return ask()
            except ApiError as error:
                if error.status < 500 and error.status not in _MAY_PASS:
                    raise
                why: Exception = error
            except (Unreachable, OSError) as error:
                why = error
            if failures == 0:
                self._tell(f"the server does not take it yet: {why}")
            failures += 1
            if self._shutdown.wanted.wait(min(_LONGEST_PAUSE_S, backoff_s(failures))):
                raise _LaterError


def _ended(held: HeldTask, report: EndReport) -> HeldTask:
    return replace(held, stage=ClaimStage.ENDED, report=report)
