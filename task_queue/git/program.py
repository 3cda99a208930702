"""Running the git program: its environment is built, its time is bounded, and it never prompts."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Protocol

from task_queue.domain.errors import GitError, GitTookTooLong
from task_queue.git.closed import with_working_tree
from task_queue.platform.identity import kill_group
from task_queue.platform.sandbox import Sandbox
from task_queue.platform.wakeup import readable

_KILL_AFTER_S = 2.0
_LOCK_RETRY_S = 0.1
_MAX_SAID_CHARS = 2000
_SWITCHES = (
    # Programs that a repository's configuration names are not started by mere looking.
    *("-c", "core.fsmonitor=false", "-c", "log.showSignature=false", "-c", "submodule.recurse=false"),
    *("-c", "core.splitIndex=false"),  # a copied index would leave shared parts in the repository
    # No setting of a repository hides a change of a file.
    *("-c", "core.trustctime=true", "-c", "core.checkStat=default"),
    *("-c", "core.untrackedCache=false", "-c", "core.ignoreStat=false"),
    *("-c", "advice.detachedHead=false", "-c", "advice.graftFileDeprecated=false"),
    # What we write and read is UTF-8, and a commit would be labelled with another encoding as it stands.
    *("-c", "i18n.commitEncoding=UTF-8", "-c", "i18n.logOutputEncoding=UTF-8"),
    # It would go on in the background, and be ended with the attempt.
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),
)
_RUNS_NOTHING = frozenset(
    {
        *(
            "cat-file",
            "check-ignore",
            "commit-tree",
            "config",
            "diff-tree",
            "for-each-ref",
            "hash-object",
            "init",
        ),
        *("log", "ls-files", "ls-remote", "ls-tree", "merge-base", "pack-objects", "rev-list", "rev-parse"),
        *("show", "stripspace", "symbolic-ref", "var", "worktree"),
    }
)
"""Commands that start no hook, filter or driver as we use them (``write-tree`` refreshes the index, by filters);
``commit-tree`` signs, which no sandbox can."""


@dataclass(frozen=True, slots=True)
class GitOutput:
    """What one call of git wrote, and its exit code."""

    code: int
    out: bytes
    said: str
    """Standard error, with the output of hooks."""
    cut: bool = False
    """There was more on standard output than was asked for."""

    @property
    def text(self) -> str:
        """Standard output without the newline at its end; undecodable bytes survive a round trip."""
        return os.fsdecode(self.out.removesuffix(b"\n"))

    @property
    def fields(self) -> list[str]:
        """The parts of NUL-terminated output."""
        return [os.fsdecode(part) for part in self.out.split(b"\0")[:-1]]


class Guard(Protocol):
    """Keeps git from what an agent configured."""

    def settings(self, git: Git) -> tuple[tuple[str, str], ...]:
        """What a call of *git* needs, each key with its value, to do as the owner had it. Raises GitError."""
        ...


@dataclass(frozen=True, slots=True)
class Git:
    """The git program in one directory.

    *environment* is all that hooks and filters get to see: PATH, HOME and the like, and the attempt's
    marker. Variables of git's own in it are dropped: they could point to another repository.
    """

    directory: Path
    environment: Mapping[str, str]
    index: Path | None = None
    """Another index than the repository's."""
    timeout_s: float = 60.0
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """Variables of git's own that are meant: author, committer."""
    git_dir: Path | None = None
    """The repository's folder, where it is not the one that git would find from the directory."""
    work_tree: Path | None = None
    """The root of the files that go with *git_dir*."""
    settings: tuple[str, ...] = ()
    """Configuration for these calls alone, as ``name=value``."""
    guard: Guard | None = None
    sandbox: Sandbox | None = None
    """For hooks, filters and drivers, which may run the agent's files; None: they can do what the user can."""

    def at(self, directory: Path) -> Git:
        return replace(self, directory=directory)

    def plain(self, directory: Path) -> Git:
        """Git in another directory, with the repository that it finds there."""
        return Git(
            directory,
            self.environment,
            timeout_s=self.timeout_s,
            extra=self.extra,
            guard=self.guard,
            sandbox=self.sandbox,
        )

    def with_index(self, index: Path) -> Git:
        return replace(self, index=index)

    def within(self, timeout_s: float) -> Git:
        """Calls that take longer: hooks, a checkout of everything."""
        return replace(self, timeout_s=timeout_s)

    def read(self, *arguments: str, stdin: bytes = b"") -> GitOutput:
        """Run a command that changes nothing; raises GitError unless it exits with 0."""
        return self._checked(self.ask(*arguments, stdin=stdin), arguments)

    def ask(self, *arguments: str, stdin: bytes = b"", limit: int | None = None) -> GitOutput:
        """Run a command that changes nothing, whatever its exit code; keep *limit* bytes of its output."""
        return self._run(arguments, stdin=stdin, limit=limit, locks=False)

    def change(self, *arguments: str, stdin: bytes = b"") -> GitOutput:
        """Run a command that writes; raises GitError unless it exits with 0."""
        return self._checked(self.attempt(*arguments, stdin=stdin), arguments)

    def attempt(self, *arguments: str, stdin: bytes = b"", patience_s: float = 5.0) -> GitOutput:
        """Run a command that writes, whatever its exit code; waits a while for a lock that another process holds."""
        until = time.monotonic() + patience_s
        while True:
            answer = self._run(arguments, stdin=stdin, limit=None, locks=True)
            if answer.code == 0 or ".lock': File exists" not in answer.said or time.monotonic() >= until:
                return answer
            time.sleep(_LOCK_RETRY_S)  # git offers nothing to wait on

    def run_hook(self, name: str, *arguments: str) -> GitOutput:
        """Run a hook as git itself would, if the repository has it (git-hook(1)); 0 where it has not."""
        words = ("hook", "run", "--ignore-missing", name, "--", *arguments)
        return self._run(words, stdin=b"", limit=None, locks=True)

    def _checked(self, answer: GitOutput, arguments: tuple[str, ...]) -> GitOutput:
        if answer.code == 0:
            return answer
        said = answer.said.strip()[:_MAX_SAID_CHARS] or f"exit code {answer.code}"
        raise GitError(f"{self.directory}: git {arguments[0]}: {said}", hint=_hint_for(said))

    def _run(self, arguments: tuple[str, ...], *, stdin: bytes, limit: int | None, locks: bool) -> GitOutput:
        """Output goes to files, so that a hook's background process cannot keep us waiting for its end."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(stdin)
            given.seek(0)
            process = self._start(arguments, streams=(given, out, err), locks=locks)
            try:
                ended = _ended_within(process.pid, self.timeout_s)
            except BaseException:
                _end(process)
                raise
            if not ended:
                _end(process)
                raise GitTookTooLong(
                    f"{self.directory}: git {arguments[0]} did not end within {self.timeout_s:g} s",
                    hint="look for a hook, a filter or a file system that hangs",
                )
            code = process.wait()
            out.seek(0)
            kept = out.read() if limit is None else out.read(limit)
            cut = bool(out.read(1))
            err.seek(0)
            return GitOutput(code, kept, err.read().decode(errors="replace"), cut)

    def _start(
        self, arguments: tuple[str, ...], *, streams: tuple[IO[bytes], IO[bytes], IO[bytes]], locks: bool
    ) -> subprocess.Popen[bytes]:
        if not self.directory.is_dir():
            raise GitError(f"{self.directory}: the directory is not there", hint="bring it back, then retry")
        stdin, stdout, stderr = streams
        try:
            return subprocess.Popen(
                self._confined(
                    ["git", *_SWITCHES, *self.given_settings(), "--no-pager", *arguments], arguments
                ),
                cwd=self.directory,
                env=self._built_environment(locks=locks),
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise GitError("the program git was not found", hint="install git, or set its PATH") from None

    def _confined(self, argv: list[str], arguments: tuple[str, ...]) -> list[str]:
        command = next(word for number, word in enumerate(arguments) if not _is_switch(arguments, number))
        if self.sandbox is None or command in _RUNS_NOTHING:
            return argv
        sandbox = self.sandbox.with_writable(self.work_tree or self.directory)
        if self.git_dir is not None and self.work_tree is not None:
            sandbox = with_working_tree(sandbox, self.git_dir)
        return sandbox.around(argv, directory=self.directory)

    def unguarded(self) -> Git:
        """To look at the configuration as it stands; for nothing else."""
        return replace(self, guard=None, sandbox=None, settings=())

    def given_settings(self) -> list[str]:
        """Words that go before the command. Raises GitError."""
        guarded = [f"{key}={value}" for key, value in self._guarded() if "=" not in key]
        return [word for setting in (*self.settings, *guarded) for word in ("-c", setting)]

    def _guarded(self) -> tuple[tuple[str, str], ...]:
        return self.guard.settings(self) if self.guard is not None else ()

    def _with_equals_sign(self) -> dict[str, str]:
        """Settings whose key ``-c`` would take apart at the wrong place."""
        pairs = [pair for pair in self._guarded() if "=" in pair[0]]
        named = {f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in enumerate(pairs)}
        given = {f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(pairs)}
        return {"GIT_CONFIG_COUNT": str(len(pairs)), **named, **given} if pairs else {}

    def _built_environment(self, *, locks: bool) -> dict[str, str]:
        kept = {name: value for name, value in self.environment.items() if not name.startswith("GIT_")}
        return {
            **kept,
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_EDITOR": ":",
            # What an object's name stands for is its content, whatever a repository puts in its place.
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_GRAFT_FILE": os.devnull,
            **({} if locks else {"GIT_OPTIONAL_LOCKS": "0"}),
            **({"GIT_INDEX_FILE": str(self.index)} if self.index else {}),
            **({"GIT_DIR": str(self.git_dir)} if self.git_dir else {}),
            **({"GIT_WORK_TREE": str(self.work_tree)} if self.work_tree else {}),
            **self._with_equals_sign(),
            **self.extra,
        }


def _is_switch(arguments: tuple[str, ...], number: int) -> bool:
    return arguments[number] == "-c" or (number > 0 and arguments[number - 1] == "-c")


def said_by(answer: GitOutput) -> str:
    """Everything that git and its hooks said, or its exit code."""
    said = "\n".join(part for part in (answer.said.strip(), answer.text.strip()) if part)
    return said or f"exit code {answer.code}"


def _ended_within(pid: int, timeout_s: float) -> bool:
    pidfd = os.pidfd_open(pid)
    try:
        return bool(readable(pidfd, timeout_s=timeout_s))
    finally:
        os.close(pidfd)


def _end(process: subprocess.Popen[bytes]) -> None:
    """TERM first: git then removes its lock files. Reaped last, so that its number cannot mean another one."""
    os.killpg(process.pid, signal.SIGTERM)
    _ended_within(process.pid, _KILL_AFTER_S)
    kill_group(process.pid)
    process.wait()


def _hint_for(said: str) -> str | None:
    if ".lock': File exists" in said:
        return "another git runs there, or one was killed: remove the lock file once no git runs"
    if "dubious ownership" in said:
        return "the repository belongs to another user: git config --global --add safe.directory DIR"
    if "tell me who you are" in said or "empty ident" in said:
        return "say who commits: git config --global user.name NAME, and user.email"
    return None
