"""Guides and code are in plain technical English, without words and phrases that make a sentence sound translated."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house.english import ALLOWED, RULES, broken, in_document, in_module, modules
from tests.house.tables import DOCUMENTS, ROOT

GUIDES = (*DOCUMENTS, *sorted((ROOT / "task_queue").rglob("*.md")))
"""For people, and the packaged prompts for agents."""
EXAMPLES = {
    "whoever": "Whoever publishes first decides.",
    "somebody": "It belongs to somebody else.",
    "told": "The user is told so.",
    "is no X": "The file is no document.",
    "of ours": "A crash of ours loses nothing.",
    "put right": "The lock is put right.",
    "seen to": "The rest is seen to by the sweep.",
    "to be had": "No lock was to be had.",
    "in vain": "It asked in\nvain.",
    "all the same": "It is served all the same.",
    "lies": "An ending lay there.",
}
PLAIN = (
    "There is no result.",
    "The first line is no longer needed.",
    "All the sources are the same.",
    "A disk that lies about fsync.",
    "Lay things out for the terminal, and lay out the rest.",
    "The runner was seen to end.",
    "Put the file right below the folder.",
    "The command is `tell`, and `lies` is a table.",
)


@pytest.mark.parametrize("document", GUIDES, ids=lambda path: str(path.relative_to(ROOT)))
def test_guides_are_in_plain_english(document: Path) -> None:
    """The message of a failure names each line, its word, and what to write instead."""
    assert not in_document(document), "\n".join(map(str, in_document(document)))


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_messages_docstrings_and_comments_are_in_plain_english(module: Path) -> None:
    """The same for what stands in the code."""
    assert not in_module(module), "\n".join(map(str, in_module(module)))


@pytest.mark.parametrize("text", ALLOWED)
def test_a_text_that_is_allowed_is_still_there(text: str) -> None:
    assert any(f'"{text}"' in module.read_text() for module in modules())


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_what_it_is_for(rule: str) -> None:
    assert [name for name, _ in broken(EXAMPLES[rule])] == [rule]


@pytest.mark.parametrize("sentence", PLAIN)
def test_plain_sentences_pass(sentence: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(sentence)

    assert in_document(page) == []


def test_a_guide_is_read_to_its_end_and_without_its_code(tmp_path: Path) -> None:
    """Line numbers are those of the file, also after blocks of code."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n```sh\n# nobody\n```\n\nIt runs for\nnobody, all the\nsame.\n")

    assert [(found.line, found.rule) for found in in_document(page)] == [(8, "all the same"), (8, "somebody")]


def test_every_text_of_a_module_is_read(tmp_path: Path) -> None:
    """Messages with values in them, docstrings and comments; names are not texts."""
    module = tmp_path / "module.py"
    module.write_text(
        '"""Of nobody."""\n'
        "def tell(lies: str) -> str:\n"
        "    # in vain\n"
        "    return f'{lies} is no {tell} file'\n"
    )

    assert [(found.line, found.kind, found.rule) for found in in_module(module)] == [
        (1, "docstring", "somebody"),
        (3, "comment", "in vain"),
        (4, "message", "is no X"),
    ]
