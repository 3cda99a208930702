"""How many cases of each contract run for each part that promises it, by what pytest collects: none may be missing.

``python -m tests.proof.contracts``; the exit status is 1 where a part runs fewer than another one.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent.parent
_INHERITS = re.compile(r"^class Test\w+\(.*Contract\b", re.MULTILINE)
Cases = dict[str, dict[str, int]]
"""By contract, then by the class that inherits it."""


class Collected:
    """A plugin of pytest."""

    def __init__(self) -> None:
        self.cases: dict[str, Counter[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if not isinstance(item, pytest.Function) or item.cls is None:
                continue
            for base in item.cls.__mro__[1:]:
                if base.__name__.endswith("Contract") and item.originalname in vars(base):
                    self.cases.setdefault(base.__name__, Counter())[item.cls.__name__] += 1


def collected() -> Cases:
    """Raises RuntimeError where pytest cannot collect."""
    files = [str(file) for file in sorted(_TESTS.rglob("test_*.py")) if _INHERITS.search(file.read_text())]
    found = Collected()
    with redirect_stdout(sys.stderr):
        status = pytest.main(["--collect-only", "-qqq", *files], plugins=[found])
    if status != pytest.ExitCode.OK:
        raise RuntimeError(f"pytest ended with {status}")
    return {contract: dict(parts) for contract, parts in sorted(found.cases.items())}


def uneven(cases: Cases) -> list[str]:
    """The contracts of which some part runs fewer cases than another one."""
    return [contract for contract, parts in cases.items() if len(set(parts.values())) != 1]


def main() -> int:
    cases = collected()
    print(json.dumps(cases, indent=2))
    return 1 if uneven(cases) else 0


if __name__ == "__main__":
    sys.exit(main())
