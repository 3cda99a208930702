"""Who plays what: the demo's four tasks, what the scripted model answers to each, and how each has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from task_queue.demo.scripted_model import Fail, Hang, Reply, Say, Script, UseTool, by_task, in_turn
from task_queue.domain.model import OutcomeKind, TaskId

_THINKING_S = 0.6
_SLUGIFY = '''\
"""Titles as file names."""

import re


def slugify(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))
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
class Part:
    """One task of the demo."""

    task_id: TaskId
    source: str
    title: str
    """As the document has it; the model tells the tasks apart by it as a heading."""
    shows: str
    ends_as: OutcomeKind

    @property
    def document(self) -> bytes:
        return files("task_queue.demo").joinpath(f"{self.task_id}.md").read_bytes()


PARTS = (
    Part(
        TaskId("task-write-slugify"),
        "ad-hoc",
        "Write slugify",
        "writes code, tests and commits it",
        OutcomeKind.SUCCEEDED,
    ),
    Part(
        TaskId("task-publish-release"),
        "ad-hoc",
        "Publish the release",
        "is denied git push, and claims success all the same",
        OutcomeKind.DENIED,
    ),
    Part(
        TaskId("task-survey-code"),
        "planned",
        "Survey the code",
        "takes a while, so that there is something to watch",
        OutcomeKind.SUCCEEDED,
    ),
    Part(
        TaskId("task-translate-readme"),
        "planned",
        "Translate the read-me",
        'fails, although the agent calls its end a "success"; tried twice',
        OutcomeKind.FAILED,
    ),
)


def script_for(workspace: Path) -> Script:
    """What the model answers, task by task; paths that it writes are below *workspace*."""
    scripts: Mapping[str, Script] = {
        "# Write slugify\n": in_turn(
            _after_a_thought(_write(workspace / "slugify.py", _SLUGIFY, "I start with the function.")),
            _after_a_thought(_write(workspace / "test_slugify.py", _TEST, "Now a test.")),
            _after_a_thought(_bash("python3 -m unittest -q test_slugify")),
            _after_a_thought(
                _bash('git add slugify.py test_slugify.py && git commit -q -m "Turn titles into file names"')
            ),
            Say("slugify and its test are committed; the test passes."),
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
            Fail(400, "invalid_request_error", "Output blocked by content filtering policy"),
        ),
    }
    return by_task(scripts)


def _after_a_thought(answer: UseTool) -> Reply:
    return Hang(seconds=_THINKING_S, then=answer)


def _bash(command: str) -> UseTool:
    return UseTool("Bash", {"command": command, "description": command})


def _read(path: Path) -> UseTool:
    return UseTool("Read", {"file_path": str(path)})


def _write(path: Path, content: str, text: str) -> UseTool:
    return UseTool("Write", {"file_path": str(path), "content": content}, text=text)
