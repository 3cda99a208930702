"""Templates and drafts: what explains them stays behind, and what a person wrote does not."""

from __future__ import annotations

import re

import pytest

from task_queue.app.templates import PACKAGED
from task_queue.domain.document.remarks import (
    blank,
    described,
    filled,
    says_nothing,
    with_faults,
    without_faults,
    without_remarks,
)
from task_queue.domain.document.settings import KEYS, Settings
from task_queue.domain.document.taskfile import parse
from task_queue.domain.errors import TaskFileError
from task_queue.domain.task import TaskId

TEMPLATES = sorted(PACKAGED.glob("*.md"))


def test_the_blank_template_has_each_key_with_its_default() -> None:
    """As it stands it asks for nothing; each line can be used as it is once its mark is removed."""
    lines = re.findall(r"^# ([a-z_]+):(.*)  # .+$", blank(), re.MULTILINE)

    assert [name for name, _ in lines] == [key.name for key in KEYS]
    assert says_nothing(filled(blank(), ""))
    assert without_remarks(filled(blank(), "Do it")) == "Do it\n"
    for name, value in lines:
        if value:
            front = blank().replace(f"# {name}:", f"{name}:", 1)
            given = parse(filled(front, "Do it").encode(), TaskId("task-a")).given
            assert given == {name: getattr(Settings(), name)}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_packaged_template_makes_a_document(path: object) -> None:
    """With a description for the list, a title from what was typed, and nothing for the agent to wonder about."""
    template = next(each for each in TEMPLATES if each == path).read_text()

    document = without_remarks(filled(template, "The login page"))
    task = parse(document.encode(), TaskId("task-a"))

    assert described(template).endswith(".")
    assert "The login page" in task.title
    assert task.given["type"]
    assert "<!--" not in document
    assert "{text}" not in document


def test_the_usual_templates_are_packaged() -> None:
    assert [path.stem for path in TEMPLATES] == [
        "docs",
        "fix-bug",
        "review",
        "upgrade-dependency",
        "write-tests",
    ]


def test_only_remarks_stay_behind() -> None:
    """Code, blank lines, and comments within a line are the person's own."""
    document = """---
# why
priority: 3  # as agreed
---
Fix <!-- this --> it.

<!-- a
remark -->

```html
<!-- code -->


```
<!-- another --> Go on.


Done.
"""

    assert (
        without_remarks(document)
        == """---
priority: 3  # as agreed
---
Fix <!-- this --> it.

```html
<!-- code -->


```
Go on.


Done.
"""
    )


@pytest.mark.parametrize(
    "document",
    ["", "---\n# x\n---\n", "---\npriority: 1\n---\n<!-- nothing -->\n", "<!-- never closed\nx"],
)
def test_a_document_of_remarks_says_nothing(document: str) -> None:
    assert says_nothing(document)


@pytest.mark.parametrize("document", ["---\npriority: 1\nx", "---\npriority: 1\n---\nx\n"])
def test_faults_come_above_a_document_and_go_again(document: str) -> None:
    """Whatever they say; with the line below the remark."""
    faults = [TaskFileError("wrong --> really", line=2, hint="mend\nit"), TaskFileError("too short")]

    shown = with_faults(document, faults)

    assert without_faults(shown) == document
    assert without_faults(document) == document
    line = re.search(r"^line (\d+): wrong", shown, re.MULTILINE)
    assert line
    assert shown.split("\n")[int(line[1]) - 1] == document.split("\n")[1]
