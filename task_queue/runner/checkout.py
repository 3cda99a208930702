"""Where an attempt's work happens, as git sees it: the workspace itself, or a checkout of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Generator
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.document.choices import Isolation
from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import CheckoutLost, GitError
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.work.folder_changes import FolderChanges
from task_queue.git.changes import Changes, changes_between
from task_queue.git.checkpoint import Checkpoint, forget_checkpoint, snapshot_now
from task_queue.git.collect import collect
from task_queue.git.exclude import hide_made
from task_queue.git.folder_files import FolderFiles, forget_first_look
from task_queue.git.guarding import end_guarding
from task_queue.git.hidden import hidden_now
from task_queue.git.interrupted import record_end
from task_queue.git.leftovers import keep_leftovers
from task_queue.git.made import begin_making, end_making, forget_made, set_apart
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.program import Git
from task_queue.git.repository import Repository, dirty_paths, head_of
from task_queue.git.snapshot import TreeSnapshot, commit_tree, steps_between
from task_queue.git.submodules import only_in_submodules
from task_queue.git.worktree import require_present
from task_queue.platform.identity import MARKER_VARIABLE
from task_queue.ports.executor import Order

MOST_NAMED = 20
LEAST_FOR_HOOKS_S = 120.0
"""Less than what the worker grants a runner beyond its time-out."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """``git`` is None where the workspace is not a git repository: then nothing is kept or committed,

    and ``files`` say what was there before the task.
    """

    order: Order
    git: Git | None = None
    repository: Repository | None = None
    checkpoint: Checkpoint | None = None
    branch: str | None = None
    """The task's own branch, where it works in a tree of its own."""
    target: str | None = None
    """The branch that the workspace had checked out."""
    main: Path | None = None
    """Root of the repository itself, for a task that works in a tree of its own."""
    notes: tuple[str, ...] = ()
    is_new: bool = False
    """Nothing of an earlier attempt is in it."""
    began_at: str | None = None
    """The commit that the task began on, where it is looked at again without its checkpoint."""
    files: FolderFiles | None = None
    included: frozenset[str] = frozenset()
    """Ignored files that are copies of the owner's, by their path in the repository."""

    @property
    def owner(self) -> Git | None:
        """Git in the repository that the task's checkout was made from, with its own HEAD and index."""
        return None if self.git is None or self.main is None else self.git.plain(self.main)

    @property
    def directory(self) -> Path:
        return self.order.workspace

    @property
    def isolation(self) -> Isolation:
        return Isolation.WORKTREE if self.branch else Isolation.NONE

    def beside(self, name: str) -> Path:
        """Where a throw-away checkout for *name* may be."""
        return self.order.git.worktrees / f"{key_of(self.order.claim.task_id)}.{name}"

    def open_watch(self, watch: OwnerWatch) -> None:
        """Let *watch* find what earlier attempts left to compare with. Raises GitError."""
        if self.git is None or self.repository is None:
            return
        order, owner = self.order, self.owner
        watch.open(
            owner or self.git.at(self.repository.root),
            order.claim.task_id,
            worktrees=order.git.worktrees,
            queue_dirs=order.queue_dirs,
            work_in_place=owner is None,
        )

    def require_present(self) -> str | None:
        """What to say of a checkout that had to be looked for. Raises CheckoutLost where it is gone."""
        if self.branch is None or self.repository is None:
            return None
        return require_present(self.repository.root)

    def collect(self, *, late: bool = False) -> tuple[str, ...]:
        """Bring what the agent committed to the task's branch; what a person should know of the rest.

        *late*: it was committed after the verdict, and is only kept.
        """
        if self.git is None or self.branch is None or self.repository is None or self.checkpoint is None:
            return ()
        there, base = self.git.at(self.repository.root), self.checkpoint.base
        task_id = self.order.claim.task_id
        return collect(there, task_id, base=base, branch=self.branch, late=late) if base else ()

    @contextlib.contextmanager
    def making(self) -> Generator[None, None, None]:
        """While a command of the owner's runs: what it makes is the work of no agent, also if it is killed."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            yield
            return
        task_id, before = self.order.claim.task_id, self.state()
        begin_making(self.repository, task_id, before=before, since=self.checkpoint.commit)
        try:
            yield
        finally:
            end_making(self.git, self.repository, task_id)

    def hide_made(self) -> None:
        """Let the agent's own git leave out what the set-up made."""
        if self.git is not None and self.repository is not None and self.branch is not None:
            hide_made(self.git.at(self.repository.root), self.repository.git_dir)

    def made(self) -> frozenset[str]:
        """Paths in the workspace that are the work of no agent now."""
        if self.git is None or self.repository is None:
            return frozenset()
        there = self.git.at(self.repository.root)
        found = set_apart(there, self.repository.git_dir, dirty_paths(there)) | self.included
        below = self.directory.resolve().relative_to(self.repository.root.resolve()).as_posix()
        prefix = "" if below == "." else f"{below}/"
        return frozenset(path.removeprefix(prefix) for path in found if path.startswith(prefix))

    def snapshot(self, git: Git, repository: Repository) -> TreeSnapshot:
        return snapshot_now(git, repository, since=self.checkpoint, rules=self.order.git.rules)

    def changes(self, tree: str | None = None) -> Changes | FolderChanges | None:
        """What differs from the checkpoint now, or in *tree*; None where nothing says what was there before."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return self.files.changes() if self.files is not None else None
        now = self.snapshot(self.git, self.repository)
        return self.changes_since_checkpoint(replace(now, tree=tree) if tree else now)

    def changes_since_checkpoint(self, now: TreeSnapshot) -> Changes:
        assert self.git is not None
        assert self.checkpoint is not None
        changes = changes_between(self.git, self.checkpoint.commit, now.tree)
        new = [entry for entry in now.left_out if entry.path not in self.checkpoint.others_paths]
        left_out = [f"{entry.path} ({entry.why})" for entry in new]
        return replace(changes, left_out=(*left_out, *self.inside_submodules(), *self.hidden()))

    def hidden(self) -> tuple[str, ...]:
        """What rules of the task's making hide from git, each with those rules; in no commit and no diff."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return ()
        if self.checkpoint.hidden is None:
            return ()
        new = hidden_now(self.git.at(self.repository.root)).since(self.checkpoint.hidden)
        more = (f"and {len(new) - MOST_NAMED} more",) if len(new) > MOST_NAMED else ()
        named_ones = list(new.items())[:MOST_NAMED]
        return (*(f"{path} (hidden from git by {rules})" for path, rules in named_ones), *more)

    def inside_submodules(self) -> tuple[str, ...]:
        """Of a task's own checkout: in place, they are among what a snapshot leaves out."""
        if self.git is None or self.branch is None or self.repository is None:
            return ()
        inside = only_in_submodules(self.git.at(self.repository.root))
        return (inside,) if inside is not None else ()

    def changed_paths(self) -> tuple[str, ...]:
        """What differs from the checkpoint now, none without git."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return ()
        now = self.snapshot(self.git, self.repository)
        return tuple(step.path for step in steps_between(self.git, self.checkpoint.commit, now.tree))

    def state(self) -> str:
        """A name for the files as they are now, to see whether they were changed; empty without git."""
        if self.git is None or self.repository is None:
            return ""
        return self.snapshot(self.git, self.repository).tree

    def head(self) -> str:
        """The commit that is checked out; empty where there is none."""
        there = self.git.at(self.repository.root) if self.git and self.repository else None
        return (head_of(there) if there else None) or ""

    def changed_since(self, tree: str) -> tuple[str, ...]:
        """The paths of which *tree* does not have what is there now; none without git."""
        if self.git is None or self.repository is None or not tree:
            return ()
        now = self.snapshot(self.git, self.repository)
        return tuple(step.path for step in steps_between(self.git, tree, now.tree))

    def commit_for(self, tree: str) -> str | None:
        """The files of *tree*, as a commit that no branch has; None without git."""
        if self.git is None or self.repository is None or self.checkpoint is None or not tree:
            return None
        parents = [self.checkpoint.base] if self.checkpoint.base else []
        return commit_tree(
            self.git, tree, parents=parents, message=f"To verify: {self.order.claim.task_id}\n"
        )

    def keep_leftovers(self) -> str | None:
        """Keep what a task that did not succeed left behind; how to see it."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return None
        kept = keep_leftovers(
            self.git,
            self.repository,
            task_id=self.order.claim.task_id,
            since=self.checkpoint,
            rules=self.order.git.rules,
        )
        if kept is None:
            return None
        show = kept.show_command(self.main or self.repository.root)
        return f"what it left is kept on {kept.ref}; see it with: {show}"

    def leave(self, *, done: bool) -> None:
        """The attempt ends, and keeps nothing to itself; where it is *done*, a checkpoint of nothing goes."""
        if done and self.files is not None:
            forget_first_look(self.order)
        if self.git is None or self.repository is None or self.checkpoint is None:
            return
        with contextlib.suppress(GitError):  # its differences then count as an agent's
            end_guarding(self.git)
        record_end(self.repository, self.order.claim.task_id)
        if done:
            with contextlib.suppress(GitError):  # a ref too many does no harm
                forget_checkpoint(self.git, self.checkpoint)
            if self.branch is None:
                forget_made(self.repository, self.order.claim.task_id)


def named(paths: Collection[str]) -> str:
    """The first of some paths, for a sentence."""
    more = f" and {len(paths) - MOST_NAMED} more" if len(paths) > MOST_NAMED else ""
    return ", ".join(list(paths)[:MOST_NAMED]) + more


def outcome_of(error: GitError, checkout: Checkout | None) -> Outcome:
    """How an attempt ends in which git failed with *error*.

    One whose checkout is gone counts, whatever git said of that: else an agent that removes it would go on for ever.
    """
    try:
        if checkout is not None:
            checkout.require_present()
    except GitError as lost:
        error = lost
    if isinstance(error, CheckoutLost):
        return Outcome(OutcomeKind.CRASHED, str(error))
    return Outcome(OutcomeKind.UNAVAILABLE, error.in_full)


def git_of(order: Order) -> Git:
    """Git for *order*: hooks and filters get its marker, by which they are found and ended, and no credentials."""
    return Git(order.workspace, {**order.env_of_checks, MARKER_VARIABLE: order.marker})
