"""What an agent's git does in its checkout stays there; what it needs of the owner's repository is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from task_queue.domain.errors import GitError
from task_queue.domain.task import TaskId
from task_queue.git.inherited import NO_PUSH, without_credentials
from task_queue.git.removal import kept_checkouts, remove
from task_queue.git.scratch_checkout import scratch_checkout
from task_queue.git.worktree import Worktree, admin_folder, create, pin_of, seen_by_queue
from tests.git.conftest import Scratch
from tests.git.hostile import HOSTILE

TASK = TaskId("task-a")


@pytest.fixture
def upstream(scratch: Scratch, tmp_path: Path) -> Scratch:
    """A bare repository that the owner's was cloned from; the owner has a branch, a tag and a stash, too."""
    scratch.commit("second.txt")
    scratch.run("branch", "feature")
    scratch.run("tag", "-a", "-m", "First release", "v1")
    bare = tmp_path / "upstream.git"
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(bare))
    scratch.run("remote", "add", "origin", "../upstream.git")
    scratch.run("fetch", "-q", "origin")
    scratch.run("remote", "set-head", "origin", "main")
    scratch.run("branch", "-q", "--set-upstream-to=origin/main", "main")
    scratch.write("first.txt", "mine\n")
    scratch.run("stash")
    scratch.write("mine.txt", "mine\n")
    return scratch.at(bare)


def make(scratch: Scratch, tmp_path: Path, task_id: str = TASK) -> Worktree:
    return create(scratch.git, TaskId(task_id), directory=tmp_path / "trees" / task_id, base="main")


def shell(directory: Path, env: dict[str, str], command: str) -> str:
    """What an agent runs; all that it said."""
    done = subprocess.run(
        ["sh", "-c", command], cwd=directory, env=env, capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def state_of(scratch: Scratch) -> dict[str, object]:
    """All that a git command could change in the owner's repository, and its files."""
    folder = scratch.root / ".git"
    shared = [
        *folder.glob("hooks/*"),
        *folder.glob("info/*"),
        folder / "HEAD",
        folder / "index",
        folder / "config",
    ]
    return {
        "refs": scratch.run("for-each-ref"),
        "config": scratch.run("config", "--list"),
        "stash": scratch.run("stash", "list"),
        "status": scratch.run("--no-optional-locks", "status"),
        "worktrees": scratch.run("worktree", "list"),
        "reflog": scratch.run("reflog", "--all"),
        "shared": {str(path): path.read_bytes() for path in shared},
        "objects": scratch.run("count-objects", "-v"),
    }


@pytest.mark.parametrize("command", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_git_command_of_an_agent_changes_the_owners_repository(
    scratch: Scratch, upstream: Scratch, tmp_path: Path, command: str
) -> None:
    """Byte for byte: refs, configuration, stash, hooks, index, reflogs, files; nor the upstream's."""
    tree = make(scratch, tmp_path)
    before, above = state_of(scratch), upstream.run("for-each-ref")

    shell(tree.directory, scratch.env, command)

    assert state_of(scratch) == before
    assert upstream.run("for-each-ref") == above


def test_the_same_commands_in_a_linked_working_tree_do(
    scratch: Scratch, upstream: Scratch, tmp_path: Path
) -> None:
    """What the checkouts of earlier releases were: so that the test above is known to notice."""
    scratch.run("worktree", "add", "-q", "-b", "task-queue/task-a", str(tmp_path / "linked"))
    before = state_of(scratch)

    changed = 0
    for name in ("update-ref", "stash", "tag", "hooks", "exclude", "remote"):
        shell(tmp_path / "linked", scratch.env, HOSTILE[name])
        changed += state_of(scratch) != before
        before = state_of(scratch)

    assert changed == 6


def test_all_of_them_together_in_a_throw_away_checkout(
    scratch: Scratch, upstream: Scratch, tmp_path: Path
) -> None:
    """Tests of the task run there, and run git."""
    before = state_of(scratch)

    with scratch_checkout(scratch.git, "main", directory=tmp_path / "trees" / "task-a.verify") as directory:
        shell(directory, scratch.env, "\n".join(HOSTILE.values()))

    assert state_of(scratch) == before
    assert list((tmp_path / "trees").iterdir()) == []


def test_a_push_fails_at_once_and_says_why(scratch: Scratch, upstream: Scratch, tmp_path: Path) -> None:
    """Upstream remotes are there for fetching; the owner's repository is none of them."""
    scratch.run("remote", "add", "self", str(scratch.root))
    scratch.run("remote", "add", "dot", ".")
    upstream.at(upstream.root).run("branch", "later", "main")
    tree = make(scratch, tmp_path)
    agent = scratch.at(tree.directory)

    said = shell(tree.directory, scratch.env, "git push origin HEAD")

    assert NO_PUSH in said
    assert agent.run("remote") == "origin"
    agent.run("fetch", "-q", "origin")
    assert "origin/later" in agent.run("branch", "-r", "--format=%(refname:short)").split()
    assert agent.run("rev-parse", "origin/HEAD", "v1^{commit}", "feature", "main@{upstream}") == "\n".join(
        [scratch.run("rev-parse", "main")] * 4
    )


def test_it_looks_like_what_the_owner_has(scratch: Scratch, upstream: Scratch, tmp_path: Path) -> None:
    """A clean status, the owner's name, excluded files, attributes and conversions."""
    scratch.run("config", "user.name", "Owner")
    scratch.run("config", "core.autocrlf", "true")
    scratch.run("config", "core.fileMode", "false")
    scratch.run("config", "filter.upper.clean", "tr a-z A-Z")
    scratch.run("config", "filter.upper.smudge", "tr A-Z a-z")
    (scratch.root / ".git/info/exclude").write_text("*.log\n")
    (scratch.root / ".git/info/attributes").write_text("*.up filter=upper\n")
    scratch.commit("loud.up", "quiet\n")
    tree = make(scratch, tmp_path)
    agent = scratch.at(tree.directory)
    agent.write("build.log")

    assert agent.status() == []
    assert agent.run("branch", "--show-current") == "task-queue/task-a"
    assert agent.run("var", "GIT_AUTHOR_IDENT").startswith("Owner <person@example.org>")
    assert agent.run("config", "core.fileMode") == "false"
    assert (tree.directory / "loud.up").read_bytes() == b"quiet\r\n"
    assert agent.run("show", "HEAD:loud.up") == "QUIET"
    agent.commit("more.up", "more\n")
    assert agent.run("show", "HEAD:more.up") == "MORE"


def test_credentials_do_not_travel(scratch: Scratch, tmp_path: Path) -> None:
    for name, value in {
        "remote.origin.url": "https://me:secret@example.org/x.git",
        "remote.origin.pushurl": "https://me:secret@example.org/y.git",
        "remote.second.url": "https://secret@example.org/z.git",
        "remote.third.url": "git@example.org:x.git",
        "http.extraHeader": "Authorization: secret",
        "credential.helper": "store --file=secret",
        "alias.x": "!secret",
        "submodule.lib.url": "https://me:secret@example.org/lib.git",
    }.items():
        scratch.run("config", name, value)
    tree = make(scratch, tmp_path)

    assert "secret" not in scratch.at(tree.directory).run("config", "--list")
    assert "secret" not in (tree.directory / ".git/config").read_text()
    assert scratch.at(tree.directory).run("config", "remote.third.url") == "git@example.org:x.git"


@pytest.mark.parametrize(
    ("url", "without"),
    [
        ("https://a:b@host/x", "https://host/x"),
        ("https://token@host:8443/x@y", "https://host:8443/x@y"),
        ("ssh://git:pw@host/x", "ssh://git@host/x"),
        ("git@host:x", "git@host:x"),
        ("/a/path@b", "/a/path@b"),
        ("https://host/a@b", "https://host/a@b"),
    ],
)
def test_a_url_without_its_password(url: str, without: str) -> None:
    assert without_credentials(url) == without


def test_a_kept_checkout_survives_a_prune_in_the_owners_repository(
    scratch: Scratch, upstream: Scratch, tmp_path: Path
) -> None:
    """Whatever the owner deletes meanwhile; when the checkout goes, so does what was kept for it."""
    scratch.run("checkout", "-q", "-b", "gone", "main")
    scratch.commit("gone.txt")
    scratch.run("tag", "-a", "-m", "Gone", "gone-tag")
    tree = make(scratch, tmp_path)
    agent = scratch.at(tree.directory)
    scratch.run("checkout", "-q", "--orphan", "new")
    scratch.run("commit", "-q", "-m", "Anew")
    scratch.run("branch", "-D", "-q", "main", "gone", "feature")
    scratch.run("tag", "-d", "gone-tag", "v1")
    scratch.run("remote", "remove", "origin")
    scratch.run("stash", "clear")
    scratch.run("reflog", "expire", "--expire=now", "--all")
    scratch.run("gc", "-q", "--prune=now")

    assert agent.run("fsck", "--connectivity-only", "--no-dangling") == ""
    assert agent.run("log", "--format=%s", "-1", "gone-tag") == "Write gone.txt"
    agent.commit("more.txt")
    agent.run("gc", "-q", "--prune=now")
    assert agent.status() == []
    assert scratch.run("for-each-ref", "--format=%(refname)", "refs/task-queue") == pin_of(TASK)
    agent.run("reset", "-q", "--hard", "main")
    scratch.run("branch", "main", "task-queue/task-a")
    assert remove(scratch.git, tree.directory) is None
    assert scratch.run("for-each-ref", "refs/task-queue", "refs/heads/task-queue") == ""
    assert list((tmp_path / "trees").iterdir()) == []


def test_a_shallow_owner(scratch: Scratch, upstream: Scratch, tmp_path: Path) -> None:
    shallow = scratch.at(tmp_path / "shallow")
    scratch.run("clone", "-q", "--depth=1", f"file://{upstream.root}", str(shallow.root))
    agent = scratch.at(make(shallow, tmp_path).directory)

    assert (agent.run("log", "--format=%s"), agent.status()) == ("Write second.txt", [])
    agent.run("fetch", "-q", "--unshallow", "origin")
    assert agent.run("rev-list", "--count", "HEAD") == "2"
    assert shallow.run("rev-list", "--count", "HEAD") == "1"


def test_an_owner_that_borrows_objects_itself(scratch: Scratch, upstream: Scratch, tmp_path: Path) -> None:
    borrower = scratch.at(tmp_path / "borrower")
    scratch.run("clone", "-q", "--shared", str(upstream.root), str(borrower.root))
    borrower.commit("third.txt")
    agent = scratch.at(make(borrower, tmp_path).directory)

    assert agent.run("log", "--format=%s").splitlines() == [
        "Write third.txt",
        "Write second.txt",
        "Write first.txt",
    ]
    assert agent.run("fsck", "--connectivity-only", "--no-dangling") == ""


def test_a_partial_clone(scratch: Scratch, upstream: Scratch, tmp_path: Path) -> None:
    """What is missing is fetched where it is needed: by the queue for the files, by the agent's git for history."""
    upstream.run("config", "uploadpack.allowFilter", "true")
    upstream.run("config", "uploadpack.allowAnySHA1InWant", "true")
    partial = scratch.at(tmp_path / "partial")
    scratch.run(
        "clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{upstream.root}", str(partial.root)
    )
    tree = make(partial, tmp_path)
    agent = scratch.at(tree.directory)

    assert (agent.status(), (tree.directory / "first.txt").read_text()) == ([], "first\n")
    assert agent.run("show", "HEAD~1:first.txt") == "first"


def test_a_sparse_checkout(scratch: Scratch, tmp_path: Path) -> None:
    """The checkout has the same files, and the agent's git knows that the others are not deleted."""
    scratch.commit("in/a.txt")
    scratch.commit("out/b.txt")
    scratch.run("sparse-checkout", "set", "in")
    tree = make(scratch, tmp_path)
    agent = scratch.at(tree.directory)

    assert ((tree.directory / "in/a.txt").exists(), (tree.directory / "out").exists()) == (True, False)
    assert agent.status() == []
    agent.commit("in/c.txt")
    assert agent.run("ls-tree", "-r", "--name-only", "HEAD").split() == [
        *("first.txt", "in/a.txt", "in/c.txt", "out/b.txt"),
    ]


@pytest.mark.parametrize("remote", [True, False], ids=["of the upstream", "without an upstream"])
def test_submodules_are_found_where_the_owner_finds_them(
    scratch: Scratch, tmp_path: Path, *, remote: bool
) -> None:
    """A relative address is told from the upstream, or from the owner's repository where there is none."""
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(tmp_path / "library.git"))
    if remote:
        (tmp_path / "up").mkdir()
        (tmp_path / "library.git").rename(tmp_path / "up/library.git")
        scratch.run("remote", "add", "origin", f"file://{tmp_path}/up/project.git")
    scratch.run("submodule", "--quiet", "add", "../library.git", "vendor")
    scratch.run("commit", "-q", "-m", "Add the library")
    if not remote:
        scratch.run("submodule", "--quiet", "deinit", "--force", "vendor")
    agent = scratch.at(make(scratch, tmp_path).directory)

    agent.run("submodule", "--quiet", "update", "--init")

    assert (agent.root / "vendor/first.txt").read_text() == "first\n"
    assert agent.status() == []


def test_what_is_worked_on_may_be_a_submodule(scratch: Scratch, tmp_path: Path) -> None:
    """Its repository is elsewhere, and names its files in its configuration."""
    scratch.run("clone", "-q", "--bare", str(scratch.root), str(tmp_path / "library.git"))
    scratch.run("submodule", "--quiet", "add", str(tmp_path / "library.git"), "vendor")
    vendor = scratch.at(scratch.root / "vendor")
    tree = make(vendor, tmp_path)

    assert scratch.at(tree.directory).status() == []
    assert scratch.at(tree.directory).run("rev-parse", "--show-toplevel") == str(tree.directory)


def test_an_owner_with_configuration_for_each_working_tree(scratch: Scratch, tmp_path: Path) -> None:
    scratch.run("config", "extensions.worktreeConfig", "true")
    scratch.run("config", "--worktree", "user.name", "Only here")
    agent = scratch.at(make(scratch, tmp_path).directory)

    assert agent.run("var", "GIT_AUTHOR_IDENT").startswith("Only here <")
    assert agent.status() == []


def test_a_name_by_condition_travels(scratch: Scratch, tmp_path: Path) -> None:
    """``includeIf`` asks where the repository is; the checkout is elsewhere, and is the same person's."""
    home = Path(scratch.env["HOME"])
    (home / "work.config").write_text("[user]\n\tname = At work\n")
    with (home / ".gitconfig").open("a") as file:
        file.write(f'[includeIf "gitdir:{scratch.root}/"]\n\tpath = work.config\n')

    assert (
        scratch.at(make(scratch, tmp_path).directory).run("var", "GIT_AUTHOR_IDENT").startswith("At work <")
    )


@pytest.mark.parametrize("where", ["outside", "in the files, and ignored"])
def test_hooks_apply_and_are_out_of_reach(scratch: Scratch, tmp_path: Path, where: str) -> None:
    """Those of the main checkout, also where a fresh one lacks them; the agent's are never run by the queue."""
    folder = tmp_path / "hooks" if where == "outside" else scratch.root / ".husky/_"
    folder.mkdir(parents=True)
    scratch.commit(".gitignore", ".husky\n")
    (folder / "pre-commit").write_text("#!/bin/sh\necho refused by the owner\nexit 1\n")
    (folder / "pre-commit").chmod(0o755)
    scratch.run("config", "core.hooksPath", str(folder) if where == "outside" else ".husky/_")
    before = (folder / "pre-commit").read_bytes()
    tree = make(scratch, tmp_path)
    shell(
        tree.directory,
        scratch.env,
        'd="$(git rev-parse --git-path hooks)"; mkdir -p "$d"; printf "#!/bin/sh\\ntouch ran" > "$d/pre-commit";'
        ' chmod +x "$d/pre-commit"; mkdir -p .git/hooks; cp "$d/pre-commit" .git/hooks; echo more >> first.txt',
    )

    answer = tree.git.attempt("commit", "-q", "-a", "-m", "By the queue")

    assert "refused by the owner" in answer.said
    assert not (tree.directory / "ran").exists()
    assert (folder / "pre-commit").read_bytes() == before


def test_the_agents_configuration_starts_nothing_for_the_queue(scratch: Scratch, tmp_path: Path) -> None:
    """Filters, monitors, programs for differences: what it configures is for its own git alone."""
    tree = make(scratch, tmp_path)
    ran = tmp_path / "ran"
    trap = f"touch {ran}; cat"
    agent = scratch.at(tree.directory)
    agent.write(".gitattributes", "* filter=trap diff=trap merge=trap\n")
    for name in (
        "filter.trap.clean",
        "filter.trap.smudge",
        "core.fsmonitor",
        "diff.external",
        "diff.trap.textconv",
    ):
        agent.run("config", name, trap)
    agent.run("config", "core.worktree", "/")
    (tree.directory / "first.txt").write_text("other\n")

    there = seen_by_queue(scratch.git, tree.directory)
    there.change("add", "--all")
    there.read("diff", "--cached")
    why = remove(scratch.git, tree.directory)

    assert why is not None
    assert not ran.exists()


def test_checkouts_are_listed_with_why_they_are_kept(
    scratch: Scratch, upstream: Scratch, tmp_path: Path
) -> None:
    """Also one of an earlier release, which is a working tree of the owner's repository."""
    folder = tmp_path / "trees"
    make(scratch, tmp_path, "task-clean")
    scratch.at(make(scratch, tmp_path, "task-dirty").directory).write("half-done.txt", "x" * 100_000)
    scratch.at(make(scratch, tmp_path, "task-ahead").directory).run(
        "commit", "-q", "--allow-empty", "-m", "Mine"
    )
    scratch.run("worktree", "add", "-q", "-b", "task-queue/task-old", str(folder / "task-old"))
    shutil.rmtree(make(scratch, tmp_path, "task-gone").directory)

    found = {kept.task_id: kept for kept in kept_checkouts(folder, scratch.git)}

    assert {name: kept.why_kept for name, kept in found.items()} == {
        "task-clean": None,
        "task-dirty": "uncommitted: half-done.txt",
        "task-ahead": "commits that only task-queue/task-ahead has",
        "task-old": None,
        "task-gone": None,
    }
    assert found["task-dirty"].size_bytes > 100_000
    assert found["task-old"].repository == scratch.root


def test_a_checkout_of_an_earlier_release_gets_its_own_repository(
    scratch: Scratch, upstream: Scratch, tmp_path: Path
) -> None:
    """With the work that is in it."""
    directory = tmp_path / "trees" / TASK
    scratch.run("worktree", "add", "-q", "-b", "task-queue/task-a", str(directory))
    commit = scratch.at(directory).commit("step.txt")
    scratch.at(directory).write("half-done.txt")

    tree = make(scratch, tmp_path)

    assert (tree.continued, tree.head) == (True, commit)
    assert (directory / ".git").is_dir()
    assert scratch.at(directory).status() == ["?? half-done.txt"]
    before = state_of(scratch)
    shell(directory, scratch.env, "\n".join(HOSTILE.values()))
    assert state_of(scratch) == before


@pytest.mark.parametrize("what", ["before the link went", "after the link went", "the agent removed it"])
def test_a_repository_that_is_missing_is_made_again(scratch: Scratch, tmp_path: Path, what: str) -> None:
    """A crash between its steps, or an agent's doing: the files stay."""
    tree = make(scratch, tmp_path)
    (tree.directory / "half-done.txt").touch()
    shutil.rmtree(tree.directory / ".git")
    if what == "before the link went":
        (tree.directory / ".git").write_text(f"gitdir: {admin_folder(scratch.git, tree.directory)}\n")
    (tree.directory.with_name(".task-a.new") / "objects").mkdir(parents=True)

    again = make(scratch, tmp_path)

    assert (again.continued, again.branch) == (True, tree.branch)
    assert scratch.at(tree.directory).status() == ["?? half-done.txt"]


def test_a_checkout_whose_repository_is_gone_can_be_removed(scratch: Scratch, tmp_path: Path) -> None:
    tree = make(scratch, tmp_path)
    scratch.run("branch", "safe", tree.branch)
    shutil.rmtree(tree.directory / ".git")

    assert remove(scratch.git, tree.directory) is None
    assert list((tmp_path / "trees").iterdir()) == []


def test_a_checkout_that_was_renamed_is_found(scratch: Scratch, tmp_path: Path) -> None:
    tree = make(scratch, tmp_path)
    scratch.at(tree.directory).write("half-done.txt")
    tree.directory.rename(tree.directory.with_name("renamed"))

    again = make(scratch, tmp_path)

    assert again.notes == ("the checkout had been renamed to renamed; it has its name again",)
    assert (again.continued, (tree.directory / "half-done.txt").exists()) == (True, True)


def test_a_post_checkout_hook_that_fails_is_told(scratch: Scratch, tmp_path: Path) -> None:
    """It is not in the way: git has written the files by then."""
    scratch.hook("post-checkout", "echo no network; exit 1")

    tree = make(scratch, tmp_path)

    assert tree.notes == ("the hook post-checkout failed: no network",)
    assert scratch.at(tree.directory).status() == []


def test_two_tasks_whose_names_differ_in_case_alone(scratch: Scratch, tmp_path: Path) -> None:
    first, second = make(scratch, tmp_path, "task-a"), make(scratch, tmp_path, "task-A")

    assert first.branch != second.branch


def test_a_disk_that_is_full_leaves_nothing_half_made(scratch: Scratch, tmp_path: Path) -> None:
    """Tried again, it is made as if nothing had been."""
    folder = tmp_path / "trees"
    folder.mkdir()
    (folder / f".{TASK}.checkout.json").mkdir()  # in the way of the record, as a full disk would be
    with pytest.raises(GitError):
        make(scratch, tmp_path)
    (folder / f".{TASK}.checkout.json").rmdir()

    tree = make(scratch, tmp_path)

    assert scratch.at(tree.directory).status() == []
    assert sorted(path.name for path in folder.iterdir()) == [f".{TASK}.checkout.json", TASK]
