"""Branches that could not land when their tasks ended: tried again at every settle and sweep, in a thread of its own.

A try is a process (``runner/landing_again.py``), as an attempt is. ``tasks land`` takes the same parts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from task_queue.agents.project_settings import SettingsTrust
from task_queue.config.environment import template_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.domain.attempt.needs import attention_of, is_landed, is_undone, is_waiting_to_land
from task_queue.domain.document import naming
from task_queue.domain.document.taskfile import parse
from task_queue.domain.errors import TaskQueueError
from task_queue.domain.events import TaskLanded
from task_queue.domain.model import Claim, Journal, Result, WorkProduct
from task_queue.domain.task import TaskId
from task_queue.domain.work.report import report_of
from task_queue.git.guarding import guarded
from task_queue.git.program import Git
from task_queue.git.repository import commit_of, facts
from task_queue.platform import children
from task_queue.platform.owners import this_process
from task_queue.platform.records import decode, encode
from task_queue.platform.wakeup import Wakeup
from task_queue.ports.attempt_log import AttemptPlace, LogAddress
from task_queue.ports.emit import Emit
from task_queue.ports.executor import Order
from task_queue.ports.landing import LandingRequest
from task_queue.store.folder.amending import (
    amend,
    document_of,
    read_result,
    result_in,
    results_needing_a_person,
)
from task_queue.store.folder.layout import Layout

log = logging.getLogger(__name__)
TryAnswer = TypeVar("TryAnswer")

_ANYWAY_AFTER_S = 300.0
"""Something else may be in the way than what is looked at first."""
_SHARE = 5
"""A round of tries is not repeated by time before this many times its own duration."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What a try needs to know besides the task."""

    locations: Locations
    config: Config
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Seen:
    """The repository before a try that did not help."""

    at: float
    """Monotonic seconds."""
    what: object


class EndedTaskProcess(Generic[TryAnswer]):
    """One try of something with the branch of an ended task, in a process of its own."""

    def __init__(self, module: str, request: object, answer: type[TryAnswer]) -> None:
        """Starts it. Raises OSError."""
        self._request = encode(request)
        self._kind = answer
        self._process = children.ask(module, template_environment())

    def stop(self) -> None:
        """Let it give up. Safe from another thread."""
        self._process.terminate()

    def answer(self) -> TryAnswer:
        """What it came to, once it has ended. Raises TaskQueueError."""
        out, err = self._process.communicate(self._request)
        if self._process.returncode != 0:
            raise TaskQueueError(
                err.decode(errors="replace").strip() or f"it ended with exit code {self._process.returncode}"
            )
        return decode(self._kind, out)


def landing_process(request: LandingRequest) -> EndedTaskProcess[WorkProduct]:
    """One try to land. Raises OSError."""
    return EndedTaskProcess("task_queue.runner.landing_again", request, WorkProduct)


class LandingTries:
    """``serve`` is its thread; the other methods are for others."""

    def __init__(self, in_force: Callable[[], InForce], emit: Emit) -> None:
        self._in_force = in_force
        self._emit = emit
        self._wakeup = Wakeup()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._current: EndedTaskProcess[WorkProduct] | None = None
        self._seen: dict[TaskId, _Seen] = {}
        self._thread = threading.Thread(target=self.serve, name="landings", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience_s: float) -> None:
        """Begin nothing more, and let the try that runs give up: its branch stays as it is."""
        self._stopping.set()
        with self._lock:
            if self._current is not None:
                self._current.stop()
        self._wakeup.wake()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def look_soon(self) -> None:
        """What was in the way may be gone."""
        self._wakeup.wake()

    def serve(self) -> None:
        while not self._stopping.is_set():
            begun = time.monotonic()
            self.look()
            took_s = time.monotonic() - begun
            if not self._stopping.is_set():
                self._wakeup.wait(max(self._in_force().config.sweep_seconds, _SHARE * took_s))

    def look(self) -> None:
        """Try every branch that waits, source after source."""
        in_force = self._in_force()
        for source in in_force.config.sources:
            try:
                for result in list(filter(is_waiting_to_land, results_needing_a_person(Layout(source.path)))):
                    if self._stopping.is_set():
                        return
                    self._try(in_force, source, result)
            except OSError as error:
                log.warning("results not looked through source=%s error=%s", source.id, error)

    def _try(self, in_force: InForce, source: Source, result: Result) -> None:
        try:
            order = order_to_land(in_force, source, result)
            seen = _Seen(time.monotonic(), _what_matters(order, result.product))
            last = self._seen.get(result.task_id)
            if last is not None and last.what == seen.what and seen.at < last.at + _ANYWAY_AFTER_S:
                return
            request = LandingRequest(order, result.product)
            with self._lock:
                if self._stopping.is_set():
                    return
                self._current = landing_process(request)
            after = after_landing(Layout(source.path), result, self._current.answer())
            self._seen[result.task_id] = seen
        except (TaskQueueError, OSError) as error:
            why = error.in_full if isinstance(error, TaskQueueError) else error
            log.warning("not landed source=%s task=%s error=%s", source.id, result.task_id, why)
            return
        except Exception:  # a result that a person edited may hold anything; the other branches are tried
            log.exception("not landed source=%s task=%s", source.id, result.task_id)
            return
        finally:
            self._current = None
        if is_landed(after):
            self._emit(TaskLanded(source.id, result.task_id, after.product.landed or ""))
            self._wakeup.wake()  # others may build on it


def _what_matters(order: Order, product: WorkProduct) -> object:
    """A try is not repeated while this is the same: the tips, and the files in the way. Raises GitError."""
    git = guarded(Git(order.workspace, order.env_of_checks), order.git.trusted)
    target = (product.landing or {}).get("target")
    tips = [commit_of(git, f"refs/heads/{branch}") for branch in (target, product.branch)]
    return facts(git), tips


def order_to_land(in_force: InForce, source: Source, result: Result) -> Order:
    """What the settings in force say of the ended task of *result*. Raises TaskQueueError."""
    layout = Layout(source.path)
    document = document_of(layout, result)
    if document is None:
        raise TaskQueueError(
            f"the document of {result.task_id} is gone, which says how its work is checked",
            hint=f"merge it by hand: {result.product.keep[0]}" if result.product.keep else None,
        )
    orders = ConfiguredOrders(
        lambda: in_force.config,
        source,
        in_force.locations.private,
        in_force.environ,
        allowance=lambda _source, _task_id, _wanted: None,
        trust=SettingsTrust(in_force.locations.trusted_settings),
        worktrees=in_force.locations.worktrees,
        temporary=in_force.locations.temporary,
        documents=in_force.locations.documents,
        with_credentials=False,
        result_of=lambda task_id: result_in((Layout(each.path) for each in in_force.config.sources), task_id),
    )
    if not result.attempts:
        raise TaskQueueError(f"the result of {result.task_id} names no attempt")
    last = result.attempts[-1]
    claim = Claim(
        result.task_id,
        worker=source.id,
        started_at=last.started_at,
        attempt=last.number,
        session_id=result.session_id or "",
        resumes=True,
        owner=this_process(),
        document=naming.document_of(result.task_id),
    )
    folder = layout.attempt_of(claim)
    place = AttemptPlace(LogAddress("", ""), folder, folder)
    return orders.order_for(claim, parse(document, result.task_id), Journal(result.task_id), place)


def after_landing(layout: Layout, result: Result, product: WorkProduct) -> Result:
    """The result of the task with what its work comes to now; written where that is something else. Raises OSError."""
    return _amended(layout, result, product, is_settled=is_landed)


def after_undoing(layout: Layout, result: Result, product: WorkProduct) -> Result:
    """The same, of work that was to be taken back."""
    return _amended(layout, result, product, is_settled=is_undone)


def _amended(
    layout: Layout, result: Result, product: WorkProduct, *, is_settled: Callable[[Result], bool]
) -> Result:
    if product == result.product:
        return result
    present = read_result(layout, result.task_id)
    if present is None or present.completed_at != result.completed_at or is_settled(present):
        return present or result  # deleted, tried again, or settled by another process meanwhile
    changed = replace(present, product=product)
    changed = replace(changed, attention=attention_of(changed))
    document = document_of(layout, result) or b""
    task = parse(document, result.task_id)
    amend(layout, changed, report_of(changed, title=task.title, asked=task.body))
    return changed
