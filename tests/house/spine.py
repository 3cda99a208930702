"""The spine: the files that a reader needs to follow a task from its drop to its result, and their lines.

They are those that "How a task travels" in docs/architecture.md links to. ``python -m tests.house.spine`` prints the
figure. It is not a limit: a step that is left out of the walk-through to make the figure smaller helps no reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.house.tables import ROOT

DOCUMENT = ROOT / "docs" / "architecture.md"
HEADING = "## How a task travels"
_STEP = re.compile(r"^\d+\. .*?(?=^\d+\. |^$|\Z)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+)")


def steps(text: str) -> tuple[str, ...]:
    """The numbered steps of the walk-through in *text*, a document's; none where it has no such heading."""
    _, _, after = text.partition(f"{HEADING}\n")
    return tuple(_STEP.findall(after.partition("\n## ")[0]))


def files_of(step: str, folder: Path = DOCUMENT.parent) -> tuple[Path, ...]:
    """The modules that *step* of a document in *folder* links to, whether they exist or not."""
    linked = ((folder / target).resolve() for target in _LINK.findall(step) if "://" not in target)
    return tuple(path for path in linked if path.suffix == ".py")


def spine() -> Mapping[Path, int]:
    """Each file of the spine with its lines, in the order of the walk-through."""
    paths = (path for step in steps(DOCUMENT.read_text()) for path in files_of(step))
    return {path: len(path.read_text().splitlines()) for path in paths}


if __name__ == "__main__":
    counted = spine()
    for path, lines in counted.items():
        print(f"{lines:6}  {path.relative_to(ROOT)}")
    print(f"{sum(counted.values()):6}  lines in {len(counted)} files, from a task's drop to its result")
