"""What must not be written down: which variables are secret, and texts without their values. Pure.

A variable is secret unless its name is known to be harmless. Not every value of a secret variable can be taken out of
texts: one such as ``1`` or ``/srv/data`` would make them unreadable and protect nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import translate
from typing import Any
from urllib.parse import quote, unquote

REDACTED = "[redacted]"
SECRET_SHAPE = re.compile(r"sk-ant-[A-Za-z0-9_-]{6,}")
"""Keys that show by themselves what they are."""
_HARMLESS = """
    PATH HOME USER LOGNAME SHELL PWD OLDPWD TMPDIR XDG_*_HOME XDG_RUNTIME_DIR
    LANG LANGUAGE LC_* TZ TERM COLORTERM COLUMNS LINES NO_COLOR FORCE_COLOR CI
    http_proxy https_proxy all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
    SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    VIRTUAL_ENV VIRTUAL_ENV_PROMPT CONDA_PREFIX CONDA_DEFAULT_ENV
    PYTHONHOME PYTHONPATH PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE
    NODE_ENV NODE_OPTIONS NODE_PATH NVM_DIR JAVA_HOME GOPATH GOROOT GOCACHE GOMODCACHE
    CARGO_HOME RUSTUP_HOME RUST_BACKTRACE
    CC CXX CFLAGS CXXFLAGS LDFLAGS MAKEFLAGS PKG_CONFIG_PATH LD_LIBRARY_PATH
    ANTHROPIC_BASE_URL ANTHROPIC_MODEL ANTHROPIC_*_MODEL CLAUDE_CODE_SUBAGENT_MODEL CLAUDE_CODE_USE_*
    CLAUDE_CONFIG_DIR CLAUDE_CODE_TMPDIR AWS_REGION AWS_DEFAULT_REGION CLOUD_ML_REGION
    GIT_AUTHOR_* GIT_COMMITTER_* TASK_QUEUE_PORT
"""
HARMLESS = tuple(_HARMLESS.split())
"""Patterns of names; with a login in its URL, such a variable is secret, too."""
_HARMLESS_NAMES = frozenset(HARMLESS)
_HARMLESS_SHAPES = re.compile("|".join(translate(pattern) for pattern in HARMLESS if "*" in pattern))
"""In one expression, and made once: each runner would make them again."""
_FEWEST_CHARS = 6
_REVEALING = re.compile(
    r"KEY|TOKEN|SECRET|PASS|PWD|CREDENTIAL|AUTH(?!OR)|DSN|COOKIE|HEADER|(^|_)(PAT|PIN)(_|$)", re.IGNORECASE
)
_LOGIN_IN_URL = re.compile(r"://([^/\s@:]*)(?::([^/\s@]*))?@")
_HEADER = re.compile(r"[A-Za-z0-9-]+:\s+(?:(?:Bearer|Basic|Token)\s+)?(.*)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[\d.,:_]+")
_PATHS = re.compile(r"(?:~|\.{0,2})/[^\s=]*")
_WORD = re.compile(r"[A-Za-z_]+")
_STRUCTURE = (
    *("type", "subtype", "role", "status", "error", "phase", "step", "verdict", "isolation", "stop_reason"),
    *("terminal_reason", "decision_reason_type", "apiKeySource", "rateLimitType", "dir"),
)
"""Fields that the queue reads back: a word in one of them stays, even if it is a password, too."""


def is_secret(name: str, value: str) -> bool:
    """Whether the variable is for the agent alone."""
    is_harmless = name in _HARMLESS_NAMES or _HARMLESS_SHAPES.match(name) is not None
    return not is_harmless or _LOGIN_IN_URL.search(value) is not None


def says_secret(name: str) -> bool:
    """Whether already the name of the variable says so."""
    return _REVEALING.search(name) is not None


def secrets_in(env: Mapping[str, str], names: Collection[str] = ()) -> tuple[str, ...]:
    """The texts to take out of files: values of secret variables and of *names*, and what in them is secret by itself.

    Longest first. Left out are values of fewer than 6 characters and, unless the name says that it is secret,
    numbers and paths.
    """
    found: set[str] = set()
    for name, value in env.items():
        if name in names or is_secret(name, value):
            sure = name in names or says_secret(name)
            found.update(text for text in _parts(value) if sure or not _is_ordinary(text))
            found.update(password or user for user, password in _LOGIN_IN_URL.findall(value))
    spelled = {spelling for text in found for spelling in _spellings(text)}
    return tuple(sorted((text for text in spelled if len(text) >= _FEWEST_CHARS), key=lambda t: (-len(t), t)))


def redacted(value: Any, secrets: Iterable[str]) -> Any:
    """*value* (JSON, tuples allowed) with every secret in its texts and keys made unreadable.

    Words that the queue needs to read the value stay: keys of letters, and a word in a field such as ``type``.
    """
    match value:
        case str():
            for secret in secrets:
                value = value.replace(secret, REDACTED)
            return SECRET_SHAPE.sub(REDACTED, value)
        case list() | tuple():
            items: list[Any] = [redacted(item, secrets) for item in value]  # pyright: ignore[reportUnknownVariableType]  # JSON
            return tuple(items) if isinstance(value, tuple) else items
        case dict():
            return {  # pyright: ignore[reportUnknownVariableType]  # JSON
                key if _WORD.fullmatch(str(key)) else redacted(key, secrets): item  # pyright: ignore[reportUnknownArgumentType]  # JSON
                if key in _STRUCTURE and isinstance(item, str) and _WORD.fullmatch(item)
                else redacted(item, secrets)
                for key, item in value.items()  # pyright: ignore[reportUnknownVariableType]  # JSON
            }
        case _:
            return value


def without_secrets(env: Mapping[str, str], names: Collection[str] = ()) -> dict[str, str]:
    """*env* for programs that need no credentials; the variables *names* are such, whatever their names say."""
    return {name: value for name, value in env.items() if name not in names and not is_secret(name, value)}


def _parts(value: str) -> Iterator[str]:
    """The whole, its lines, and what headers in it say: each is seen alone somewhere."""
    yield value
    for line in map(str.strip, value.splitlines()):
        yield line
        header = _HEADER.fullmatch(line)
        if header:
            yield header[1]


def _spellings(text: str) -> Iterator[str]:
    """As it looks inside of JSON text and in a URL, too."""
    yield from (text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1])
    yield from (quote(text, safe=""), unquote(text))


def _is_ordinary(text: str) -> bool:
    return all(_NUMBER.fullmatch(part) or _PATHS.fullmatch(part) for part in text.split(":") if part)
