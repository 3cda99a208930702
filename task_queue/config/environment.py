"""The environment of the agent's process: built from a list of what may pass, never inherited."""

from __future__ import annotations

import os
from collections.abc import Mapping

from task_queue.config.schema import Agent

PASSED = (
    "PATH",
    "HOME",
    "LANG",
    "TERM",
    "TZ",
    *(
        name
        for base in ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
        for name in (base, base.upper())
    ),
)


def agent_environment(agent: Agent, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The agent's variables, by the configuration's ``agent.env``, ``pass_env`` and ``config_dir``.

    A credential that happens to be in our own environment reaches the agent only if the owner named it
    in ``pass_env``: a stray key silently wins over a subscription's login.
    """
    ours = os.environ if environ is None else environ
    passed = {name: ours[name] for name in (*PASSED, *agent.pass_env) if name in ours}
    if agent.config_dir is not None:
        passed["CLAUDE_CONFIG_DIR"] = str(agent.config_dir)
    return {**passed, **agent.env}


def template_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the runner template needs to start: no more than finds its interpreter and its modules."""
    ours = os.environ if environ is None else environ
    return {
        name: ours[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH", "VIRTUAL_ENV") if name in ours
    }
