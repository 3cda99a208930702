"""Variables that the settings of a project set for the agent's program and all that it starts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import cast

_QUEUES = (
    *("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS", "ANTHROPIC_*BASE_URL"),
    *("ANTHROPIC_BEDROCK_*", "ANTHROPIC_VERTEX_*", "ANTHROPIC_FOUNDRY_*", "ANTHROPIC_UNIX_SOCKET"),
    *("CLAUDE_CODE_USE_*", "CLAUDE_CODE_SKIP_*", "CLAUDE_CODE_OAUTH*", "CLAUDE_CODE_API_KEY*"),
    *("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_TMPDIR", "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"),
    *("CLAUDECODE", "CLAUDE_AGENT_SDK_*", "CLAUDE_CODE_SESSION*", "CLAUDE_CODE_ENTRYPOINT", "HOME"),
)
"""Who pays, where to, and where the agent's program keeps its files: for the queue and its owner to say."""
_EXECUTING = (
    *("PATH", "SHELL", "ENV", "BASH_ENV", "BASH_FUNC_*", "CDPATH", "TMPDIR", "XDG_*", "CLAUDE_ENV_FILE"),
    *(
        "LD_*",
        "DYLD_*",
        "GIT_*",
        "SSH_*",
        "NODE_*",
        "NPM_*",
        "PYTHON*",
        "PERL*",
        "RUBY*",
        "JAVA_*",
        "*_JAVA_*",
    ),
    *(
        "*EDITOR",
        "*PAGER",
        "*BROWSER",
        "*COMMAND*",
        "*_PREFIX",
        "*_SHELL",
        "*_PATH",
        "*_OPTIONS",
        "*_CONFIG*",
    ),
)
"""Each can make a program start another one."""
_WORD = re.compile(r"[\w.,:+-]*")


def environment_in(settings: object) -> dict[str, str]:
    """What *settings* (JSON) set; of another shape: nothing."""
    given: object = cast("dict[str, object]", settings).get("env") if isinstance(settings, dict) else None
    if not isinstance(given, dict):
        return {}
    return {name: str(value) for name, value in cast("dict[str, object]", given).items()}


def reserved_in(env: Mapping[str, str]) -> Iterator[str]:
    """Names in *env* that no project may set."""
    return (name for name in env if any(fnmatchcase(name.upper(), pattern) for pattern in _QUEUES))


def executing_in(env: Mapping[str, str]) -> Iterator[str]:
    """Names in *env* that may lead a program to a file of the project."""
    for name, value in env.items():
        if not _WORD.fullmatch(value) or any(fnmatchcase(name.upper(), pattern) for pattern in _EXECUTING):
            yield name
