"""What the commands in a project's settings call, as far as their words name it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from typing import cast

_PROJECT = re.compile(r"\$\{CLAUDE_PROJECT_DIR\}|\$CLAUDE_PROJECT_DIR\b")
_OF_A_PROGRAM = re.compile(r"command|.*(?:Helper|Refresh|Export)")
"""Keys of settings whose value is a line for the shell."""
_FRONT_MATTER = re.compile(r"^[\s-]*command:\s*(.+)$", re.MULTILINE)
_INLINE = re.compile(r"!`([^`]+)`")
_SEPARATORS = re.compile(r"[\s;|&()<>=,]+")
_OPERATORS = frozenset({";", "|", "&", "&&", "||", "(", ")"})
_REDIRECTIONS = frozenset({">", ">>", "<", ">&", "&>", "&>>"})
_PUNCTUATION = frozenset("();<>|&")
_HARMLESS = frozenset(
    (
        *("echo", "printf", "cat", "true", "false", "test", "[", ":", "exit", "jq", "grep"),
        *("head", "tail", "cut", "tr", "wc", "date", "touch", "mkdir", "tee", "sleep"),
    )
)
"""Programs that run no file whose name they are given."""
_INTERPRETERS = frozenset(("sh", "bash", "dash", "zsh", "python", "python3", "node", "ruby", "perl"))
"""Programs that run the file that comes first."""


def commands_in(settings: object) -> Iterator[str]:
    """Every line for the shell in *settings* (JSON)."""
    return (value for key, value in _texts_in(settings) if _OF_A_PROGRAM.fullmatch(key))


def folders_in(settings: object) -> Iterator[str]:
    """Folders of plugins that *settings* (JSON) name."""
    return (value for key, value in _texts_in(settings) if key == "path")


def _texts_in(settings: object) -> Iterator[tuple[str, str]]:
    """Every text with its key; without recursion, because a stranger says how deep it is."""
    left = [settings]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            for key, value in cast("dict[str, object]", node).items():
                if isinstance(value, str):
                    yield key, value
                else:
                    left.append(value)
        elif isinstance(node, list):
            left += cast("list[object]", node)


def commands_in_text(text: str) -> Iterator[str]:
    """Those of a skill, an agent or a command: in hooks of its front matter, and where its text has a command run."""
    yield from (match[1].strip("\"'") for match in _FRONT_MATTER.finditer(text))
    yield from (match[1] for match in _INLINE.finditer(text))


def words_of(command: str) -> frozenset[str]:
    """Words of *command* that may name a file; paths below the project are relative."""
    line = _PROJECT.sub(".", command)
    words = set(_SEPARATORS.split(line.replace('"', "").replace("'", "")))
    with suppress(ValueError):  # quotes that do not end
        words.update(shlex.split(line))
    return frozenset(word for word in words if word and not word.startswith("-"))


def programs_of(command: str) -> frozenset[str] | None:
    """The files that *command* executes; None where its words do not say all that it executes."""
    line = _PROJECT.sub(".", command)
    if "`" in line or "$(" in line or "\n" in line:
        return None
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.commenters = ""  # it would see one within a word, where the shell sees none
    try:
        tokens = list(lexer)
    except ValueError:
        return None
    if any(
        _PUNCTUATION.issuperset(token) and token not in _OPERATORS | _REDIRECTIONS
        for token in tokens
        if token
    ):
        return None
    programs: set[str] = set()
    for words in _simple_commands(tokens):
        program, *arguments = words
        if program in _INTERPRETERS and arguments and not arguments[0].startswith(("-", "$")):
            programs.add(arguments[0])
        elif "/" in program and "$" not in program:
            programs.add(program)
        elif program not in _HARMLESS:
            return None
    return frozenset(programs)


def _simple_commands(tokens: list[str]) -> Iterator[list[str]]:
    words: list[str] = []
    for token in (*tokens, ";"):
        if token not in _OPERATORS:
            words.append(token)
            continue
        if words:
            yield words
        words = []
