"""Commands that decide whether the work counts, and the files that judge it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

JUDGES = (
    *("tests/**", "test/**", "**/tests/**", "**/__tests__/**", "spec/**"),
    *("**/test_*.py", "**/*_test.*", "**/*.test.*", "**/*.spec.*", "**/conftest.py"),
    *(
        ".github/**",
        ".gitlab-ci.yml",
        ".circleci/**",
        "azure-pipelines.yml",
        "Jenkinsfile",
        ".pre-commit-config.yaml",
    ),
    *(
        "**/Makefile",
        "**/GNUmakefile",
        "**/makefile",
        "**/justfile",
        "**/pytest.ini",
        "**/tox.ini",
        "**/jest.config.*",
    ),
    *("**/CLAUDE.md", ".claude/**", "**/.gitattributes"),  # what the auditor reads, and how it sees files
    ".worktreeinclude",  # which of the owner's ignored files the checks of later tasks get
)
"""Where a change may be a change of the judgement: tests, CI, build rules, the agents' instructions."""

_CONFIGURATION_OF: Mapping[str, tuple[str, ...]] = {
    "pytest": ("pyproject.toml", "setup.cfg"),
    "tox": ("pyproject.toml", "setup.cfg"),
    "nox": ("noxfile.py",),
    "ruff": ("pyproject.toml", "ruff.toml", ".ruff.toml"),
    "mypy": ("pyproject.toml", "mypy.ini"),
    "npm": ("package.json",),
    "npx": ("package.json",),
    "pnpm": ("package.json",),
    "yarn": ("package.json",),
    "cargo": ("Cargo.toml", ".cargo/**"),
    "gradle": ("build.gradle", "build.gradle.kts"),
    "mvn": ("pom.xml",),
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one ``verify`` command came to. Exactly one of *exit_code* and the three reasons says how."""

    command: str
    exit_code: int | None
    duration_ms: int
    tail: str = ""
    """The end of what it wrote, as it was written: not yet harmless for a terminal."""
    timed_out: bool = False
    not_found: bool = False
    interrupted: bool = False
    """We were asked to stop; it says nothing about the work."""

    @property
    def passed(self) -> bool:
        return self.exit_code == 0 and not (self.timed_out or self.not_found or self.interrupted)

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.interrupted:
            return "stopped by the queue"
        if self.timed_out:
            return "did not end in time"
        if self.not_found:
            return "could not be started: command not found"
        return "passed" if self.passed else f"failed with exit code {self.exit_code}"


def check_of(record: Mapping[str, Any]) -> Check:
    """From a record of a result, whichever release wrote it."""
    exit_code = record.get("exit_code")
    return Check(
        command=str(record.get("command") or ""),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        duration_ms=int(record.get("duration_ms") or 0),
        tail=str(record.get("tail") or ""),
        timed_out=bool(record.get("timed_out")),
        not_found=bool(record.get("not_found")),
        interrupted=bool(record.get("interrupted")),
    )


def passed(checks: Iterable[Check]) -> bool:
    """Whether the work is proven: every check passed, and there was one."""
    results = [check.passed for check in checks]
    return bool(results) and all(results)


def judges_for(commands: Iterable[str], declared: Iterable[str] = ()) -> tuple[str, ...]:
    """Patterns of the files that judge: the usual ones, *declared* ones, and what the commands name or read."""
    named: list[str] = []
    for command in commands:
        for word in _words(command):
            named += _CONFIGURATION_OF.get(word.rpartition("/")[2], ())
            path = word.removeprefix("./")
            if ("/" in path or "." in path) and not path.startswith(("/", "-", "../")):
                named.append(_GLOB.sub(r"[\g<0>]", path))
    return tuple(dict.fromkeys([*JUDGES, *declared, *named]))


def is_judge(path: str, patterns: Iterable[str]) -> bool:
    """Whether *path* (relative to the workspace, with slashes) matches one of *patterns*.

    ``*`` and ``?`` stay within one folder, ``**`` does not, ``[...]`` is a set of characters.
    """
    return any(_regex(pattern).fullmatch(path) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class ChangedJudge:
    """A file that judges the work, and that the work changed."""

    path: str
    change: Literal["added", "changed", "removed"]


def changed_judges(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ChangedJudge, ...]:
    """From the hashes of the judging files before and after, by path."""
    changed = [
        ChangedJudge(path, "added" if path not in before else "removed" if path not in after else "changed")
        for path in before.keys() | after.keys()
        if before.get(path) != after.get(path)
    ]
    return tuple(sorted(changed, key=lambda judge: judge.path))


_GLOB = re.compile(r"[*?\[]")
_TOKEN = re.compile(r"\*\*/|/\*\*|\*\*|\*|\?|\[[^\]/]+\]|.", re.DOTALL)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_translated(token) for token in _TOKEN.findall(pattern)), re.DOTALL)


def _translated(token: str) -> str:
    match token:
        case "**/":
            return "(?:.*/)?"
        case "/**":
            return "/.*"
        case "**":
            return ".*"
        case "*":
            return "[^/]*"
        case "?":
            return "[^/]"
        case _ if len(token) > 1:
            inside = token[1:-1]
            negated = inside.startswith("!") and len(inside) > 1
            return f"[{'^' if negated else ''}{re.escape(inside[negated:])}]".replace(r"\-", "-")
        case _:
            return re.escape(token)
