"""Each part runs all cases of the contract that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.proof.contracts import uneven


def test_no_part_runs_fewer_cases_than_another() -> None:
    command = [sys.executable, "-m", "tests.proof.contracts"]
    root = Path(__file__).parent.parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    cases = json.loads(done.stdout)

    assert (done.returncode, uneven(cases)) == (0, []), cases
    assert set(cases["EngineContract"]) == {"TestFolderEngine", "TestMemoryEngine", "TestFleetEngine"}
    assert len(cases["ClaimsContract"]) == 4
    assert min(cases["EngineContract"].values()) > 20


def test_a_part_that_lacks_a_case_is_named() -> None:
    assert uneven({"A": {"one": 3, "two": 3}, "B": {"one": 3, "two": 2}}) == ["B"]
