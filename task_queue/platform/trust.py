"""Whether another user could change what is at a path, as sshd and cron ask before they obey a file.

A user who can write the configuration or a source runs agents as us. A path is as safe as every folder on
the way to it: who can rename one of them can put another in its place. So each name on the way is
looked at, the links that are followed included. Access lists need no look of their own: what they
grant at most shows in the group's bits (acl(5)).
"""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One reason not to trust a path, and the command that removes it."""

    what: str
    fix: str
    grave: bool
    """Refused; otherwise only reported (its group is often the user's own)."""


def problems(*paths: Path) -> list[Problem]:
    """What is wrong with *paths* and every folder above; a path that does not exist ends at what does."""
    found = (problem for place, about in _names_on_the_way(paths) for problem in _judge(place, about))
    return list(dict.fromkeys(found))


JudgedWays = dict[str, "Problem | None"]
"""What was found on the way to paths; good for one answer, as what is on disk may change."""


def grave_problem(*paths: Path, judged: JudgedWays | None = None) -> Problem | None:
    """The first problem for which one of *paths* must be refused.

    What is above several of them is looked at once. *judged*: the same for who asks again within one answer.
    """
    judged = {} if judged is None else judged
    for path in paths:
        problem = _judged(os.path.abspath(path), judged)  # noqa: PTH100 - resolve() would hide the links
        if problem is not None:
            return problem
    return None


def _judged(path: str, judged: JudgedWays) -> Problem | None:
    if path not in judged:
        parent = os.path.dirname(path)  # noqa: PTH120 - thousands of times in an answer
        above = None if parent == path else _judged(parent, judged)
        judged[path] = above or _judged_alone(path)
    return judged[path]


def _judged_alone(path: str) -> Problem | None:
    try:
        about = os.lstat(path)
    except OSError:
        return None
    if stat.S_ISLNK(about.st_mode):  # behind it other folders are on the way
        return _first_grave(_way_to(Path(path)))
    is_ours = about.st_uid in {os.geteuid(), 0} and not about.st_mode & (stat.S_IWOTH | stat.S_IWGRP)
    return None if is_ours else _first_grave([(Path(path), about)])


def _first_grave(found: Iterable[tuple[Path, os.stat_result]]) -> Problem | None:
    return next(
        (problem for place, about in found for problem in _judge(place, about) if problem.grave), None
    )


def _judge(place: Path, about: os.stat_result) -> Iterator[Problem]:
    """*about* is of the name itself: a link is judged by its owner, its mode means nothing."""
    quoted = shlex.quote(str(place))
    if about.st_uid not in {os.geteuid(), 0}:
        option = "-h " if stat.S_ISLNK(about.st_mode) else ""
        yield Problem(
            f"{place} belongs to another user (uid {about.st_uid})",
            f"chown {option}{os.geteuid()} {quoted}",
            grave=True,
        )
    if stat.S_ISLNK(about.st_mode) or _is_sticky_directory(about.st_mode):
        return
    if about.st_mode & stat.S_IWOTH:
        yield Problem(f"{place} can be written by every user", f"chmod o-w {quoted}", grave=True)
    if about.st_mode & stat.S_IWGRP:
        yield Problem(
            f"{place} can be written by its group (gid {about.st_gid})", f"chmod g-w {quoted}", grave=False
        )


def _is_sticky_directory(mode: int) -> bool:
    """As ``/tmp``: every user may add a name, but only its owner may remove or rename it."""
    return stat.S_ISDIR(mode) and bool(mode & stat.S_ISVTX)


def _names_on_the_way(paths: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """Each name that is looked up; what several paths share (the folders of a source) only once."""
    walked: set[Path] = set()
    for path in paths:
        if path.parent in walked:
            with contextlib.suppress(OSError):
                about = path.lstat()
                if not stat.S_ISLNK(about.st_mode):
                    yield path, about
                    continue
        walked.add(path.parent)
        yield from _way_to(path)


def _way_to(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Every name that is looked up on the way to *path*, from the root; links are followed as the kernel does."""
    left = [*reversed(Path(os.path.abspath(path)).parts[1:])]  # noqa: PTH100 - resolve() would hide the links
    here = Path("/")
    yield here, here.lstat()
    links = 0
    while left:
        name = left.pop()
        if name == "..":
            here = here.parent
            continue
        place = here / name
        try:
            about = place.lstat()
            yield place, about
            if not stat.S_ISLNK(about.st_mode):
                here = place
                continue
            target = place.readlink()
        except OSError:
            return
        links += 1
        if links > _MOST_LINKS:
            return
        parts = target.parts
        if target.is_absolute():
            here, parts = Path("/"), parts[1:]
        left.extend(reversed(parts))
