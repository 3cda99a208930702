"""What nothing in the package uses is not kept: neither functions that only tests call nor events that none emits."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from task_queue.domain import events
from tests.house.tables import ROOT

FOREIGN = {
    "daemon_main": "an entry point of pyproject.toml",
    "on_watch_deleted": "called by watchdog",
    "on_queue_overflow": "called by watchdog",
    "on_event": "called by watchdog",
    "format_commands": "called by click",
    "format_options": "called by click",
    "formatTime": "called by logging",
    "fromutc": "called by datetime",
    "dst": "called by datetime",
    "handle_error": "called by socketserver",
    "do_HEAD": "called by http.server",
    "do_GET": "called by http.server",
    "do_POST": "called by http.server",
    "log_message": "called by http.server",
    "main_loop": "called by uvicorn",
    "capture_signals": "called by uvicorn",
    "__aenter__": "of async with",
    "__aexit__": "of async with",
    "tool_results": "of the scripted model, which the tests share",
    "system_text": "of the scripted model, which the tests share",
    "wait_for_request": "of the scripted model, which the tests share",
}
_WORD = re.compile(r"\w+")


def unused_in(paths: Iterable[Path]) -> set[str]:
    """Names of functions, methods and classes in *paths* that stand there once, where they are defined."""
    texts = {path: path.read_text() for path in paths}
    words = Counter(word for text in texts.values() for word in _WORD.findall(text))
    defined = {name for text in texts.values() for name in _defined(ast.parse(text))}
    return {name for name in defined if words[name] == 1}


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                decorated = any(
                    isinstance(each, ast.Call) for each in node.decorator_list
                )  # a command, a validator
                if not decorated:
                    yield name
            case _:
                pass


def test_what_is_defined_is_used_in_the_package() -> None:
    """Or another program calls it; what is named so is still there."""
    assert unused_in((ROOT / "task_queue").rglob("*.py")) == FOREIGN.keys()


def test_a_function_that_only_tests_call_is_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("def used(): ...\ndef dead(): used()\n")

    assert unused_in(tmp_path.glob("*.py")) == {"dead"}


def test_each_event_is_emitted() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "task_queue").rglob("*.py"))
    kinds = [
        name
        for name, kind in vars(events).items()
        if isinstance(kind, type) and kind.__module__ == events.__name__
    ]

    assert len(kinds) > 20
    assert [name for name in kinds if not re.search(rf"(?<!class ){name}\(", source)] == []
