"""Which set-up commands make the same as long as some files stay the same, and which files these are. Pure.

What such commands made for one commit may be copied for another one. The answer has to be right, not clever: a command
that is not known here, or that may read more of the project, runs every time.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from task_queue.domain.work.installed_project import UnknownReadsError, reads_of_editable
from task_queue.domain.work.verification import is_judge

_VERSIONS = ("**/.python-version", "**/.nvmrc", "**/.node-version", "**/.tool-versions")
"""Say which interpreter a program of that name is."""
_NODE = (
    *("**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock"),
    *("**/pnpm-lock.yaml", "**/pnpm-workspace.yaml", "**/.pnpmfile.cjs", "**/.npmrc", "**/.yarnrc*"),
    *("**/.yarn/**", "**/patches/**", "**/*.tgz"),
)
_LIFECYCLE = frozenset(
    {
        "preinstall",
        "install",
        "postinstall",
        "prepublish",
        "preprepare",
        "prepare",
        "postprepare",
        "dependencies",
    }
)
"""Scripts of a package that installing runs: they may read anything."""
_PYTHON = re.compile(r"python(?:3(?:\.\d+)?)?")
_PIP = re.compile(r"pip(?:3(?:\.\d+)?)?")
_REQUIREMENT = re.compile(r"[A-Za-z0-9][\w.-]*(?:\[[\w,. -]*\])?\s*(?:[=<>~!;@].*)?")
_EXTRAS = re.compile(r"\[[^\]]*\]$")
_NOT_PLAIN = re.compile(r"[$`\n\r~*?#\\]|<|>|\||;|\(|\)")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*")
_ELSEWHERE = frozenset({"--user", "-t", "--target", "--prefix", "--root", "-g", "--global"})
"""Options that install outside of the checkout."""
_WITH_VALUE = frozenset(
    {
        *("-i", "--index-url", "--extra-index-url", "--trusted-host", "--proxy", "--cert", "--cache-dir"),
        *("--timeout", "--retries", "--log", "--progress-bar", "--python"),
    }
)
_DEPTH = 5


@dataclass(frozen=True, slots=True)
class TrackedFiles:
    """The files of a commit."""

    hashes: Mapping[str, str]
    """By path from the root of the repository: what git calls the content."""
    text: Callable[[str], str]
    """The content of a small one; empty where it is not text, or too large."""
    below: str = ""
    """The folder in which commands run, from the root; empty: the root."""

    def named(self, path: str) -> str:
        """From the root, for a path as commands in ``below`` write it. Raises UnknownReadsError outside of the tree."""
        found = posixpath.normpath(posixpath.join(self.below, path))
        if path.startswith("/") or found.startswith("../") or found == "..":
            raise UnknownReadsError
        return "" if found == "." else found

    def matching(self, patterns: Iterable[str]) -> list[str]:
        wanted = tuple(patterns)
        return [path for path in self.hashes if is_judge(path, wanted)]


@dataclass(frozen=True, slots=True)
class KeptPart:
    """The set-up commands of one commit, in two parts."""

    commands: tuple[str, ...]
    """The first ones: what they make may be kept."""
    rest: tuple[str, ...]
    """These run every time, after the others."""
    facts: tuple[str, ...]
    """What decides what the first ones make: where these are the same, so is that."""


def kept_part(
    commands: Sequence[str], files: TrackedFiles, *, reads: Sequence[str] | None = None
) -> KeptPart | None:
    """None where nothing may be kept. *reads*: patterns of all files that set-up reads, as the owner says."""
    found: dict[str, None] = {}
    count = 0
    for command in commands:
        try:
            found.update(
                dict.fromkeys(_declared(reads, files) if reads is not None else _facts(command, files))
            )
        except (UnknownReadsError, ValueError, RecursionError):
            break
        count += 1
    if not count:
        return None
    found.update(dict.fromkeys(_contents(files, files.matching(_VERSIONS))))
    return KeptPart(tuple(commands[:count]), tuple(commands[count:]), tuple(sorted(found)))


def programs_of(commands: Iterable[str]) -> tuple[str, ...]:
    """Names of the programs outside of the checkout that *commands* start, as far as they can be seen."""
    names: dict[str, None] = {}
    for command in commands:
        try:
            parts = _parts(command)
        except (UnknownReadsError, ValueError):
            continue
        for words in parts:
            if "/" not in words[0] or words[0].startswith("/"):
                names[words[0]] = None
                names.update({"node": None} if words[0] in ("npm", "pnpm", "yarn") else {})
                names.update({"python3": None} if words[0] == "uv" else {})
    return tuple(names)


def _declared(reads: Sequence[str], files: TrackedFiles) -> list[str]:
    below = f"{files.below}/" if files.below else ""
    return _contents(files, files.matching(f"{below}{pattern}" for pattern in reads))


def _facts(command: str, files: TrackedFiles) -> list[str]:
    """Raises UnknownReadsError where it may read anything."""
    return [fact for words in _parts(command) for fact in _facts_of(words, files)]


def _parts(command: str) -> list[list[str]]:
    """The words of each program that the line starts, one after the other. Raises UnknownReadsError, ValueError."""
    if "TASK_QUEUE_" in command or _NOT_PLAIN.search(_without_quotes(command)):
        raise UnknownReadsError
    lexer = shlex.shlex(command, posix=True, punctuation_chars="&")
    lexer.whitespace_split, lexer.commenters = True, ""
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == "&&":
            parts.append([])
        elif set(word) == {"&"}:
            raise UnknownReadsError
        elif parts[-1] or not _ASSIGNMENT.fullmatch(word):
            parts[-1].append(word)
    if not all(parts):
        raise UnknownReadsError
    return parts


def _without_quotes(command: str) -> str:
    """Single quotes make every character plain; double quotes all but those that begin an expansion."""
    return re.sub(r"""'[^']*'|"[^"$`\\]*\"""", "''", command)


def _facts_of(words: list[str], files: TrackedFiles) -> list[str]:
    program, arguments = words[0], words[1:]
    if "/" in program and not program.startswith("/") and files.named(program) in files.hashes:
        raise UnknownReadsError  # a program of the project's
    if _ELSEWHERE.intersection(word.partition("=")[0] for word in arguments):
        raise UnknownReadsError
    name = program.rpartition("/")[2]
    match (name, *arguments[:2]):
        case (_, "-m", "venv" | "virtualenv") if _PYTHON.fullmatch(name):
            return []
        case ("virtualenv", *_) | ("uv", "venv", *_):
            return []
        case (_, "-m", "pip") if _PYTHON.fullmatch(name) and arguments[2:3] == ["install"]:
            return _reads_of_pip(arguments[3:], files)
        case (_, "install", *_) if _PIP.fullmatch(name):
            return _reads_of_pip(arguments[1:], files)
        case ("uv", "pip", "install"):
            return _reads_of_pip(arguments[2:], files)
        case ("uv", "sync", *_):
            return _reads_of_uv(arguments[1:], files)
        case ("npm", "ci" | "install" | "i", *_) | ("pnpm" | "yarn", "install", *_):
            return _reads_of_node(name, arguments[1:], files)
        case _:
            raise UnknownReadsError


def _reads_of_pip(arguments: list[str], files: TrackedFiles, *, depth: int = 0) -> list[str]:
    """Of the arguments of ``pip install``, or of the lines of a file with requirements."""
    found: list[str] = []
    words = iter(arguments)
    for word in words:
        option, _, joined = word.partition("=")
        value = joined if word.startswith("--") and joined else None
        if word[:2] in ("-r", "-c", "-e", "-f") and not word.startswith("--") and len(word) > 2:
            option, value = word[:2], word[2:].strip()
        if option in ("-r", "--requirement", "-c", "--constraint"):
            found += _reads_of_requirements(value or next(words, ""), files, depth=depth)
        elif option in ("-e", "--editable"):
            folder = files.named(_EXTRAS.sub("", value or next(words, "")))
            found += _facts_of_editable(folder, files)
        elif option in ("-f", "--find-links"):
            given = value or next(words, "")
            if "://" not in given and not given.startswith("/"):
                found += _all_below(files.named(given), files)
        elif option in _WITH_VALUE and value is None:
            next(words, None)
        elif not word.startswith("-"):
            found += _reads_of_requirement(word, files)
    return found


def _reads_of_requirement(word: str, files: TrackedFiles) -> list[str]:
    plain = word.partition(";")[0].strip()
    if "://" in plain or " @ " in plain:
        if "file:" in plain:
            raise UnknownReadsError
        return []  # what an index or a server has: it changes with time, as releases do
    path = _EXTRAS.sub("", plain)
    if path.startswith(".") or "/" in path or path.endswith((".whl", ".tar.gz", ".zip")):
        return _all_below(files.named(path), files)
    if not _REQUIREMENT.fullmatch(word):
        raise UnknownReadsError
    return []


def _reads_of_requirements(name: str, files: TrackedFiles, *, depth: int) -> list[str]:
    path = files.named(name)
    if not name or path not in files.hashes or depth > _DEPTH:
        raise UnknownReadsError
    found = _contents(files, [path])
    for line in files.text(path).replace("\\\n", " ").splitlines():
        text = re.sub(r"(^|\s)#.*", "", line).strip()
        if text.startswith(("-r", "-c", "--requirement", "--constraint")):
            nested = re.split(r"[\s=]+", re.sub(r"^-([rc])", r"-\1 ", text), maxsplit=1)[-1].strip()
            within = posixpath.relpath(posixpath.join(posixpath.dirname(path), nested), files.below or ".")
            found += _reads_of_requirements(within, files, depth=depth + 1)
        elif text.startswith(("-", ".", "/")):
            found += _reads_of_pip(text.split(), files, depth=depth + 1)
        elif text:
            found += _reads_of_requirement(text.partition(" --hash")[0].strip(), files)
    return found


def _all_below(path: str, files: TrackedFiles) -> list[str]:
    """Everything that is built from a folder of the project's. Raises UnknownReadsError for the project itself."""
    inside = [each for each in files.hashes if each == path or each.startswith(f"{path}/")]
    if not inside or path in ("", files.below):
        raise UnknownReadsError
    return _contents(files, inside)


def _facts_of_editable(folder: str, files: TrackedFiles) -> list[str]:
    inside = f"{folder}/" if folder else ""
    names = [path.removeprefix(inside) for path in files.hashes if path.startswith(inside)]
    read, packages = reads_of_editable(names, lambda name: files.text(f"{inside}{name}"))
    return [
        *_contents(files, [f"{inside}{name}" for name in read]),
        *(f"package {inside}{package}" for package in packages),
    ]


def _reads_of_uv(arguments: list[str], files: TrackedFiles) -> list[str]:
    found = _contents(files, files.matching(("**/uv.lock", "**/pyproject.toml", "**/uv.toml")))
    if not found:
        raise UnknownReadsError
    if "--no-editable" in arguments:
        raise UnknownReadsError
    for path in files.matching(("**/pyproject.toml",)):
        found += _facts_of_editable(posixpath.dirname(path), files)
    return found


def _reads_of_node(manager: str, arguments: list[str], files: TrackedFiles) -> list[str]:
    if any(not word.startswith("-") for word in arguments) or files.matching(("**/binding.gyp",)):
        raise UnknownReadsError
    packages = files.matching(("**/package.json",))
    if not packages:
        raise UnknownReadsError
    for path in packages:
        package = _object(json.loads(files.text(path) or "{}"))
        runs = _LIFECYCLE.intersection(_object(package.get("scripts")))
        if runs and "--ignore-scripts" not in arguments:
            raise UnknownReadsError
        if manager != "npm" and '"file:' in files.text(path):
            raise UnknownReadsError  # pnpm and yarn copy such a folder
    return _contents(files, files.matching(_NODE))


def _object(value: object) -> Mapping[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _contents(files: TrackedFiles, paths: Iterable[str]) -> list[str]:
    return [f"file {path} {files.hashes[path]}" for path in paths]
