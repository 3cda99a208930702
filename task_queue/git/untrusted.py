"""Looking into a repository that an agent can write: nothing in its configuration is read, no hook of it runs.

Git is pointed at a folder of the queue's own that borrows refs and objects of the other repository. They are
data; programs are named in the configuration alone, and that is the queue's.
"""

from __future__ import annotations

import shlex
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.own_repository import paths_of
from task_queue.git.program import Git
from task_queue.platform import durable

_FETCH_TIMEOUT_S = 600.0
_HEAD_LIMIT = 4096
_CONFIG = """[core]
	repositoryformatversion = 1
	bare = true
	logallrefupdates = false
[uploadpack]
	allowAnySHA1InWant = true
[extensions]
	objectFormat = {format}
"""


@contextmanager
def isolated_view(git: Git, git_dir: Path) -> Generator[Git, None, None]:
    """Git in the repository at *git_dir*; changing its refs is possible, too. Raises GitError.

    *git* is in the repository whose objects it borrows. Gone afterwards is only what was made to look.
    """
    for needed in (git_dir, git_dir / "refs", git_dir / "objects"):
        if not _is_directory(needed):
            raise GitError(f"{needed} is not a directory", hint="look at what became of the repository there")
    where = paths_of(git)
    with tempfile.TemporaryDirectory(prefix="task-queue-look-") as name:
        place = Path(name)
        (place / "objects/info").mkdir(parents=True)
        (place / "objects/info/alternates").write_bytes(
            b"".join(
                f"{_quoted(path)}\n".encode(errors="surrogateescape")
                for path in (git_dir / "objects", where.objects)
            )
        )
        for part in ("refs", "packed-refs", "shallow"):
            if _is_directory(git_dir / part) or (git_dir / part).is_file():
                (place / part).symlink_to(git_dir / part)
        (place / "HEAD").write_bytes(_head(git_dir))
        (place / "config").write_text(_CONFIG.format(format=where.object_format))
        yield Git(place, git.environment, timeout_s=git.timeout_s, git_dir=place, guard=git.guard)


def fetch_from_view(git: Git, apart: Git, commit: str, ref: str) -> None:
    """Bring *commit* with all that it needs to *ref*: by its id, and checked as from any other repository."""
    assert apart.git_dir is not None
    if git.sandbox is not None:
        git = replace(git, sandbox=git.sandbox.with_readable(apart.git_dir))
    sender = ["git", *apart.given_settings(), "upload-pack"]  # it gets none of the settings of *git*
    git.within(_FETCH_TIMEOUT_S).change(
        *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
        *("--no-auto-maintenance", "--force", "--upload-pack", shlex.join(sender)),
        *(str(apart.git_dir), f"{commit}:{ref}"),
    )


def _head(git_dir: Path) -> bytes:
    try:
        return durable.read_regular(git_dir / "HEAD", limit=_HEAD_LIMIT)[0]
    except OSError as error:
        raise GitError(f"{git_dir / 'HEAD'} cannot be read: {error.strerror}") from error


def _quoted(path: Path) -> str:
    """As a line of ``objects/info/alternates`` spells it."""
    text = str(path)
    if not text.startswith('"') and "\n" not in text:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _is_directory(path: Path) -> bool:
    """Not through a link: the agent could let it point anywhere."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False
