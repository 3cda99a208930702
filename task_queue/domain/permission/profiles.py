"""What an agent may do without a person to ask: from a task's profile and rules to the CLI's own options.

Nothing here asks: what is not allowed is denied at once. The queue's own folders are denied in every profile;
only the text of tasks that ran, and ran before, can be read in them. Deny rules win over allow rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, assert_never

from task_queue.domain.document.choices import Profile, WorkType
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskFileError
from task_queue.domain.permission.rules import below, covers

Mode = Literal["dontAsk", "bypassPermissions"]

PROFILES = (Profile.READONLY, Profile.SANDBOXED, Profile.GUARDED, Profile.BYPASS)
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
_HARMLESS = ("Agent", "Task", "Skill", "WebFetch", "WebSearch", *_BOOKKEEPING)
_LOOKING = ("Bash(git diff:*)", "Bash(git log:*)", "Bash(git show:*)", "Bash(git status:*)")
# Tools that wait for a person, for a later time, or that move the session to another directory.
_USELESS = (
    *("AskUserQuestion", "EnterPlanMode", "ExitPlanMode", "ScheduleWakeup", "Monitor", "Workflow"),
    *("EnterWorktree", "ExitWorktree", "CronCreate", "CronDelete", "CronList", "SendMessage", "ListAgents"),
)
_DANGEROUS = (
    *("Bash(git push:*)", "Bash(sudo:*)", "Bash(git reset --hard:*)", "Bash(git clean:*)"),
    *("Read(**/.env)", "Read(**/.env.*)", "Read(~/.ssh/**)", "Read(~/.aws/**)"),
    *("Edit(~/.ssh/**)", "Edit(~/.aws/**)"),
)
_PRIVATE_FOLDERS = ("pending", "staging", "completed", "failed", "results", "reports", "planning")
_PRIVATE_FILES = ("transcript.jsonl", "run.json", "outcome.json")


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permission options of one session."""

    mode: Mode
    allowed_tools: tuple[str, ...]
    disallowed_tools: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    """For ``--settings``: deny rules travel here, because a flag's value is split at commas and spaces."""
    sandbox: dict[str, Any] | None = None


def permissions_for(
    profile: Profile,
    *,
    allow: Iterable[str] = (),
    allow_only: bool = False,
    deny: Iterable[str] = (),
    queue_dirs: Iterable[str] = (),
    closed_dirs: Iterable[str] = (),
    private_dirs: Iterable[str] = (),
) -> Permissions:
    """*allow* adds to the profile's list, or with *allow_only* replaces it.

    *queue_dirs*, *closed_dirs* (to be read only) and *private_dirs* (the CLI's configuration) are absolute paths.
    """
    rules = [*deny, *(rule for path in queue_dirs for rule in _closed(path))]
    rules += [rule for path in closed_dirs for rule in (f"Edit({below(path)})", f"Edit({below(path)}/**)")]
    rules += [f"{verb}({below(path)}/**)" for path in private_dirs for verb in ("Read", "Edit")]
    useless: tuple[str, ...] = _USELESS
    sandbox: dict[str, Any] | None = None
    if profile is Profile.READONLY:
        useless = (*_USELESS, *(tool for tool in _WORKING if tool != "Bash"))
    if profile is not Profile.BYPASS:
        rules += _DANGEROUS
    if profile is Profile.SANDBOXED:
        # Without failIfUnavailable the CLI runs commands unconfined where bubblewrap or socat is missing.
        sandbox = {
            "enabled": True,
            "autoAllowBashIfSandboxed": not allow_only,
            "allowUnsandboxedCommands": False,
            "failIfUnavailable": True,
        }
    return Permissions(
        mode="bypassPermissions" if profile is Profile.BYPASS and not allow_only else "dontAsk",
        allowed_tools=(*(_BOOKKEEPING if allow_only else _listed(profile)), *allow),
        disallowed_tools=useless,
        settings={"permissions": {"deny": rules}},
        sandbox=sandbox,
    )


def changes_expected(settings: Settings, *, allow_only: bool) -> bool:
    """Whether it is odd that a task with *settings* succeeded and changed no file; *allow_only* as above.

    Decided by what its document and its owner say, never by the text of the task.
    """
    if settings.type in _ANSWERS or settings.permissions is Profile.READONLY:
        return False
    tools = {tool for tool in _WORKING if tool not in settings.deny}
    if allow_only:
        given = {rule.partition("(")[0] for rule in settings.allow if rule not in _LOOKING}
        return bool(tools & given)
    return bool(tools)


def narrowed(owner: Iterable[Mapping[str, Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """``permissions``, ``allow`` and ``deny`` of a task that says *given*, under the *owner*'s layers, lowest first.

    A task can narrow what its owner allows and never widen it; raises TaskFileError where it tries. The deny
    rules of all layers hold together. A task's ``allow`` takes the place of everything that was allowed.
    """
    layers = tuple(owner)
    owners: dict[str, Any] = {}
    for layer in layers:
        owners.update(layer)
    ceiling: Profile = owners.get("permissions", _DEFAULT_PROFILE)
    profile: Profile = given.get("permissions", ceiling)
    if PROFILES.index(profile) > PROFILES.index(ceiling):
        raise TaskFileError(
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
    for rule in allow:
        if not any(covers(wider, rule) for wider in owned):
            raise TaskFileError(
                f"allow: {rule} is more than the owner's configuration allows",
                hint=f'to allow it, the owner adds "{rule}" to "allow" in defaults of the configuration'
                " or of the source",
                keys=(f"allow: {rule}", "allow"),
            )


def _listed(profile: Profile) -> tuple[str, ...]:
    """What *profile* allows by itself; bypass needs no list."""
    match profile:
        case Profile.BYPASS:
            return ()
        case Profile.READONLY:
            return (*_READING, *_HARMLESS, *_LOOKING)
        case Profile.SANDBOXED | Profile.GUARDED:
            return (*_READING, *_WORKING, *_HARMLESS)
        case _:
            assert_never(profile)


def _closed(path: str) -> list[str]:
    """Rules for one folder or file of the queue. ``Edit`` covers every file tool that writes (CLI 2.1.330)."""
    root = below(path)
    return [
        f"Edit({root})",
        f"Edit({root}/**)",
        *(f"Read({root}/{folder}/**)" for folder in _PRIVATE_FOLDERS),
        *(f"Read({root}/logs/*/*/{name})" for name in _PRIVATE_FILES),
    ]
