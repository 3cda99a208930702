"""Carries out an attempt phase by phase; ``domain.work.workflow.next_phase`` says which comes next.

Each phase ends with a durable step, so a crash in any of them continues at that one. The implementer keeps
one session over all rounds and attempts; each audit gets a fresh one, in a checkout that is thrown away.
"""

from __future__ import annotations

import uuid
from dataclasses import asdict, replace
from typing import Any, assert_never

from task_queue.agents.claude.ahead import ConnectedAhead
from task_queue.agents.claude.options import SessionRequest, said_by_person
from task_queue.agents.claude.session import ClaudeExecutor, SessionResult
from task_queue.agents.command import CommandExecutor
from task_queue.agents.instructions import instructions_of
from task_queue.domain.attempt.current_phase import PHASE
from task_queue.domain.document.choices import Isolation, Landing, Workflow
from task_queue.domain.errors import GitError
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.domain.permission.profiles import changes_expected
from task_queue.domain.work.audit import (
    Verdict,
    Void,
    findings_text,
    read_verdict,
)
from task_queue.domain.work.baseline import failed_before, sent_back
from task_queue.domain.work.workflow import (
    Audit,
    Audited,
    Commit,
    CommitMade,
    Finish,
    Implement,
    Implemented,
    Land,
    Landed,
    Phase,
    Plan,
    Prepare,
    Prepared,
    SentBack,
    Verified,
    Verify,
    base_of,
    denials_in,
    final_message,
    judged_work,
    last_round,
    name_of,
    next_phase,
    proven_tree,
)
from task_queue.git.landing import Blocked, Unproven
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import ExecutorKind, Order, Stop, Transcript
from task_queue.runner.attempt import OngoingAttempt
from task_queue.runner.auditing import AuditBench, bench_for
from task_queue.runner.auditor_ahead import AuditorAhead, audit_request, connect_auditor, order_of_audit
from task_queue.runner.checkout import outcome_of
from task_queue.runner.checks import Checks
from task_queue.runner.committing import commit_work
from task_queue.runner.landing import held_back, land_branch, with_target_merged_in
from task_queue.runner.steps import Steps
from task_queue.runner.work_product import product_of

_GOES_ON = frozenset({OutcomeKind.SUCCEEDED, OutcomeKind.DENIED})
_COSTS_NOTHING = frozenset(
    {OutcomeKind.INTERRUPTED, OutcomeKind.LIMITED, OutcomeKind.ACCOUNT, OutcomeKind.UNAVAILABLE}
)
_COMES_BACK = _COSTS_NOTHING | {OutcomeKind.CRASHED, OutcomeKind.STALLED, OutcomeKind.TIMED_OUT}


class WorkflowExecutor:
    """Implements ports.executor.Executor for ``claude``, whatever the workflow, and for commands that are audited."""

    def __init__(self, log: AttemptWriter, agent: ClaudeExecutor | None = None) -> None:
        self._log = log
        self._agent = agent or ClaudeExecutor()
        self._command = CommandExecutor()
        self._checks = Checks()
        self._asked: Stop | None = None
        self._ahead: AuditorAhead | None = None

    def stop(self, how: Stop) -> None:
        if self._asked is not Stop.CANCEL:
            self._asked = how
        self._agent.stop(how)
        self._command.stop(how)
        self._checks.stop()

    def execute(self, order: Order, transcript: Transcript) -> tuple[Outcome, Work]:
        # So that recovery never takes the result of one phase for the end of the attempt.
        transcript.write("note", {"type": "workflow", "name": order.settings.workflow})
        run = OngoingAttempt(order, transcript, Steps(order, self._log), self._log)
        try:
            outcome = self._work_through(run)
        except GitError as error:
            outcome = outcome_of(error, run.checkout)
        finally:
            self._end_ahead()
        if outcome.kind not in _COSTS_NOTHING and outcome.kind is not OutcomeKind.SUCCEEDED:
            run.keep_leftovers()  # whether another attempt follows is not for the runner to say
        run.watch.close(done=outcome.kind is OutcomeKind.SUCCEEDED)
        if run.checkout is not None and outcome.kind not in _COSTS_NOTHING:
            run.checkout.leave(done=outcome.kind is OutcomeKind.SUCCEEDED)
            if outcome.kind is not OutcomeKind.SUCCEEDED:
                run.tidy()
        nothing_kept = outcome.kind is OutcomeKind.SUCCEEDED and run.remove_unchanged()
        product = product_of(
            run.checkout,
            run.steps.done,
            left=run.left,
            watch=run.watch,
            changes_expected=changes_expected(order.settings, allow_only=order.agent.allow_only),
            notes=(*run.notes, *self._checks.notes),
            prompts=run.prompts.hashes,
            cost_by_phase=run.costs,
            seconds_by_phase=run.seconds,
        )
        if nothing_kept:
            product = replace(product, branch=None)
        output = run.work.output or final_message(run.steps.done)
        work = replace(run.work, output=output, permission_denials=_all_denials(run), product=product)
        return outcome, work

    def _work_through(self, run: OngoingAttempt) -> Outcome:
        plan = plan_for(run.order)
        rounds = {"rounds": plan.max_iterations} if plan.verify or plan.audit else {}
        if run.steps.done:
            run.drop_lost_steps(plan)
        while True:
            if self._asked is not None:
                return _outcome_of_stop(self._asked)
            phase = next_phase(run.steps.done, plan)
            run.transcript.write("note", {"type": PHASE, "phase": name_of(phase), **rounds})
            with run.timed(phase):
                ended = self._do(run, phase)
            if ended is not None:
                return ended

    def _do(self, run: OngoingAttempt, phase: Phase) -> Outcome | None:
        """Carry out *phase* and note its step; an outcome where the attempt ends with it."""
        if isinstance(phase, Implement | Verify | Audit | Commit):
            run.require_present()
        match phase:
            case Prepare():
                checkout = run.open()
                kept = checkout.checkpoint
                failed = self._checks.set_up(checkout, run.transcript, within_s=run.left_s)
                if failed is not None:
                    return failed
                judges = self._checks.judges_before(checkout)
                attempt = run.order.claim.attempt
                instructions = instructions_of(checkout.directory) if plan_for(run.order).audit else None
                run.steps.add(
                    Prepared(attempt, kept.base, judges, kept.commit, instructions)
                    if kept
                    else Prepared(attempt, None, judges, instructions=instructions)
                )
            case Implement():
                return self._implement(run, phase)
            case Verify():
                return self._verify(run, phase)
            case Audit():
                return self._audit(run, phase)
            case Commit():
                self._commit(run)
            case Land():
                return self._land(run)
            case Finish(kind=kind, reason=reason, evidence=evidence):
                return Outcome(kind, reason, evidence)
            case _:
                assert_never(phase)
        return None

    def _implement(self, run: OngoingAttempt, phase: Implement) -> Outcome | None:
        if run.order.executor is ExecutorKind.COMMAND:
            return self._run_command(run, phase)
        prompts = run.prompts
        resumes = run.order.claim.resumes or phase.round > 1
        left = () if resumes else run.opened().changed_paths()
        prompt = (
            prompts.findings(phase.findings, phase.round)
            if phase.findings
            else prompts.task(run.order, resumes, left)
        )
        if prompt is not None:  # else the session says it itself
            prompt += said_by_person(run.order)
        append = prompts.system(run.order, left)
        request = SessionRequest(resume=resumes, prompt=prompt, append=append, plugin=prompts.plugin)
        result = run.run_session(self._agent, run.opened().order, request, phase=phase)
        if result.outcome.kind not in _GOES_ON:
            return result.outcome
        self._end_round(run, phase, result.work)
        return None

    def _run_command(self, run: OngoingAttempt, phase: Implement) -> Outcome | None:
        """It has no session: in a later round it gets the task anew, with what was found."""
        findings = run.prompts.findings(phase.findings, phase.round) if phase.findings else ""
        outcome, work = run.run_command(self._command, findings)
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return outcome
        self._end_round(run, phase, work)
        return None

    def _end_round(self, run: OngoingAttempt, phase: Implement, work: Work) -> None:
        run.end_processes()
        run.require_present()
        run.collect()
        run.steps.add(
            Implemented(
                phase.round,
                work.output,
                work.permission_denials,
                work.session_cost_usd,
                tree=run.opened().state(),
                head=run.opened().head(),
            )
        )

    def _commit(self, run: OngoingAttempt) -> None:
        run.end_processes()
        run.collect(late=True)
        checkout = run.opened()

        committed = commit_work(
            checkout,
            judged_work(run.steps.done),
            attempt=run.prepared().attempt,
            cost_usd=run.order.spent_usd,
            within_s=run.left_for_hooks_s,
            earlier=run.committed_before(),
            made=run.made(),
            announce=lambda commit: run.steps.add(CommitMade(commit)),
            goes_back=run.judge_hooks,
        )
        if committed is None:
            return
        run.steps.add(committed)
        run.tidy()

    def _verify(self, run: OngoingAttempt, phase: Verify) -> Outcome | None:
        if run.judge_anew():
            return None
        checkout, base = run.opened(), base_of(run.steps.done)
        tree = judged_work(run.steps.done).tree
        self._end_ahead()
        self._ahead = connect_auditor(run, self._agent, Audit(phase.round), tree)
        verified = self._checks.verify(
            checkout, phase.round, base.judges, run.transcript, tree=tree, within_s=run.left_s
        )
        if not verified.passed or self._asked is not None:
            self._end_ahead()
        run.end_processes(spared=self._ahead.process() if self._ahead else None)
        if verified.records:
            run.watch.look()  # the commands ran what the agent wrote
        if self._asked is not None:
            return _outcome_of_stop(self._asked)
        if not verified.passed and run.left_s <= 0:
            reason = "the time was over before the verification had ended"
            return Outcome(OutcomeKind.TIMED_OUT, reason, (verified.findings,))
        if not verified.passed and phase.round == 1 and base.base_commit is not None:
            verified = self._compared(run, verified, base.base_commit)
        run.require_present()
        run.steps.add(verified)
        return None

    def _compared(self, run: OngoingAttempt, verified: Verified, base: str) -> Verified:
        """With what the checks say of the commit that the work began on."""
        baseline = self._checks.baseline(run.opened(), base, run.transcript, within_s=run.left_s)
        if baseline is None:
            return verified
        findings = f"{verified.findings}\n\n{failed_before(baseline)}".strip()
        return replace(verified, findings=findings, baseline=asdict(baseline))

    def _land(self, run: OngoingAttempt) -> Outcome | None:
        checkout, proven = run.opened(), proven_tree(run.steps.done)
        held = held_back(checkout, run.committed())
        if held is not None:
            run.steps.add(held)
            run.tidy()
            return None

        def prove(commit: str) -> str | Blocked | None:
            return self._checks.prove(
                checkout, commit, proven=proven, transcript=run.transcript, within_s=run.left_s
            )

        landed = land_branch(
            checkout,
            run.committed().commits,
            prove=prove,
            give_up=lambda: self._asked is not None,
            within_s=run.left_for_hooks_s,
            wait_s=max(run.left_for_hooks_s, run.left_s),
            judged=run.committed().commits[-1],
        )
        run.watch.look()  # checks and hooks of the merge ran what the agent wrote
        if self._asked is not None and not (isinstance(landed, Landed) and landed.commit):
            return _outcome_of_stop(self._asked)
        if isinstance(landed, Unproven):
            sent_back = self._sent_back(run, landed)
            # The target may need something else, and a file that set-up had changed came with it.
            failed = self._checks.set_up(run.opened(), run.transcript, within_s=run.left_s)
            if failed is None:
                run.steps.add(sent_back)
            return failed
        if landed.commit is not None:
            self._checks.note_landed(checkout, landed.commit)
        run.steps.add(landed)
        run.tidy()
        return None

    def _sent_back(self, run: OngoingAttempt, refused: Unproven) -> SentBack:
        """The next round begins with the target merged in, and with the checks' findings on that."""
        checkout = run.opened()
        instructions = base_of(run.steps.done).instructions
        is_as_before = not run.changed_instructions()
        baseline = self._checks.baseline(checkout, refused.onto, run.transcript, within_s=run.left_s)
        judges = self._checks.judges_in(checkout, refused.onto)
        run.checkout, merge = with_target_merged_in(checkout, refused)
        if merge in run.committed().commits:  # the agent's own
            merge = None
        target = str(checkout.target)
        moved = base_of(run.steps.done).base_commit != refused.onto
        return SentBack(
            round=last_round(run.steps.done),
            target=target,
            base_commit=refused.onto,
            findings=sent_back(target, refused.onto, refused.findings, baseline, moved=moved),
            merge=merge,
            judges=judges,
            baseline=asdict(baseline) if baseline else None,
            instructions=instructions_of(run.checkout.directory) if is_as_before else instructions,
            checkpoint=run.checkout.checkpoint.commit if run.checkout.checkpoint else "",
        )

    def _end_ahead(self) -> None:
        if self._ahead is not None:
            self._ahead.end()
            self._ahead = None

    def _audit(self, run: OngoingAttempt, phase: Audit) -> Outcome | None:
        if run.judge_anew():
            return None
        checkout, tree = run.opened(), judged_work(run.steps.done).tree
        if self._ahead is not None and self._ahead.is_for(tree):
            try:
                return self._audit_in(run, phase, tree, self._ahead.bench, ahead=self._ahead.session)
            finally:
                self._end_ahead()
        self._end_ahead()
        with bench_for(checkout, tree, run.transcript, within_s=run.left_s) as bench:
            return self._audit_in(run, phase, tree, bench)

    def _audit_in(
        self,
        run: OngoingAttempt,
        phase: Audit,
        tree: str,
        bench: AuditBench | None,
        *,
        ahead: ConnectedAhead | None = None,
    ) -> Outcome | None:
        checkout = run.opened()
        before = checkout.state()
        session_id = ahead.session_id if ahead else str(uuid.uuid4())
        order = order_of_audit(checkout, bench, session_id=session_id)
        prompt = run.prompts.audit(
            order,
            checkout.changes(tree),
            run.steps.done,
            beside=run.watch.notes,
            commands=bench.listed if bench else None,
        )
        request = replace(audit_request(run, bench), prompt=prompt)
        result = run.run_session(self._agent, order, request, phase=phase, keeps_session=False, ahead=ahead)
        if result.outcome.kind in _COMES_BACK or result.outcome.kind in {
            OutcomeKind.CANCELLED,
            OutcomeKind.BUDGET,
        }:
            return result.outcome
        run.end_processes()
        run.require_present()
        edited = () if before == checkout.state() else ("the workspace",)
        audited = _audited(phase.round, result, edited=edited, broken=bench.broken if bench else None)
        denials = (*result.work.permission_denials, *(bench.denials if bench else ()))
        run.steps.add(
            replace(
                audited,
                tree=tree,
                runs=bench.runs if bench else (),
                denials=denials,
                could_run=bench.listed if bench else None,
            )
        )
        return None


def _all_denials(run: OngoingAttempt) -> tuple[dict[str, Any], ...]:
    """What the implementer was refused, in rounds of earlier attempts that count, too, and in one that did not end."""
    calls = (*denials_in(run.steps.done), *run.work.permission_denials)
    return tuple({str(call.get("tool_use_id") or number): call for number, call in enumerate(calls)}.values())


def plan_for(order: Order) -> Plan:
    """Which phases the task's settings ask for."""
    settings = order.settings
    return Plan(
        verify=bool(settings.verify),
        audit=settings.workflow is Workflow.AUDITED,
        land=settings.isolation is Isolation.WORKTREE and settings.landing is Landing.MERGE,
        max_iterations=settings.max_iterations,
    )


def _audited(number: int, result: SessionResult, *, edited: tuple[str, ...], broken: str | None) -> Audited:
    if broken is not None:
        return Audited(number, "void", broken)
    match read_verdict(result.structure, edited=edited):
        case Void(why=why):
            return Audited(number, "void", f"{why} ({result.outcome.reason})")
        case Verdict() as verdict:
            return Audited(
                number, verdict.decision.value, verdict.summary, findings_text(verdict), asdict(verdict)
            )


def _outcome_of_stop(how: Stop) -> Outcome:
    match how:
        case Stop.CANCEL:
            return Outcome(OutcomeKind.CANCELLED, "cancelled while it ran")
        case Stop.SUSPEND:
            return Outcome(OutcomeKind.INTERRUPTED, "stopped with the queue; it goes on at the same phase")
        case _:
            assert_never(how)
