"""What a program's exit code says about the attempt that it carried out."""

from __future__ import annotations

from task_queue.domain.model import Outcome, OutcomeKind

TRY_LATER = 75
"""EX_TEMPFAIL of sysexits.h."""
_SIGNALS = {1: "SIGHUP", 2: "SIGINT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM"}


def outcome_of_exit(code: int, last_line: str = "") -> Outcome:
    """*code* is negative for the signal that ended the program."""
    evidence = (f"exit code {code}", *((f"last line: {last_line}",) if last_line else ()))
    if code == 0:
        return Outcome(OutcomeKind.SUCCEEDED, "exit code 0", evidence)
    if code == TRY_LATER:
        return Outcome(
            OutcomeKind.UNAVAILABLE, "the program asked to be tried again later (exit 75)", evidence
        )
    if code < 0:
        name = _SIGNALS.get(-code, f"signal {-code}")
        return Outcome(OutcomeKind.CRASHED, f"the program was ended by {name}", evidence)
    return Outcome(OutcomeKind.FAILED, f"exit code {code}", evidence)
