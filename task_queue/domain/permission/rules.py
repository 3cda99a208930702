"""Permission rules as the CLI spells them: which covers which, and which would have let a denied call pass.

Every statement about the CLI was measured with 2.1.330: each part of a compound command needs a rule of its
own, ``Edit(path)`` speaks for every file tool that writes and ``Write(path)`` for none, and a path that
begins with two slashes is absolute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from task_queue.domain.permission.commands import Words, simple_commands

_RULE = re.compile(r"([^()\s]+)(?:\((.*)\))?", re.DOTALL)
_GLOB = re.compile(r"[\\*?\[\]!{}]")
_PATH_TOOLS = {"Read", "Edit", "Glob", "Grep", "NotebookEdit", "Write"}
_WRITERS = {"Edit", "Write", "NotebookEdit"}
_PARTS = re.compile(r"&&|\|\||[;|&\n]")
_HOST = re.compile(r"[a-z]+://(?:[^/@]*@)?([A-Za-z0-9.-]+)")
_OPERATORS = re.compile(r"[;|&<>`$(){}\n\\]")
_REDIRECTION = re.compile(r">\s*[^\s&>]")
# The second word of these says what is done; of others it is an argument.
_WITH_SUBCOMMANDS = frozenset(
    {"git", "npm", "pnpm", "yarn", "cargo", "go", "docker", "kubectl", "pip", "uv", "poetry", "make", "gh"}
)
_CALL_CHARS = 100
_LONGEST_CLUSTER = len("-rfv")
_NOT_ON_THE_LIST = {"mode", None}
"""What the CLI gives as reason when no rule applied: there was no person to ask."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What would have let a denied call pass: allow rules, or, where none would, why not."""

    rules: tuple[str, ...] = ()
    why_none: str | None = None


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


def remedy_for(denial: Mapping[str, Any]) -> Remedy:
    """For one denial as the CLI reports it; its ``decision_reason_type`` says whether a rule stood against it."""
    tool = str(denial.get("tool_name"))
    given: Mapping[str, Any] = denial.get("tool_input") or {}
    if denial.get("decision_reason_type") not in _NOT_ON_THE_LIST:
        return Remedy(why_none="a deny rule stands against it: the profile's, the owner's or the queue's own")
    if tool == "Bash":
        return _for_command(str(given.get("command") or ""))
    path = given.get("file_path") or given.get("notebook_path") or given.get("path")
    if tool in _PATH_TOOLS and path:
        return Remedy((_for_path(tool, str(path)),))
    if tool == "WebFetch" and given.get("url"):
        host = _HOST.match(str(given["url"]))
        return Remedy((f"WebFetch(domain:{host[1].lower()})",)) if host else Remedy((tool,))
    return Remedy((tool,))


def explained(denial: Mapping[str, Any]) -> dict[str, Any]:
    """*denial* with ``rule``: what would have let it pass (None, and ``why_no_rule``, where nothing would)."""
    remedy = remedy_for(denial)
    return {**denial, "rule": ", ".join(remedy.rules) or None, "why_no_rule": remedy.why_none}


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


def _for_command(command: str) -> Remedy:
    if "$(" in command or "`" in command or "<(" in command:
        return Remedy(("Bash",))  # the words do not show what runs inside
    if _REDIRECTION.search(command):
        return Remedy(("Bash",))  # a redirection is judged as a write of its own
    rules = tuple(dict.fromkeys(rule for part in _PARTS.split(command) if (rule := _for_words(part))))
    return Remedy(rules or ("Bash",))


def _for_words(command: str) -> str | None:
    import shlex  # every reading command imports this module, and hardly one asks

    try:
        words = shlex.split(command)
    except ValueError:
        return "Bash"
    if not words:
        return None
    leading = words[:1]
    if words[0] in _WITH_SUBCOMMANDS and len(words) > 1 and not words[1].startswith("-"):
        leading = words[:2]
    if any(_OPERATORS.search(word) or "*" in word or " " in word for word in leading):
        return "Bash"
    return f"Bash({' '.join(leading)}:*)"


def _for_path(tool: str, path: str) -> str:
    verb = "Edit" if tool in _WRITERS else "Read"
    if not path.startswith("/"):
        return verb
    folder = path if tool in {"Glob", "Grep"} else str(PurePosixPath(path).parent)
    return f"{verb}({below(folder)}/**)"
