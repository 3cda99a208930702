"""What an agent may do without a person to ask: from a task's profile and rules to the CLI's own options.

Nothing here asks a person: what is not allowed is denied at once. The queue's own folders are denied in every profile,
for reading and for writing. Deny rules win over allow rules.

The CLI itself guards places such as ``.vscode`` and ``.git``; no rule opens them. ``trusted`` has the CLI ask, and the
queue answers at once: yes in the workspace, no elsewhere (``Permissions.opens_guarded``).

A reader has no shell. A rule that allows a program allows its options (``git log --output=FILE``), and the programs
that only look run what the repository configures (``core.fsmonitor``, ``textconv``). The tool is taken away as a whole,
because the CLI lets what it takes for harmless pass without any rule (2.1.330), and because the settings of a project,
its skills and its subagents can allow more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Literal, assert_never

from task_queue.domain.document.choices import Profile, WorkType
from task_queue.domain.document.naming import MARK_LENGTH
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import NotConfiguredError
from task_queue.domain.permission.mcp_servers import tools_of
from task_queue.domain.permission.rules import RULES_IN_FORCE, below, covers, tool_of

Mode = Literal["dontAsk", "default", "bypassPermissions"]

PROFILES = (Profile.READONLY, Profile.SANDBOXED, Profile.GUARDED, Profile.TRUSTED, Profile.BYPASS)
"""From the narrowest to the widest."""
_DEFAULT_PROFILE = Profile.GUARDED

_WORKING = ("Edit", "Write", "NotebookEdit", "Bash")
_ANSWERS = frozenset({WorkType.ANALYSIS, WorkType.RESEARCH, WorkType.REVIEW})
"""Work that comes to an answer."""
_READING = ("Read", "Glob", "Grep")
_BOOKKEEPING = (
    *("ToolSearch", "ReportFindings", "TodoWrite"),
    *("TaskCreate", "TaskGet", "TaskList", "TaskUpdate", "TaskOutput", "TaskStop"),
)
_WEB = ("WebFetch", "WebSearch")
_DELEGATING = ("Agent", "Task", "Skill")
"""What they load can bring hooks along, which are commands."""
_HARMLESS = (*_DELEGATING, *_WEB, *_BOOKKEEPING)
# Whether they can write depends on their options; their purpose is to look.
_LOOKING = ("Bash(git diff:*)", "Bash(git log:*)", "Bash(git show:*)", "Bash(git status:*)")
# Tools that wait for a person, for a later time, or that move the session to another directory.
_USELESS = (
    *("AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "ScheduleWakeup", "Monitor", "Workflow"),
    *("EnterWorktree", "ExitWorktree", "CronCreate", "CronDelete", "CronList", "SendMessage", "ListAgents"),
)
_SAMPLES = ("example", "sample", "template", "dist")
"""Ends of the names of files that show which variables a ``.env`` needs, and hold no value of it."""
_PUSHING = "Bash(git push:*)"
_DANGEROUS = (
    *(_PUSHING, "Bash(sudo:*)", "Bash(git reset --hard:*)", "Bash(git clean:*)"),
    *("Read(**/.env)", "Read(**/.env.*)", *(f"Read(!**/.env.{name})" for name in _SAMPLES)),
    *("Read(~/.ssh/**)", "Read(~/.aws/**)", "Edit(~/.ssh/**)", "Edit(~/.aws/**)"),
)


class DeniedBy(StrEnum):
    """Who says that something must not be done."""

    QUEUE = "queue"
    """Its own folders, and what else every profile closes."""
    PROFILE = "profile"
    OWNER = "owner"
    """``deny`` of the configuration."""
    TASK = "task"
    """``deny`` of the task's document, or its own ``allow``."""
    CLI = "cli"
    """The CLI guards some places itself, and has only some tools."""


@dataclass(frozen=True, slots=True)
class DenyRule:
    """One rule, and whose it is."""

    by: DeniedBy
    rule: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permission options of one session."""

    profile: Profile
    mode: Mode
    allowed_tools: tuple[str, ...]
    disallowed_tools: tuple[str, ...]
    denied: tuple[DenyRule, ...] = ()
    sandbox: dict[str, Any] | None = None
    opens_guarded: bool = False
    """Places in the workspace that the CLI itself guards may be written."""
    own_list: bool = False
    """``allow`` of the task takes the place of the profile's list."""
    audits: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """For ``--settings``: deny rules travel here, because a flag's value is split at commas and spaces."""
        return {"permissions": {"deny": [each.rule for each in self.denied]}}


def permissions_for(
    profile: Profile,
    *,
    allow: Iterable[str] = (),
    allow_only: bool = False,
    deny: Iterable[str] = (),
    task_deny: Iterable[str] = (),
    queue_dirs: Iterable[str] = (),
    closed_dirs: Iterable[str] = (),
    own_copies: Iterable[str] = (),
    mcp_servers: Iterable[str] = (),
    audits: bool = False,
    own_tools: Iterable[str] = (),
) -> Permissions:
    """*allow* adds to the profile's list, or with *allow_only* replaces it. *task_deny* names those of *deny* that
    the task's document has. A profile that works may use *mcp_servers*; *own_tools* are the queue's, for this session.

    *queue_dirs*, *closed_dirs* (to be read only) and *own_copies* (of the task's own text: no copy beside them can be
    read) are absolute paths. With *audits* they are for the auditor of what an agent of this *profile* did: it only
    reads, *allow* does not count, and a sandbox remains one.
    """
    bypasses = profile is Profile.BYPASS and not allow_only and not audits
    trusts = profile is Profile.TRUSTED and not allow_only and not audits
    its_own, own_copies = frozenset(task_deny), tuple(own_copies)
    # The last rule that matches a path decides, if one begins with "!" (CLI 2.1.332): what is given comes last.
    denied = (
        *(DenyRule(DeniedBy.PROFILE, rule) for rule in _denied_by_itself(profile, audits=audits)),
        *(DenyRule(DeniedBy.TASK if rule in its_own else DeniedBy.OWNER, rule) for rule in deny),
        *(
            DenyRule(DeniedBy.QUEUE, rule)
            for verbs, paths in ((("Read", "Edit"), queue_dirs), (("Edit",), closed_dirs))
            for path in paths
            for verb in verbs
            for rule in _closed(verb, path)
        ),
        *(DenyRule(DeniedBy.QUEUE, rule) for copy in own_copies for rule in _closed_beside(copy)),
    )
    allow = () if audits else tuple(allow)
    useless: tuple[str, ...] = _USELESS
    sandbox: dict[str, Any] | None = None
    if audits:
        useless = (*_USELESS, *_WORKING, *_DELEGATING)
    elif profile is Profile.READONLY:
        has_shell = any(tool_of(rule) == "Bash" for rule in allow)
        useless = (*_USELESS, *(tool for tool in _WORKING if not (tool == "Bash" and has_shell)))
    if profile is Profile.SANDBOXED:
        # Without failIfUnavailable the CLI runs commands unconfined where bubblewrap or socat is missing.
        sandbox = {
            "enabled": True,
            "autoAllowBashIfSandboxed": not allow_only,
            "allowUnsandboxedCommands": False,
            "failIfUnavailable": True,
            "filesystem": {
                "denyRead": [str(_place_of_copies(copy)) for copy in own_copies],
                "allowRead": list(own_copies),
            },
        }
    reads = audits or profile is Profile.READONLY
    return Permissions(
        profile=profile,
        mode="bypassPermissions" if bypasses else "default" if trusts else "dontAsk",
        allowed_tools=(
            *_allowed_by_itself(profile, allow_only=allow_only, audits=audits),
            *(() if reads or allow_only else map(tools_of, mcp_servers)),
            *own_tools,
            *allow,
        ),
        disallowed_tools=useless,
        denied=denied,
        sandbox=sandbox,
        opens_guarded=trusts,
        own_list=allow_only,
        audits=audits,
    )


def note_of(permissions: Permissions) -> dict[str, Any]:
    """What a transcript says of the rules in force, so that each denial can be explained from it alone."""
    return {
        "type": RULES_IN_FORCE,
        "profile": permissions.profile,
        "mode": permissions.mode,
        "own_list": permissions.own_list,
        "audits": permissions.audits,
        "allow": list(permissions.allowed_tools),
        "removed": list(permissions.disallowed_tools),
        "deny": [[each.by, each.rule] for each in permissions.denied],
    }


def permissions_in(note: Mapping[str, Any]) -> Permissions | None:
    """From what ``note_of`` gave; None where it is something else."""
    try:
        return Permissions(
            profile=Profile(note["profile"]),
            mode=note["mode"],
            allowed_tools=tuple(map(str, note["allow"])),
            disallowed_tools=tuple(map(str, note["removed"])),
            denied=tuple(DenyRule(DeniedBy(by), str(rule)) for by, rule in note["deny"]),
            opens_guarded=note["mode"] == "default",
            own_list=bool(note["own_list"]),
            audits=bool(note["audits"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def changes_expected(settings: Settings, *, allow_only: bool) -> bool:
    """Whether it is odd that a task with *settings* succeeded and changed no file; *allow_only* as above.

    Decided by what its document and its owner say, never by the text of the task.
    """
    if settings.type in _ANSWERS or settings.permissions is Profile.READONLY:
        return False
    tools = {tool for tool in _WORKING if tool not in settings.deny}
    if allow_only:
        given = {tool_of(rule) for rule in settings.allow if rule not in _LOOKING}
        return bool(tools & given)
    return bool(tools)


def narrowed(owner: Iterable[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """``permissions``, ``allow`` and ``deny`` of a task that says *given*, under the *owner*'s layers, lowest first.

    A task can narrow what its owner allows and never widen it; raises NotConfiguredError where it tries. The deny
    rules of all layers hold together. A task's ``allow`` takes the place of everything that was allowed.
    """
    layers = tuple(owner)
    owners: dict[str, Any] = {}
    for layer in layers:
        owners.update(layer)
    ceiling: Profile = owners.get("permissions", _DEFAULT_PROFILE)
    profile: Profile = given.get("permissions", ceiling)
    if PROFILES.index(profile) > PROFILES.index(ceiling):
        raise NotConfiguredError(
            f"permissions: {profile} is more than the owner's configuration allows, which is {ceiling}",
            hint=f'to allow it, the owner puts "permissions": "{profile}" into defaults of the configuration'
            " or of the source",
            keys=("permissions",),
        )
    allow: tuple[str, ...] = owners.get("allow", ())
    if given.get("allow"):
        allow = given["allow"]
        _check_covered(allow, ceiling, owners.get("allow", ()))
    elif "allow" in given or (profile is Profile.READONLY and ceiling is not Profile.READONLY):
        allow = ()  # what the owner added was added to a wider profile
    deny = dict.fromkeys(rule for layer in (*layers, given) for rule in layer.get("deny", ()))
    return {"permissions": profile, "allow": allow, "deny": tuple(deny)}


def _check_covered(allow: Iterable[str], ceiling: Profile, added: Iterable[str]) -> None:
    if ceiling is Profile.BYPASS:
        return
    owned = (*_listed(ceiling), *added)
    wide = [rule for rule in allow if not any(covers(wider, rule) for wider in owned)]
    if wide:
        raise NotConfiguredError.of([_too_wide(rule) for rule in wide])


def _too_wide(rule: str) -> NotConfiguredError:
    return NotConfiguredError(
        f"allow: {rule} is more than the owner's configuration allows",
        hint=f'to allow it, the owner adds "{rule}" to "allow" in defaults of the configuration'
        " or of the source",
        keys=(f"allow: {rule}", "allow"),
    )


def _allowed_by_itself(profile: Profile, *, allow_only: bool, audits: bool) -> tuple[str, ...]:
    if audits:
        return (*_READING, *(() if allow_only else _WEB), *_BOOKKEEPING)
    return _BOOKKEEPING if allow_only else _listed(profile)


def _denied_by_itself(profile: Profile, *, audits: bool) -> tuple[str, ...]:
    if audits or profile not in {Profile.TRUSTED, Profile.BYPASS}:
        return _DANGEROUS
    return () if profile is Profile.BYPASS else tuple(rule for rule in _DANGEROUS if rule != _PUSHING)


def _listed(profile: Profile) -> tuple[str, ...]:
    """What *profile* allows by itself; bypass needs no list."""
    match profile:
        case Profile.BYPASS:
            return ()
        case Profile.READONLY:
            return (*_READING, *_HARMLESS)
        case Profile.SANDBOXED | Profile.GUARDED | Profile.TRUSTED:
            return (*_READING, *_WORKING, *_HARMLESS)
        case _:
            assert_never(profile)


def _closed_beside(own_copy: str) -> Iterator[str]:
    """All copies but this one: those whose names begin otherwise (``naming.copy_of``).

    In an absolute path neither ``!`` nor ``[!x]`` does what it should (CLI 2.1.332).
    """
    copies, mark = below(str(_place_of_copies(own_copy))), PurePath(own_copy).name[:MARK_LENGTH]
    yield from _closed("Edit", str(_place_of_copies(own_copy)))
    for place, char in enumerate(mark):
        yield f"Read({copies}/*/{mark[:place]}{'10'[int(char)]}*)"


def _place_of_copies(copy: str) -> PurePath:
    """It has a folder for each source."""
    return PurePath(copy).parents[1]


def _closed(verb: str, path: str) -> tuple[str, str]:
    """One folder or file. ``Edit`` covers every file tool that writes (CLI 2.1.330); both hold in a sandbox, too."""
    root = below(path)
    return f"{verb}({root})", f"{verb}({root}/**)"
