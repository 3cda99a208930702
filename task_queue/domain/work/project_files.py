"""What of a project's files decides which commands are proposed for it, and those commands. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

TEST_FOLDERS = ("tests", "test")
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_REQUIREMENTS = re.compile(r"(dev-|test-)?requirements([-_](dev|test|tests))?\.txt")
_TELLING = frozenset({"pyproject.toml", "setup.cfg", "tox.ini", "package.json", *MAKEFILES})
_TEST_OF_PYTHON = re.compile(r"test_[^/]*\.py")


@dataclass(frozen=True, slots=True)
class ProposedCommand:
    command: str
    why: str


@dataclass(frozen=True, slots=True)
class ProposedCommands:
    setup: tuple[ProposedCommand, ...] = ()
    verify: tuple[ProposedCommand, ...] = ()


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """A project as far as it was looked at."""

    names: frozenset[str]
    """In its folder and in ``TEST_FOLDERS``, with slashes; a folder's name ends with one."""
    texts: Mapping[str, str]
    """Of some of the files that ``is_telling``."""

    @property
    def tests_of_python(self) -> tuple[str, ...]:
        return tuple(name for name in sorted(self.names) if is_test_of_python(name))

    @property
    def requirements(self) -> tuple[str, ...]:
        return tuple(name for name in sorted(self.names) if _REQUIREMENTS.fullmatch(name))

    def text(self, name: str) -> str:
        return self.texts.get(name, "")


def is_test_of_python(name: str) -> bool:
    return _TEST_OF_PYTHON.fullmatch(PurePosixPath(name).name) is not None and not name.endswith("/")


def is_telling(name: str) -> bool:
    """Whether the text of the file *name* may decide which commands are proposed."""
    return name in _TELLING or _REQUIREMENTS.fullmatch(name) is not None or is_test_of_python(name)
