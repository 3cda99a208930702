"""What an editable installation of a Python project reads of it, besides the code that stays where it is. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from typing import cast

_COMPILED = (
    *(".c", ".cc", ".cpp", ".cxx", ".pyx", ".pxd", ".rs", ".f", ".f90", ".cu"),
    *("CMakeLists.txt", "meson.build", "Cargo.toml", "build.py"),
)
"""Code that an installation translates: what it makes is not the code's any more once that changes."""
_METADATA = ("pyproject.toml", "setup.cfg", "setup.py", "MANIFEST.in")
_EMPTY_SETUP = re.compile(
    r"\s*(?:from\s+setuptools\s+import\s+setup|import\s+setuptools)\s+(?:setuptools\.)?setup\(\s*\)\s*"
)
_FROM_HISTORY = ("setuptools_scm", "setuptools-scm", "vcs", "versioningit", "dunamai", "versioneer")
"""Take the version from git: it may differ from commit to commit."""


class UnknownReadsError(Exception):
    """It may read anything of the project."""


def reads_of_editable(names: Sequence[str], text: Callable[[str], str]) -> tuple[list[str], list[str]]:
    """Which of the files *names* decide what is installed, and the folders of packages, whose names do.

    Raises UnknownReadsError.
    """
    present = set(names)
    project = text("pyproject.toml")
    if not present.intersection(("pyproject.toml", "setup.py")) or any(
        name.endswith(_COMPILED) for name in names
    ):
        raise UnknownReadsError
    if "setup.py" in present and not _EMPTY_SETUP.fullmatch(re.sub(r"#.*", "", text("setup.py"))):
        raise UnknownReadsError
    try:
        table = tomllib.loads(project)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UnknownReadsError from error
    if any(word in project for word in _FROM_HISTORY) or "backend-path" in project:
        raise UnknownReadsError
    read = {*present.intersection(_METADATA), *_named_in(table, present)}
    packages = {name.rpartition("/")[0] or name for name in names if name.endswith(".py")}
    return sorted(read), sorted(packages)


def _named_in(table: object, present: Iterable[str]) -> set[str]:
    """Files that a value of pyproject.toml names: by path, or as a module with an attribute (``package.version``)."""
    values = set(_texts(table))
    modules = {value.rpartition(".")[0].replace(".", "/") for value in values if "." in value}
    wanted = {f"{module}{end}" for module in modules if module for end in (".py", "/__init__.py")}
    plain = {value.removeprefix("./") for value in values}
    return {
        path for path in present if path in plain or any(path == w or path.endswith(f"/{w}") for w in wanted)
    }


def _texts(value: object) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in cast("dict[str, object]", value).values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in cast("list[object]", value):
            yield from _texts(each)
