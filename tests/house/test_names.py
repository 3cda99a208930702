"""One name, one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.house.tables import ROOT


def types_below(folder: Path) -> Mapping[str, list[str]]:
    """Where the classes and the type aliases of each name are, as ``path:line``; ``_Name`` counts as ``Name``."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(folder.rglob("*.py")):
        tree = ast.parse(path.read_text())
        classes = [(node.name, node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        for name, node in (*classes, *_aliases(tree)):
            found[name.lstrip("_")].append(f"{path.relative_to(folder)}:{node.lineno}")
    return found


def _aliases(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """What a module assigns to a name in the spelling of a class."""
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                if name.lstrip("_")[:1].isupper() and not name.isupper():
                    yield name, node


def repeated_in(folder: Path) -> dict[str, list[str]]:
    return {name: places for name, places in types_below(folder).items() if len(places) > 1}


def test_no_two_types_share_a_name() -> None:
    """The message of a failure says which, and where."""
    assert types_below(ROOT / "task_queue")
    assert repeated_in(ROOT / "task_queue") == {}


def test_a_private_and_a_nested_class_and_an_alias_count_too(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("class Place: ...\nPLACE = 1\nEnding = int | str\n")
    (tmp_path / "two.py").write_text("class Other:\n    class _Place: ...\nEnding: TypeAlias = 'int'\n")

    assert repeated_in(tmp_path) == {"Place": ["one.py:1", "two.py:2"], "Ending": ["one.py:3", "two.py:3"]}
