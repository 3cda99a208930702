"""Who may do what through the API: roles, and lists of what they hold for. Nothing is allowed that is not listed."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from task_queue.domain.errors import TaskQueueError

EVERYTHING = "*"
OWNER = "owner"
"""The name under which the owner's own requests are written down."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class AccessRole(StrEnum):
    """``submit`` also changes what it submitted itself; ``operate`` changes every task that it sees."""

    READ = "read"
    SUBMIT = "submit"
    WORK = "work"
    OPERATE = "operate"
    ADMIN = "admin"


_IMPLIED: dict[AccessRole, frozenset[AccessRole]] = {
    AccessRole.READ: frozenset({AccessRole.READ}),
    AccessRole.SUBMIT: frozenset({AccessRole.SUBMIT, AccessRole.READ}),
    AccessRole.WORK: frozenset({AccessRole.WORK, AccessRole.READ}),
    AccessRole.OPERATE: frozenset({AccessRole.OPERATE, AccessRole.SUBMIT, AccessRole.READ}),
    AccessRole.ADMIN: frozenset(AccessRole),
}


class NotAllowedError(TaskQueueError):
    """A credential is known, and does not allow what was asked with it. ``code`` is for programs."""

    def __init__(self, message: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True, slots=True)
class TaskTraits:
    """What policies look at in a task. ``repository``: host/owner/name, None where its source names none."""

    source: str
    type: str
    executor: str
    capabilities: tuple[str, ...] = ()
    repository: str | None = None
    submitted_by: str | None = None
    task_id: str | None = None
    """None of a task that is not in the queue yet."""


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """An empty list allows nothing, ``*`` everything. A task must be allowed by each of the lists."""

    roles: tuple[AccessRole, ...]
    sources: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    executors: tuple[str, ...] = ()
    own: bool = False
    """Only what it submitted itself."""

    def has(self, role: AccessRole) -> bool:
        return any(role in _IMPLIED[each] for each in self.roles)

    def allows_source(self, source: str) -> bool:
        return _listed(source, self.sources)

    @property
    def is_unlimited(self) -> bool:
        """Every task is in it, whatever it says."""
        return not self.own and all(EVERYTHING in allowed for allowed in self._lists)

    @property
    def sees_whole_sources(self) -> bool:
        """Every task of the sources that it allows is in it."""
        return not self.own and all(EVERYTHING in allowed for allowed in self._lists[1:])

    @property
    def allows_nothing(self) -> tuple[str, ...]:
        """The names of the lists that are empty, so that no task is in it; capabilities need none."""
        names = ("sources", "repositories", "types", "executors")
        lists = (self.sources, self.repositories, self.types, self.executors)
        return tuple(name for name, allowed in zip(names, lists, strict=True) if not allowed)

    @property
    def _lists(self) -> tuple[tuple[str, ...], ...]:
        return self.sources, self.repositories, self.types, self.capabilities, self.executors

    def allows(self, traits: TaskTraits) -> bool:
        """Whether the lists allow such a task, from any submitter. One without a repository needs ``*``."""
        repositories = tuple(map(repository_name, self.repositories))
        return (
            _listed(traits.source, self.sources)
            and _listed(traits.type, self.types)
            and _listed(traits.executor, self.executors)
            and all(_listed(capability, self.capabilities) for capability in traits.capabilities)
            and (EVERYTHING in repositories or traits.repository in repositories)
        )


_ALL = (EVERYTHING,)
EVERYTHING_ALLOWED = AccessPolicy((AccessRole.ADMIN,), _ALL, _ALL, _ALL, _ALL, _ALL)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``name`` is what the tasks that it submits keep as ``submitted_by``."""

    name: str
    policy: AccessPolicy
    credential: str = ""
    """The id of the token; empty for other ways."""
    good_until: datetime | None = None
    """When a credential ends that is not kept here; None: it does not, or is looked up each time."""
    task_id: str | None = None
    """The task in whose attempt it works, which counts as its own to look at."""

    def demand(self, role: AccessRole) -> None:
        """Raises NotAllowedError."""
        if not self.policy.has(role):
            raise NotAllowedError(f"{self.name} does not have the role '{role}'", code="role_missing")

    def demand_everything(self, what: str) -> None:
        """For *what* is over all tasks. Raises NotAllowedError."""
        self.demand(AccessRole.READ)
        if not self.policy.is_unlimited:
            raise NotAllowedError(
                f"{what} are over all tasks, and the policy of {self.name} does not allow all of them",
                code="outside_policy",
            )

    def sees(self, traits: TaskTraits) -> bool:
        own = traits.submitted_by == self.name or (
            self.task_id is not None and traits.task_id == self.task_id
        )
        return (
            self.policy.has(AccessRole.READ) and self.policy.allows(traits) and (own or not self.policy.own)
        )

    def may_change(self, submitted_by: str | None) -> bool:
        """A task that it *sees*, which came from *submitted_by*: where it operates, or submitted the task itself."""
        own = submitted_by == self.name
        return self.policy.has(AccessRole.OPERATE) or (own and self.policy.has(AccessRole.SUBMIT))

    def demand_change(self, traits: TaskTraits) -> None:
        """For who *sees* the task. Raises NotAllowedError where it ``may_change`` nothing of it."""
        if not self.may_change(traits.submitted_by):
            raise NotAllowedError(
                f"{self.name} may only change tasks that it submitted itself", code="not_the_submitter"
            )

    def demand_source(self, source: str) -> None:
        """Raises NotAllowedError unless its policy allows *source*."""
        if not self.policy.allows_source(source):
            raise NotAllowedError(
                f"the policy of {self.name} does not allow source {source}", code="outside_policy"
            )

    def demand_submission(self, traits: TaskTraits) -> None:
        """Raises NotAllowedError unless it may submit such a task."""
        self.demand(AccessRole.SUBMIT)
        if not self.policy.allows(traits):
            raise NotAllowedError(
                f"the policy of {self.name} does not allow such a task: {_spelled(traits)}",
                code="outside_policy",
            )


def is_caller_name(text: str) -> bool:
    """Whether a token may be called *text*; names of other callers have a colon, or are the owner's."""
    return _NAME.fullmatch(text) is not None and text != OWNER


def roles_named(names: Iterable[str]) -> tuple[AccessRole, ...]:
    """Raises ValueError."""
    return tuple(dict.fromkeys(map(AccessRole, names)))


def repository_name(url: str) -> str:
    """``host/owner/name`` of a repository, however its URL is spelled: https, ssh, git@host:path, with .git or not."""
    text = url.strip()
    _, scheme, rest = text.partition("://")
    if not scheme:
        host, colon, path = text.partition(":")
        rest = f"{host}/{path}" if colon and "/" not in host else text
    host, slash, path = rest.rpartition("@")[2].partition("/") if scheme else _split_user(rest)
    host = host.partition(":")[0]
    return f"{host}{slash}{path.strip('/').removesuffix('.git')}".lower()


def _split_user(text: str) -> tuple[str, str, str]:
    host, slash, path = text.partition("/")
    return host.rpartition("@")[2], slash, path


def _listed(value: str, allowed: Collection[str]) -> bool:
    return EVERYTHING in allowed or value in allowed


def _spelled(traits: TaskTraits) -> str:
    parts = [f"source {traits.source}", f"type {traits.type}", f"executor {traits.executor}"]
    parts += [f"capability {each}" for each in traits.capabilities]
    parts += [f"repository {traits.repository}"] if traits.repository else []
    return ", ".join(parts)
