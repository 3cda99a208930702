"""One name, one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from tests.house.tables import ROOT


def classes_below(folder: Path) -> Mapping[str, list[str]]:
    """Where the classes of each name are, as ``path:line``; ``_Name`` counts as ``Name``."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                found[node.name.lstrip("_")].append(f"{path.relative_to(folder)}:{node.lineno}")
    return found


def repeated_in(folder: Path) -> dict[str, list[str]]:
    return {name: places for name, places in classes_below(folder).items() if len(places) > 1}


def test_no_two_classes_share_a_name() -> None:
    """The message of a failure says which, and where."""
    assert classes_below(ROOT / "task_queue")
    assert repeated_in(ROOT / "task_queue") == {}


def test_a_private_and_a_nested_class_count_too(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Place: ...\n")
    (tmp_path / "two.py").write_text("class Other:\n    class _Place: ...\n")

    assert repeated_in(tmp_path) == {"Place": ["one.py:1", "two.py:2"]}
