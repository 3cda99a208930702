"""One attempt while it is worked through: where, what is done, what it has cost, what time is left."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Collection, Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

from task_queue.agents.claude.ahead import ConnectedAhead
from task_queue.agents.claude.options import SessionRequest
from task_queue.agents.claude.session import ClaudeExecutor, SessionResult
from task_queue.agents.command import CommandExecutor
from task_queue.agents.instructions import changed_between, instructions_of
from task_queue.agents.project_settings import (
    accepted_only,
    without_programs,
    without_project,
    without_reserved,
)
from task_queue.agents.prompts import prompts_for
from task_queue.domain.attempt.rebuild import CHECKOUT
from task_queue.domain.attempt.spending import Meter, added, meter_after
from task_queue.domain.document.choices import Profile
from task_queue.domain.document.title import with_title
from task_queue.domain.errors import GitError
from task_queue.domain.model import Outcome, Work
from task_queue.domain.work.folder_changes import FolderChanges
from task_queue.domain.work.workflow import (
    CommitMade,
    Committed,
    Finish,
    Phase,
    Plan,
    Prepared,
    SentBack,
    base_of,
    judged_work,
    may_judge_anew,
    name_of,
    still_valid,
)
from task_queue.git.changes import Changes
from task_queue.git.commit import HOOKS_TIMEOUT_S
from task_queue.git.owner_watch import OwnerWatch
from task_queue.platform import durable
from task_queue.platform.identity import ProcessIdentity, end_tree
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order, Transcript
from task_queue.runner.checkout import LEAST_FOR_HOOKS_S, Checkout, named
from task_queue.runner.confinement import is_confined
from task_queue.runner.opening import open_checkout
from task_queue.runner.steps import Steps
from task_queue.runner.tidying import remove_unchanged, tidy_worktrees


class OngoingAttempt:
    """One attempt while it is worked through: where, what is done, what it has cost."""

    def __init__(self, order: Order, transcript: Transcript, steps: Steps, log: AttemptWriter) -> None:
        self.order = order
        self.transcript = transcript
        self.steps = steps
        self._log = log
        self.checkout: Checkout | None = None
        self.work = Work()
        self.costs: dict[str, float] = {}
        self.seconds: dict[str, float] = {}
        self.notes: list[str] = []
        self._told_of_settings = False
        self.left: Changes | FolderChanges | None = None
        """What an attempt that did not succeed changed."""
        self.watch = OwnerWatch()
        self.prompts = prompts_for(order)
        self._ends_at = time.monotonic() + order.settings.timeout.total_seconds()

    @property
    def left_s(self) -> float:
        """Of the attempt's time; nothing, or less, once it is over."""
        return self._ends_at - time.monotonic()

    @property
    def left_for_hooks_s(self) -> float:
        """For a repository's hooks: work that is done gets its chance to be committed, however late it is."""
        return min(HOOKS_TIMEOUT_S, max(LEAST_FOR_HOOKS_S, self.left_s))

    def prepared(self) -> Prepared:
        return next(step for step in self.steps.done if isinstance(step, Prepared))

    def open(self) -> Checkout:
        """The checkout; where an earlier attempt goes on, with the checkpoint that its steps name."""
        prepared = next((step for step in self.steps.done if isinstance(step, Prepared)), None)
        since = base_of(self.steps.done).checkpoint if prepared is not None else ""
        self.checkout = checkout = open_checkout(self.order, prepared=prepared, since=since)
        checkout.open_watch(self.watch)
        about = {
            "workspace": str(checkout.directory),
            "isolation": checkout.isolation,
            "branch": checkout.branch,
            "base_commit": checkout.checkpoint.base if checkout.checkpoint else None,
        }
        self.transcript.write(
            "note", {"type": CHECKOUT, **about}
        )  # for the process that finds this attempt dead
        return checkout

    def opened(self) -> Checkout:
        """The checkout, opened again where this attempt continues an earlier one."""
        return self.checkout or self.open()

    def committed_before(self) -> tuple[str, ...]:
        """Commits of earlier rounds that the queue made."""
        made: list[str] = []
        for step in self.steps.done:
            if isinstance(step, Committed):
                made += step.by_queue
            elif isinstance(step, SentBack) and step.merge is not None:
                made.append(step.merge)
        return tuple(made)

    def committed(self) -> Committed:
        return next(step for step in reversed(self.steps.done) if isinstance(step, Committed))

    def require_present(self) -> None:
        """Raises CheckoutLost where the task's checkout is gone."""
        moved = self.opened().require_present()
        if moved is not None:
            self._note(moved)

    def collect(self, *, late: bool = False) -> None:
        """Bring what the agent committed to the task's branch; only keep it where that was *late*."""
        for note in self.opened().collect(late=late):
            self._note(note)

    def end_processes(self, *, spared: ProcessIdentity | None = None) -> None:
        """Of the agent and of commands that ran what it wrote: none of them outlives what it was started for.

        What is judged does not change any more, and nothing is written between a verdict and the commit.
        """
        left = end_tree(self.order.marker, root=os.getpid(), spared=spared)
        if left:
            self.transcript.write("note", f"ended {left} processes that were left running")

    def judge_hooks(self, paths: Collection[str]) -> bool:
        """Whether what hooks made of *paths* at the commit is to be verified and audited first: once in a round."""
        if judged_work(self.steps.done).hooked:
            return False
        why = f"changed by the repository's hooks, and judged again with that: {named(paths)}"
        return self.judge_anew(why, hooked=True)

    def judge_anew(self, why: str = "", *, hooked: bool = False) -> bool:
        """Whether files changed after the round that made them: then these are to be verified and audited."""
        round_end = judged_work(self.steps.done)
        changed = self.opened().changed_since(round_end.tree)
        if not changed or not may_judge_anew(self.steps.done):
            return False
        self._note(why or f"changed after the round had ended, and judged as it is now: {named(changed)}")
        checkout = self.opened()
        now = replace(round_end, denials=(), tree=checkout.state(), head=checkout.head())
        self.steps.add(replace(now, hooked=round_end.hooked or hooked))
        return True

    def made(self) -> str | None:
        """The commit of an earlier call of this phase, which was cut off."""
        last = self.steps.done[-1]
        return last.commit if isinstance(last, CommitMade) else None

    def drop_lost_steps(self, plan: Plan) -> None:
        """Forget the steps of an earlier attempt whose files are gone: that work is done again."""
        checkout = self.opened()
        if checkout.branch is None and checkout.changed_paths():
            return  # in place others work, too: that files differ does not mean that the task's are gone
        valid = still_valid(self.steps.done, plan, tree=checkout.state(), is_new=checkout.is_new)
        if len(valid) < len(self.steps.done):
            lost = "the files are not those that the earlier attempt finished with"
            self._note(f"{lost}: the work was done again")
            self.order = replace(self.order, interruption=f"{lost}, so do the work again where it is missing")
            self.steps.done = list(valid)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    @contextmanager
    def timed(self, phase: Phase) -> Generator[None, None, None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            if not isinstance(phase, Finish):
                name = name_of(phase)
                self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begun

    def run_session(
        self,
        agent: ClaudeExecutor,
        order: Order,
        request: SessionRequest,
        *,
        phase: Phase,
        keeps_session: bool = True,
        ahead: ConnectedAhead | None = None,
    ) -> SessionResult:
        """One conversation within what is left of the attempt's time, turns and money.

        In the session that is connected *ahead*, where it is as it would be started now.
        """
        order = self._order_of_session(order, request, phase, keeps_session=keeps_session)
        self.watch.begin()
        if ahead is not None and request.prompt is not None and ahead.fits(order, request):
            result = ahead.ask(request.prompt, within_s=order.settings.timeout.total_seconds())
        else:
            if ahead is not None:
                ahead.drop()
                order = replace(order, claim=replace(order.claim, session_id=str(uuid.uuid4())))
                self.transcript.write(
                    "note", "the auditor that was connected ahead is not used: it is not as it would be now"
                )
            result = agent.run_session(order, self.transcript, request)
        self.watch.look()
        for note in result.notes:
            self._note(note)
        cost = result.work.total_cost_usd or 0.0
        self.costs[name_of(phase)] = self.costs.get(name_of(phase), 0.0) + cost
        allowance = self.order.allowance_usd
        self.order = replace(
            self.order,
            spent_usd=self.order.spent_usd + cost,
            turns_used=self.order.turns_used + result.work.num_turns,
            allowance_usd=None if allowance is None else max(0.0, allowance - cost),
            meter=meter_after(result.work) if keeps_session else self.order.meter,
        )
        self.work = added(self.work, result.work, keeps_session=keeps_session)
        return result

    def connect_ahead(
        self, agent: ClaudeExecutor, order: Order, request: SessionRequest, *, phase: Phase
    ) -> ConnectedAhead | None:
        """The session in which *phase* may come to be; what is noted of its set-up is noted when it comes."""
        notes, told = list(self.notes), self._told_of_settings
        try:
            order = self._order_of_session(order, request, phase, keeps_session=False)
        finally:
            self.notes, self._told_of_settings = notes, told
        return agent.connect_ahead(order, self.transcript, request)

    def _order_of_session(
        self, order: Order, request: SessionRequest, phase: Phase, *, keeps_session: bool
    ) -> Order:
        order = replace(
            order,
            settings=replace(order.settings, timeout=timedelta(seconds=max(1.0, self.left_s))),
            spent_usd=self.order.spent_usd,
            turns_used=self.order.turns_used,
            allowance_usd=self.order.allowance_usd,
            meter=self.order.meter if keeps_session else Meter(),
        )
        order = self._with_accepted_settings(order, name_of(phase))
        return self._with_instructions_of_others(order) if request.audits else order

    def run_command(self, command: CommandExecutor, findings: str) -> tuple[Outcome, Work]:
        """The configured command within what is left of the attempt's time; *findings* follow the task's text."""
        order = self.opened().order
        left = max(1.0, self.left_s)
        order = replace(order, settings=replace(order.settings, timeout=timedelta(seconds=left)))
        if findings:
            order = replace(order, body=f"{order.body.rstrip()}\n\n---\n\n{findings}\n")
            document = order.scratch / "task.md"
            durable.make_directory(document.parent)
            durable.replace(document, f"{with_title(order.title, order.body)}\n".encode())
            order = replace(order, document=document)
        self.watch.begin()
        outcome, work = command.execute(order, self.transcript)
        self.watch.look()
        self.work = replace(self.work, output=work.output, session_id=order.claim.session_id)
        return outcome, work

    def tidy(self) -> None:
        note = tidy_worktrees(self.opened(), self._log)
        if note is not None:
            self._note(note)

    def remove_unchanged(self) -> bool:
        """Keep neither checkout nor branch of a task that changed nothing; whether they are gone."""
        committed = next((step for step in reversed(self.steps.done) if isinstance(step, Committed)), None)
        if self.checkout is None or committed is None:
            return False
        is_removed, note = remove_unchanged(self.checkout, committed)
        self.notes += [note] if note is not None else []
        return is_removed

    def _with_accepted_settings(self, order: Order, phase: str) -> Order:
        own_tree = self.opened().main is not None
        agent, unaccepted = accepted_only(
            order.agent,
            order.workspace,
            own_tree=own_tree,
            strict=order.settings.permissions is Profile.SANDBOXED,
        )
        if unaccepted is not None and not self._told_of_settings:
            self._told_of_settings = True
            self.notes.append(
                f"from {phase} on without the project's settings, which are not as they were accepted: {unaccepted}"
            )
        agent, reserved = without_reserved(agent, order.workspace)
        if reserved is not None:
            self._note(
                f"without the project's settings, which set variables that are the queue's own: {reserved}"
            )
        if is_confined(self.order):  # its auditor, too, which starts what the agent wrote
            # The CLI starts hooks outside of its sandbox, and what they run is among the agent's files.
            agent, named = without_programs(agent, order.workspace)
            if named is not None:
                self._note(
                    f"without the project's settings, which name programs that no sandbox confines: {named}"
                )
            agent = replace(agent, runs_hooks=False)
        return replace(order, agent=agent)

    def changed_instructions(self) -> tuple[str, ...]:
        """Files that would instruct the auditor, and are not as they were before the task."""
        checkout = self.opened()
        before = base_of(self.steps.done).instructions
        if checkout.branch is None:  # what an earlier attempt left is still there
            before = self.steps.first_instructions() or before
        now = instructions_of(checkout.directory)
        return changed_between(now if before is None else before, now, checkout.changed_paths())

    def _with_instructions_of_others(self, order: Order) -> Order:
        """An implementer does not write the instructions of its auditor."""
        changed = self.changed_instructions()
        if not changed:
            return order
        self._note(
            f"audited without the project's settings, because the task changed instructions: {named(changed)}"
        )
        return replace(order, agent=without_project(order.agent))

    def keep_leftovers(self) -> None:
        if self.checkout is None:
            return
        try:
            self.collect()
            self.left = self.checkout.changes()
            kept = self.checkout.keep_leftovers()
        except GitError as error:
            kept = f"what it left could not be kept: {error}"
        if kept is not None:
            self.notes.append(kept)
