"""Whether an ending comes from the runner that was to write it.

An agent runs as the same user as we do, so it can write any file, the ending of its own attempt too. The
daemon therefore makes a token for each attempt and gives it to the runner alone, in memory; the lock holds
only the token's hash, and the runner's ending holds the token. Not a wall against an agent that reads its
runner's memory (ptrace(2)); for that, run agents sandboxed.
"""

from __future__ import annotations

import hashlib
import secrets

from task_queue.domain.model import Claim, Ending, OutcomeKind


def new_token() -> str:
    return secrets.token_hex(32)


def proof_of(token: str) -> str:
    """What may be seen of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_vouched_for(claim: Claim, ending: Ending) -> bool:
    """Whether *ending* carries the token of *claim*, or claims nothing that would need it.

    The worker and recovery have no token of their own; that the work succeeded they say only with the
    runner's, which it leaves in the transcript of a command that succeeded.
    """
    if ending.committed_by in {"worker", "recovery"} and ending.outcome.kind is not OutcomeKind.SUCCEEDED:
        return True
    return bool(claim.proof) and proof_of(ending.token) == claim.proof
