"""Blocks of code that the guide prints: what a test types, what it expects to see, and what it cannot type.

A block of ``sh`` is typed. One below the line ``*Not typed by the tests: REASON.*``, which readers see, too, is not. A
block of ``text`` after one that is typed is what it prints; ``...`` stands for what differs from run to run.
A command that ends in ``# exit code N`` has to end so, every other one with 0.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.house.tables import ROOT

GUIDE = ROOT / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
REASONS = (
    "needs a login",
    "needs systemd",
    "needs a server",
    "needs a terminal",
    "needs the network",
    "runs for a whole night",
)
"""Why a block cannot be typed without a network, an account or a service manager."""

_BLOCK = re.compile(
    r"(?:^\*Not typed by the tests: (?P<reason>[^*]+)\.\*\n\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_CODE = re.compile(r"^(?P<command>.*?) *# exit code (?P<code>\d)\b.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Printed:
    kind: str
    text: str
    reason: str | None = None
    """Why it is not typed."""

    @property
    def is_typed(self) -> bool:
        return self.kind == "sh" and self.reason is None

    @property
    def script(self) -> str:
        """For ``sh -e``: as printed, and commands with another exit code than 0 must have that one."""
        return _CODE.sub(r"code=0; \g<command> || code=$?; [ $code = \g<code> ]", self.text)


def blocks_of(page: Path) -> list[Printed]:
    return [
        Printed(found["kind"], found["text"], found["reason"]) for found in _BLOCK.finditer(page.read_text())
    ]


def session_of(page: Path) -> tuple[str, dict[int, str]]:
    """A script that types the blocks of *page*, each below a line ``@N``; and what block N has to print."""
    script: list[str] = []
    expected: dict[int, str] = {}
    last: int | None = None
    for number, block in enumerate(blocks_of(page)):
        if block.is_typed:
            script += [f"echo {shlex.quote(f'@{number}')}", block.script]
            last = number
        elif block.kind == "text" and last is not None:
            expected[last] = block.text
        else:
            last = None
    return "\n".join(script), expected


def said_by(transcript: str) -> dict[int, str]:
    """What each block printed, from the output of a session."""
    parts = re.split(r"^@(\d+)\n", transcript, flags=re.MULTILINE)[1:]
    return {int(number): said for number, said in zip(parts[::2], parts[1::2], strict=True)}


def missing(expected: str, said: str) -> list[str]:
    """Printed lines that were not said, in any order; columns may have other widths."""
    lines = [" ".join(line.split()) for line in said.splitlines()]
    return [
        line
        for line in expected.splitlines()
        if line.strip(" .") and not any(_pattern(line).fullmatch(each) for each in lines)
    ]


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, " ".join(line.split()).split("..."))))
