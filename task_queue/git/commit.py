"""The commit at a task's end: only what the task changed and was judged, through the repository's hooks.

It is made of the tree object that was judged, in an index of our own: what a person has staged stays staged, and
what an agent does to files, index and refs after the verdict is in no commit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.domain.work.commits import (
    TASK_ID,
    TASK_QUEUE_ATTEMPT,
    CommitFacts,
    Signature,
    doubts_about,
    message_of,
    trailers_in,
)
from task_queue.domain.work.repository_changes import RefMove, is_of_the_queue
from task_queue.git.checkpoint import Checkpoint
from task_queue.git.landings import announce_landing
from task_queue.git.program import Git, said_by
from task_queue.git.repository import Repository, branch_at, commit_of, head_of, is_ancestor, tree_of
from task_queue.git.signing import signs
from task_queue.git.snapshot import (
    Entry,
    LeftOut,
    entries_in_index,
    put_into_index,
    steps_between,
    temporary_index,
    tree_or_empty,
)

HOOKS_TIMEOUT_S = 600.0
"""For the hooks of a commit, or of a landing together."""

_MAX_COMMITS = 1000
_MESSAGE = "COMMIT_EDITMSG"


@dataclass(frozen=True, slots=True)
class CommitResult:
    """What a task's work came to in commits."""

    ours: str | None
    """The final commit; None where nothing was left to commit, or it was refused."""
    by_agent: tuple[str, ...]
    """Commits that came about since the checkpoint otherwise, oldest first."""
    branch: str | None
    head: str | None
    paths: tuple[str, ...] = ()
    """What *ours* changes."""
    overlap: tuple[str, ...] = ()
    """Uncommitted before the task, and changed since: left uncommitted."""
    taken_along: tuple[str, ...] = ()
    """Uncommitted before the task, and in the agent's own commits now."""
    late: tuple[str, ...] = ()
    """Commits that came after the verdict."""
    overtaken: tuple[str, ...] = ()
    """Paths that they changed, too: left uncommitted."""
    by_hooks: tuple[str, ...] = ()
    """Paths that hooks made into something else than what was judged: not in *ours*."""
    left_out: tuple[LeftOut, ...] = ()
    rewritten: bool = False
    """The commit that the task began on is no longer part of the history."""
    refused: str | None = None
    """What git and its hooks said when they refused the commit; the changes are where they were."""
    to_judge: bool = False
    """Nothing was committed, because what hooks made of the files is judged first."""

    @property
    def all(self) -> tuple[str, ...]:
        return (*self.by_agent, *([self.ours] if self.ours else ()))


def why_no_signature(git: Git, signature: Signature) -> str | None:
    """Why git would not commit for want of a name; to be asked before a task is paid for."""
    signed = _signed(git, signature)
    for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
        answer = signed.ask("-c", "user.useConfigOnly=true", "var", who)
        if answer.code != 0:
            return "git has no name to commit as: git config --global user.name NAME, and user.email"
    return None


def subjects_of(git: Git, commits: Sequence[str]) -> tuple[str, ...]:
    """The first line of each message, in the order of *commits*."""
    if not commits:
        return ()
    return tuple(git.read("log", "--no-walk=unsorted", "-z", "--format=%s", *commits).fields)


def doubts_about_agents(
    git: Git, commits: Sequence[str], *, signature: Signature, but: Collection[str] = ()
) -> tuple[str, ...]:
    """What is odd about *commits*, which the agent made; those that are in a commit of *but* are others'.

    An agent may commit as git is configured, or as the queue would with *signature*.
    """
    if not commits:
        return ()
    refs = [f"^{commit}" for commit in but]
    form = "--format=%H%x01%an <%ae>%x01%cn <%ce>%x01%B"
    answer = git.read("log", "--no-walk=unsorted", "-z", form, *commits)
    others = set(commits) - set(git.read("rev-list", *commits, *refs).text.split()) if refs else set[str]()
    facts = [
        CommitFacts(*line.split("\x01", 3)) for line in answer.text.split("\0") if line.count("\x01") >= 3
    ]
    configured = {
        who.text.rpartition(" ")[0].rpartition(" ")[0]
        for asked in (git, _signed(git, signature))
        for who in (asked.ask("var", "GIT_AUTHOR_IDENT"), asked.ask("var", "GIT_COMMITTER_IDENT"))
    }
    return doubts_about([each for each in facts if each.commit not in others], configured)


@dataclass(frozen=True, slots=True)
class Judged:
    """What verification and audit judged: the only files that the queue commits."""

    tree: str
    head: str | None
    """The commit that was checked out then; None before the first one."""
    left_out: tuple[LeftOut, ...] = ()
    """What was uncommitted then and is not in *tree*."""
    changed_since: frozenset[str] = frozenset()
    """Paths whose files are others by now, which nothing judged."""


def final_commit(
    git: Git,
    repository: Repository,
    *,
    since: Checkpoint,
    judged: Judged,
    subject: str,
    body: str,
    trailers: Mapping[str, str],
    signature: Signature | None = None,
    within_s: float = HOOKS_TIMEOUT_S,
    held: bool = False,
    made: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
    goes_back: Callable[[Collection[str]], bool] = lambda _: False,
    take_back: Callable[[], None] | None = None,
) -> CommitResult:
    """Commit what *judged* has changed since the checkpoint and was not uncommitted before it; nothing if *held*.

    The files come from the tree that was judged and from no other place. Where a hook makes something else of them,
    *goes_back* gets the paths and says whether that is judged first; if not, it is left out. Where the branch has
    more commits by now, *take_back* lets it be where it was judged; without it, the commit is made on them.

    The commit is given to *announce* before a branch has it, and an earlier call's comes back as *made*. Without
    it, a commit counts as the queue's if it has exactly what the queue would commit: *trailers* must hold Task-Id
    and Task-Queue-Attempt, which an agent can write, too. Raises GitError where git itself is in trouble; a hook's
    refusal is in ``refused``.
    """
    there = git.at(repository.root)
    changed = [step.path for step in steps_between(there, since.commit, judged.tree)]
    entries = _to_commit(there, since, judged)
    ours = _earlier_call(there, repository, judged, entries, trailers, made=made)
    late = _late_commits(there, judged.head, ours)
    if ours is None and head_of(there) != judged.head and take_back is not None:
        take_back()
        late = ()
    head = head_of(there)
    result = CommitResult(
        ours=ours,
        by_agent=tuple(commit for commit in _commits_since(there, since.base) if commit != ours),
        branch=branch_at(there),
        head=head,
        overlap=tuple(path for path in changed if path in since.others_paths),
        late=late,
        left_out=judged.left_out,
        rewritten=_is_rewritten(there, since.base),
    )
    if ours is None and not held:
        moved = _paths_of(there, judged.head, head) if late else frozenset[str]()
        result = _commit(
            there,
            repository,
            replace(result, overtaken=tuple(path for path in entries if path in moved)),
            entries={path: entry for path, entry in entries.items() if path not in moved},
            changed_since=judged.changed_since,
            message=message_of(subject, body, trailers),
            signature=signature or Signature(),
            ends_at=time.monotonic() + within_s,
            announce=announce,
            goes_back=goes_back,
        )
    if result.ours is not None:
        result = replace(result, paths=_follow_in_index(there, result.ours, just_made=ours is None))
    return replace(result, taken_along=_taken_along(there, since, result.by_agent))


def _earlier_call(
    git: Git,
    repository: Repository,
    judged: Judged,
    entries: Mapping[str, Entry],
    trailers: Mapping[str, str],
    *,
    made: str | None,
) -> str | None:
    """The commit of an earlier call, which was cut off; a branch that does not have it yet gets it."""
    head = head_of(git)
    if made is not None and commit_of(git, made) == made:
        if head is not None and is_ancestor(git, made, of=head):
            return made
        if head == judged.head:
            _advance(git, repository, made, head)
            return made
    first = next(iter(_commits_since(git, judged.head)), None)
    marks = {name: trailers[name] for name in (TASK_ID, TASK_QUEUE_ATTEMPT)}
    if first is None or not _follows(git, first, judged.head) or not _carries(git, first, marks):
        return None
    with _staged(git, repository, judged.head, entries) as ours:
        wanted = ours.change("write-tree").text
    return first if tree_of(git, first) == wanted else None


def _late_commits(git: Git, judged: str | None, ours: str | None) -> tuple[str, ...]:
    """Commits that came after the verdict, but for the queue's own."""
    return tuple(commit for commit in _commits_since(git, judged) if commit != ours)


def _after(git: Git, commit: str, onto: str | None) -> tuple[str, ...]:
    """Commits that a hook made after the queue's, or in its place."""
    return () if head_of(git) == commit else _late_commits(git, onto, commit)


def _paths_of(git: Git, before: str | None, after: str | None) -> frozenset[str]:
    return frozenset(
        step.path for step in steps_between(git, tree_or_empty(git, before), tree_or_empty(git, after))
    )


def _to_commit(git: Git, since: Checkpoint, judged: Judged) -> dict[str, Entry]:
    """What the commit that was judged does not have of the files that were: also what was committed and removed again.

    A file that was uncommitted before stays so. Where a version of it was committed that is neither what was there
    before nor what was judged, the commit goes back to the one of *since*.
    """
    head = tree_or_empty(git, judged.head)
    base = {step.path: step.after for step in steps_between(git, head, tree_or_empty(git, since.base))}
    entries: dict[str, Entry] = {}
    for step in steps_between(git, head, judged.tree):
        if step.path not in since.others_paths:
            entries[step.path] = step.after
        elif step.path in base and step.before != since.dirty.get(step.path):
            entries[step.path] = base[step.path]
    return entries


@contextmanager
def _staged(
    git: Git, repository: Repository, onto: str | None, entries: Mapping[str, Entry]
) -> Generator[Git, None, None]:
    """An index of the queue's own with *entries* on the commit *onto*."""
    with temporary_index(git, repository, empty=True) as ours:
        ours.change("read-tree", tree_or_empty(git, onto))
        put_into_index(ours, entries)
        yield ours


def _commit(
    git: Git,
    repository: Repository,
    result: CommitResult,
    *,
    entries: Mapping[str, Entry],
    changed_since: Collection[str],
    message: str,
    signature: Signature,
    ends_at: float,
    announce: Callable[[str], None],
    goes_back: Callable[[Collection[str]], bool],
) -> CommitResult:
    onto = result.head
    with _staged(git, repository, onto, entries) as ours:
        assert ours.index is not None
        wanted, text = ours.change("write-tree").text, ours.index.with_name(_MESSAGE)
        if not steps_between(git, tree_or_empty(git, onto), wanted):
            return result
        try:
            text.write_bytes(message.encode(errors="replace"))
            refused = _hooks_refuse(_signed(ours, signature), text, ends_at)
            said = ours.read("stripspace", stdin=text.read_bytes()).out
        except OSError as error:
            raise GitError(f"{text}: {error.strerror}", hint="make room, or the folder writable") from error
        if refused is None and not said.strip():
            refused = "a hook left no commit message"
        if refused is not None:
            return replace(result, refused=refused)
        _take_back_unjudged(ours, wanted, changed_since)
        by_hooks = tuple(step.path for step in steps_between(git, wanted, ours.change("write-tree").text))
    result = replace(result, by_hooks=by_hooks)
    if by_hooks and goes_back(by_hooks):
        return replace(result, to_judge=True)
    parents = ("-p", onto) if onto else ()
    how = ("-S",) if signs(git) else ("--no-gpg-sign",)
    commit = _signed(git, signature).change("commit-tree", *how, wanted, *parents, "-F", "-", stdin=said).text
    announce(commit)
    _advance(git, repository, commit, onto)
    with suppress(GitError):  # git does not ask this hook, either
        _signed(git, signature).within(_left_s(ends_at)).run_hook("post-commit")
    return replace(result, ours=commit, head=head_of(git), late=(*result.late, *_after(git, commit, onto)))


def _hooks_refuse(git: Git, text: Path, ends_at: float) -> str | None:
    """Run the hooks of git-commit(1) on the index of *git*; what the first that refuses says."""
    for hook in (("pre-commit",), ("prepare-commit-msg", str(text), "message"), ("commit-msg", str(text))):
        answer = git.within(_left_s(ends_at)).run_hook(*hook)
        if answer.code != 0:
            return said_by(answer)
    return None


def _left_s(ends_at: float) -> float:
    return max(1.0, ends_at - time.monotonic())


def _take_back_unjudged(ours: Git, wanted: str, paths: Collection[str]) -> None:
    """A hook that adds all there is must not bring in what changed after the verdict."""
    steps = steps_between(ours, wanted, ours.change("write-tree").text)
    back = {step.path: step.before for step in steps if step.path in paths}
    if back:
        put_into_index(ours, back)


def _advance(git: Git, repository: Repository, commit: str, onto: str | None) -> None:
    """Let HEAD, and the branch that it names, have *commit*. Raises GitError if it is not on *onto* any more."""
    # Not with its subject: all users of the machine can read the arguments of a process.
    git.change("update-ref", "-m", "commit of task-queue", "HEAD", commit, onto or "0" * len(commit))
    branch = branch_at(git)
    if onto is not None and branch is not None:
        move = RefMove(f"refs/heads/{branch}", onto, commit)
        if not is_of_the_queue(move.ref):
            announce_landing(repository.common_dir, move)


def _follow_in_index(git: Git, commit: str, *, just_made: bool) -> tuple[str, ...]:
    """Let the repository's index hold *commit*'s version of its paths.

    Whatever else it holds there was staged while the task ran, by an agent that went on editing; left
    alone, a person's next commit would bring it back. Only where the commit was made before a crash, a
    person may have staged something since.
    """
    parent = git.ask("rev-parse", "--verify", "--quiet", f"{commit}^").text or tree_or_empty(git, None)
    steps = steps_between(git, parent, commit)
    staged = entries_in_index(git)
    stale = {
        step.path: step.after
        for step in steps
        if just_made or _still_holds(staged.get(step.path), step.before)
    }
    if stale:
        put_into_index(git, stale)
        git.attempt("update-index", "-q", "--refresh")
    return tuple(step.path for step in steps)


def _still_holds(staged: Entry | None, before: Entry) -> bool:
    return before.absent if staged is None else staged == before


def _commits_since(git: Git, base: str | None) -> tuple[str, ...]:
    """Oldest first."""
    if head_of(git) is None:
        return ()
    answer = git.read(
        "rev-list",
        "--reverse",
        "--topo-order",
        f"--max-count={_MAX_COMMITS}",
        *([f"^{base}"] if base else []),
        "HEAD",
    )
    return tuple(answer.text.split())


def _follows(git: Git, commit: str, onto: str | None) -> bool:
    parents = git.read("rev-list", "--no-walk", "--parents", commit).text.split()[1:]
    return parents == ([onto] if onto else [])


def _carries(git: Git, commit: str, marks: Mapping[str, str]) -> bool:
    body = git.read("show", "--no-patch", "--format=%B", commit).text
    return marks.items() <= trailers_in(body).items()


def _is_rewritten(git: Git, base: str | None) -> bool:
    return base is not None and not is_ancestor(git, base, of="HEAD")


def _taken_along(git: Git, since: Checkpoint, commits: Iterable[str]) -> tuple[str, ...]:
    """What the agent committed that a person had not."""
    if not any(True for _ in commits):
        return ()
    against = tree_or_empty(git, since.base)
    return tuple(step.path for step in steps_between(git, against, "HEAD") if step.path in since.others_paths)


def _signed(git: Git, signature: Signature) -> Git:
    return replace(git, extra={**git.extra, **signature.variables})
