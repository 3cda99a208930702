"""The list of the programs that the queue executes, in docs/security.md, is that of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tables import ROOT, table_in

PACKAGE = ROOT / "task_queue"
STARTS = {
    "subprocess": {"Popen", "run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"},
    "os": {"fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp"},
    "asyncio": {"create_subprocess_exec", "create_subprocess_shell"},
    "anyio": {"open_process", "run_process"},
    "pty": {"spawn", "fork"},
    "multiprocessing": {"Process", "Pool"},
    "concurrent.futures": {"ProcessPoolExecutor"},
    "webbrowser": {"open", "open_new", "open_new_tab"},
}
"""Functions that start a program or a process; of ``os`` also all whose names begin with exec and spawn."""
TRANSPORT = "SubprocessCLITransport"
"""The SDK's class that starts the CLI."""


def starts_of(source: str) -> Iterator[str]:
    """The name of each function or class in *source* that starts a program itself."""
    yield from _starts_in(ast.parse(source), "<module>", dict(_names_of_starts(ast.parse(source))))


def _names_of_starts(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Local name to its meaning, for what is imported from those modules, under whatever name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _starts_in(node: ast.AST, where: str, names: dict[str, str]) -> Iterator[str]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            where = node.name
        case ast.Name() | ast.Attribute() if _is_start(node, names):
            yield where
            return
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        yield from _starts_in(child, where, names)


def _is_start(node: ast.Name | ast.Attribute, names: dict[str, str]) -> bool:
    first, *rest = ast.unparse(node).split(".")
    module, _, function = ".".join((names.get(first, first), *rest)).rpartition(".")
    if module == "os" and function.startswith(("exec", "spawn")):
        return True
    return function == TRANSPORT or function in STARTS.get(module, set())


def in_the_code() -> set[tuple[str, str]]:
    return {
        (str(path.relative_to(PACKAGE)), where)
        for path in sorted(PACKAGE.rglob("*.py"))
        for where in starts_of(without_types(path))
    }


def without_types(path: Path) -> str:
    """Annotations such as ``subprocess.Popen[bytes]`` start nothing."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                argument.annotation = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.unparse(tree)


def test_each_program_is_listed_with_its_place() -> None:
    listed = [re.findall(r"`([^`]+)`", row[1]) for row in table_in("security.md", "program")]

    assert sorted((module, where) for module, where in listed) == sorted(in_the_code())


def test_each_row_says_directory_environment_and_whose_words_it_obeys() -> None:
    rows = table_in("security.md", "program")

    assert [row for row in rows if len(row) != 5 or not all(cell.strip() for cell in row)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import subprocess\ndef f():\n    subprocess.run([])",
        "import subprocess as s\ndef f():\n    s.Popen([])",
        "from subprocess import run as go\ndef f():\n    go([])",
        "import os\ndef f():\n    os.execvpe('x', [], {})",
        "import os\ndef f():\n    os.spawnl(0, 'x')",
        "from os import fork\ndef f():\n    fork()",
        "import asyncio\nasync def f():\n    await asyncio.create_subprocess_shell('x')",
        "import subprocess\ndef f():\n    start = subprocess.Popen\n    start([])",
        "class f(SubprocessCLITransport): pass",
    ],
)
def test_a_start_is_found_however_it_is_written(source: str) -> None:
    assert set(starts_of(source)) == {"f"}
