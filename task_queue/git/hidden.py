"""What git does not see by rules that no diff shows: those of a hidden ``.gitignore``, and outside of the tree.

What was hidden before the task is its owner's choice. By-products of tools are not work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from task_queue.domain.work.by_products import by_product_of, marked_folders
from task_queue.git.program import Git
from task_queue.platform import durable

_IGNORED = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard")
_LIMIT = 2**24


@dataclass(frozen=True, slots=True)
class Hidden:
    """Ignored files and folders (these end in ``/``), each with the file whose rule hides it."""

    paths: Mapping[str, str] = field(default_factory=dict[str, str])
    outside: Mapping[str, str] = field(default_factory=dict[str, str])
    """Each file with rules that is outside of the working tree: a hash of it."""

    def since(self, before: Hidden) -> dict[str, str]:
        """What is hidden by a rule that was not there *before*."""
        return {
            path: rules
            for path, rules in self.paths.items()
            if path not in before.paths
            and (rules not in self.outside or self.outside[rules] != before.outside.get(rules))
        }


def hidden_now(git: Git) -> Hidden:
    """*git* is in the root of a working tree. Two calls of git."""
    ignored = git.read(*_IGNORED, "--directory").fields
    found = dict(_rules_for(git, ignored))
    marked = marked_folders(ignored)
    paths: dict[str, str] = {}
    for path, rules in sorted(found.items()):  # a folder comes before what is in it, which git lists as well
        is_named = any(path.startswith(folder) for folder in paths if folder.endswith("/"))
        if rules and not is_named and by_product_of(path, marked) is None and _is_unseen(rules, found):
            paths[path] = rules
    outside = {rules: _hash(git.directory / rules) for rules in paths.values() if _is_outside(rules)}
    return Hidden(paths, outside)


def _rules_for(git: Git, paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each path with the file whose rule hides it; empty where none speaks of the path itself."""
    given = b"".join(os.fsencode(path) + b"\0" for path in paths)
    fields = iter(git.ask("check-ignore", "-z", "--verbose", "--non-matching", "--stdin", stdin=given).fields)
    for rules, _line, _pattern, path in zip(fields, fields, fields, fields, strict=False):
        yield path, rules


def _is_unseen(rules: str, ignored: Iterable[str]) -> bool:
    return _is_outside(rules) or any(
        rules == path or (path.endswith("/") and rules.startswith(path)) for path in ignored
    )


def _is_outside(rules: str) -> bool:
    return Path(rules).name != ".gitignore" or Path(rules).is_absolute()


def _hash(path: Path) -> str:
    try:
        return sha256(durable.read_regular(path, limit=_LIMIT)[0]).hexdigest()[:16]
    except OSError:
        return ""
