"""What a shell command runs, read from its text alone: the programs behind prefixes, wrappers and nested shells.

Only what the text shows can be read. A variable, a script, an alias, an input that a shell reads, or another
program that starts programs keeps its commands to itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Words = tuple[str, ...]

_MAX_DEPTH = 20
_SUBSTITUTED = "$(...)"
_BLANK = " \t\r"
_SEPARATORS = "\n;&|()"
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_KEYWORDS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "coproc"})
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
_SHELL_OPTIONS_WITH_VALUE = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
_WRAPPERS: Mapping[str, frozenset[str]] = {
    "builtin": frozenset(),
    "chronic": frozenset(),
    "command": frozenset(),
    "doas": frozenset({"-u", "-C"}),
    "env": frozenset({"-u", "-C", "--unset", "--chdir"}),
    "exec": frozenset({"-a"}),
    "ionice": frozenset({"-c", "-n", "--class", "--classdata"}),
    "nice": frozenset({"-n", "--adjustment"}),
    "nohup": frozenset(),
    "setsid": frozenset(),
    "stdbuf": frozenset({"-i", "-o", "-e", "--input", "--output", "--error"}),
    "sudo": frozenset({"-u", "-g", "-C", "-D", "-h", "-p", "-R", "-T", "-U"}),
    "time": frozenset({"-f", "-o", "--format", "--output"}),
    "timeout": frozenset({"-s", "-k", "--signal", "--kill-after"}),
    "xargs": frozenset({"-a", "-d", "-E", "-I", "-L", "-n", "-P", "-s"}),
}
"""Programs that run the command in their arguments, and those of their options that a value follows."""
_OWN_ARGUMENTS = {"timeout": 1}
_GIT_OPTIONS_WITH_VALUE = frozenset(
    {"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--exec-path", "--super-prefix", "--config-env"}
    | {"--attr-source"}
)
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})


def simple_commands(text: str) -> tuple[Words, ...]:
    """Every command in *text* as words, also as it is without what stands before it.

    ``FOO=1 timeout 9 /usr/bin/git -C . push`` gives ``timeout 9 ...``, ``git -C . push`` and ``git push``.
    """
    return tuple(dict.fromkeys(_in_text(text, 0)))


def _in_text(text: str, depth: int) -> Iterator[Words]:
    if depth > _MAX_DEPTH:
        return
    reader = _ShellText(text)
    reader.read()
    for words in reader.commands:
        yield from _layers(words, depth)


def _layers(words: Words, depth: int) -> Iterator[Words]:
    """*words*, and what they run, from the outermost inwards."""
    if depth > _MAX_DEPTH:
        return
    while words and (words[0] in _KEYWORDS or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    if not words:
        return
    name = words[0].rsplit("/", 1)[-1] or words[0]
    words = (name, *words[1:])
    yield words
    if name == "git":
        yield _plain_git(words)
    elif name in _WRAPPERS:
        yield from _wrapped(name, words, depth)
    elif name in _SHELLS:
        yield from _in_text(_script_of(words), depth + 1)
    elif name == "eval":
        yield from _in_text(" ".join(words[1:]), depth + 1)
    elif name == "find":
        yield from _run_by_find(words, depth)


def _wrapped(name: str, words: Words, depth: int) -> Iterator[Words]:
    rest = words[1:]
    own = _OWN_ARGUMENTS.get(name, 0)
    while rest and (rest[0].startswith("-") or own):
        if name == "env" and rest[0] in {"-S", "--split-string"}:
            yield from _in_text(" ".join(rest[1:]), depth + 1)
            return
        own -= not rest[0].startswith("-")
        rest = rest[2:] if rest[0] in _WRAPPERS[name] else rest[1:]
    yield from _layers(rest, depth + 1)


def _run_by_find(words: Words, depth: int) -> Iterator[Words]:
    at = 0
    while at < len(words):
        at += 1
        if words[at - 1] in _FIND_RUNS:
            end = next((i for i in range(at, len(words)) if words[i] in {";", "+"}), len(words))
            yield from _layers(words[at:end], depth + 1)
            at = end


def _script_of(words: Words) -> str:
    """What ``sh -c`` runs; empty if it runs a file or reads its input."""
    rest, given = words[1:], False
    while rest and rest[0][:1] in {"-", "+"}:
        given = given or (rest[0][:2] != "--" and "c" in rest[0])
        rest = rest[2:] if rest[0] in _SHELL_OPTIONS_WITH_VALUE else rest[1:]
    return rest[0] if given and rest else ""


def _plain_git(words: Words) -> Words:
    """Without the options that stand before git's subcommand."""
    rest = words[1:]
    while rest and rest[0].startswith("-"):
        rest = rest[2:] if rest[0] in _GIT_OPTIONS_WITH_VALUE else rest[1:]
    return ("git", *rest)


@dataclass(slots=True)
class _ShellText:
    """Splits a text into simple commands, those of substitutions among them."""

    text: str
    commands: list[Words] = field(default_factory=list[Words])
    _at: int = 0
    _heredocs: list[str] = field(default_factory=list[str])

    def read(self, *, until: str = "", depth: int = 0) -> None:
        """Up to the unquoted character *until*, or to the end."""
        words: list[str] = []
        word: str | None = None
        dropped = False  # the next word is the file of a redirection
        groups = 0

        def end_word() -> None:
            nonlocal word, dropped
            if word is not None and not dropped:
                words.append(word)
            if word is not None:
                dropped = False
            word = None

        def end_command() -> None:
            nonlocal dropped
            end_word()
            dropped = False
            if words:
                self.commands.append(tuple(words))
                words.clear()

        while self._at < len(self.text):
            char = self.text[self._at]
            if char == until and not groups:
                break
            self._at += 1
            groups = max(0, groups + (char == "(") - (char == ")"))
            if char in _BLANK:
                end_word()
            elif char == "\n":
                end_command()
                self._skip_heredocs()
            elif char == "\\" and self._next() == "\n":
                self._at += 1
            elif char == "&" and self._next() == ">":
                end_word()
            elif char in _SEPARATORS:
                end_command()
            elif char in "<>":
                if word is not None and word.isdigit():
                    word = None
                end_word()
                dropped = self._redirection(char)
            elif char == "#" and word is None:
                self._skip_to("\n")
            else:
                word = (word or "") + self._piece(char, depth)
        end_command()

    def _piece(self, char: str, depth: int) -> str:
        """What *char*, and what belongs to it, adds to a word."""
        match char:
            case "\\":
                self._at += 1
                return self.text[self._at - 1 : self._at].strip("\n")
            case "'":
                return self._take_to("'")
            case '"':
                return self._quoted(depth)
            case "`":
                return self._substitution(_unescaped(self._take_to("`")), depth)
            case "$" if self._next() == "(" and depth < _MAX_DEPTH:
                self._at += 1
                self.read(until=")", depth=depth + 1)
                self._at += 1
                return _SUBSTITUTED
            case "$" if self._next() in {"'", '"'}:
                return ""
            case _:
                return char

    def _quoted(self, depth: int) -> str:
        parts: list[str] = []
        while self._at < len(self.text):
            char = self.text[self._at]
            self._at += 1
            if char == '"':
                break
            if char == "\\" and self._next() not in {'"', "\\", "$", "`", "\n"}:
                parts.append(char)
            elif char in {"\\", "`"} or (char == "$" and self._next() == "("):
                parts.append(self._piece(char, depth))
            else:
                parts.append(char)
        return "".join(parts)

    def _substitution(self, text: str, depth: int) -> str:
        if depth < _MAX_DEPTH:
            inner = _ShellText(text)
            inner.read(depth=depth + 1)
            self.commands += inner.commands
        return _SUBSTITUTED

    def _redirection(self, char: str) -> bool:
        """Whether the next word is what is read or written; *char* has been taken."""
        rest = self.text[self._at : self._at + 2]
        if rest[:1] == "(":  # a process substitution
            return False
        if char == "<" and rest[:1] == "<" and rest != "<<":
            self._at += 1
            self._begin_heredoc()
            return False
        while self._next() and self._next() in "<>&|":
            self._at += 1
        return True

    def _begin_heredoc(self) -> None:
        found = re.compile(r"-?[ \t]*(['\"\\]?)([^\s'\"\\;&|<>()]+)\1").match(self.text, self._at)
        if found:
            self._at = found.end()
            self._heredocs.append(found[2])

    def _skip_heredocs(self) -> None:
        for delimiter in self._heredocs:
            found = re.compile(rf"^\t*{re.escape(delimiter)}$", re.MULTILINE).search(self.text, self._at)
            self._at = found.end() if found else len(self.text)
        self._heredocs.clear()

    def _next(self) -> str:
        return self.text[self._at : self._at + 1]

    def _take_to(self, end: str) -> str:
        start = self._at
        while self._at < len(self.text) and self.text[self._at] != end:
            self._at += 2 if end == "`" and self.text[self._at] == "\\" else 1
        self._at += 1
        return self.text[start : self._at - 1]

    def _skip_to(self, end: str) -> None:
        found = self.text.find(end, self._at)
        self._at = len(self.text) if found < 0 else found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([`\\$])", r"\1", text)
