"""Opens the place where an attempt works: the workspace itself, or a checkout of its own."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from task_queue.domain.document.choices import Isolation
from task_queue.domain.document.naming import key_of
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.domain.work.workflow import Prepared
from task_queue.git.advance import finish_interrupted_before
from task_queue.git.checkpoint import (
    Checkpoint,
    checkpoint,
    checkpoint_of_attempt,
    continued_checkpoint,
    moved_to,
)
from task_queue.git.collect import collect
from task_queue.git.exclude import keep_out
from task_queue.git.folder_files import first_look_at
from task_queue.git.guarding import begin_guarding, disarmed, end_guarding
from task_queue.git.interrupted import keep_interrupted_work, record_start
from task_queue.git.leftovers import earlier_work_of
from task_queue.git.made import begin_making, end_making, finish_cut_off
from task_queue.git.program import Git
from task_queue.git.put_away import begin_again, bring_back, forget_put_away, put_away_from
from task_queue.git.records import record_of, remember
from task_queue.git.removal import give_up
from task_queue.git.repository import Repository, commit_of, facts, merge_base
from task_queue.git.signing import require_signing
from task_queue.git.starting_point import demand_all, starting_point
from task_queue.git.worktree import create, is_empty
from task_queue.git.worktree_include import NAME, include_ignored
from task_queue.platform.network_ports import PORT_VARIABLE, port_for
from task_queue.ports.executor import Order
from task_queue.runner.checkout import Checkout, git_of, named
from task_queue.runner.confinement import sandboxed_git


def open_checkout(order: Order, *, prepared: Prepared | None = None, since: str = "") -> Checkout:
    """The place where *order* is carried out, made ready. Idempotent; raises GitError.

    *prepared* is the first step of an attempt that goes on, and *since* its checkpoint.
    """
    git = begin_guarding(git_of(order), order.git.trusted)
    try:
        checkout = _with_included(_opened(order, sandboxed_git(git, order), prepared, since=since))
        place = checkout.repository.root if checkout.repository and checkout.branch else checkout.directory
        return replace(checkout, order=with_port(checkout.order, place))
    except BaseException:
        with contextlib.suppress(GitError):
            end_guarding(git)  # no agent will be at work there
        raise


def _opened(order: Order, git: Git, prepared: Prepared | None, *, since: str) -> Checkout:
    cut_off = finish_interrupted_before(git, marker=order.marker)
    repository = facts(git)
    if repository is None:
        files = first_look_at(order)
        why = "the workspace is not a git repository: nothing is committed"
        return Checkout(order, notes=(why, files.note) if files.note else (why,), files=files)
    if repository.why_not is not None:
        raise GitError(repository.why_not, hint="the task is tried again by itself")
    require_signing(git)
    keep_out(repository, order.queue_dirs)
    task_id, main, branch, target = order.claim.task_id, None, None, repository.branch
    inside, is_new = order.workspace, False
    notes = [note for note in (cut_off, disarmed(git)) if note]
    if order.settings.isolation is Isolation.NONE and repository.head is not None:
        demand_all(git.at(repository.root), repository.head, order.dependencies)
    if order.settings.isolation is Isolation.WORKTREE and repository.head is not None:
        folder = order.git.worktrees / key_of(order.claim.task_id)
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
    finish_cut_off(git, repository)
    if is_new:
        _set_apart_what_came_with_it(git, repository, task_id)
    if branch is not None:
        notes += _brought_back(git, repository, order.git.worktrees / key_of(task_id))
    notes += keep_interrupted_work(
        git, repository, but=task_id if prepared is not None else None, apart=branch is not None
    )
    began_on = f"refs/heads/{target}" if branch is not None and not is_new else None
    kept, moved = _checkpoint(order, git, repository, prepared, since=since, began_on=began_on)
    notes += moved
    record_start(repository, task_id, kept)
    if order.settings.isolation is Isolation.WORKTREE and branch is None:
        notes.append("the repository has no commit yet, so the task worked in place")
    return Checkout(order, git, repository, kept, branch, target, main, tuple(notes), is_new)


def with_port(order: Order, place: Path) -> Order:
    """*order* with the port of the checkout, or the workspace, in *place*, for all that runs there."""
    register = order.git.network_ports
    port = port_for(place, register) if register is not None else None
    return order if port is None else replace(order, env={**order.env, PORT_VARIABLE: str(port)})


def _with_included(checkout: Checkout) -> Checkout:
    """*checkout* with copies of the owner's ignored files that ``.worktreeinclude`` names; no commit takes them."""
    owner, repository = checkout.owner, checkout.repository
    if checkout.git is None or repository is None or owner is None or checkout.branch is None:
        return checkout
    order, notes, record = checkout.order, list(checkout.notes), record_of(repository.root)
    if record is None:
        return checkout
    included = record.included
    if included is None:
        there = checkout.git.at(repository.root)
        found = include_ignored(owner, repository.root, there=there, closed=order.queue_dirs)
        included = found.there
        remember(repository.root, replace(record, included=included))
        notes += [f"copied from your checkout, as {NAME} says: {named(included)}"] if included else []
        notes += [f"not copied from your checkout: {named(found.left)}"] if found.left else []
    rules = replace(order.git.rules, included=included)
    return replace(
        checkout,
        order=replace(order, git=replace(order.git, rules=rules)),
        notes=tuple(notes),
        included=frozenset(included),
    )


def _set_apart_what_came_with_it(git: Git, repository: Repository, task_id: TaskId) -> None:
    """Of a hook, or of filters that do not give back what is committed."""
    if repository.head is not None and repository.dirty:
        begin_making(repository, task_id, before=repository.head, since=repository.head)
        end_making(git, repository, task_id)


def _checkpoint(
    order: Order,
    git: Git,
    repository: Repository,
    prepared: Prepared | None,
    *,
    since: str,
    began_on: str | None,
) -> tuple[Checkpoint, tuple[str, ...]]:
    """The one that the steps name, or a new one; and what a person should know of it.

    In a checkout that goes on, a new one is as if the task began now on *began_on*: what earlier attempts committed
    lands with the branch, so it is judged as the task's, too.
    """
    task_id, there = order.claim.task_id, git.at(repository.root)
    if since:
        kept, moved = continued_checkpoint(there, task_id, since)
        return kept, (moved,) if moved is not None else ()
    if prepared is not None:
        earlier = checkpoint_of_attempt(there, task_id, prepared.attempt)
        if earlier is not None:
            return earlier, ()
    attempt = prepared.attempt if prepared else order.claim.attempt
    own = earlier_work_of(git, task_id)
    kept = checkpoint(git, repository, task_id=task_id, attempt=attempt, own=own)
    began = merge_base(there, kept.base, began_on) if kept.base and began_on else None
    return moved_to(git, repository, kept, base=began) if began is not None else kept, ()


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
