"""Scripts for an implementer and its auditor, and a repository for them to work in."""

from __future__ import annotations

import os
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from tests.acceptance.agents import bash
from tests.acceptance.rig import Rig

SLOW = 90


def verdict(decision: str, *issues: str) -> UseTool:
    """What an auditor answers."""
    findings = [
        {"severity": "major", "file": "work.txt", "line": 1, "issue": issue, "fix": "put it right"}
        for issue in issues
    ]
    return UseTool(
        "StructuredOutput",
        {
            "verdict": decision,
            "summary": f"I say {decision}",
            "findings": findings,
            "checks_run": [],
            "criteria": [],
        },
    )


def audits(request: Request) -> bool:
    """Only the auditor is asked for a structured answer."""
    return "StructuredOutput" in request.tool_names


def just_ran(request: Request) -> bool:
    """Whether the conversation's last word is a tool's result."""
    content = request.body["messages"][-1]["content"]
    return isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)


class Implementer(ABC):
    """A script for both: the auditor passes all; the implementer runs *work*, and *mend* when it is sent back."""

    def __init__(self) -> None:
        self.sent_back: list[str] = []

    @abstractmethod
    def work(self, request: Request) -> str: ...

    @abstractmethod
    def mend(self, request: Request) -> str: ...

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            return verdict("pass") if request.turn == 1 else Say("done")
        if just_ran(request):
            return Say("done")
        if "does not count as done yet" in request.last_text:
            self.sent_back.append(request.last_text)
            return bash(self.mend(request))
        return bash(self.work(request))


class TwoAgents:
    """A script for both: the implementer appends a line a round; the auditor goes through its verdicts."""

    def __init__(self, *verdicts: UseTool, work: str = "echo round >> work.txt") -> None:
        self.verdicts = list(verdicts)
        self.work = work
        self.told: list[str] = []
        self.audits: list[str] = []
        self.turns: list[int] = []

    def __call__(self, request: Request) -> Reply:
        if audits(request):
            if request.turn > 1:
                return Say("that is my verdict")
            self.audits.append(request.last_text)
            return self.verdicts.pop(0)
        if just_ran(request):
            return Say("I did it")
        self.told.append(request.last_text)
        self.turns.append(request.turn)
        return bash(self.work)


def git(directory: Path, *arguments: str) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory.parent), "GIT_CONFIG_NOSYSTEM": "1"}
    answer = subprocess.run(
        ["git", *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def a_repository(rig: Rig) -> Path:
    """The rig's workspace as a repository with one commit."""
    (rig.home / ".gitconfig").write_text(
        "[user]\n\tname = Test\n\temail = test@example.org\n[init]\n\tdefaultBranch = main\n"
    )
    git(rig.workspace, "init", "-q")
    (rig.workspace / "first.txt").write_text("first\n")
    git(rig.workspace, "add", ".")
    git(rig.workspace, "commit", "-qm", "First")
    return rig.workspace


def audited(**more: Any) -> dict[str, Any]:
    return {"defaults": {"workflow": "audited", **more}}
