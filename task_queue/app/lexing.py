"""What each part of a text is in its language, by Pygments: a program that ``highlighting`` runs and may end.

Reads a JSON list of pairs (name of the file, text), and writes as many answers: for each line of the text a list of
pairs (role, length), or null where the name says no language.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pygments.lexer import Lexer
from pygments.lexers import get_lexer_for_filename  # pyright: ignore[reportUnknownVariableType]  # options have no types
from pygments.token import Comment, Keyword, Name, Number, String
from pygments.util import ClassNotFound

Parts = list[tuple[str, int]]
_ROLES = (
    (Comment, "comment"),
    (String, "string"),
    (Number, "figure"),
    (Keyword, "keyword"),
    (Name.Function, "name"),
    (Name.Class, "name"),
    (Name.Tag, "name"),
    (Name.Decorator, "name"),
)


def main() -> None:
    asked: list[tuple[str, str]] = json.load(sys.stdin)
    json.dump([_lines_of(path, text) for path, text in asked], sys.stdout)


def _lines_of(path: str, text: str) -> list[Parts] | None:
    lexer = _lexer_for(path)
    if lexer is None:
        return None
    lines: list[Parts] = [[]]
    for token, value in lexer.get_tokens(text):
        role = _role_of(token)
        for number, part in enumerate(value.split("\n")):
            if number:
                lines.append([])
            if part:
                _append(lines[-1], role, len(part))
    return lines[: text.count("\n") + 1]


def _append(parts: Parts, role: str, length: int) -> None:
    before = parts.pop() if parts and parts[-1][0] == role else (role, 0)
    parts.append((role, before[1] + length))


def _lexer_for(path: str) -> Lexer | None:
    try:
        return get_lexer_for_filename(path, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _role_of(token: Any) -> str:
    return next((role for kind, role in _ROLES if token in kind), "")


if __name__ == "__main__":
    main()
