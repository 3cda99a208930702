"""The commands that ``proposal`` proposes for a project in Python. Pure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import cast

from task_queue.domain.work.project_files import (
    TEST_FOLDERS,
    ProjectFiles,
    ProposedCommand,
    ProposedCommands,
)

_PYTEST = re.compile(r"^[^#\n]*\bpytest\b", re.MULTILINE)
_UNITTEST = re.compile(r"^\s*(?:import|from)\s+unittest\b", re.MULTILINE)
_FUNCTION = re.compile(r"^(?:async )?def test", re.MULTILINE)
_EXTRA = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_USUAL_EXTRAS = ("dev", "test", "tests", "testing")
_VENV = ".venv/bin/python"


def python_commands(files: ProjectFiles, *, in_own_checkout: bool) -> ProposedCommands:
    tests = _pytest(files)
    setup, python = _setup(files, with_pytest=tests is not None)
    if not in_own_checkout and setup and python == _VENV and ".venv/" not in files.names:
        python = "python3"
    if tests is not None:
        return ProposedCommands(setup, (ProposedCommand(f"{python} -m pytest -q", tests),))
    return ProposedCommands(setup, tuple(_unittest(files, python)))


def _pytest(files: ProjectFiles) -> str | None:
    """Why the tests are pytest's; None if nothing says so."""
    own = ("pytest.ini", "conftest.py", *(f"{folder}/conftest.py" for folder in TEST_FOLDERS))
    for name in own:
        if name in files.names:
            return f"there is {name}"
    for name in ("pyproject.toml", "setup.cfg", "tox.ini", *files.requirements):
        if _PYTEST.search(files.text(name)):
            return f"{name} names pytest"
    for name in files.tests_of_python:
        if _PYTEST.search(files.text(name)) or _FUNCTION.search(files.text(name)):
            return f"{name} is a test of pytest's"
    return None


def _unittest(files: ProjectFiles, python: str) -> Iterable[ProposedCommand]:
    for name in files.tests_of_python:
        if _UNITTEST.search(files.text(name)):
            folder = name.rpartition("/")[0]
            is_found = not folder or f"{folder}/__init__.py" in files.names
            where = "" if is_found else f" discover -s {folder}"
            return (ProposedCommand(f"{python} -m unittest{where}", f"{name} uses unittest"),)
    return ()


def _setup(files: ProjectFiles, *, with_pytest: bool) -> tuple[tuple[ProposedCommand, ...], str]:
    """The set-up, and what Python is called after it."""
    project = _project(files.text("pyproject.toml"))
    extra = _extra(project)
    for lockfile, install, python in (
        ("uv.lock", "uv sync --frozen", "uv run --no-sync python"),
        ("poetry.lock", "poetry install", "poetry run python"),
    ):
        if lockfile in files.names:
            command = f"{install} --extra {extra}" if extra and lockfile == "uv.lock" else install
            return (ProposedCommand(command, f"there is {lockfile}"),), python
    installed = [f"-r {name}" for name in files.requirements]
    named = list(files.requirements)
    if "setup.py" in files.names or project is not None:
        installed.append(f"-e '.[{extra}]'" if extra else "-e .")
        named.append("pyproject.toml" if project is not None else "setup.py")
    if not installed:
        return (), "python3"
    if with_pytest and not _brings_pytest(files, project, extra):
        installed.append("pytest")
    why = f"there is {' and '.join(named)}"
    return (
        ProposedCommand("python3 -m venv .venv", why),
        ProposedCommand(f".venv/bin/pip install --quiet {' '.join(installed)}", why),
    ), _VENV


def _project(text: str) -> Mapping[str, object] | None:
    """The table ``project``; None if the text is not that of a project that can be installed."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError):
        return None
    if "project" not in table and "build-system" not in table:
        return None
    return _table(table.get("project"))


def _extra(project: Mapping[str, object] | None) -> str | None:
    """The extra that brings pytest, or else one of the usual names."""
    extras = _table((project or {}).get("optional-dependencies"))
    names = [name for name in extras if _EXTRA.fullmatch(name)]
    bringing = [name for name in names if _names_pytest(extras[name])]
    return next(iter((*bringing, *(name for name in _USUAL_EXTRAS if name in names))), None)


def _brings_pytest(files: ProjectFiles, project: Mapping[str, object] | None, extra: str | None) -> bool:
    if any(_PYTEST.search(files.text(name)) for name in files.requirements):
        return True
    extras = _table((project or {}).get("optional-dependencies"))
    return _names_pytest((project or {}).get("dependencies")) or _names_pytest(extras.get(extra or ""))


def _names_pytest(requirements: object) -> bool:
    listed = cast("list[object]", requirements) if isinstance(requirements, list) else []
    return any(isinstance(each, str) and each.startswith("pytest") for each in listed)


def _table(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
