"""Where an attempt's work happens, as git sees it: the workspace itself, or a checkout of its own."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Collection, Generator
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from task_queue.domain.document.choices import Isolation
from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import CheckoutLost, GitError
from task_queue.domain.model import Outcome, OutcomeKind
from task_queue.domain.work import workflow
from task_queue.domain.work.commits import TASK_ID, TASK_QUEUE_ATTEMPT, TASK_QUEUE_COST, Signature
from task_queue.git.advance import finish_interrupted_before
from task_queue.git.changes import Changes, changes_between
from task_queue.git.checkpoint import Checkpoint, checkpoint, forget_checkpoint, snapshot_now
from task_queue.git.collect import collect, hand_over
from task_queue.git.commit import doubts_about_agents, final_commit, subjects_of, why_no_signature
from task_queue.git.commit_begun import forget_begun_commit
from task_queue.git.exclude import hide_made, keep_out
from task_queue.git.interrupted import keep_interrupted_work, record_end, record_start
from task_queue.git.leftovers import earlier_work_of, keep_leftovers
from task_queue.git.made import begin_making, end_making, finish_cut_off, forget_made, set_apart
from task_queue.git.own_repository import hooks_folder
from task_queue.git.program import Git
from task_queue.git.put_away import begin_again, bring_back, forget_put_away, put_away_from
from task_queue.git.removal import give_up, remove
from task_queue.git.repository import Repository, commit_of, dirty_paths, facts, head_of, without_merges
from task_queue.git.signing import require_signing
from task_queue.git.snapshot import TreeSnapshot, commit_tree, steps_between
from task_queue.git.starting_point import demand_all, starting_point
from task_queue.git.submodules import only_in_submodules
from task_queue.git.tidying import tidy
from task_queue.git.unwanted import unwanted_commits
from task_queue.git.worktree import create, is_empty, require_present
from task_queue.platform.identity import MARKER_VARIABLE
from task_queue.ports.attempt_writer import AttemptWriter
from task_queue.ports.executor import Order

_MOST_NAMED = 20
LEAST_FOR_HOOKS_S = 120.0
"""Less than what the worker grants a runner beyond its time-out."""
_OURS = ("task-queue", "task-queue@localhost") * 2
"""Author and committer, as ``Signature`` has them."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """``git`` is None where the workspace is not a git repository: then nothing is kept or committed."""

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

    def require_present(self) -> str | None:
        """What to say of a checkout that had to be looked for. Raises CheckoutLost where it is gone."""
        if self.branch is None or self.repository is None:
            return None
        return require_present(self.repository.root)

    def collect(self) -> tuple[str, ...]:
        """Bring what the agent committed to the task's branch; what a person should know of the rest."""
        if self.git is None or self.branch is None or self.repository is None or self.checkpoint is None:
            return ()
        there, base = self.git.at(self.repository.root), self.checkpoint.base
        return collect(there, self.order.claim.task_id, base=base, branch=self.branch) if base else ()

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

    def before_agent(self) -> None:
        """An implementer is about to run: no commit of its is taken for one that the queue had begun."""
        if self.repository is not None:
            forget_begun_commit(self.repository)

    def hide_made(self) -> None:
        """Let the agent's own git leave out what the set-up made."""
        if self.git is not None and self.repository is not None and self.branch is not None:
            hide_made(self.git.at(self.repository.root), self.repository.git_dir)

    def made(self) -> frozenset[str]:
        """Paths in the workspace that are the work of no agent now."""
        if self.git is None or self.repository is None:
            return frozenset()
        there = self.git.at(self.repository.root)
        found = set_apart(there, self.repository.git_dir, dirty_paths(there))
        below = self.directory.resolve().relative_to(self.repository.root.resolve()).as_posix()
        prefix = "" if below == "." else f"{below}/"
        return frozenset(path.removeprefix(prefix) for path in found if path.startswith(prefix))

    def _now(self, git: Git, repository: Repository) -> TreeSnapshot:
        return snapshot_now(git, repository, since=self.checkpoint, rules=self.order.git.rules)

    def changes(self) -> Changes | None:
        """What differs from the checkpoint now; None without git."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return None
        return self._changes(self._now(self.git, self.repository))

    def _changes(self, now: TreeSnapshot) -> Changes:
        assert self.git is not None
        assert self.checkpoint is not None
        changes = changes_between(self.git, self.checkpoint.commit, now.tree)
        new = [entry for entry in now.left_out if entry.path not in self.checkpoint.others_paths]
        left_out = [f"{entry.path} ({entry.why})" for entry in new]
        return replace(changes, left_out=(*left_out, *self._inside_submodules()))

    def _inside_submodules(self) -> tuple[str, ...]:
        """Of a task's own checkout: in place, they are among what a snapshot leaves out."""
        if self.git is None or self.branch is None or self.repository is None:
            return ()
        inside = only_in_submodules(self.git.at(self.repository.root))
        return (inside,) if inside is not None else ()

    def changed_paths(self) -> tuple[str, ...]:
        """What differs from the checkpoint now, none without git."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return ()
        now = self._now(self.git, self.repository)
        return tuple(step.path for step in steps_between(self.git, self.checkpoint.commit, now.tree))

    def state(self) -> str:
        """A name for the files as they are now, to see whether they were changed; empty without git."""
        if self.git is None or self.repository is None:
            return ""
        return self._now(self.git, self.repository).tree

    def result_commit(self) -> str | None:
        """The files as they are now, as a commit that no branch has; None without git."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return None
        tree = self._now(self.git, self.repository).tree
        parents = [self.checkpoint.base] if self.checkpoint.base else []
        return commit_tree(
            self.git, tree, parents=parents, message=f"To verify: {self.order.claim.task_id}\n"
        )

    def commit(
        self, *, attempt: int, cost_usd: float, within_s: float, earlier: Collection[str] = ()
    ) -> workflow.Committed:
        """Commit what the task changed, hooks *within_s*; *earlier* are commits of earlier rounds."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return workflow.Committed()
        require_signing(self.git)
        order = self.order
        trailers = {
            TASK_ID: order.claim.task_id,
            TASK_QUEUE_ATTEMPT: str(attempt),
            TASK_QUEUE_COST: f"{cost_usd:.4f} USD",
        }
        there = self.git.at(self.repository.root)
        now = self._now(self.git, self.repository)
        changes = self._changes(now)
        steps = steps_between(self.git, self.checkpoint.commit, now.tree)
        new_files = sum(step.before.absent for step in steps)
        too_many = order.git.rules.too_many(new_files) or ""
        in_place = self.branch is None
        made = final_commit(
            self.git,
            self.repository,
            since=self.checkpoint,
            subject=order.title,
            body="",
            trailers=trailers,
            signature=signature_of(order),
            within_s=within_s,
            rules=order.git.rules,
            held=bool(too_many) and in_place,
            earlier=earlier,
        )
        notes: list[str] = []
        if too_many and in_place:
            notes.append(f"left uncommitted: {too_many}")
        if made.refused is not None:
            notes.append(f"nothing was committed, because git refused it: {made.refused.strip()}")
        nothing = made.refused is not None or (bool(too_many) and in_place)
        uncommitted = [str(file["path"]) for file in changes.files] if nothing and changes else []
        uncommitted += [*made.overlap, *(entry.path for entry in made.left_out)]
        if made.overlap:
            notes.append(
                "left uncommitted, because they held uncommitted changes before the task: "
                + ", ".join(made.overlap)
            )
        if made.taken_along:
            notes.append(
                "the agent's own commits hold earlier uncommitted changes: " + ", ".join(made.taken_along)
            )
        notes += [f"not in the commit: {entry.path}, {entry.why}" for entry in made.left_out]
        if made.ours is not None:
            notes += self._after_commit()
        notes += [f"not in the commit: {inside}" for inside in self._inside_submodules()]
        owner = self.owner
        target = commit_of(owner, f"refs/heads/{self.target}") if owner and self.target else None
        notes += doubts_about_agents(
            there,
            [commit for commit in made.by_agent if commit not in earlier],
            signature=signature_of(order),
            but=[target] if target else [],
        )
        if made.rewritten:
            notes.append("the history that the task began on was rewritten")
        root = shlex.quote(str(self.main or self.repository.root))  # a tree of its own goes away some day
        see = tuple(f"git -C {root} show {commit}" for commit in made.all)
        own = without_merges(self.git, made.all)  # git reverts no merge without being given a side
        undo = tuple(f"git -C {root} revert {commit}" for commit in reversed(own))
        if self.checkpoint.dirty:
            notes.append("your uncommitted changes from before the task are kept on " + self.checkpoint.ref)
            undo += self.checkpoint.restore_commands(self.repository.root)
        return workflow.Committed(
            commits=made.all,
            branch=self.branch or made.branch,
            stat=changes.summary,
            subjects=subjects_of(self.git, made.all),
            by_queue=tuple(commit for commit in made.all if commit == made.ours or commit in earlier),
            files=changes.files,
            file_count=len(changes.paths),
            notes=tuple(notes),
            see=see,
            undo=undo,
            uncommitted=tuple(uncommitted[:_MOST_NAMED]),
            unwanted=self._unwanted(),
            too_many=too_many,
        )

    def _unwanted(self) -> tuple[str, ...]:
        """What the agent's own commits hold that no commit should."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return ()
        there = self.git.at(self.repository.root)
        if head_of(there) is None:
            return ()
        target = f"refs/heads/{self.target}"
        apart = (target,) if self.branch is not None and self.target and commit_of(there, target) else ()
        found = unwanted_commits(there, since=self.checkpoint.base, but=apart, rules=self.order.git.rules)
        return tuple(f"{path} ({why})" for path, why in list(found.items())[:_MOST_NAMED])

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

    def _after_commit(self) -> list[str]:
        """What is to be said of hooks, and of a checkout that does not show the commit."""
        if self.git is None or self.repository is None:
            return []
        notes: list[str] = []
        there = self.git.at(self.repository.root)
        hooks = hooks_folder(there)
        if there.ask("config", "--get", "core.hooksPath").code == 0 and not hooks.is_dir():
            given = (self.owner or there).ask("config", "--get", "core.hooksPath")
            if given.code == 0:
                notes.append(f"no hook ran: core.hooksPath is {given.text}, and {hooks} is not there")
        if self.branch is not None:
            try:
                hand_over(there, self.branch)
            except GitError as error:
                notes.append(f"the repository of the checkout does not show the commit: {error}")
        return notes

    def remove_unchanged(self, committed: workflow.Committed) -> tuple[bool, str | None]:
        """Remove the checkout and the branch of a task that is done and changed nothing.

        Whether they are gone, and what a person should know.
        """
        owner, base = self.owner, self.checkpoint.base if self.checkpoint else None
        if owner is None or self.repository is None or self.branch is None or base is None:
            return False, None
        folder, ref = self.repository.root, f"refs/heads/{self.branch}"
        if committed.commits or committed.uncommitted or commit_of(owner, ref) != base:
            return False, None
        try:
            if (why := remove(owner, folder)) is not None:
                return False, f"nothing was committed, but the checkout is kept: {why}"
        except GitError as error:
            return False, f"the checkout could not be removed: {error}"
        forget_put_away(folder)
        # It may have begun on a merge of its dependencies, which their branches have.
        owner.attempt("update-ref", "-d", ref, base)
        return True, "nothing changed, so neither a branch nor a checkout is kept"

    def leave(self, *, done: bool) -> None:
        """The attempt ends, and keeps nothing to itself; where it is *done*, a checkpoint of nothing goes."""
        if self.git is None or self.repository is None or self.checkpoint is None:
            return
        record_end(self.repository, self.order.claim.task_id)
        if done:
            with contextlib.suppress(GitError):  # a ref too many does no harm
                forget_checkpoint(self.git, self.checkpoint)
            if self.branch is None:
                forget_made(self.repository, self.order.claim.task_id)


def open_checkout(order: Order, *, attempt: int) -> Checkout:
    """The place where *order* is carried out, made ready. Idempotent; raises GitError.

    *attempt* is the one whose checkpoint counts: an earlier one, where its session is continued.
    """
    git = _git_of(order)
    cut_off = finish_interrupted_before(git, marker=order.marker)
    repository = facts(git)
    if repository is None:
        return Checkout(order, notes=("the workspace is not a git repository: nothing is committed",))
    if repository.why_not is not None:
        raise GitError(repository.why_not, hint="the task is tried again by itself")
    require_signing(git)
    keep_out(repository, order.queue_dirs)
    main, branch, target = None, None, repository.branch
    inside, is_new = order.workspace, False
    notes = [cut_off] if cut_off else []
    if order.settings.isolation is Isolation.NONE and repository.head is not None:
        demand_all(git.at(repository.root), repository.head, order.dependencies)
    if order.settings.isolation is Isolation.WORKTREE and repository.head is not None:
        folder = order.git.worktrees / key_of(order.claim.task_id)
        task_id = order.claim.task_id
        owner = git.at(repository.root)
        if order.fresh:
            notes += give_up(owner, folder, task_id)
        is_there = folder.is_dir() and not is_empty(folder)
        away = None if is_there else begin_again(folder)
        earlier = away.branch if away and commit_of(owner, f"refs/heads/{away.branch}") else None
        begun = earlier is not None or is_there
        base = repository.head if begun else starting_point(owner, repository.head, order.dependencies)
        tree = create(owner, task_id, directory=folder, base=base, earlier=earlier)
        is_new = not tree.continued
        notes += tree.notes
        if tree.continued and not order.claim.resumes:
            notes += collect(tree.git, task_id, base=tree.head, branch=tree.branch)
        below = order.workspace.resolve().relative_to(repository.root.resolve())
        inside, branch = tree.directory / below, tree.branch
        closed = closed_to_agent(repository, tree.directory)
        order, main = replace(order, workspace=inside, closed_dirs=closed), repository.root
        git = tree.git.at(inside)
        found = facts(git)
        assert found is not None
        repository = found
    task_id = order.claim.task_id
    finish_cut_off(git, repository)
    if is_new and repository.head is not None and repository.dirty:
        # Of a hook, or of filters that do not give back what is committed.
        begin_making(repository, task_id, before=repository.head, since=repository.head)
        end_making(git, repository, task_id)
    if branch is not None:
        notes += _brought_back(git, repository, order.git.worktrees / key_of(task_id))
    notes += keep_interrupted_work(
        git, repository, but=task_id if order.claim.resumes else None, apart=branch is not None
    )
    kept = checkpoint(git, repository, task_id=task_id, attempt=attempt, own=earlier_work_of(git, task_id))
    record_start(repository, task_id, kept)
    if order.settings.isolation is Isolation.WORKTREE and branch is None:
        notes.append("the repository has no commit yet, so the task worked in place")
    return Checkout(order, git, repository, kept, branch, target, main, tuple(notes), is_new)


def _brought_back(git: Git, repository: Repository, folder: Path) -> tuple[str, ...]:
    """Put the uncommitted work of a checkout that was removed into the one that was made again."""
    away = put_away_from(folder)
    if away is None:
        return ()
    there = git.at(repository.root)
    is_back = away.begun_again and repository.branch == away.branch and bring_back(there, away)
    forget_put_away(folder)
    if not away.begun_again:
        return ()  # it was to be removed, and was not
    if is_back:
        return ("the checkout had been removed, and was made again with the task's work in it",)
    return (
        f"the checkout had been removed, and {away.branch} changed since: the task begins without its work",
    )


def closed_to_agent(owner: Repository, checkout: Path) -> tuple[Path, ...]:
    """Folders of the owner's in which the agent's file tools must not write while it works in *checkout*."""
    there, root = checkout.resolve(), owner.root.resolve()
    if not there.is_relative_to(root) and not root.is_relative_to(there):
        common = owner.common_dir.resolve()
        return (root,) if common.is_relative_to(root) else (root, common)
    return (owner.common_dir.resolve(),)  # the checkout is in a folder of the owner's files


def tidy_worktrees(checkout: Checkout, log: AttemptWriter) -> str | None:
    """Remove finished working trees beyond what is to be kept, besides the task's own; what a person should know.

    One with work in it is never removed.
    """
    owner = checkout.owner
    if owner is None:
        return None
    order = checkout.order
    keep = order.git.keep
    others = replace(keep, number=max(0, keep.number - 1))  # the task's own is the newest
    try:
        unfinished = log.unfinished() | {key_of(order.claim.task_id)}
        kept = tidy(
            owner,
            order.git.worktrees,
            keep=others,
            unfinished=unfinished,
            now=datetime.now(UTC),
        ).kept
    except (GitError, OSError, ValueError) as error:
        return f"earlier working trees could not be looked through: {error}"
    if not kept:
        return None
    (directory, why), *further = kept
    more = f", and {len(further)} more" if further else ""
    return (
        f"beyond the limits, but kept: the working tree of {directory.name} ({why}){more};"
        " see: task-queue worktrees list"
    )


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


def signature_of(order: Order) -> Signature:
    """Author and committer as configured (``git`` in the configuration)."""
    signature = order.git.signature
    if why_no_signature(_git_of(order), signature) is None:
        return signature
    # Where git has no configured author, better the queue's name than work that was paid for and not committed.
    return Signature(*(given or ours for given, ours in zip(astuple(signature), _OURS, strict=True)))


def _git_of(order: Order) -> Git:
    """Git for *order*: hooks and filters get its marker, by which they are found and ended, and no credentials."""
    return Git(order.workspace, {**order.env_without_secrets, MARKER_VARIABLE: order.marker})
