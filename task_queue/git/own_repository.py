"""Makes the repository of a checkout: refs, configuration, hooks and index of its own, objects borrowed.

What an agent's git changes is in it. It knows the branches, tags and upstream remotes of the owner's repository
as they were when it was made, and nothing of it leads back there but the path of the objects.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from task_queue.domain.errors import GitError
from task_queue.git.inherited import NO_PUSH, ConfigEntry, config_text, inherited, promisor_in
from task_queue.git.program import Git
from task_queue.platform import durable

_CALL_TIMEOUT_S = 300.0
_OF_THE_FILE_SYSTEM = ("core.filemode", "core.symlinks", "core.ignorecase")
_INFO = ("exclude", "attributes", "sparse-checkout")
_FORMAT = "%(objectname) %(objecttype) %(*objectname) %(*objecttype) %(symref) %(refname)"


@dataclass(frozen=True, slots=True)
class Borrowed:
    """What a checkout's repository has of the owner's, as it was at that time."""

    packed_refs: bytes
    links: dict[str, str]
    """Symbolic refs, each with the ref that it names."""
    commits: tuple[str, ...]
    """Where the refs are, each once."""
    tags: tuple[str, ...]
    """Objects of annotated tags."""


@dataclass(frozen=True, slots=True)
class RepositoryPaths:
    """Where the parts of a repository are."""

    git_dir: Path
    """Of the working tree that git was asked in."""
    common_dir: Path
    objects: Path
    hooks: Path
    """Need not exist."""
    object_format: str


def paths_of(owner: Git) -> RepositoryPaths:
    """All in one call. Raises GitError, also where a path holds a newline: objects cannot be borrowed from there."""
    answer = owner.read(
        *("rev-parse", "--path-format=absolute", "--git-dir", "--git-common-dir"),
        *("--git-path", "objects", "--git-path", "hooks", "--show-object-format"),
    )
    lines = answer.text.split("\n")
    if len(lines) != 5 or lines[2].startswith(('"', "#")):
        raise GitError(f"{owner.directory}: objects cannot be borrowed from there", hint="rename the folder")
    git_dir, common_dir, objects, hooks = (Path(line) for line in lines[:4])
    return RepositoryPaths(git_dir, common_dir, objects, hooks, lines[4])


def borrowed_of(owner: Git) -> Borrowed:
    """Branches, tags and remote branches of *owner*'s repository, without those of other tasks."""
    lines: list[bytes] = []
    links: dict[str, str] = {}
    commits: dict[str, None] = {}
    tags: list[str] = []
    answer = owner.within(_CALL_TIMEOUT_S).read(
        "for-each-ref", f"--format={_FORMAT}", "refs/heads", "refs/tags", "refs/remotes"
    )
    for line in answer.text.splitlines():
        oid, kind, inner, inner_kind, link, ref = line.split(" ", 5)
        commit = oid if kind == "commit" else inner if inner_kind == "commit" else None
        if commit is None or ref.startswith("refs/heads/task-queue/"):
            continue
        if link:
            links[ref] = link
            continue
        commits[commit] = None
        if kind == "tag":
            tags.append(oid)
        lines.append(os.fsencode(f"{oid} {ref}\n"))
    return Borrowed(b"".join(lines), links, tuple(commits), tuple(tags))


def make_repository(
    owner: Git, place: Path, *, to_be: Path, borrowed: Borrowed, head: str, branch: str | None
) -> tuple[str, ...]:
    """Make the repository in *place*, which must not be there; its HEAD is *branch* at *head*, or *head* alone.

    *to_be* is what *place* is renamed to once everything is ready. *owner* is in the root of its working tree.
    The answer is what the file system there needs in a configuration, as ``name=value``. Raises GitError.
    """
    try:
        durable.make_directory(place.parent)
    except OSError as error:
        raise GitError(f"{place}: {error.strerror}", hint="make room, or the folder writable") from error
    where = paths_of(owner)
    given = ("--quiet", "--bare", "--template=", f"--object-format={where.object_format}")
    owner.plain(place.parent).change("init", *given, str(place))
    try:
        listed = _configuration(owner)
        settings = _file_system_settings(owner.plain(place), dict(entry for _, entry in listed))
        _configure(owner, place, listed, to_be=to_be, settings=settings, where=where)
        _write_refs(place, borrowed, head=head, branch=branch)
        _borrow_objects(owner, place, borrowed, where)
        _copy_info(place, where)
        _copy_hooks(place, listed, where)
    except OSError as error:
        raise GitError(f"{place}: {error.strerror}", hint="make room, or the folder writable") from error
    return settings


def hooks_folder(owner: Git) -> Path:
    """Where the hooks of *owner*'s repository are, which need not exist."""
    return paths_of(owner).hooks


def _configuration(owner: Git) -> list[tuple[str, ConfigEntry]]:
    """All that applies in *owner*'s repository but what we say ourselves, each entry with its scope."""
    fields = iter(owner.read("config", "--list", "--includes", "-z", "--show-scope").fields)
    guarded = owner.guard.settings(owner) if owner.guard is not None else ()
    instead = {key for key, _ in guarded}  # an agent may have changed these
    found: list[tuple[str, ConfigEntry]] = []
    for scope, entry in zip(fields, fields, strict=True):
        key, _, value = entry.partition("\n")
        if (scope == "command") == (key in instead) and key != "core.hookspath":
            found.append(("local" if key in instead else scope, (key, value if "\n" in entry else "true")))
        elif scope != "command" and key == "core.hookspath":
            found.append((scope, (key, value)))
    return found


def _configure(
    owner: Git,
    place: Path,
    listed: list[tuple[str, ConfigEntry]],
    *,
    to_be: Path,
    settings: tuple[str, ...],
    where: RepositoryPaths,
) -> None:
    root = owner.directory
    local = [entry for scope, entry in listed if scope in ("local", "worktree")]
    remotes = dict.fromkeys(
        key.removeprefix("remote.").removesuffix(".url")
        for key, _ in local
        if key.startswith("remote.") and key.endswith(".url")
    )
    urls = [(name, owner.ask("ls-remote", "--get-url", "--", name).text) for name in remotes]
    entries = inherited(
        (entry for _, entry in listed),
        local,
        urls=urls,
        root=root,
        own=(root, where.git_dir, where.common_dir),
    )
    promisor = promisor_in(local)
    own: list[ConfigEntry] = [
        ("core.bare", "false"),
        ("core.logallrefupdates", "true"),
        *((name, value) for name, _, value in (setting.partition("=") for setting in settings)),
    ]
    if promisor is not None and (f"remote.{promisor}.pushurl", NO_PUSH) in entries:
        own += [("core.repositoryformatversion", "1"), ("extensions.partialclone", promisor)]
    own += _hooks_setting(to_be, local)
    if not remotes:
        own += _submodules_beside(owner, root)
    with (place / "config").open("ab") as file:
        file.write(os.fsencode(config_text((*own, *entries))))


def _submodules_beside(owner: Git, root: Path) -> list[ConfigEntry]:
    """Relative addresses resolved against the owner's repository itself, because it has no upstream for them."""
    answer = owner.ask("config", "--blob", "HEAD:.gitmodules", "-z", "--get-regexp", r"^submodule\..*\.url$")
    entries = [(key, url) for key, _, url in (field.partition("\n") for field in answer.fields)]
    return [(key, os.path.normpath(root / url)) for key, url in entries if url.startswith(("./", "../"))]


def _hooks_setting(to_be: Path, local: Iterable[ConfigEntry]) -> list[ConfigEntry]:
    """Never the owner's folder: programs that install hooks ask git where to write them."""
    given = next((value for key, value in reversed(list(local)) if key == "core.hookspath"), None)
    if given is not None and given and not given.startswith(("/", "~")):
        return [("core.hookspath", given)]  # in the files themselves
    return [("core.hookspath", str(to_be / "hooks"))] if given is not None else []


def _file_system_settings(made: Git, effective: dict[str, str]) -> tuple[str, ...]:
    """What ``git init`` has found out about the file system, and the owner's word where that is narrower."""
    probed = {
        entry.partition("\n")[0]: entry.partition("\n")[2]
        for entry in made.read("config", "--file", str(made.directory / "config"), "--list", "-z").fields
    }
    probed = {"core.filemode": "true", "core.symlinks": "true", "core.ignorecase": "false", **probed}
    for name in ("core.filemode", "core.symlinks"):
        if effective.get(name) == "false":
            probed[name] = "false"
    return tuple(f"{name}={probed[name]}" for name in _OF_THE_FILE_SYSTEM)


def _write_refs(place: Path, borrowed: Borrowed, *, head: str, branch: str | None) -> None:
    (place / "packed-refs").write_bytes(borrowed.packed_refs)
    for ref, link in borrowed.links.items():
        path = place / ref
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.fsencode(f"ref: {link}\n"))
    if branch is None:
        (place / "HEAD").write_text(f"{head}\n")
        return
    path = place / "refs/heads" / branch
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}\n")
    (place / "HEAD").write_bytes(os.fsencode(f"ref: refs/heads/{branch}\n"))


def _borrow_objects(owner: Git, place: Path, borrowed: Borrowed, where: RepositoryPaths) -> None:
    (place / "objects/info").mkdir(parents=True, exist_ok=True)
    (place / "objects/info/alternates").write_bytes(os.fsencode(f"{where.objects}\n"))
    shallow = where.common_dir / "shallow"
    if shallow.is_file():
        shutil.copyfile(shallow, place / "shallow")
    if borrowed.tags:
        # Copied, because no commit can keep them from being pruned where the owner deletes a tag.
        given = "".join(f"{oid}\n" for oid in borrowed.tags).encode()
        pack = place / "objects/pack/pack"
        owner.within(_CALL_TIMEOUT_S).change("pack-objects", "-q", "--window=0", str(pack), stdin=given)


def _copy_info(place: Path, where: RepositoryPaths) -> None:
    for name in _INFO:
        for folder in (
            where.common_dir,
            where.git_dir,
        ):  # of a sparse checkout, each working tree has its own
            source = folder / "info" / name
            if source.is_file():
                (place / "info").mkdir(exist_ok=True)
                shutil.copyfile(source, place / "info" / name)


def _copy_hooks(place: Path, listed: list[tuple[str, ConfigEntry]], where: RepositoryPaths) -> None:
    """As they are now. Those in the files themselves come with the files, those of a whole account apply anyway."""
    scope, given = next(
        ((scope, value) for scope, (key, value) in reversed(listed) if key == "core.hookspath"), ("", "")
    )
    is_in_files = bool(given) and not given.startswith(("/", "~"))
    source = where.hooks
    if is_in_files or scope in ("global", "system") or not source.is_dir():
        return
    shutil.copytree(
        source,
        place / "hooks",
        symlinks=True,
        ignore=shutil.ignore_patterns("*.sample"),
        dirs_exist_ok=True,
        ignore_dangling_symlinks=True,
    )
