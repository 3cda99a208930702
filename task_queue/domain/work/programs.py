"""Which settings of git name a program, or decide whether one runs, and what disarms each. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_DISARMED = tuple(
    (re.compile(pattern, re.DOTALL), value)
    for pattern, value in (
        (r"filter\..+\.(clean|smudge|process)", ""),
        (r"filter\..+\.required|commit\.gpgsign|tag\.gpgsign", "false"),
        (r"merge\..+\.driver", "false"),  # a conflict; an empty one would keep one side without a word
        (r"merge\.default", "text"),
        (r"diff\.external|diff\..+\.(command|textconv)", ""),
        (r"core\.sshcommand", "ssh"),
        (r"core\.askpass|core\.alternaterefscommand|(credential\.(.+\.)?helper)", ""),
        (r"core\.gitproxy", "none"),
        (r"core\.editor|sequence\.editor", ":"),
        (r"core\.pager|pager\..+", "cat"),
        (r"gpg\.program|gpg\.openpgp\.program", "gpg"),
        (r"gpg\.x509\.program", "gpgsm"),
        (r"gpg\.ssh\.program", "ssh-keygen"),
        (r"gpg\.ssh\.defaultkeycommand|user\.signingkey", ""),
        (r"gpg\.format", "openpgp"),
        (r"hook\..+\.command", "true"),  # git 2.54 and newer
        (r"protocol\.ext\.allow", "never"),
        (r"protocol\.(.+\.)?allow", "user"),
        (r"remote\..+\.uploadpack", "git-upload-pack"),
        (r"remote\..+\.receivepack", "git-receive-pack"),
        (r"remote\..+\.(vcs|proxy)|trailer\..+\.(command|cmd)", ""),
        (r"uploadpack\.packobjectshook", "env"),
        (r"lfs\.(customtransfer|extension)\..+|lfs\.(.+\.)?standalonetransferagent", ""),
    )
)
_LISTS = re.compile(r"credential\.(.+\.)?helper", re.DOTALL)

Values = Mapping[str, Sequence[str]]
"""By key as git-config(1) lists it; the last one counts, or all of them."""


def that_name_programs(entries: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Of all *entries* in force, in their order, those that matter."""
    found: dict[str, list[str]] = {}
    for key, value in entries:
        if key != "core.worktree" and _disarmed(key) is None:
            continue
        found.setdefault(key, []).append(value)
    return found


def overriding(now: Values, trusted: Values) -> tuple[tuple[str, str], ...]:
    """Settings with which *now* has the effect of *trusted*."""
    given: list[tuple[str, str]] = []
    for key in (*now, *(key for key in trusted if key not in now)):
        before = trusted.get(key, ())
        if is_same(key, now, trusted) or (value := _disarmed(key)) is None:
            continue
        if _LISTS.fullmatch(key):
            given += [(key, ""), *((key, each) for each in before)]
        else:
            given.append((key, before[-1] if before else value))
    return tuple(given)


def trusted_after(now: Values, trusted: Values, suspect: Values | None) -> dict[str, list[str]]:
    """What is trusted while no task is at work: *now*, but for what is still as the last task left it.

    *suspect* is all that there was when that task ended; None where it had changed nothing.
    """
    if suspect is None:
        return {key: list(values) for key, values in now.items()}
    kept = {
        key: trusted.get(key, ()) if is_same(key, now, suspect) else now.get(key, ())
        for key in dict.fromkeys((*now, *trusted))
    }
    return {key: list(values) for key, values in kept.items() if values}


def is_same(key: str, one: Values, other: Values) -> bool:
    return list(one.get(key, ())) == list(other.get(key, ()))


def _disarmed(key: str) -> str | None:
    return next((value for pattern, value in _DISARMED if pattern.fullmatch(key)), None)
