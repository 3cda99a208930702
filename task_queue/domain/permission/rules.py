"""Permission rules as the CLI spells them: which covers which, and which stands against a command.

Every statement about the CLI was measured with 2.1.330: ``Edit(path)`` speaks for every file tool that writes and
``Write(path)`` for none, and a path that begins with two slashes is absolute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from task_queue.domain.permission.commands import Words, simple_commands

RULES_IN_FORCE = "permissions"
"""Type of the note in a transcript that ``profiles.note_of`` writes."""
_RULE = re.compile(r"([^()\s]+)(?:\((.*)\))?", re.DOTALL)
_GLOB = re.compile(r"[\\*?\[\]!{}]")
_PATH_TOOLS = {"Read", "Edit", "Glob", "Grep", "NotebookEdit", "Write"}
_WRITERS = {"Edit", "Write", "NotebookEdit"}
_OPERATORS = re.compile(r"[;|&<>`$(){}\n\\]")
_CALL_CHARS = 100
_LONGEST_CLUSTER = len("-rfv")


def covers(wider: str, narrower: str) -> bool:
    """Whether everything that *narrower* lets pass passes by *wider*, too; False where that is not certain."""
    tool, spec = _split(wider)
    its_tool, its_spec = _split(narrower)
    if not _same_tool(tool, its_tool, bare=spec is None):
        return False
    if spec is None or (tool, spec) == (its_tool, its_spec):
        return True
    if its_spec is None:
        return False
    if tool == "Bash":
        return _covers_command(spec, its_spec)
    if tool in _PATH_TOOLS:
        return _covers_path(spec, its_spec)
    if tool == "WebFetch":
        return spec.startswith("domain:*.") and its_spec.endswith(spec.removeprefix("domain:*"))
    return False


def stops(rule: str, command: str) -> bool:
    """Whether deny *rule* is about something that the shell *command* runs, whatever stands before it.

    More than the CLI sees by itself (2.1.332): ``Bash(git push:*)`` also speaks for ``git -C . push`` and for
    ``sh -c 'git push'``, and ``Bash(git reset --hard:*)`` for ``git reset -q --hard``.
    """
    tool, spec = _split(rule)
    if tool != "Bash" or spec is None:
        return False
    prefix = _prefix(spec)
    wanted = _words(spec if prefix is None else prefix)
    if not wanted or any("*" in word for word in wanted):
        return False  # the CLI alone reads patterns
    return any(_begins(words, wanted, exact=prefix is None) for words in simple_commands(command))


def call_of(denial: Mapping[str, Any]) -> str:
    """Tool and first argument of a denied call, on one line."""
    given: Mapping[str, Any] = denial.get("tool_input") or {}
    argument = next((str(value) for value in given.values()), "")
    line = " ".join(f"{denial.get('tool_name')} {argument}".split())
    return line if len(line) <= _CALL_CHARS else line[: _CALL_CHARS - 1] + "…"


def below(path: str) -> str:
    """The absolute *path* as rules spell it: a second slash in front, glob characters escaped; ``~/`` stays."""
    escaped = _GLOB.sub(lambda match: "\\" + match[0], path.rstrip("/"))
    return escaped if escaped.startswith("~/") else "/" + escaped


def tool_of(rule: str) -> str:
    """The name of the tool that *rule* is about."""
    return _split(rule)[0]


def _split(rule: str) -> tuple[str, str | None]:
    match = _RULE.fullmatch(rule.strip())
    if match is None:
        return rule, None
    tool, spec = match[1], match[2]
    return tool, None if spec in {None, "", "*", ":*"} else spec


def _same_tool(tool: str, other: str, *, bare: bool) -> bool:
    if tool == other:
        return True
    if tool == "Edit" and other in _WRITERS and not bare:
        return True
    if tool.startswith("mcp__") and bare:
        whole_server = tool.removesuffix("__*")
        return "*" not in whole_server and other.startswith(f"{whole_server}__")
    return False


def _covers_command(spec: str, narrower: str) -> bool:
    prefix = _prefix(spec)
    if prefix is None or "*" in prefix:
        return False
    other = _prefix(narrower)
    words = narrower if other is None else other
    # A rule with operators could stand for a whole compound command, of which the prefix sees the first part.
    if _OPERATORS.search(words) or "*" in words:
        return False
    return words == prefix or words.startswith(prefix + " ")


def _prefix(spec: str) -> str | None:
    """The words that ``git diff:*`` and ``git diff *`` begin with; None for an exact command."""
    for end in (":*", " *"):
        if spec.endswith(end):
            return spec.removesuffix(end)
    return None


def _words(spec: str) -> Words:
    import shlex  # every reading command imports this module, and hardly one asks

    try:
        return tuple(shlex.split(spec))
    except ValueError:
        return ()


def _begins(words: Words, wanted: Words, *, exact: bool) -> bool:
    if exact:
        return words == wanted
    named = next((i for i, word in enumerate(wanted) if word.startswith("-")), len(wanted))
    options = wanted[named:]
    if any(not option.startswith("-") for option in options):
        return words[: len(wanted)] == wanted
    rest = words[named:]
    return words[:named] == wanted[:named] and all(_has(rest, option) for option in options)


def _has(words: Words, option: str) -> bool:
    """Wherever it stands; a short cluster also in parts or in another order, such as ``-r -f`` for ``-rf``."""
    if option in words:
        return True
    if option.startswith("--"):
        return any(word.startswith(f"{option}=") for word in words)
    letters = {char for word in words if re.fullmatch(r"-[A-Za-z]+", word) for char in word[1:]}
    return len(option) <= _LONGEST_CLUSTER and set(option[1:]) <= letters


def _covers_path(spec: str, narrower: str) -> bool:
    if not spec.endswith("/**") or ".." in narrower.split("/"):
        return False
    root = spec.removesuffix("**")
    return not _GLOB.search(root) and _anchor(root) == _anchor(narrower) and narrower.startswith(root)


def _anchor(path: str) -> str:
    return next((start for start in ("//", "~/", "/", "./") if path.startswith(start)), "")
