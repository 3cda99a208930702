"""Which commands an auditor may have run: the task's ``verify`` commands, and what the owner adds in ``audit.allow``.

A command is compared as a whole, then part by part: what ``;``, ``&&``, ``||``, ``|`` or a new line joins is allowed
where each part is. A part with an expansion, a redirection (but ``2>&1``), a group or a background job is none of them,
and neither is one with a variable, a wrapper or another program in front: its words begin with those of a rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from task_queue.domain.permission.commands import Words, simple_commands
from task_queue.domain.permission.rules import stops

_RULE = re.compile(r"Bash(?:\((.*)\))?", re.DOTALL)
_EVERY_COMMAND = ("", "*", ":*")
_TO_STDOUT = re.compile(r"2>&1(?=[\s;|]|$)")
_NEVER_PLAIN = frozenset("$`\\<>(){}#&!")
"""Outside of quotes; some of them are harmless at some places, and none is needed."""
_EXPANDS_IN_QUOTES = frozenset("$`\\!")


@dataclass(frozen=True, slots=True)
class AuditCommands:
    """What the auditor of one task may have run."""

    verify: tuple[str, ...] = ()
    """Lines for ``/bin/sh``."""
    rules: tuple[str, ...] = ()
    """As ``allow`` spells them: ``Bash(make lint)``, ``Bash(npm test:*)``; ``Bash`` for every command."""
    denied: tuple[str, ...] = ()
    """Deny rules, which win over *rules*; ``verify`` is the queue's to run whatever they say."""

    def allows(self, command: str) -> bool:
        """Whether *command*, a line for ``/bin/sh``, may run."""
        given = command.strip()
        if not given or "\0" in given:
            return False
        if given in {line.strip() for line in self.verify}:
            return True
        if any(_denies(rule, given) for rule in self.denied):
            return False
        specs = [spec for rule in self.rules if (spec := _spec(rule)) is not None]
        if any(spec in _EVERY_COMMAND for spec in specs):
            return True
        parts = _parts(given)
        wanted = [_wanted(spec) for spec in specs]
        wanted += [(words[0], False) for line in self.verify if (words := _parts(line)) and len(words) == 1]
        return parts is not None and all(
            any(part == words or (begins and part[: len(words)] == words) for words, begins in wanted)
            for part in parts
        )


def why_no_audit_rule(rule: str) -> str | None:
    """Why *rule* cannot stand in ``audit.allow``; None where it can."""
    spec = _spec(rule)
    if spec is None:
        return f"'{rule}' is not a rule for commands, such as Bash(npm test:*)"
    if spec in _EVERY_COMMAND:
        return None
    words, _ = _wanted(spec)
    if not words or any("*" in word for word in words):
        return f"'{rule}' has to name a command; * can only stand at its end"
    return None


def _denies(rule: str, command: str) -> bool:
    """Whether deny *rule* is about *command*; a pattern, which the CLI would read, is compared here."""
    spec = _spec(rule)
    if spec is None:
        return False
    if spec in _EVERY_COMMAND or stops(rule, command):
        return True
    spelled = (command, *(" ".join(words) for words in simple_commands(command)))
    return "*" in spec and any(fnmatchcase(each, spec) for each in spelled)


def _spec(rule: str) -> str | None:
    """What stands between the parentheses; None where it is not a rule for commands."""
    found = _RULE.fullmatch(rule.strip())
    return None if found is None else found[1] or ""


def _wanted(spec: str) -> tuple[Words, bool]:
    """The words of a rule, and whether more may follow them."""
    begins = next((end for end in (":*", " *") if spec.endswith(end)), "")
    parts = _parts(spec.removesuffix(begins))
    return (parts[0], bool(begins)) if parts is not None and len(parts) == 1 else ((), False)


def _parts(text: str) -> list[Words] | None:
    """The commands that operators join, each as words; None where the text does more than that."""
    parts: list[Words] = []
    words: list[str] = []
    for piece in _pieces(text):
        if piece is None:
            return None
        if isinstance(piece, _CommandWord):
            words.append(piece)
        elif words:
            parts.append(tuple(words))
            words = []
        elif piece != "\n":
            return None  # an operator without a command before it
    if words:
        parts.append(tuple(words))
    return parts or None


class _CommandWord(str):
    """Not an operator, whatever its characters are."""

    __slots__ = ()


def _pieces(text: str) -> Iterable[str | None]:
    """Words and operators; None at the first thing that is neither."""
    at, word = 0, None
    while at < len(text):
        char = text[at]
        end = at + 1
        if char in "'\"":
            closing = text.find(char, end)
            inner = text[end:closing] if closing >= 0 else None
            if inner is None or (char == '"' and not _EXPANDS_IN_QUOTES.isdisjoint(inner)):
                yield None
                return
            word, end = (word or "") + inner, closing + 1
        elif word is None and (duplicated := _TO_STDOUT.match(text, at)):
            end = duplicated.end()
        elif char in " \t\n;|" or text.startswith("&&", at):
            if word is not None:
                yield _CommandWord(word)
                word = None
            operator = next((two for two in ("&&", "||") if text.startswith(two, at)), char)
            end = at + len(operator)
            if operator not in " \t":
                yield operator
        elif char in _NEVER_PLAIN or not char.isprintable():
            yield None
            return
        else:
            word = (word or "") + char
        at = end
    if word is not None:
        yield _CommandWord(word)
