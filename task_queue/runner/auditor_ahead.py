"""The auditor of one round, connected in its checkout while the verification runs.

Only where the verification is confined: what the implementer wrote runs there as the same user, and outside of a
sandbox it could write to the auditor's checkout, and to its process.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from dataclasses import dataclass, replace

from task_queue.agents.claude.ahead import ConnectedAhead
from task_queue.agents.claude.options import SessionRequest
from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.domain.attempt.spending import Meter
from task_queue.domain.document.choices import Workflow
from task_queue.domain.errors import ExecutorError, GitError
from task_queue.domain.work.audit import VERDICT_SCHEMA
from task_queue.domain.work.workflow import Audit
from task_queue.platform.identity import ProcessIdentity, is_alive
from task_queue.platform.memory import available
from task_queue.ports.executor import Order
from task_queue.runner.attempt import OngoingAttempt
from task_queue.runner.auditing import AuditBench, bench_for
from task_queue.runner.checkout import Checkout
from task_queue.runner.confinement import is_confined

_LEAST_FREE_BYTES = 2**30
"""With less memory available on the machine, what runs already needs it more."""


@dataclass(frozen=True, slots=True)
class AuditorAhead:
    """Its session and its checkout, until it is asked or dropped."""

    tree: str
    """What it would judge."""
    bench: AuditBench
    session: ConnectedAhead
    _checkout: ExitStack

    def process(self) -> ProcessIdentity | None:
        """Of its CLI, once it is connected."""
        return self.session.process()

    def is_for(self, tree: str) -> bool:
        """Whether it is connected in a checkout of *tree*, which is as it was made."""
        process = self.process()
        is_there = process is not None and is_alive(process)
        return is_there and self.tree == tree and self.bench.is_as_it_was_made

    def end(self) -> None:
        """Whether it was asked or not: neither session nor checkout is left. May be called again."""
        self.session.drop()
        self._checkout.close()


def connect_auditor(
    run: OngoingAttempt, agent: ClaudeExecutor, phase: Audit, tree: str
) -> AuditorAhead | None:
    """Begin to connect the auditor of *tree*; None where there is to be none, or there cannot be."""
    order = run.order
    if not (order.agent.prewarm and order.settings.workflow is Workflow.AUDITED and order.settings.verify):
        return None
    if not is_confined(order) or available() < _LEAST_FREE_BYTES:
        return None
    with ExitStack() as stack:
        try:
            bench = stack.enter_context(bench_for(run.opened(), tree, run.transcript, within_s=run.left_s))
            if bench is None:
                return None
            request = audit_request(run, bench)
            audit_order = order_of_audit(run.opened(), bench, session_id=str(uuid.uuid4()))
            session = run.connect_ahead(agent, audit_order, request, phase=phase)
        except (ExecutorError, GitError):
            return None  # the audit itself says it, if it comes to be
        if session is None:
            return None
        return AuditorAhead(tree, bench, session, stack.pop_all())
    return None


def order_of_audit(checkout: Checkout, bench: AuditBench | None, *, session_id: str) -> Order:
    """A fresh session where the auditor works."""
    return replace(
        checkout.order,
        workspace=bench.directory if bench else checkout.directory,
        claim=replace(checkout.order.claim, session_id=session_id, resumes=False),
        meter=Meter(),
    )


def audit_request(run: OngoingAttempt, bench: AuditBench | None) -> SessionRequest:
    """Without the prompt, which is known once the verification has passed."""
    return SessionRequest(
        resume=False,
        append=run.prompts.auditor,
        schema=VERDICT_SCHEMA,
        audits=True,
        bench=bench if bench and bench.listed else None,
    )
