"""Words and phrases that make a sentence sound translated, and the places in texts where they are.

``python -m tests.house.english`` lists every one in the package, with its file and line; a package's name as argument
(``daemon``) limits the list to it, ``--count`` gives one figure for each package and kind of text. The check looks at
words only. Whether a sentence names its actor first is for the reader of a change.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.tables import ROOT

PACKAGE = ROOT / "task_queue"

RULES: dict[str, tuple[re.Pattern[str], str]] = {
    name: (re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), instead)
    for name, pattern, instead in (
        ("whoever", r"\bwhoever\b", "the actor: user, agent, daemon, another process"),
        (
            "somebody",
            r"\b(?:some|no|any|every)body\b",
            "the actor: another user, another process, no process",
        ),
        ("told", r"\b(?:tell|tells|told|telling)\b", "say, show, report, warn, record, name"),
        ("is no X", r"(?<!there\s)\b(?:is|are|was|were) no (?!longer\b|more\b|later\b|less\b)", "is not a"),
        ("of ours", r"\bof (?:ours|yours)\b", "the queue's, your own"),
        ("put right", r"\bput(?:s|ting)? (?:\w+ )?right\b", "fix, correct, restore"),
        ("seen to", r"\bseen (?:to(?= (?:by|here|in|once)\b|[^\w\s]|$)|through\b)", "done, finished"),
        ("to be had", r"\bto be had\b", "available"),
        ("in vain", r"\bin vain\b", "without effect"),
        ("all the same", r"\ball the same\b", "anyway, still"),
        ("lies", r"\b(?:lie|lies|lay|lying)\b(?! about\b)(?! (?:\S+ )?out\b)", "is in, is at, is there"),
    )
}
"""Name, pattern (a space stands for any white space), and what to write instead."""

ALLOWED: dict[str, str] = {
    "tell me who you are": "git's own words, by which its error is recognised",
}
"""Texts of the package that keep such a word, each with its reason."""

_NOT_PROSE = re.compile(r"^```.*?^```|<!--.*?-->|``[^`]+``|`[^`]+`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Finding:
    """A word at a place; *kind* is ``text``, ``message``, ``docstring`` or ``comment``."""

    path: Path
    line: int
    kind: str
    rule: str
    said: str

    def __str__(self) -> str:
        place = f"{self.path.relative_to(ROOT)}:{self.line}"
        return f"{place} {self.kind}: {self.said} [{self.rule}; better: {RULES[self.rule][1]}]"


def in_document(path: Path) -> list[Finding]:
    """Findings in the prose of a Markdown file, without its code."""
    text = path.read_text()
    lines = text.splitlines()
    text = _NOT_PROSE.sub(_blank, text)
    found = [(text.count("\n", 0, at), rule) for rule, at in broken(text)]
    return [Finding(path, line + 1, "text", rule, lines[line].strip()) for line, rule in sorted(found)]


def in_module(path: Path) -> list[Finding]:
    """Findings in the messages, docstrings and comments of a module."""
    source = path.read_text()
    return [
        Finding(path, line, kind, rule, " ".join(said.split()))
        for line, kind, said in sorted((*_literals(ast.parse(source)), *_comments(source)))
        if said not in ALLOWED
        for rule, _ in broken(_NOT_PROSE.sub("", said))
    ]


def broken(text: str) -> list[tuple[str, int]]:
    """The rules that *text* breaks, each with the places where it does."""
    return [(name, found.start()) for name, (rule, _) in RULES.items() for found in rule.finditer(text)]


def _blank(match: re.Match[str]) -> str:
    """As many lines as before, so that line numbers stay."""
    return "\n" * match[0].count("\n")


def _literals(tree: ast.Module) -> Iterator[tuple[int, str, str]]:
    """Every text of a module; one that stands alone as a statement is a docstring."""
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inside = {
        id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            texts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield node.lineno, "message", " ".join(str(text) for text in texts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, "docstring" if id(node) in alone else "message", node.value


def _comments(source: str) -> Iterator[tuple[int, str, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], "comment", token.string


def modules(package: str = "") -> list[Path]:
    return sorted((PACKAGE / package).rglob("*.py"))


def _room(path: Path) -> str:
    inner = path.relative_to(PACKAGE).parts
    return inner[0] if len(inner) > 1 else "(top)"


def _counted(findings: Iterable[Finding]) -> Iterator[str]:
    kinds = Counter((_room(finding.path), finding.kind) for finding in findings)
    for room in sorted({room for room, _ in kinds}):
        yield f"{room:10} " + " ".join(
            f"{kinds[room, kind]:4} {kind}s" for kind in ("message", "docstring", "comment")
        )
    yield f"{'all':10} {kinds.total():4}"


def main(arguments: list[str]) -> None:
    packages = [argument for argument in arguments if argument != "--count"] or [""]
    findings = [found for package in packages for path in modules(package) for found in in_module(path)]
    print(*(_counted(findings) if "--count" in arguments else findings), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
