"""What is written about the code is true of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from task_queue.domain.model import OutcomeKind
from tests.house.tables import CONFIGURATION, DOCUMENTS, OUTCOMES, ROOT, configuration_keys, refreshed

MODULES = sorted((ROOT / "task_queue").rglob("*.py"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MODULE_NAME = re.compile(
    r"`((?:adapters|cli|demo|domain|gate|platform|views|workflow)/[a-z_/]+\.py|[a-z_]+\.py)`"
)
MOST_LINES = 500
# Every order of writing of one source in one place; to be divided when it changes next.


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link names a file, and every anchor a heading."""
    for target in _LINK.findall(_FENCE.sub("", document.read_text())):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (document.parent / name).resolve() if name else document
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in map(_anchor, _HEADING.findall(file.read_text())), f"{target} has no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_named)
def test_tables_are_current(document: Path) -> None:
    """Generated tables say what the code says; write them again with ``make docs``."""
    text = document.read_text()

    assert refreshed(text) == text


def test_each_odd_situation_names_a_test_that_exists() -> None:
    """A renamed test must not leave a promise without proof."""
    text = (ROOT / "docs" / "workflow.md").read_text()
    table = text[text.index("| situation |") :].splitlines()[2:]
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

    for row in table:
        name = row.removesuffix(" |").rpartition("| ")[2].strip("`")
        assert f"def {name}(" in tests, f"{row}: there is no such test"


def test_every_outcome_and_key_is_explained() -> None:
    """A new one without a word on it is a failure here, before anybody has to ask."""
    assert set(OUTCOMES) == set(OutcomeKind)
    assert set(CONFIGURATION) == {path for path, _ in configuration_keys()}


def test_the_map_names_modules_that_exist_and_forgets_none() -> None:
    """docs/architecture.md lists the modules as they are."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(_MODULE_NAME.findall(text))
    exist = {str(path.relative_to(ROOT / "task_queue")) for path in MODULES}
    to_be_named = {name for name in exist if not name.startswith("cli/") and not name.endswith("__init__.py")}

    assert named <= exist
    assert to_be_named <= named


@pytest.mark.parametrize("module", MODULES, ids=_named)
def test_modules_say_what_they_are_for_and_stay_small(module: Path) -> None:
    """A docstring at the top of each (an empty ``__init__`` needs none), and no more than 500 lines."""
    text = module.read_text()

    assert not text.strip() or ast.get_docstring(ast.parse(text)), "has no docstring"
    assert len(text.splitlines()) <= MOST_LINES
