"""What is written about the code is true of it."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from task_queue.domain.attempt.verdict import TABLE, deciding
from task_queue.domain.event_record import event_types
from task_queue.domain.model import OutcomeKind
from task_queue.domain.notification import words
from tests.acceptance.test_night import NIGHT
from tests.domain.test_known_lies import LIES
from tests.domain.test_verdict import CASES
from tests.house import proofs
from tests.house.tables import (
    CONFIGURATION,
    DOCUMENTS,
    EVENTS,
    OUTCOMES,
    ROOT,
    configuration_keys,
    refreshed,
    table_in,
)
from tests.proof.faults import CASES as CASES_OF_FAULTS
from tests.proof.mutations import MUTATIONS

MODULES = sorted((ROOT / "task_queue").rglob("*.py"))
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_MODULE_NAME = re.compile(
    r"`((?:agents|api|app|cli|client|config|daemon|demo|dispatch|domain|fleet|git|mcp|platform|ports|runner|store|worker)/[a-z_/]+\.py|[a-z_]+\.py)`"
)
MOST_LINES = 500


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
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    rows = table_in("contributing/tests.md", "situation")

    assert rows
    for situation, name in rows:
        assert f"def {name.strip('`')}(" in tests, f"{situation}: there is no such test"


def test_each_odd_situation_of_the_users_page_has_a_test() -> None:
    """The two tables have the same rows, in the same order."""
    for_users = [row[0] for row in table_in("workflow.md", "situation")]

    assert for_users == [row[0] for row in table_in("contributing/tests.md", "situation")]


def test_each_fault_and_each_breakage_is_described() -> None:
    """docs/contributing/proofs.md lists what ``proof-faults`` and ``proof-mutations`` do."""
    faults = {name for row in table_in("contributing/proofs.md", "case") for name in _CODE.findall(row[0])}
    breakages = [row[0] for row in table_in("contributing/proofs.md", "breakage")]

    assert faults == set(CASES_OF_FAULTS)
    assert breakages == [mutation.name for mutation in MUTATIONS]


def test_every_outcome_and_key_is_explained() -> None:
    """A new one without an explanation fails here."""
    assert set(OUTCOMES) == set(OutcomeKind)
    assert set(EVENTS) == set(event_types())
    assert set(CONFIGURATION) == {path for path, _ in configuration_keys()}


def test_every_row_has_its_tests() -> None:
    """The proofs stand in the order of the table, one for each row; no outcome is without."""
    assert [kind for kind, _ in proofs.VERDICT] == [row.kind for row in TABLE]
    assert set(proofs.FOLLOWS) == set(OutcomeKind)
    assert all(tests for _, tests in proofs.VERDICT)


@pytest.mark.parametrize("named", sorted(proofs.all_named()))
def test_a_named_test_exists(named: str) -> None:
    """A test function, or a case of a table that one replays."""
    path, _, name = named.partition("::")
    name, _, case = name.partition("[")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))

    found = getattr(module, name)
    if case:
        assert case.removesuffix("]") in _cases(found)
    else:
        assert name.startswith("test_")


def _cases(found: Any) -> set[str]:
    """Names in a table of cases, or of the night's tasks."""
    rows = [row for rows in found.values() for row in rows] if found is NIGHT else []
    return {row.task.removeprefix("task-") for row in rows} if rows else set(found)


@pytest.mark.parametrize("number", range(len(TABLE)))
def test_frames_reach_the_row_that_they_are_named_for(number: int) -> None:
    """Where a row is shown by replayed frames, it is that row that decides them."""
    for named in proofs.VERDICT[number][1]:
        case = named.partition("[")[2].removesuffix("]")
        if named.startswith(proofs.FRAMES):
            assert TABLE.index(deciding(CASES[case][0])) == number
        elif named.startswith(proofs.LIES):
            assert LIES[case][1] is TABLE[number].kind


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


def test_every_kind_that_a_notification_may_ask_for_is_explained() -> None:
    """Types of events are in the table of events."""
    explained = [_CODE.findall(row[0])[0] for row in table_in("notifications.md", "word")]

    assert explained == [word for word in words() if word not in EVENTS]
