"""Claims in this process, for every engine: what a worker would say, said to the port."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime

from task_queue.domain.lease import LeaseTerms
from task_queue.domain.model import Outcome, OutcomeKind, Work
from task_queue.ports.claims import (
    ClaimRefusedError,
    Claims,
    ClaimWish,
    FramesMissingError,
    ToldProgress,
    UnknownClaimError,
    WorkerReport,
)
from tests.dispatch.claims_contract import LEASE_S, ClaimsBench, Got, Refused


class InProcessBench(ClaimsBench):
    @property
    @abstractmethod
    def claims(self) -> Claims: ...

    def claim(
        self,
        worker: str = "w1",
        *,
        lease_s: float = LEASE_S,
        sources: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        executors: Sequence[str] | None = None,
        capabilities: Sequence[str] = (),
        key: str | None = None,
    ) -> Got | None:
        given = self.claims.claim(
            ClaimWish(
                LeaseTerms(worker, lease_s),
                None if sources is None else tuple(sources),
                None if types is None else tuple(types),
                None if executors is None else tuple(executors),
                tuple(capabilities),
                key=key,
            )
        )
        if given is None:
            return None
        order = {"branch": given.order.branch, "allowance_usd": given.order.allowance_usd}
        return Got(given.id, given.epoch, given.task_id, given.order.document, order)

    def heartbeat(self, got: Got, worker: str = "w1", *, epoch: int | None = None) -> str:
        try:
            return self.claims.heartbeat(
                got.id,
                epoch=got.epoch if epoch is None else epoch,
                worker=worker,
                progress=ToldProgress(percent=10),
            ).directive
        except (ClaimRefusedError, UnknownClaimError) as error:
            raise _refused(error) from error

    def frames(self, got: Got, offset: int, *lines: str) -> int:
        try:
            return self.claims.frames(got.id, epoch=got.epoch, worker="w1", offset=offset, lines=lines)
        except FramesMissingError as error:
            raise Refused("frames_missing", str(error.offset)) from error

    def report(
        self,
        got: Got,
        kind: str = "succeeded",
        worker: str = "w1",
        *,
        epoch: int | None = None,
        cost_usd: float = 0,
        resets_at: datetime | None = None,
    ) -> str:
        outcome = Outcome(OutcomeKind(kind), f"said by {worker}", resets_at=resets_at)
        work = Work(output=f"done by {worker}", num_turns=1, total_cost_usd=cost_usd)
        report = WorkerReport(outcome, work, self.clock.now())
        number = got.epoch if epoch is None else epoch
        try:
            is_first = self.claims.report(got.id, epoch=number, worker=worker, report=report)
        except (ClaimRefusedError, UnknownClaimError) as error:
            raise _refused(error) from error
        return "applied" if is_first else "already_applied"


def _refused(error: ClaimRefusedError | UnknownClaimError) -> Refused:
    if isinstance(error, UnknownClaimError):
        return Refused("claim_not_found", "")
    return Refused(error.refusal.value, error.state)
