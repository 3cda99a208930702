"""Whether an ending comes from the runner that was to write it.

An agent runs as the same user as we do, so it can write any file, the ending of its own attempt too. The
daemon therefore makes a token for each attempt and gives it to the runner alone, in memory; the lock holds
only the token's hash, and the runner's ending holds the token. Not a wall against an agent that reads its
runner's memory (ptrace(2)); for that, run agents sandboxed.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from itertools import takewhile

from task_queue.domain.model import Claim, Ending, OutcomeKind

_SIGNATURE = ', "signature": "'


def new_token() -> str:
    return secrets.token_hex(32)


def proof_of(token: str) -> str:
    """What may be seen of *token*."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_signed_by_runner(claim: Claim, ending: Ending) -> bool:
    """Whether *ending* carries the token of *claim*, or claims nothing that would need it.

    The worker and recovery have no token of their own; that the work succeeded they say only with the
    runner's, which it leaves in the transcript of a command that succeeded.
    """
    if ending.committed_by in {"worker", "recovery"} and ending.outcome.kind is not OutcomeKind.SUCCEEDED:
        return True
    return bool(claim.proof) and proof_of(ending.token) == claim.proof


def signed(line: str, token: str, number: int) -> str:
    """*line*, a JSON object and the *number*-th of its file, with the signature of who has *token* in it."""
    return f'{line[:-1]}{_SIGNATURE}{_signature(line, token, number)}"}}'


def unsigned(line: str) -> str:
    """The object as it was before it was signed."""
    return line.rpartition(_SIGNATURE)[0] + "}"


def seal_of(lines: Sequence[str], token: str) -> str:
    """What shows later which of the signed *lines* were there and genuine: those before the first that is not.

    Kept where the one who could write *lines* does not reach. Empty without *token*: then nothing is known of them.
    """

    def is_genuine(numbered: tuple[int, str]) -> bool:
        number, line = numbered
        return hmac.compare_digest(line.encode(), signed(unsigned(line), token, number).encode())

    return _seal([line for _, line in takewhile(is_genuine, enumerate(lines))]) if token else ""


def sealed_by(seal: str, lines: Sequence[str]) -> Sequence[str]:
    """The first of *lines*, as many as *seal* was made of; none if they are not the same any more."""
    fitting = (count for count in range(1, len(lines) + 1) if _seal(lines[:count]) == seal)
    return lines[: next(fitting, 0)]


def _seal(lines: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _signature(line: str, token: str, number: int) -> str:
    return hmac.new(token.encode(), f"{number} {line}".encode(), hashlib.sha256).hexdigest()
