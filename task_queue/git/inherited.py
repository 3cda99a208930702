"""Which of a repository's configuration the repository of a task's checkout gets. Pure.

A list of what is copied, not of what is left out: a key that this list does not foresee may hold a password or
name a program that writes into the owner's repository. Left out on purpose: credentials (``credential.*``,
``http.*``), push URLs, signing keys, hooks by path, includes, aliases, and everything about maintenance.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

ConfigEntry = tuple[str, str]
"""A key as git-config(1) lists it, and its value."""

NO_PUSH = "pushing-is-switched-off-in-the-checkout-of-a-task"
"""The push URL of every remote; git says that it does not appear to be a repository."""

# Looked up with all that applies in the owner's repository (system, global, includes): the last value counts.
_FOR_EVERY_COMMAND = re.compile(
    r"(user|author|committer)\.(name|email)"
    r"|core\.(autocrlf|eol|safecrlf|whitespace|quotepath|excludesfile|attributesfile|commentchar|abbrev)"
    r"|core\.(bigfilethreshold|longpaths|precomposeunicode|protecthfs|protectntfs|checkstat|trustctime)"
    r"|i18n\.\w+|merge\.conflictstyle|merge\.renames|merge\.renamelimit|diff\.renames|diff\.renamelimit"
    r"|rerere\.enabled|commit\.cleanup|pull\.(ff|rebase)|fetch\.prune|submodule\.recurse|index\.version"
)
# Of the owner's repository alone, every value.
_OF_THE_REPOSITORY = re.compile(
    r"filter\..+\.(clean|smudge|process|required)"
    r"|diff\..+\.(textconv|cachetextconv|binary|xfuncname|funcname|wordregex|command|algorithm)"
    r"|merge\..+\.(name|driver|recursive)"
    r"|lfs\.(?!storage$).*"
    r"|core\.(sparsecheckout|sparsecheckoutcone)|index\.sparse"
    r"|branch\..+\.(remote|merge|rebase|description)"
    r"|remote\..+\.(fetch|tagopt|prune|promisor|partialclonefilter)"
    r"|submodule\..+\.(url|active|branch|ignore|update)",
    re.DOTALL,
)
_URL = re.compile(r"\A([a-z][a-z0-9+.-]*)://([^/@]*)@(.*)\Z", re.IGNORECASE | re.DOTALL)
_WITH_SCHEME = re.compile(r"\A[a-z][a-z0-9+.-]*::?//|\A[a-z][a-z0-9+.-]*::", re.IGNORECASE)
_WEB = frozenset({"http", "https", "ftp", "ftps"})
_HAS_URL = re.compile(r"(submodule|lfs)\.(.+\.)?(url|lfsurl|pushurl)")


def inherited(
    effective: Iterable[ConfigEntry],
    local: Sequence[ConfigEntry],
    *,
    urls: Iterable[ConfigEntry],
    root: Path,
    own: Sequence[Path],
) -> tuple[ConfigEntry, ...]:
    """The entries of the new repository.

    *effective* applies in the owner's repository, *local* is written in it; *urls* has each of its remotes
    with the URL that fetches from it. *root* is what relative paths start from, and *own* where the owner's
    repository is: a remote that is there is left out, with its branches.
    """
    last = {key: value for key, value in effective if _FOR_EVERY_COMMAND.fullmatch(key)}
    remotes = {
        name: url
        for name, given in urls
        if (url := without_credentials(_absolute(given, root))) and not _is_one_of(url, own)
    }
    copied: list[ConfigEntry] = [*last.items()]
    for key, value in local:
        if not _OF_THE_REPOSITORY.fullmatch(key) or _is_of_unknown_remote(key, value, remotes):
            continue
        if key.startswith("submodule.") and key.endswith(".update") and value.startswith("!"):
            continue  # a command; git takes none from a repository either
        copied.append(
            (key, without_credentials(_absolute(value, root)) if _HAS_URL.fullmatch(key) else value)
        )
    for name, url in remotes.items():
        copied += [(f"remote.{name}.url", url), (f"remote.{name}.pushurl", NO_PUSH)]
    # Signed commits are the owner's word; an agent's own ones are not, and a key may wait for a passphrase.
    return (*copied, ("commit.gpgsign", "false"), ("tag.gpgsign", "false"))


def promisor_in(local: Iterable[ConfigEntry]) -> str | None:
    """The remote that a partial clone fetches from what it lacks; None: it is none."""
    return next((value for key, value in local if key == "extensions.partialclone"), None)


def without_credentials(url: str) -> str:
    """*url* without a password; for the web without the name, too, which may be a token."""
    found = _URL.match(url)
    if found is None:
        return url
    scheme, user, rest = found.groups()
    if scheme.lower() in _WEB:
        return f"{scheme}://{rest}"
    return f"{scheme}://{user.partition(':')[0]}@{rest}"


def config_text(entries: Iterable[ConfigEntry]) -> str:
    """*entries* as a configuration file (git-config(1), "Syntax")."""
    return "".join(_lines(key, value) for key, value in entries)


def _lines(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    middle, _, name = rest.rpartition(".")
    head = f'[{section} "{_escaped(middle)}"]' if middle else f"[{section}]"
    text = _escaped(value).replace("\n", "\\n").replace("\t", "\\t")
    return f'{head}\n\t{name} = "{text}"\n'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _absolute(url: str, root: Path) -> str:
    """A relative path as an absolute one; anything else as it is."""
    is_path = not _WITH_SCHEME.match(url) and ":" not in url.partition("/")[0]
    if not is_path or not url or url.startswith(("/", "~")):
        return url
    return os.path.normpath(root / url)


def _is_one_of(url: str, own: Sequence[Path]) -> bool:
    path = url.removeprefix("file://")
    if not path.startswith("/"):
        return False
    real = Path(os.path.realpath(path))
    return any(real == Path(os.path.realpath(place)) for place in own)


def _is_of_unknown_remote(key: str, value: str, remotes: dict[str, str]) -> bool:
    section, _, rest = key.partition(".")
    middle, _, name = rest.rpartition(".")
    if section == "remote":
        return middle not in remotes
    return section == "branch" and name == "remote" and value != "." and value not in remotes
