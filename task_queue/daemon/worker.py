"""One source's loop: look, choose, claim, see through. Works against the ports only."""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from task_queue.daemon.context import SourceContext
from task_queue.daemon.quota import USED_UP
from task_queue.daemon.supervision import Supervision
from task_queue.domain import events
from task_queue.domain.attention import kind_of_wait
from task_queue.domain.document import naming
from task_queue.domain.document.backlog import Backlog
from task_queue.domain.document.ordering import DependencyFailed, Next, OnHold, Ready, Waiting
from task_queue.domain.errors import (
    ClaimHeld,
    EngineUnavailable,
    ExecutorError,
    NeedsPersonError,
    TaskQueueError,
)
from task_queue.domain.model import Claim, Outcome, OutcomeKind
from task_queue.domain.standstill import Lull
from task_queue.domain.task import TaskId
from task_queue.platform.disk import is_refusal
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.snapshot import Survey

LOOK_AGAIN_AFTER_TROUBLE_S = 5.0
LONGEST_TROUBLE_S = 300.0
LONGEST_DISK_TROUBLE_S = 60.0
LONGEST_WAIT_FOR_A_TIME_S = 60.0
"""The clock may be set, and does not stand still while the machine is suspended."""
_ANNOUNCED_AT_ONCE = 100
"""Dropped documents. Of more, each is reported before its claim, or when there is nothing to start."""


class Worker:
    """Serves one source. ``serve`` is its thread; ``wake``, ``stop`` and ``retire`` are for other threads."""

    def __init__(self, context: SourceContext) -> None:
        self.source = context.source
        self.thread_id: int | None = None
        self.running: TaskId | None = None
        self.trouble: str | None = None
        """Why nothing can be claimed, for people; None while all is well."""
        self.needs_person = False
        """The trouble lasts until a person has done something about it."""
        self.hold_reason: str | None = None
        """Why the next task waits although the source is well: no free place, account paused."""
        self.holds_agents_only = False
        """That reason is none for commands."""
        self.ignored: tuple[tuple[str, str], ...] = ()
        self.drained = False
        """Nothing waits and nothing runs (for ``run --drain``)."""
        self.lull: Lull | None = None
        """What its tasks wait for, where nothing could be started at the last look and no document is being written."""
        self.failed_turns = 0
        """In a row, of which each ended in ``trouble``."""
        self._engine = context.engine
        self._admission = context.admission
        self._quota = context.quota
        self._orders = context.orders
        self._failed_starts = 0
        self._awaits_start = False
        """The trouble is that an attempt could not be started: only one that can be, or no task at all, ends it."""
        self._state_of = context.state_of
        self._clock = context.clock
        self._emit = context.emit
        self._dedupe = context.dedupe
        self._is_new = context.is_new
        self._on_change = context.on_change
        self._unannounced: dict[TaskId, None] = {}
        """Documents of which ``TaskDropped`` is still to be emitted."""
        self._announced_stuck: dict[TaskId, str] = {}
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._retiring = threading.Event()
        self._halted = threading.Event()
        self._at_once = False
        self._recovered = False
        self._supervision = Supervision(
            context,
            wakeup=self._wakeup,
            stopping=lambda: self._stopping.is_set() or self._halted.is_set(),
            at_once=lambda: self._at_once,
            meanwhile=self._end_meanwhile,
        )

    def wake(self) -> None:
        """Something may have changed: look soon."""
        self._wakeup.wake()

    def stop(self) -> None:
        """Claim nothing more; suspend what runs, so that its session can be continued; then end."""
        self._stopping.set()
        self._wakeup.wake()

    def halt(self, *, at_once: bool) -> None:
        """A person stopped everything: suspend what runs, or kill it *at_once*; ``go_on`` ends the halt."""
        self._at_once = at_once
        self._halted.set()
        self._wakeup.wake()

    def go_on(self) -> None:
        self._halted.clear()
        self._at_once = False
        self._wakeup.wake()

    def retire(self) -> None:
        """Claim nothing more; end once the running task is settled."""
        self._retiring.set()
        self._wakeup.wake()

    def is_stuck(self, now: float, *, after_s: float) -> bool:
        """Whether the thread has neither waited nor ended for *after_s* of monotonic time."""
        since = self._wakeup.awake_since
        return since is not None and now - since > after_s and self.trouble is None

    @property
    def rest(self) -> int | None:
        """As ``Wakeup.rest``; None while a task runs."""
        return None if self.running is not None else self._wakeup.rest

    @property
    def has_recovered(self) -> bool:
        """Whether what an earlier daemon left here is concluded, or cannot be (see ``trouble``)."""
        return self._recovered or self.trouble is not None

    @property
    def has_concluded(self) -> bool:
        """Whether nothing runs that an earlier daemon left here."""
        return self._recovered

    def serve(self) -> None:
        """Work until stopped. A defect in the queue ends this source only, and is reported."""
        self.thread_id = threading.get_native_id()
        try:
            while not self._closing():
                wait_s = self.turn()
                self._suspend_unrecovered()
                self._on_change()
                if not self._closing():
                    self._wakeup.wait(wait_s)
            self._suspend_unrecovered()
        except Exception:  # noqa: BLE001 - the other sources live on; docs/architecture.md, "Errors"
            self.trouble = "stopped by a defect of task-queue; the log has the details"
            self.needs_person = True
            self._emit(events.WorkerCrashed(self.source, traceback.format_exc()))
        finally:
            self._on_change()

    def turn(self) -> float | None:
        """Do what is to be done now; returns for how many seconds there is nothing to do unless woken, None: ever."""
        try:
            wait_s = self._turn()
        except EngineUnavailable as error:
            self._recovered = self._awaits_start = False
            self._note_trouble(error)
            return self._again_after(error.__cause__)
        except ExecutorError as error:
            self._note_trouble(error)
            return min(LOOK_AGAIN_AFTER_TROUBLE_S * float(2**self._failed_starts), LONGEST_TROUBLE_S)
        except OSError as error:  # the machine's trouble, not a defect: no descriptors left, /proc unreadable
            self._recovered = self._awaits_start = False
            self._note_trouble(EngineUnavailable(str(error)))
            return self._again_after(error)
        finally:
            self.running = None
        self.failed_turns = 0
        self._awaits_start = self._awaits_start and not self.drained
        if self.trouble is not None and not self._awaits_start:
            self.trouble, self.needs_person = None, False
            self._emit(events.SourceRecovered(self.source))
        return wait_s

    def _again_after(self, cause: BaseException | None) -> float:
        """Later each time where the disk refuses what is written: each try writes again."""
        if not isinstance(cause, OSError) or not is_refusal(cause.errno):
            return LOOK_AGAIN_AFTER_TROUBLE_S
        doublings = min(self.failed_turns - 1, 10)
        return min(LOOK_AGAIN_AFTER_TROUBLE_S * float(2**doublings), LONGEST_DISK_TROUBLE_S)

    def _turn(self) -> float | None:
        self.lull = None
        if not self._recovered:
            self._recover()
        survey = self._survey()
        if survey.locks:
            self._conclude_claims()
            survey = self._survey()
        self._note_ignored(survey)
        self.drained = survey.is_drained
        if not survey.look_again_after:  # else one of the documents may only be in the middle of a change
            self._quota.keep(self.source, survey.has)
        if self._closing() or self._end_unwanted(survey):
            return 0
        self._clear_hold_reason()
        now = self._clock.now()
        screen = self._admission.screen(self.source)
        backlog = self._backlog(survey)
        found = backlog.next(now=now, state_of=self._state_of, screen=screen)
        self._announce_stuck(backlog.newly_stuck())
        match found:
            case DependencyFailed(task=task, reason=reason):
                return 0 if self._end_unstarted(task.id, Outcome(OutcomeKind.CANCELLED, reason)) else None
            case Ready(task=task) | OnHold(task=task):  # the admission has the last word, and wakes us
                if self._work_on(task):
                    return 0
                self.holds_agents_only = isinstance(found, OnHold) and self._is_on_hold_for(found.reason)
            case None:
                pass
        if self._unannounced:
            self._announce_dropped(*islice(self._unannounced, _ANNOUNCED_AT_ONCE))
            return 0
        if survey.look_again_after is None:
            self.lull = _lull_of(backlog, found, now)
        return _shortest(survey.look_again_after, _wait_s(backlog.next_due(now), now))

    def _announce_stuck(self, stuck: Iterable[tuple[Waiting, str]]) -> None:
        for task, why in stuck:
            if self._announced_stuck.get(task.id) != why:
                self._announced_stuck[task.id] = why
                kind = kind_of_wait(lacks=task.lacks, needs_person=task.needs_person)
                self._emit(events.TaskStuck(self.source, task.id, kind, why))

    def _recover(self) -> None:
        self._engine.open()
        self._conclude_claims()
        self._recovered = not self._closing()

    def _suspend_unrecovered(self) -> None:
        """A stop ends what an earlier daemon left running in a source that could not be used since, too."""
        if self._recovered or not (self._stopping.is_set() or self._halted.is_set()):
            return
        with contextlib.suppress(EngineUnavailable, OSError):  # its end is decided once the source is well
            for claim in self._engine.queue.claims_to_stop():
                self._supervision.suspend(claim)

    def _conclude_claims(self) -> None:
        """Claims of an earlier daemon, and those whose lock came back after it was removed."""
        for claim in self._engine.queue.claims():
            if self._closing():
                return
            self._quota.begin(self.source, naming.task_id_of(claim.document))
            self._show_running(claim)
            ended = False
            try:
                ended = self._supervision.conclude(claim)
            finally:
                self._quota.give_back(self.source, naming.task_id_of(claim.document), ended=ended)

    def _clear_hold_reason(self) -> None:
        self.hold_reason, self.holds_agents_only = None, False

    def _backlog(self, survey: Survey) -> Backlog:
        """What may be chosen from: everything that waits, or only what ``run --cycles`` may still begin."""
        only = self._quota.only(self.source, self._wakeup.wake)
        if only is None:
            return survey.waiting
        self.hold_reason = USED_UP if len(survey.waiting) > len(only) else None
        return Backlog(task for task_id in only if (task := survey.waiting.get(task_id)) is not None)

    def _is_on_hold_for(self, reason: str) -> bool:
        return self.hold_reason == reason

    def _work_on(self, task: Waiting) -> bool:
        """False if the admission holds *task* back, or another one has its ``dedupe_key``."""
        self._orders.check(task)
        self.hold_reason = self._dedupe.start(self.source, task.id)
        if self.hold_reason is not None:
            return False
        self.hold_reason = self._admission.enter(self.source, task, self._wakeup.wake)
        if self.hold_reason is not None:
            self._dedupe.stop(self.source, task.id)
            return False
        ended = False
        try:
            if not self._quota.take(self.source, task.id, self._wakeup.wake):
                return False
            claim = self._engine.queue.claim(task.id, worker=self.source, now=self._clock.now())
            self._quota.begin(self.source, task.id)
            self._show_running(claim)
            self._announced_stuck.pop(task.id, None)
            self._announce_dropped(task.id)
            self._emit(events.TaskClaimed(self.source, claim.task_id, claim.attempt, claim.resumes))
            self._supervision.start(claim)
            ended = self._supervision.conclude(claim, runner_ended=True)
        except ClaimHeld:
            return True
        except ExecutorError:
            self._failed_starts = min(self._failed_starts + 1, 10)  # each costs the task an attempt's folder
            self._awaits_start = True
            raise
        finally:
            self._dedupe.stop(self.source, task.id)
            self._admission.leave(self.source, task.id)
            self._quota.give_back(self.source, task.id, ended=ended)
        self._failed_starts, self._awaits_start = 0, False
        return True

    def _end_meanwhile(self) -> None:
        """Waiting tasks that a person gave up, or that cannot run, need not wait for the one that runs."""
        with contextlib.suppress(EngineUnavailable):  # the next turn reports it
            self._end_unwanted(self._survey())

    def _end_unwanted(self, survey: Survey) -> bool:
        """End what was rejected or cancelled while it waited; whether there was any that may be ended now."""
        rejected = [
            self._end_unstarted(task_id, Outcome(OutcomeKind.REJECTED, reason))
            for task_id, reason in survey.rejected
        ]
        return self._end_all(survey.cancelled) or any(rejected)

    def _end_all(self, cancelled: Iterable[TaskId]) -> bool:
        outcome = Outcome(OutcomeKind.CANCELLED, "cancelled before it started")
        ended = [self._end_unstarted(task_id, outcome) for task_id in cancelled]
        return any(ended)

    def _end_unstarted(self, task_id: TaskId, outcome: Outcome) -> bool:
        """Claim a task only to settle it: it never starts. False if it may not be claimed now."""
        if not self._quota.take(self.source, task_id, self._wakeup.wake):
            return False
        ended = False
        self._dedupe.end(self.source, task_id)
        try:
            claim = self._engine.queue.claim(task_id, worker=self.source, now=self._clock.now())
            self._quota.begin(self.source, task_id)
            self._announce_dropped(task_id)
            if outcome.kind is OutcomeKind.REJECTED:
                self._emit(events.TaskRejected(self.source, task_id, outcome.reason))
            self._engine.attempts.abandon(claim, now=self._clock.now())
            self._supervision.commit(claim, outcome)
            ended = self._supervision.conclude(claim)
        except ClaimHeld:
            pass
        finally:
            self._quota.give_back(self.source, task_id, ended=ended)
        return True

    def _show_running(self, claim: Claim) -> None:
        self.running = claim.task_id
        self._on_change()

    def _closing(self) -> bool:
        return self._stopping.is_set() or self._retiring.is_set()

    def _note_trouble(self, error: TaskQueueError) -> None:
        why = error.in_full
        self.failed_turns += 1
        self.needs_person = isinstance(error, NeedsPersonError)
        if why != self.trouble:
            self.trouble = why
            self._dedupe.seen(self.source)
            self._emit(events.SourceUnavailable(self.source, why))

    def _survey(self) -> Survey:
        survey = self._engine.survey()
        self._dedupe.seen(self.source)
        changed_ns = self._engine.changed_ns
        new = [task_id for task_id in survey.dropped if self._is_new(task_id, changed_ns(task_id))]
        self._unannounced.update(dict.fromkeys(new))
        if len(new) <= _ANNOUNCED_AT_ONCE:
            self._announce_dropped(*new)
        return survey

    def _announce_dropped(self, *task_ids: TaskId) -> None:
        """Emit ``TaskDropped`` for those of which it is still to be emitted."""
        for task_id in task_ids:
            if task_id in self._unannounced:
                del self._unannounced[task_id]
                self._emit(events.TaskDropped(self.source, task_id))

    def _note_ignored(self, survey: Survey) -> None:
        if survey.ignored is self.ignored:
            return
        for name, reason in sorted(set(survey.ignored) - set(self.ignored)):
            self._emit(events.FileIgnored(self.source, name, reason))
        self.ignored = survey.ignored


def _lull_of(backlog: Backlog, found: Next | None, now: datetime) -> Lull:
    delayed, until = backlog.first_delayed(now) or (None, None)
    return Lull(() if found is None else backlog.heads(), delayed, until)


def _wait_s(until: datetime | None, now: datetime) -> float | None:
    return None if until is None else min((until - now).total_seconds(), LONGEST_WAIT_FOR_A_TIME_S)


def _shortest(*waits_s: float | None) -> float | None:
    return min((wait_s for wait_s in waits_s if wait_s is not None), default=None)
