"""Who plays what: the demo's four tasks, what the scripted model answers to each, and how each has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from task_queue.demo.scripted_model import (
    Hang,
    ModelError,
    Reply,
    Request,
    Say,
    Script,
    UseTool,
    by_task,
    in_turn,
)
from task_queue.domain.model import OutcomeKind
from task_queue.domain.task import TaskId

_THINKING_S = 0.6
_MISTAKEN = """    plain = title.lower()
"""
_RIGHT = """    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
"""
_SLUGIFY = f'''\
"""Titles as file names."""

import re
import unicodedata


def slugify(title: str) -> str:
{_MISTAKEN}    return "-".join(re.findall(r"[a-z0-9]+", plain))
'''
_TEST = """\
import unittest

from slugify import slugify


class SlugifyTest(unittest.TestCase):
    def test_words_are_joined_by_hyphens(self) -> None:
        self.assertEqual(slugify("Hello, World 2!"), "hello-world-2")
"""
_SURVEY = """\
# Survey

Three files, none over 20 lines. `convert.py` has no test.
"""


@dataclass(frozen=True, slots=True)
class DemoTask:
    """One task of the demo."""

    task_id: TaskId
    source: str
    title: str
    """As the document has it; the model recognises the task by it as a heading."""
    shows: str
    ends_as: OutcomeKind

    @property
    def document(self) -> bytes:
        return files("task_queue.demo").joinpath(f"{self.task_id}.md").read_bytes()


DEMO_TASKS = (
    DemoTask(
        TaskId("task-write-slugify"),
        "ad-hoc",
        "Write slugify",
        "writes code; an auditor rejects it once; then it is merged",
        OutcomeKind.SUCCEEDED,
    ),
    DemoTask(
        TaskId("task-publish-release"),
        "ad-hoc",
        "Publish the release",
        "is denied git push, and claims success anyway",
        OutcomeKind.DENIED,
    ),
    DemoTask(
        TaskId("task-survey-code"),
        "planned",
        "Survey the code",
        "takes a while, so that there is something to watch",
        OutcomeKind.SUCCEEDED,
    ),
    DemoTask(
        TaskId("task-translate-readme"),
        "planned",
        "Translate the read-me",
        'fails, although the agent calls its end a "success"; tried twice',
        OutcomeKind.FAILED,
    ),
)


def script_for(workspace: Path, worktree: Path) -> Script:
    """What the model answers, task by task; the audited one works in *worktree*, the others in *workspace*."""
    scripts: Mapping[str, Script] = {
        "# Write slugify\n": _audited(
            in_turn(
                _after_a_thought(_write(worktree / "slugify.py", _SLUGIFY, "I start with the function.")),
                _after_a_thought(_write(worktree / "test_slugify.py", _TEST, "Now a test.")),
                _after_a_thought(_bash("python3 -m unittest -q test_slugify")),
                Say("slugify is written; its test passes."),
                _after_a_thought(_edit(worktree / "slugify.py", _MISTAKEN, _RIGHT)),
                _after_a_thought(_bash("python3 -m unittest -q test_slugify")),
                Say("Accented letters keep their letter now; the test passes."),
            ),
            _after_a_thought(_read(worktree / "slugify.py")),
        ),
        "# Publish the release\n": in_turn(
            _after_a_thought(_bash("git tag v1.0")),
            _after_a_thought(_bash("git push origin v1.0")),
            Say("Done! Version 1.0 is published."),
        ),
        "# Survey the code\n": in_turn(
            _after_a_thought(_bash("git ls-files")),
            _after_a_thought(_read(workspace / "README.md")),
            _after_a_thought(_read(workspace / "convert.py")),
            _after_a_thought(_bash("wc -l $(git ls-files)")),
            _after_a_thought(_bash("git log --oneline --stat")),
            _after_a_thought(_write(workspace / "SURVEY.md", _SURVEY, "That is all; I write it down.")),
            Say("The survey is in SURVEY.md."),
        ),
        "# Translate the read-me\n": in_turn(
            _after_a_thought(_read(workspace / "README.md")),
            ModelError(400, "invalid_request_error", "Output blocked by content filtering policy"),
        ),
    }
    return by_task(scripts)


def _audited(implementer: Script, look: Reply) -> Script:
    """Two agents on one task: only the auditor, who has a *look* first, is asked for a structured answer."""

    def choose(request: Request) -> Reply:
        if "StructuredOutput" not in request.tool_names:
            return implementer(request)
        verdict = _REJECTS if "Round 1." in request.first_text else _PASSES
        return in_turn(look, _after_a_thought(verdict), Say("That is my verdict."))(request)

    return choose


def _verdict(decision: str, summary: str, *findings: Mapping[str, object]) -> UseTool:
    answer: dict[str, object] = {"verdict": decision, "summary": summary, "findings": findings}
    return UseTool("StructuredOutput", {**answer, "checks_run": (), "criteria": ()})


_REJECTS = _verdict(
    "fail",
    '"Café" becomes "caf"',
    {
        "severity": "major",
        "file": "slugify.py",
        "line": 8,
        "issue": "An accented letter is dropped instead of losing its accent.",
        "fix": "Decompose the title (NFKD) before you look for letters.",
    },
)
_PASSES = _verdict("pass", '"Café" becomes "cafe"')


def _after_a_thought(answer: UseTool) -> Reply:
    return Hang(seconds=_THINKING_S, then=answer)


def _bash(command: str) -> UseTool:
    return UseTool("Bash", {"command": command, "description": command})


def _read(path: Path) -> UseTool:
    return UseTool("Read", {"file_path": str(path)})


def _edit(path: Path, old: str, new: str) -> UseTool:
    return UseTool("Edit", {"file_path": str(path), "old_string": old, "new_string": new})


def _write(path: Path, content: str, text: str) -> UseTool:
    return UseTool("Write", {"file_path": str(path), "content": content}, text=text)
