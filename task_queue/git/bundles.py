"""Brings the commits of a bundle that came from elsewhere to a task's branch, and nothing else of it.

The bundle is unpacked in a repository of its own that borrows the owner's objects; what it holds is checked there, and
only what the tip needs is fetched into the owner's.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from task_queue.domain.document.naming import branch_of
from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.checkpoint import ref_of
from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git
from task_queue.git.records import remove_tree
from task_queue.git.repository import commit_of, is_ancestor, tree_of
from task_queue.git.untrusted import fetch_from_view
from task_queue.git.worktree import checkout_of
from task_queue.ports.finishing import CommitBundle

_UNPACK_TIMEOUT_S = 600.0
_MOST_OBJECTS = 500_000
_MOST_FILES = 1_000_000
_MOST_TREE_BYTES = 256 * 2**20
_MOST_NEW_BYTES = 2 * 2**30
_DEEPEST = 250
_TREE = b"40000"
_CONFIG = """[core]
	repositoryformatversion = 1
	bare = true
	logallrefupdates = false
[uploadpack]
	allowAnySHA1InWant = true
[extensions]
	objectFormat = {format}
"""


class BadBundle(GitError):  # noqa: N818 - what was handed in, not a fault of git
    """What was handed in is not what it is said to be, or cannot be taken; it would be no better later."""


def bring_bundle(git: Git, bundle: CommitBundle, task_id: TaskId, *, beside: Path) -> str:
    """The task's branch, which is at the bundle's tip now. Idempotent.

    *git* is in the root of the owner's working tree; *beside* is a folder that may be made and removed. An earlier
    branch of the task that the tip does not continue stays, and the new one gets a number. Raises BadBundle, GitError.
    """
    base, tip = commit_of(git, bundle.base_commit), bundle.tip
    if base is None:
        raise BadBundle(
            f"the work is said to begin on {bundle.base_commit}, which the repository does not have"
        )
    with _apart(git, beside, base) as apart:
        _unpack(apart, bundle)
        if not is_ancestor(apart, base, of=tip):
            raise BadBundle(
                f"the work at {tip[:12]} does not continue {base[:12]}, which it is said to begin on"
            )
        _demand_size(apart, base, tip)
        branch, old = _name_for(git, apart, task_id, tip)
        arrived = ref_of(task_id, "handed-in")
        fetch_from_view(git, apart, tip, arrived)
    git.change(
        *("update-ref", "-m", "commits that were handed in"),
        *(f"refs/heads/{branch}", tip, old or "0" * len(tip)),
    )
    git.change("update-ref", "-d", arrived)
    return branch


@contextmanager
def _apart(git: Git, place: Path, base: str) -> Generator[Git, None, None]:
    where = paths_of(git)
    remove_tree(place)  # of a try that was killed
    try:
        (place / "objects/info").mkdir(parents=True)
        (place / "refs/heads").mkdir(parents=True)
        (place / "objects/info/alternates").write_text(f"{where.objects}\n")
        (place / "refs/heads/base").write_text(f"{base}\n")
        (place / "HEAD").write_text("ref: refs/heads/none\n")
        (place / "config").write_text(_CONFIG.format(format=where.object_format))
        if (where.common_dir / "shallow").is_file():
            shutil.copyfile(where.common_dir / "shallow", place / "shallow")
    except OSError as error:
        raise GitError(f"{place}: {error.strerror}", hint="make room, or the folder writable") from error
    try:
        yield Git(place, git.environment, timeout_s=_UNPACK_TIMEOUT_S, git_dir=place, guard=git.guard)
    finally:
        remove_tree(place)


def _unpack(apart: Git, bundle: CommitBundle) -> None:
    heads = apart.ask("bundle", "list-heads", str(bundle.path))
    if heads.code != 0:
        raise BadBundle(f"what was handed in is not a git bundle: {_first_line(heads.said)}")
    if bundle.tip not in {line.partition(" ")[0] for line in heads.text.splitlines()}:
        raise BadBundle(f"the bundle has no ref at {bundle.tip[:12]}, which is said to be its tip")
    answer = apart.attempt(
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
        *("--no-auto-maintenance", str(bundle.path), f"{bundle.tip}:refs/heads/tip"),
    )
    if answer.code < 0:
        raise GitError(f"{apart.directory}: git was ended by signal {-answer.code}")
    if answer.code != 0 or commit_of(apart, "refs/heads/tip") != bundle.tip:
        raise BadBundle(f"the bundle cannot be unpacked: {_first_line(answer.said)}")
    for pack in sorted(
        (apart.directory / "objects/pack").glob("*.pack")
    ):  # fetching from a bundle checks less
        checked = apart.attempt(
            "index-pack", "--strict", "-o", str(apart.directory / "checked.idx"), str(pack)
        )
        if checked.code != 0:
            raise BadBundle(f"the bundle holds what git refuses: {_first_line(checked.said)}")


def _name_for(git: Git, apart: Git, task_id: TaskId, tip: str) -> tuple[str, str | None]:
    """The branch, and where it is; one that is checked out, or that *tip* does not continue, is left alone."""
    for number in itertools.count(1):
        name = branch_of(task_id) + (f"-{number}" if number > 1 else "")
        old = commit_of(git, f"refs/heads/{name}")
        if old is None or old == tip:
            return name, old
        if is_ancestor(apart, old, of=tip) and checkout_of(git, name) is None:
            return name, old
    raise AssertionError


def _demand_size(apart: Git, base: str, tip: str) -> None:
    """Not so much that a checkout of it would harm the machine. Raises BadBundle."""
    counted = dict(
        line.split(": ", 1) for line in apart.read("count-objects", "-v").text.splitlines() if ": " in line
    )
    if int(counted.get("in-pack", 0)) > _MOST_OBJECTS:
        raise BadBundle(f"the bundle has more than {_MOST_OBJECTS:,} objects")
    files = _files_of(apart, tree_of(apart, tip))
    if files > _MOST_FILES:
        raise BadBundle(f"the work has more than {_MOST_FILES:,} files")
    new_bytes = _bytes_of(apart, tip) - _bytes_of(apart, base)
    if new_bytes > _MOST_NEW_BYTES:
        raise BadBundle(f"the work adds more than {_MOST_NEW_BYTES:,} bytes")


def _bytes_of(apart: Git, commit: str) -> int:
    sizes = (
        line.partition("\t")[0].split()[-1] for line in apart.read("ls-tree", "-r", "-l", "-z", commit).fields
    )
    return sum(int(size) for size in sizes if size.isdecimal())


def _files_of(apart: Git, root: str) -> int:
    """How many files a checkout has, from each tree once: one tree may be in another many times."""
    inside: dict[str, tuple[int, list[str]]] = {}
    wanted = [root]
    read_bytes = 0
    while wanted:
        listing = apart.read(
            "cat-file", "--batch-check=%(objectname) %(objectsize)", stdin=_lines(wanted)
        ).text
        read_bytes += sum(int(line.split()[1]) for line in listing.splitlines())
        if read_bytes > _MOST_TREE_BYTES:
            raise BadBundle("the folders of the work are too large to be listed")
        inside.update(_trees(apart, wanted))
        known = {each for tree in wanted for each in inside[tree][1]}
        wanted = sorted(known - inside.keys())
    return _counted(inside, root)


def _trees(apart: Git, names: list[str]) -> dict[str, tuple[int, list[str]]]:
    """How many files each has itself, and which trees."""
    data, at = apart.read("cat-file", "--batch", stdin=_lines(names)).out, 0
    found: dict[str, tuple[int, list[str]]] = {}
    for name in names:
        end = data.index(b"\n", at)
        size, at = int(data[at:end].split()[2]), end + 1
        found[name] = _entries(data[at : at + size], len(name) // 2)
        at += size + 1
    return found


def _entries(tree: bytes, oid_bytes: int) -> tuple[int, list[str]]:
    files, trees, at = 0, list[str](), 0
    while at < len(tree):
        mode = tree[at : tree.index(b" ", at)]
        begin = tree.index(b"\0", at) + 1
        at = begin + oid_bytes
        if mode == _TREE:
            trees.append(tree[begin:at].hex())
        else:
            files += 1
    return files, trees


def _counted(inside: dict[str, tuple[int, list[str]]], root: str) -> int:
    totals: dict[str, tuple[int, int]] = {}
    waiting = [root]
    while waiting:
        tree = waiting[-1]
        files, trees = inside[tree]
        missing = [each for each in trees if each not in totals]
        if missing:
            waiting += missing
            continue
        waiting.pop()
        depth = 1 + max((totals[each][1] for each in trees), default=0)
        if depth > _DEEPEST:
            raise BadBundle(f"the work has folders that are nested more than {_DEEPEST} deep")
        totals[tree] = files + sum(totals[each][0] for each in trees), depth
    return totals[root][0]


def _lines(names: Iterable[str]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()


def _first_line(said: str) -> str:
    return next((line.strip() for line in said.splitlines() if line.strip()), "git says nothing")[:300]
