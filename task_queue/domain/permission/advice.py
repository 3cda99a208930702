"""Who denied a call, and what would let it pass: a rule that works, or the sentence why there is none.

Judged by the rules in force (``Permissions``), because the CLI's own words name neither rule nor owner. Measured with
the real CLI (2.1.332): each part of a compound command needs a rule of its own, ``Edit(path)`` speaks for every file
tool that writes and ``Write(path)`` for none, and what the CLI guards itself is opened by no rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from task_queue.domain.document.choices import Profile
from task_queue.domain.permission.commands import simple_commands
from task_queue.domain.permission.profiles import DeniedBy, DenyRule, Permissions
from task_queue.domain.permission.rules import below, covers, stops, tool_of

_PATH_TOOLS = {"Read", "Edit", "Glob", "Grep", "NotebookEdit", "Write"}
_WRITERS = {"Edit", "Write", "NotebookEdit"}
_HOST = re.compile(r"[a-z]+://(?:[^/@]*@)?([A-Za-z0-9.-]+)")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_DUPLICATED = re.compile(r"\d?>&\d")
_NEEDS_ALL = re.compile(r"['\"$`*?\[\]{}()<>~!#\\\n]|(?<!&)&(?!&)|\s-(?:exec|execdir|ok|okdir|delete)\b")
"""What a rule for one program does not speak for: expansions, redirections, what runs in the background."""
_PART_OF_COMMAND = re.compile(r"&&|\|\||[;|]")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_BUILTINS = frozenset(
    {"cd", "pushd", "popd", "source", "eval", "exec", "for", "while", "until", "if", "case"}
)
_ELSEWHERE = re.compile(r"/|\.\.(?:/|$)")
# The second word of these says what is done; of others it is an argument.
_WITH_SUBCOMMANDS = frozenset(
    {"git", "npm", "pnpm", "yarn", "cargo", "go", "docker", "kubectl", "pip", "uv", "poetry", "make", "gh"}
)
_NO_RULE_APPLIED = {"mode", "safetyCheck"}
_HIDDEN_PROGRAM = re.compile(r"(?:^|[;&|(])\s*\$")
_ALL = frozenset({"/", "/*", "~", "~/", "~/*", "$HOME", ".", "./", "./*", "*", "..", "../", "../*"})
_GUARDED = re.compile(
    r"(?:^|[/\s'\"=>])(?:\.(?:git|vscode|idea|claude|husky|devcontainer|cargo)(?:[/\s'\"]|$)"
    r"|\.(?:mcp\.json|npmrc|yarnrc\.yml|gitmodules|gitconfig|bashrc|bash_profile|profile|zshrc|zprofile"
    r"|pre-commit-config\.yaml|envrc|ripgreprc)\b|bunfig\.toml\b)"
)
"""Places that the CLI guards itself (2.1.332), in a path or a command; only asked where a rule is missing, too."""
_GUARD = (
    "the CLI itself guards this place, and no rule opens it; permissions: trusted opens one such place of the"
    " workspace a call, permissions: bypass all of them"
)
_REMOVAL = (
    "the CLI itself does not let the workspace, the home folder or what is above them be removed, and no rule or"
    " profile opens that; name what is to be removed inside of it"
)
_CLOSED = "the queue closes this place in every profile, and no rule opens it"
_DENY_WINS = "a deny rule stands against it, and deny wins over every allow rule"
_NOBODY = "no person answers in a queue, so the queue removes this tool; say in the task what to decide"
_AUDITOR = "an auditor has no such tool; it can have run what verify and audit.allow name"
_NO_SUCH_TOOL = "the CLI has no such tool in this session"
_HIDDEN = "no rule can be named for a command whose program is a variable; name the program"
_READER = "the profile readonly has no tool that writes; use permissions: sandboxed or guarded"


@dataclass(frozen=True, slots=True)
class Advice:
    """Who denied a call (None if that is not known), and either rules that let it pass or why none does."""

    by: DeniedBy | None = None
    rules: tuple[str, ...] = ()
    why_none: str | None = None


def advice_on(denial: Mapping[str, Any], permissions: Permissions | None) -> Advice:
    """For one denial as the CLI reports it, under the *permissions* in force (None: they are not known)."""
    tool = str(denial.get("tool_name"))
    given: Mapping[str, Any] = denial.get("tool_input") or {}
    reason = denial.get("decision_reason_type")
    if permissions is None:
        return Advice(why_none="the rules in force then are not known")
    if reason == "disabled":
        return _of_a_removed_tool(tool, given, permissions)
    rule = None if reason in _NO_RULE_APPLIED else _deny_rule(tool, given, permissions.denied)
    if rule is not None:
        return Advice(rule.by, why_none=_of_a_rule(rule))
    if tool == "Bash" and _removes_all(str(given.get("command") or "")):
        return Advice(DeniedBy.CLI, why_none=_REMOVAL)
    if reason in {"rule", None}:
        return Advice(why_none=_DENY_WINS)
    if reason == "subcommandResults" and not permissions.opens_guarded:
        return Advice(why_none=_DENY_WINS)
    missing = () if reason == "safetyCheck" else tuple(_missing(tool, given, permissions))
    if not missing or _GUARDED.search(_spoken_of(given)):
        return Advice(DeniedBy.CLI, why_none=_GUARD)
    return Advice(_narrowed_by(permissions), missing)


def explained(denial: Mapping[str, Any], permissions: Permissions | None) -> dict[str, Any]:
    """*denial* with who denied it, and the rules that let it pass (none, and ``why_no_rule``, where nothing does)."""
    advice = advice_on(denial, permissions)
    return {
        **denial,
        "denied_by": advice.by,
        "rule": ", ".join(advice.rules) or None,
        "rules": list(advice.rules),
        "why_no_rule": advice.why_none,
    }


def _of_a_removed_tool(tool: str, given: Mapping[str, Any], permissions: Permissions) -> Advice:
    for each in permissions.denied:
        if each.rule == tool:
            return Advice(each.by, why_none=_of_a_rule(each))
    if permissions.audits:
        return Advice(DeniedBy.QUEUE, why_none=_AUDITOR)
    if permissions.profile is Profile.READONLY and tool in {*_WRITERS, "Bash"}:
        if tool != "Bash":
            return Advice(DeniedBy.PROFILE, why_none=_READER)
        command = str(given.get("command") or "")
        rule = _deny_rule(tool, given, permissions.denied)
        if rule is not None:
            return Advice(rule.by, why_none=_of_a_rule(rule))
        if _removes_all(command):
            return Advice(DeniedBy.CLI, why_none=_REMOVAL)
        if _HIDDEN_PROGRAM.search(command):
            return Advice(DeniedBy.PROFILE, why_none=_HIDDEN)
        if _GUARDED.search(command):
            return Advice(DeniedBy.PROFILE, why_none=_READER)
        return Advice(DeniedBy.PROFILE, tuple(_for_command(command)))
    if tool in permissions.disallowed_tools:
        return Advice(DeniedBy.QUEUE, why_none=_NOBODY)
    return Advice(DeniedBy.CLI, why_none=_NO_SUCH_TOOL)


def _of_a_rule(rule: DenyRule) -> str:
    match rule.by:
        case DeniedBy.TASK:
            return f"deny of the task's document has {rule.rule}; take it out there"
        case DeniedBy.OWNER:
            return f"deny of the configuration has {rule.rule}, which wins over every allow rule; take it out there"
        case DeniedBy.PROFILE:
            wider = "trusted" if rule.rule.startswith("Bash(git push") else "bypass"
            return (
                f"the profile denies {rule.rule}, and no allow rule opens it; do it yourself, or the owner gives"
                f" permissions: {wider}"
            )
        case _:
            return _CLOSED


def _narrowed_by(permissions: Permissions) -> DeniedBy:
    return DeniedBy.TASK if permissions.own_list else DeniedBy.PROFILE


def _deny_rule(tool: str, given: Mapping[str, Any], denied: tuple[DenyRule, ...]) -> DenyRule | None:
    """The rule of *denied* that stands against the call; the last one of those for paths, as for the CLI."""
    command = str(given.get("command") or "")
    if tool == "Bash":
        for each in denied:
            if stops(each.rule, command):
                return each
        words = {word for words in simple_commands(command) for word in words[1:]} | set(command.split())
    else:
        words = {
            str(path) for key in ("file_path", "notebook_path", "path", "url") if (path := given.get(key))
        }
    for verb in ("Edit", "Read") if tool in _WRITERS else ("Read", "Edit"):
        for word in words:
            found: DenyRule | None = None
            for each in denied:
                exempts, spec = _path_in(each.rule, verb)
                if spec and _is_at(word, spec):
                    found = None if exempts else each
            if found:
                return found
    return next((each for each in denied if tool_of(each.rule) == tool == "WebFetch"), None)


def _path_in(rule: str, verb: str) -> tuple[bool, str]:
    """Of a rule for *verb* and paths: whether it exempts, and its pattern."""
    spec = rule.removeprefix(f"{verb}(").removesuffix(")") if rule.startswith(f"{verb}(") else ""
    return spec.startswith("!"), spec.removeprefix("!")


def _is_at(path: str, spec: str) -> bool:
    """Whether *path*, as an agent spells it, is what the pattern *spec* is about; home and workspace are not known."""
    spec = spec.replace("\\", "")
    folder, whole = spec.removesuffix("/**"), spec.endswith("/**") and not spec.startswith("**/")
    if spec.startswith("//"):
        return f"{path}/".startswith(f"{folder[1:]}/") if whole else path == spec[1:]
    if whole:
        ending = folder.removeprefix("~").strip("/")
        return f"/{ending}/" in f"/{path}/"
    return PurePosixPath(path).match(spec.removeprefix("**/").lstrip("/."[:1]))


def _removes_all(command: str) -> bool:
    return any(words[0] == "rm" and not _ALL.isdisjoint(words) for words in simple_commands(command))


def _spoken_of(given: Mapping[str, Any]) -> str:
    return str(given.get("command") or given.get("file_path") or given.get("notebook_path") or "")


def _missing(tool: str, given: Mapping[str, Any], permissions: Permissions) -> Iterator[str]:
    """Rules for the call that the ones in force do not cover."""
    for rule in _proposed(tool, given):
        if not any(covers(wider, rule) for wider in permissions.allowed_tools):
            yield rule


def _proposed(tool: str, given: Mapping[str, Any]) -> Iterator[str]:
    path = given.get("file_path") or given.get("notebook_path") or given.get("path")
    if tool == "Bash":
        yield from _for_command(str(given.get("command") or ""))
    elif tool in _PATH_TOOLS and path:
        yield _for_path(tool, str(path))
    elif tool == "WebFetch" and (host := _HOST.match(str(given.get("url")))):
        yield f"WebFetch(domain:{host[1].lower()})"
    else:
        yield tool


def _for_command(command: str) -> Iterator[str]:
    """A rule for each program, if that is enough (2.1.332); else the one for every command."""
    plain = _DUPLICATED.sub("", _QUOTED.sub("Q", command.strip()))
    parts = [part.split() for part in _PART_OF_COMMAND.split(plain)]
    if _NEEDS_ALL.search(plain) or not all(map(_is_plain, parts)):
        yield "Bash"
        return
    yield from dict.fromkeys(_for_words(part) for part in parts)


def _is_plain(words: list[str]) -> bool:
    if not words or words[0] in _BUILTINS or not _PROGRAM.fullmatch(words[0]):
        return False
    return not any(_ELSEWHERE.match(word) for word in words[1:])


def _for_words(words: list[str]) -> str:
    subcommand = words[0] in _WITH_SUBCOMMANDS and len(words) > 1 and _PROGRAM.fullmatch(words[1])
    return f"Bash({' '.join(words[:2] if subcommand else words[:1])}:*)"


def _for_path(tool: str, path: str) -> str:
    verb = "Edit" if tool in _WRITERS else "Read"
    if not path.startswith("/"):
        return verb
    folder = path if tool in {"Glob", "Grep"} else str(PurePosixPath(path).parent)
    return f"{verb}({below(folder)}/**)"
