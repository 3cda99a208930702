"""What the queue itself may execute of a sandboxed task's files: commands, hooks and filters run in a sandbox, too.

The agent's own commands are confined by its CLI. These are not its commands, but they run its files.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from task_queue.domain.document.choices import Profile
from task_queue.domain.errors import GitError
from task_queue.git.closed import with_repository, with_working_tree
from task_queue.git.own_repository import RepositoryPaths, paths_of
from task_queue.git.owners_programs import WRAPPERS
from task_queue.git.program import Git
from task_queue.platform.sandbox import Sandbox, secrets_below
from task_queue.ports.executor import ExecutorKind, Order

_FIXED = (".git", ".claude", ".mcp.json")
"""In a workspace: what would be executed outside of the sandbox later."""


def is_confined(order: Order) -> bool:
    """Whether what an agent of *order* wrote may run in a sandbox only."""
    return order.executor is ExecutorKind.CLAUDE and order.settings.permissions is Profile.SANDBOXED


def sandbox_for_commands(
    order: Order, directory: Path, *, owner: Git | None, hidden: tuple[Path, ...] = ()
) -> Sandbox | None:
    """For ``setup`` and ``verify`` in *directory*, which they can write. None: they need none.

    *owner* is in the repository whose objects a checkout borrows. They see nothing of what is *hidden*.
    """
    if not is_confined(order):
        return None
    readable: tuple[Path, ...] = ()
    if owner is not None:
        readable = (owner.directory, paths_of(owner).common_dir)
    fixed = tuple(directory / name for name in _FIXED) if owner is None else ()
    common = _common(order, readable)
    return replace(common, writable=(directory,), fixed=fixed, hidden=(*common.hidden, *hidden))


def sandboxed_git(git: Git, order: Order) -> Git:
    """*git*, with what it starts in a sandbox where *order* asks for one; unchanged outside of a repository."""
    if not is_confined(order):
        return git
    try:
        where = paths_of(git)
    except GitError:
        return git
    return replace(git, sandbox=_for_git(order, git, where))


def _for_git(order: Order, git: Git, where: RepositoryPaths) -> Sandbox:
    """It writes objects, refs and indexes; what names programs stays as it is."""
    inside = Path(git.ask("rev-parse", "--path-format=absolute", "--show-toplevel").text or git.directory)
    common = _common(order, (inside, where.common_dir))
    # Files of a queue's folder that the repository tracks would look deleted if they were hidden.
    tracked = tuple(path for path in common.hidden if path.resolve().is_relative_to(inside.resolve()))
    hidden = tuple(path for path in common.hidden if path not in tracked)
    if order.git.trusted is not None:
        common = common.with_readable(order.git.trusted / WRAPPERS)
    common = with_repository(replace(common, fixed=tracked, hidden=hidden), where.common_dir)
    return common if where.git_dir == where.common_dir else with_working_tree(common, where.git_dir)


def _common(order: Order, readable: tuple[Path, ...]) -> Sandbox:
    home = order.env.get("HOME")
    private = [
        Path(order.env[name]) for name in ("XDG_RUNTIME_DIR", "CLAUDE_CONFIG_DIR") if order.env.get(name)
    ]
    private += [order.agent.config_dir] if order.agent.config_dir is not None else []
    private += [order.agent_copy.parents[1]]  # of every source
    private += secrets_below(Path(home)) if home else ()
    return Sandbox(
        readable=(*((Path(home),) if home else ()), *readable), hidden=(*order.queue_dirs, *private)
    )
