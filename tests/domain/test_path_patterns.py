"""Two patterns that may mean one file meet: no pair is missed that a walk over files finds."""

from __future__ import annotations

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.path_patterns import may_meet, rooted, why_not_a_pattern

_NAMES = ("a", "b", "ab", "a.b")
_FILES = ["/".join(parts) for depth in (1, 2, 3) for parts in product(_NAMES, repeat=depth)]
_PARTS = st.sampled_from(["a", "b", "a.b", "*", "a*", "*.b", "?", "?b", "[ab]", "[ab]*", "**", "a?b", "*a*"])
PATTERNS = st.lists(_PARTS, min_size=1, max_size=3).map("/".join)


def means(pattern: str, file: str) -> bool:
    """By a regular expression; without an extension at its end it also means what is in such a folder."""
    parts = pattern.lstrip("/").split("/")
    of_files = "." in parts[-1][1:]
    if "/" not in pattern and (of_files or set(pattern) & set("*?[")):
        parts = ["**", *parts]
    expression = ""
    for part in parts:
        if part == "**":
            expression += "(?:[^/]+/)*"
        else:
            for token in re.findall(r"\[[^]]+]|.", part):
                expression += str({"*": "[^/]*", "?": "[^/]", ".": r"\."}.get(token, token))
            expression += "/"
    return re.fullmatch(expression + ("" if of_files else "(?:[^/]+/)*"), file + "/") is not None


@given(PATTERNS, PATTERNS)
def test_no_pair_that_means_one_file_is_missed(one: str, other: str) -> None:
    both = [file for file in _FILES if means(one, file) and means(other, file)]

    if both:
        assert may_meet(rooted(one, ""), rooted(other, "")), both[0]
    assert may_meet(rooted(one, ""), rooted(other, "")) == may_meet(rooted(other, ""), rooted(one, ""))


@given(PATTERNS, PATTERNS, st.sampled_from(["", "a", "a/b"]))
def test_a_pattern_counts_from_the_folder_of_its_workspace(one: str, other: str, folder: str) -> None:
    below = [file.removeprefix(f"{folder}/") for file in _FILES if file.startswith(f"{folder}/")]
    inside = [file for file in (below if folder else _FILES) if means(one, file)]
    both = [file for file in inside if means(other, f"{folder}/{file}".strip("/"))]

    if both:
        assert may_meet(rooted(one, folder), rooted(other, "")), both[0]


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        ("src/**", "src/api/*.py", True),
        ("src", "src/api/x.py", True),
        ("src", "docs/src/x.py", False),
        ("v1.2/", "v1.2/x.py", True),
        (".github", ".github/workflows/ci.yml", True),
        ("src/", "docs/", False),
        ("src/a/**", "src/b/**", False),
        ("*.md", "docs/guide/**", True),
        ("/*.md", "docs/guide/*.md", False),
        ("*.py", "*.md", False),
        ("src/**/test_*.py", "src/a/b/test_x.py", True),
        ("src/**/test_*.py", "src/a/b/x.py", False),
        ("README.md", "readme.MD", True),
        ("src/[ab].py", "src/c.py", True),
        ("**", "anything/at/all", True),
        ("src/*.py", "src/*/x.py", False),
        ("./src/x.py", "/src/x.py", True),
    ],
)
def test_what_meets(one: str, other: str, meet: bool) -> None:
    assert may_meet(rooted(one, ""), rooted(other, "")) is meet


def test_a_folder_whose_name_looks_like_a_pattern_is_still_met() -> None:
    assert may_meet(rooted("x.py", "odd[ab]*"), "/odd[ab]*/x.py")
    assert may_meet(rooted("x.py", "odd[ab]*"), rooted("/x.py", "odd[ab]*"))


@pytest.mark.parametrize("text", ["!a", "a/../b", "..", "a{b,c}", "a\\b", "/", "a\nb", "src/**x", ""])
def test_what_cannot_be_a_pattern(text: str) -> None:
    assert why_not_a_pattern(text)


@pytest.mark.parametrize("text", ["src/**", "*.md", "/README.md", "./a", "a b/c", "[ab].py", "src/"])
def test_what_can_be_a_pattern(text: str) -> None:
    assert why_not_a_pattern(text) is None
