"""The source archive holds what a person needs to test and to install from it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.house.tables import ROOT

_BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
_NOT_OURS = (".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as ``python -m build --sdist --no-isolation`` does, from a copy of this checkout."""
    folder = tmp_path_factory.mktemp("archive")
    checkout = folder / "checkout"
    shutil.copytree(ROOT, checkout, symlinks=True, ignore=shutil.ignore_patterns(*_NOT_OURS))
    built = subprocess.run(
        [sys.executable, "-c", _BUILD, str(folder)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / built.stdout.splitlines()[-1]


def contents(archive: Path) -> dict[str, tarfile.TarInfo]:
    """Each member by its path below the archive's one folder."""
    with tarfile.open(archive) as opened:
        return {member.name.partition("/")[2]: member for member in opened.getmembers()}


@pytest.mark.parametrize(
    "name",
    [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "docs/commands.md",
        "docs/schemas/lock.schema.json",
        "pyproject.toml",
        "task-queue.service",
        "task_queue/plugin/.claude-plugin/plugin.json",
        "task_queue/task-queue.service",
        "tests/data/2.1/config.json",
        "tests/test_cli_grouped_commands.py",
    ],
)
def test_it_holds(archive: Path, name: str) -> None:
    """A regular file: what is extracted elsewhere has nothing to point to."""
    found = contents(archive)

    assert name in found
    assert found[name].isreg()


def test_it_holds_every_test_and_every_module(archive: Path) -> None:
    found = set(contents(archive))
    ours = {
        str(path.relative_to(ROOT))
        for folder in ("task_queue", "tests", "docs", "benchmarks")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert ours - found == set()


def test_it_holds_no_litter(archive: Path) -> None:
    assert [name for name in contents(archive) if "__pycache__" in name or name.endswith(".pyc")] == []
