"""The commit at a task's end: only what the task changed, through the repository's hooks.

It is made with an index of our own, so what a person has staged stays staged and uncommitted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

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
from task_queue.domain.work.unwanted import CommitRules
from task_queue.git.changes import taken_back
from task_queue.git.checkpoint import Checkpoint, snapshot_now
from task_queue.git.commit_begun import begin_commit
from task_queue.git.landings import announce_landing
from task_queue.git.program import Git
from task_queue.git.repository import Repository, branch_at, head_of, is_ancestor
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
    left_out: tuple[LeftOut, ...] = ()
    rewritten: bool = False
    """The commit that the task began on is no longer part of the history."""
    refused: str | None = None
    """What git and its hooks said when they refused the commit; the changes are where they were."""

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
    return tuple(git.read("log", "--no-walk=unsorted", "-z", "--format=%s", *commits).text.split("\0"))


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


def final_commit(
    git: Git,
    repository: Repository,
    *,
    since: Checkpoint,
    subject: str,
    body: str,
    trailers: Mapping[str, str],
    signature: Signature | None = None,
    within_s: float = HOOKS_TIMEOUT_S,
    rules: CommitRules | None = None,
    held: bool = False,
    earlier: Collection[str] = (),
) -> CommitResult:
    """Commit what changed since the checkpoint and was not uncommitted before it.

    What *rules* keep out of commits stays uncommitted, and so does everything where the commit is *held*.

    *trailers* must hold Task-Id and Task-Queue-Attempt: a commit that carries both and follows directly on where
    HEAD was at the first call, after *earlier* commits of the queue, is the one that an earlier call made.
    No other is: an agent can write these trailers, too. Raises GitError where git itself is in trouble; a
    hook's refusal is in ``refused``.
    """
    there = git.at(repository.root)
    marks = {name: trailers[name] for name in (TASK_ID, TASK_QUEUE_ATTEMPT)}
    history = _commits_since(there, since.base)
    onto = begin_commit(repository, {**marks, "after": " ".join(earlier)}, head=head_of(there))
    ours = _made_on(there, onto, history, marks)
    now = snapshot_now(there, repository, since=since, rules=rules)
    changed = [step.path for step in steps_between(there, since.commit, now.tree)]
    rewritten = _is_rewritten(there, since.base)
    back = () if rewritten or not history else taken_back(there, since=since.commit, tree=now.tree)
    result = CommitResult(
        ours=ours,
        by_agent=tuple(commit for commit in history if commit != ours),
        branch=branch_at(there),
        head=head_of(there),
        overlap=tuple(path for path in changed if path in since.others_paths),
        left_out=now.left_out,
        rewritten=rewritten,
    )
    if ours is None and not held:
        result = _commit(
            there,
            repository,
            result,
            tree=now.tree,
            paths=[path for path in (*changed, *back) if path not in since.others_paths],
            message=message_of(subject, body, trailers),
            signature=signature or Signature(),
            within_s=within_s,
        )
    if result.ours is not None:
        result = replace(result, paths=_follow_in_index(there, result.ours, just_made=ours is None))
    return replace(result, taken_along=_taken_along(there, since, result.by_agent))


def _commit(
    git: Git,
    repository: Repository,
    result: CommitResult,
    *,
    tree: str,
    paths: Sequence[str],
    message: str,
    signature: Signature,
    within_s: float,
) -> CommitResult:
    against = tree_or_empty(git, result.head)
    mine = frozenset(paths)
    entries = {step.path: step.after for step in steps_between(git, against, tree) if step.path in mine}
    if not entries:
        return result
    with temporary_index(git, repository, empty=True) as ours:
        ours.change("read-tree", against)
        put_into_index(ours, entries)
        signed = _signed(ours, signature).within(within_s)
        answer = signed.attempt(
            "commit", "--cleanup=whitespace", "-F", "-", stdin=message.encode(errors="replace")
        )
    head = head_of(git)
    if answer.code != 0 or head == result.head:
        said = "\n".join(part for part in (answer.said.strip(), answer.text.strip()) if part)
        return replace(result, refused=said or f"git commit ended with exit code {answer.code}")
    if head is not None and result.head is not None and result.branch is not None:
        move = RefMove(f"refs/heads/{result.branch}", result.head, head)
        if not is_of_the_queue(move.ref):
            announce_landing(repository.common_dir, move)
    return replace(result, ours=head, head=head)


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


def _made_on(git: Git, onto: str | None, history: Sequence[str], marks: Mapping[str, str]) -> str | None:
    """The commit of an earlier call, the first one since it began."""
    later = history[history.index(onto) + 1 :] if onto in history else history
    return (
        later[0]
        if later and later[0] != onto and _follows(git, later[0], onto) and _carries(git, later[0], marks)
        else None
    )


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
