"""Project settings that execute something: accepted as they are before any task ran, afterwards only by their owner.

An agent can write ``.claude/settings.json`` in its workspace, and with it hooks that run outside of every
permission, in all later tasks; or prompts, and with them what its own auditor reads. So what a workspace holds
is compared with what its owner accepted, and the agent loads no project settings while they differ. Kept in the
state folder, which agents cannot write.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.agents.executed_files import hashes_of
from task_queue.domain.permission.consent import Difference, comparable, difference_in, differences
from task_queue.domain.permission.project_env import environment_in, executing_in, reserved_in
from task_queue.platform import durable
from task_queue.platform.json_files import json_object
from task_queue.platform.lockfile import locked
from task_queue.ports.executor import AgentSetup

_SETTINGS = (".claude/settings.json", ".claude/settings.local.json")
_PROGRAMS = (
    *("apiKeyHelper", "awsAuthRefresh", "awsCredentialExport", "enabledPlugins", "fileSuggestion"),
    *("gcpAuthRefresh", "otelHeadersHelper", "proxyAuthHelper"),
)
_FILE_LIMIT = 16 * 2**20
_PATIENCE_S = 10.0
_STORE_LIMIT = 64 * 2**20
_KEPT_TEXT_LIMIT = 64 * 2**10
_KEPT_TEXTS_LIMIT = 8 * 2**20


@dataclass(frozen=True, slots=True)
class _AcceptedFiles:
    hashes: dict[str, dict[str, str]]
    """By workspace, by path below it."""
    texts: dict[str, str]
    """By hash; of files that are not too large, to show what became of them."""


class SettingsTrust:
    """Thread-safe, and one of several: the daemon, the API and ``doctor`` each have one on the same file.

    *store* is ``trusted-settings.json`` in the state folder.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()

    def begin(self, workspaces: Iterable[Path]) -> None:
        """Before the first task of all: accept *workspaces* as they are, as far as it can be; later this does nothing.

        Raises as ``changes`` does.
        """
        with self._alone():
            if self._read().hashes:
                return
            for workspace in dict.fromkeys(workspaces):
                self._write(self._read(), workspace, hashes_of(workspace))

    def changes(self, workspace: Path, *, strict: bool = False) -> tuple[Difference, ...]:
        """How *workspace* differs from what was accepted. One that is new is accepted only before the first task.

        Later, an earlier task could have written what is there, wherever it is.

        *strict* as for ``hashes_of``. Raises OSError or ValueError where the store cannot be read: then nothing is
        to be trusted.
        """
        found = hashes_of(workspace, strict=strict)
        with self._alone():
            accepted = self._read()
            if str(workspace) in accepted.hashes:
                return differences(accepted.hashes[str(workspace)], found)
            own = {} if accepted.hashes else found
            self._write(accepted, workspace, own)
            return differences(comparable(own), found)

    def accepted_in(self, workspace: Path) -> dict[str, str]:
        """The hashes that ``changes`` compares with, by path; raises as it does."""
        return self._read().hashes.get(str(workspace), {})

    def pending(self, workspace: Path) -> tuple[Difference, ...]:
        """As ``changes`` for those who only look: nothing is accepted by it."""
        known = self._read().hashes.get(str(workspace))
        return () if known is None else differences(known, hashes_of(workspace))

    def shown(self, workspace: Path, difference: Difference) -> tuple[str, ...]:
        """The lines that differ, as far as both texts are there to be shown; foreign text."""
        if difference.what == "unknown":
            return (str(difference),)
        accepted = self._read()
        path = workspace / difference.path
        before = accepted.texts.get(accepted.hashes.get(str(workspace), {}).get(difference.path, ""))
        after = _text_of(path)
        if before is None and difference.what != "added":
            return (f"{difference.path}: its accepted text was not kept; look at {path}",)
        if after is None and difference.what != "removed":
            return (f"{difference.path}: cannot be shown; look at {path}",)
        return difference_in(difference.path, before, after)

    def workspaces(self) -> tuple[Path, ...]:
        """Those that were seen so far."""
        return tuple(map(Path, self._read().hashes))

    def accept(self, workspace: Path) -> None:
        """The owner's word: what is there now is to be loaded."""
        with self._alone():
            self._write(self._read(), workspace, hashes_of(workspace))

    @contextmanager
    def _alone(self) -> Generator[None]:
        """What another accepts at the same time is not written over. Raises OSError."""
        durable.make_directory(self._store.parent)
        with self._lock, locked(self._store.with_suffix(".lock"), within_s=_PATIENCE_S):
            yield

    def _read(self) -> _AcceptedFiles:
        content = json_object(self._store, limit=_STORE_LIMIT)
        if content is None:
            return _AcceptedFiles({}, {})
        if isinstance(content, str):
            raise ValueError(f"{self._store} {content}")  # noqa: TRY004 - what a file says, not what code does
        try:
            hashes: dict[str, dict[str, str]] = content["workspaces"]
            texts: dict[str, str] = content.get("texts", {})
            return _AcceptedFiles({workspace: dict(of) for workspace, of in hashes.items()}, dict(texts))
        except (AttributeError, KeyError, TypeError):
            raise ValueError(f"{self._store} does not hold accepted settings") from None

    def _write(self, accepted: _AcceptedFiles, workspace: Path, found: dict[str, str]) -> None:
        durable.make_directory(self._store.parent)
        found = comparable(found)
        hashes = {**accepted.hashes, str(workspace): found}
        texts = {**accepted.texts, **_texts_of(workspace, found)}
        in_use = {hashed for of in hashes.values() for hashed in of.values()}
        content = {
            "schema_version": 1,
            "workspaces": hashes,
            "texts": {hashed: text for hashed, text in _few(texts) if hashed in in_use},
        }
        durable.replace(self._store, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def accepted_only(
    agent: AgentSetup, directory: Path, *, own_tree: bool, strict: bool
) -> tuple[AgentSetup, str | None]:
    """*agent* of an order, without project settings where those in *directory* are not what was accepted.

    Asked before each session, because an agent may have changed them in the session before; the note says so.
    In a working tree of the task's *own_tree*, what git does not keep is missing without having been removed.
    *strict* as for ``hashes_of``.
    """
    accepted = agent.accepted_settings
    if accepted is None:
        return agent, None
    changes = [
        change
        for change in differences(accepted, hashes_of(directory, strict=strict))
        if not (own_tree and change.what == "removed")
    ]
    if not changes:
        return agent, None
    return without_project(agent), "; ".join(map(str, changes))


def loads_project(agent: AgentSetup) -> bool:
    """Whether *agent* loads anything that the project's owner has to accept."""
    return bool(OF_PROJECT.intersection(agent.setting_sources)) or agent.mcp_servers in {"project", "both"}


def without_project(agent: AgentSetup) -> AgentSetup:
    """*agent* with neither settings nor MCP servers of the project."""
    return replace(
        agent,
        setting_sources=tuple(source for source in agent.setting_sources if source not in OF_PROJECT),
        mcp_servers="user" if agent.mcp_servers in {"user", "both"} else "none",
    )


def without_programs(agent: AgentSetup, directory: Path) -> tuple[AgentSetup, str | None]:
    """*agent* without project settings where those in *directory* name a program that the CLI itself starts.

    Such a program is often a script of the project, and the CLI runs it outside of the agent's sandbox. The note
    names the setting. Hooks do not count: they are switched off in another way.
    """
    if not OF_PROJECT.intersection(agent.setting_sources):
        return agent, None
    found: list[str] = []
    for name in _SETTINGS:
        content = json_object(directory / name, limit=_FILE_LIMIT)
        if isinstance(content, str):
            found.append(f"{name} {content}")
        elif content is not None:
            found += [f"{key} in {name}" for key in _PROGRAMS if key in content]
            found += [f"{variable} in env of {name}" for variable in executing_in(environment_in(content))]
    if not found:
        return agent, None
    return without_project(agent), ", ".join(found)


def without_reserved(agent: AgentSetup, directory: Path) -> tuple[AgentSetup, str | None]:
    """*agent* without project settings where those in *directory* set a variable that is the queue's own.

    Whatever their owner accepted: who pays, and where to, is said in the configuration. The note names the variables.
    """
    if not OF_PROJECT.intersection(agent.setting_sources):
        return agent, None
    contents = {name: json_object(directory / name, limit=_FILE_LIMIT) for name in _SETTINGS}
    found = [
        f"{variable} in env of {name}"
        for name, content in contents.items()
        for variable in reserved_in(environment_in(content))
    ]
    return (without_project(agent), ", ".join(found)) if found else (agent, None)


OF_PROJECT = frozenset({"project", "local"})
"""Setting sources that are in the workspace."""


def _text_of(path: Path) -> str | None:
    try:
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_KEPT_TEXT_LIMIT)
        return data.decode()
    except (OSError, UnicodeDecodeError):
        return None


def _texts_of(workspace: Path, hashes: Mapping[str, str]) -> dict[str, str]:
    """The texts behind *hashes*; one that was changed meanwhile is left out."""
    texts = {hashed: _text_of(workspace / path) for path, hashed in hashes.items()}
    return {
        hashed: text
        for hashed, text in texts.items()
        if text is not None and hashlib.sha256(text.encode()).hexdigest() == hashed
    }


def _few(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    room = _KEPT_TEXTS_LIMIT
    for hashed, text in texts.items():
        room -= len(text)
        if room >= 0:
            yield hashed, text
