"""What may reach an agent, and what may come out of it: the real daemon, SDK and CLI, a scripted model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from task_queue.demo.scripted_model import (
    Reply,
    Request,
    Say,
    Script,
    ScriptedModel,
    UseTool,
    child_environment,
    in_turn,
)
from tests.acceptance.audits import a_repository
from tests.acceptance.conftest import MakeRig
from tests.acceptance.rig import Rig
from tests.processes import look
from tests.sampling import short_and_long
from tests.waiting import eventually

STRAY = "stray-key-of-the-daemon-7f3a"
GIVEN = "key-for-the-agent-only-91bc"
PASSWORD = "hunter2-in-a-proxy"

MakeAgent = Callable[..., Rig]


@pytest.fixture
def make_agent(make_rig: MakeRig, tmp_path: Path) -> Iterator[MakeAgent]:
    """A rig whose agents talk to a scripted model."""
    models: list[ScriptedModel] = []

    def make(script: Script, *, env: dict[str, str] | None = None, agent: Any = None, **config: Any) -> Rig:
        model = ScriptedModel(script)
        models.append(model.__enter__())
        environment = child_environment(tmp_path / "home-0", model)
        config["defaults"] = {"workflow": "single", **config.get("defaults", {})}
        return make_rig(agent={"env": {**environment, **(env or {})}, **(agent or {})}, **config)

    yield make
    for model in models:
        model.__exit__(None, None, None)


def test_secrets_stay_where_they_are(make_agent: MakeAgent) -> None:
    """One lies in the daemon's environment, one is given to the agent, which prints all it has."""
    wait = "env; echo here >> log; while [ ! -e go ]; do sleep 0.05; done"
    rig = make_agent(
        in_turn(UseTool("Bash", {"command": wait, "timeout": 60_000}), Say(f"my key is {GIVEN}")),
        env={"ANTHROPIC_API_KEY": GIVEN, "https_proxy": f"http://me:{PASSWORD}@127.0.0.1:9", "no_proxy": "*"},
    )
    rig.start(environment={"ANTHROPIC_API_KEY": STRAY, "CLAUDE_CODE_OAUTH_TOKEN": STRAY})
    rig.drop("task-agent", "# Print everything\n\nAll of it.\n")
    eventually(lambda: rig.side_effects("log"), timeout=90, what=f"the agent works; {rig.errors()}")
    arguments = [look(pid, "cmdline") for pid in rig.marked()]
    environments = [look(pid, "environ") for pid in rig.marked()]
    status = rig.cli("status", "--detailed").stdout
    (rig.workspace / "go").touch()
    result = rig.result("task-agent", timeout=60)
    doctor = rig.cli("doctor").stdout
    told = {"status": status, "doctor": doctor, "show": rig.cli("tasks", "show", "task-agent").stdout}
    told["logs"] = rig.cli("tasks", "logs", "task-agent").stdout

    assert result["success"], result
    assert "[redacted]" in result["output"]
    assert any(b"claude" in line for line in arguments)
    # The agent's own configuration folder is not ours; nor is the configuration, where the owner put the key.
    theirs = (rig.home / ".claude", rig.config)
    for path in rig.home.rglob("*"):
        if path.is_file() and not any(path.is_relative_to(place) for place in theirs):
            told[str(path)] = path.read_text(errors="replace")
    assert any(name.endswith("transcript.jsonl") for name in told)
    for secret in (STRAY, GIVEN, PASSWORD):
        assert not [name for name, text in told.items() if secret in text]
        assert not [line for line in arguments if secret.encode() in line]
    for secret in (STRAY, GIVEN):
        assert not [block for block in environments if secret.encode() in block]
    assert "CLAUDE_CODE_OAUTH_TOKEN is set in the daemon's environment" in doctor
    assert "pass_env" in doctor


SPOKEN = {
    "GITHUB_PAT": "pat-of-somebody",
    "MYSQL_PWD": "hunter2",
    "SENTRY_DSN": "https://dsn-key@o1.sentry.example/42",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Gateway: gateway-key",
    "JUST_A_NAME": "a-value-that-says-nothing",
}
GRANTED = {"DATABASE_URL": "postgres://me:db-password@db.example/x", "NPM_AUTH": "npm-key-of-ours"}


def test_hooks_and_checks_get_what_is_granted_and_no_file_a_value(make_rig: MakeRig) -> None:
    """A command, a hook and a check each print their environment; ``checks.env`` names two variables."""
    rig = make_rig(
        agent={"env": {**SPOKEN, "DATABASE_URL": GRANTED["DATABASE_URL"]}, "pass_env": ["FROM_OURS"]},
        checks={"env": list(GRANTED)},
    )
    seen = {name: rig.home.parent / name for name in ("command", "hook", "check")}
    hook = a_repository(rig) / ".git/hooks/pre-commit"
    hook.write_text(f"#!/bin/sh\nenv > {seen['hook']}\n")
    hook.chmod(0o755)
    rig.start(environment={"FROM_OURS": "passed-on-value", "NPM_AUTH": GRANTED["NPM_AUTH"]})
    rig.drop_command(
        "task-a",
        f"env | tee {seen['command']}; echo done > work.txt",
        isolation="worktree",
        verify=json.dumps(f"env > {seen['check']}; env; exit 3"),
    )
    rig.drop_command("task-b", "echo done > other.txt", isolation="worktree")

    first, second = rig.result("task-a"), rig.result("task-b")

    assert (first["outcome"], second["outcome"]) == ("verify_failed", "succeeded"), (first, second)
    got = {who: place.read_text() for who, place in seen.items()}
    mine = (*SPOKEN.values(), "passed-on-value")
    assert all(value in got["command"] for value in mine)
    assert not [value for value in mine for who in ("hook", "check") if value in got[who]]
    assert all(value in got[who] for value in GRANTED.values() for who in ("hook", "check"))
    assert GRANTED["NPM_AUTH"] not in got["command"]
    written = {
        str(path): path.read_text(errors="replace")
        for path in rig.home.rglob("*")
        if path.is_file() and path != rig.config and ".git" not in path.parts
    }
    assert any(name.endswith("transcript.jsonl") for name in written)
    parts = ("dsn-key", "gateway-key", "db-password")
    for value in (*mine, *GRANTED.values(), *parts):
        assert not [name for name, text in written.items() if value in text], value


OTHER = "a-value-whose-name-says-nothing"


@pytest.mark.parametrize("way", short_and_long(["credential"], ["env_file", "key_command"]))
def test_a_key_outside_the_configuration_stays_secret(
    make_agent: MakeAgent, tmp_path: Path, way: str
) -> None:
    """It pays; no file of the queue holds it, no check gets it, and the agent cannot read the file."""
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    file = keys / "ANTHROPIC_API_KEY"
    replies = in_turn(
        UseTool("Read", {"file_path": str(file)}),
        UseTool("Bash", {"command": "env"}),
        Say(f"my key is {GIVEN} {OTHER}"),
    )
    requests: list[Request] = []

    def script(request: Request) -> Reply:
        requests.append(request)
        return replies(request)

    rig = make_agent(script)
    document = json.loads(rig.config.read_text())
    document["agent"]["env"].pop("ANTHROPIC_API_KEY")
    environment: dict[str, str] = {}
    if way == "env_file":
        file.write_text(f"ANTHROPIC_API_KEY={GIVEN}\nGATEWAY={OTHER}\n")
        document["agent"]["env_file"] = str(file)
    elif way == "key_command":
        file.write_text(GIVEN)
        document["agent"]["key_command"] = ["/bin/cat", str(file)]
    else:
        file.write_text(GIVEN)
        environment["CREDENTIALS_DIRECTORY"] = str(keys)
    file.chmod(0o600)
    rig.config.write_text(json.dumps(document))
    rig.start(environment=environment)
    rig.drop("task-agent", "---\nverify: env > checked\n---\n# Print everything\n\nAll of it.\n")

    result = rig.result("task-agent", timeout=120)

    told = {
        str(path): path.read_text(errors="replace")
        for path in rig.home.rglob("*")
        if path.is_file() and not path.is_relative_to(rig.home / ".claude")
    }
    secrets = (GIVEN, OTHER) if way == "env_file" else (GIVEN,)
    assert result["outcome"] in {"succeeded", "denied"}, result
    assert result["billed_to"] == "api_key"
    assert "[redacted]" in result["output"]
    assert (rig.workspace / "checked").exists()
    for secret in secrets:
        assert not [name for name, text in told.items() if secret in text]
    if way != "key_command":  # which the owner keeps from agents himself
        assert "denied" in requests[-1].tool_results[0]


def test_a_task_narrows_and_never_widens(make_agent: MakeAgent) -> None:
    """More than the owner allows waits for the owner, unstarted; less is what the agent gets."""
    rig = make_agent(in_turn(UseTool("Bash", {"command": "touch made"}), Say("done")))
    rig.start()
    rig.drop("task-20260207-000001-more", "---\npermissions: bypass\n---\n# All\n\nDo it.\n")
    rig.drop(
        "task-20260207-000003-list",
        "---\ntitle: More\nallow:\n  - Bash(git status *)\n  - WebFetch(domain:example.org)\n  - Mcp\n---\nDo it.\n",
    )
    rig.drop("task-20260207-000002-less", "---\nallow: Bash(git status *)\n---\n# Less\n\nDo it.\n")

    less = rig.result("task-20260207-000002-less", timeout=60)

    held = {
        task["task_id"]: task["note"] for task in rig.json("tasks", "list", "--state", "pending")["tasks"]
    }
    more, listed = held["task-20260207-000001-more"], held["task-20260207-000003-list"]
    assert more.startswith("waits: line 2: permissions: bypass is more")
    assert '"permissions": "bypass"' in more
    assert listed.startswith("waits: line 6: allow: Mcp is more"), listed
    assert not (rig.queue() / "logs" / "task-20260207-000001-more").exists()
    assert less["outcome"] == "denied", less
    assert less["permission_denials"][0]["rule"] == "Bash(touch:*)"
    assert not (rig.workspace / "made").exists()
    assert "allow it with: Bash(touch:*)" in rig.cli("tasks", "show", "task-20260207-000002-less").stdout
    assert '"Bash(touch:*)"' in rig.cli("doctor").stdout


def test_the_rule_that_is_told_lets_it_pass(make_agent: MakeAgent) -> None:
    """The owner follows the advice, and the same call goes through."""
    command = "touch made && chmod 600 made"
    rig = make_agent(
        in_turn(UseTool("Bash", {"command": command}), Say("done")),
        defaults={"permissions": "readonly", "allow": ["Bash(touch:*)", "Bash(chmod:*)"]},
    )
    rig.start()
    rig.drop("task-agent", "# Do it\n\nNow.\n")

    result = rig.result("task-agent", timeout=60)

    assert result["outcome"] == "succeeded", result
    assert (rig.workspace / "made").exists()


@pytest.mark.parametrize("broken", short_and_long(["missing"], ["failing"]))
def test_a_sandbox_that_cannot_be_is_refused_before_the_start(
    make_agent: MakeAgent, tmp_path: Path, broken: str
) -> None:
    """On the PATH that the agent will have; the message names the package."""
    programs = tmp_path / "bin"
    programs.mkdir()
    if broken == "failing":
        for name, code in (("bwrap", 0), ("socat", 127)):
            (programs / name).write_text(f"#!/bin/sh\nexit {code}\n")
            (programs / name).chmod(0o755)
    (programs / "sh").symlink_to(shutil.which("sh") or "/bin/sh")
    rig = make_agent(in_turn(Say("done")), env={"PATH": str(programs)})
    rig.start()
    rig.drop("task-agent", "---\npermissions: sandboxed\n---\n# Do it\n\nNow.\n")

    result = rig.result("task-agent")

    assert result["outcome"] == "rejected"
    assert {"missing": "bubblewrap", "failing": "socat"}[broken] in result["error"]
    assert "apt-get install" in result["error"]


@pytest.mark.skipif(not shutil.which("bwrap") or not shutil.which("socat"), reason="no bubblewrap or socat")
def test_a_sandboxed_agent_cannot_write_outside(make_agent: MakeAgent, tmp_path: Path) -> None:
    """The operating system holds, whatever the command is."""
    outside = tmp_path / "outside"
    command = f"touch inside; touch {outside} || echo held"
    rig = make_agent(in_turn(UseTool("Bash", {"command": command}), Say("done")))
    rig.start()
    rig.drop("task-agent", "---\npermissions: sandboxed\n---\n# Do it\n\nNow.\n")

    result = rig.result("task-agent", timeout=60)

    assert result["outcome"] in {"succeeded", "denied"}, result
    assert not outside.exists()


def test_settings_that_an_agent_changed_are_not_loaded(make_agent: MakeAgent) -> None:
    """A hook that one task plants does not run in the next, until the owner accepts it."""
    hook = {"hooks": [{"type": "command", "command": "echo ran >> hooked"}]}
    planted = json.dumps({"hooks": {"UserPromptSubmit": [hook]}})
    # In a script of its own: the CLI itself refuses to write its settings.
    plant = f"mkdir -p .claude; printf %s '{planted}' > .claude/settings.json"
    steps = [
        UseTool("Write", {"file_path": "plant.sh", "content": plant}),
        UseTool("Bash", {"command": "sh plant.sh"}),
    ]

    def script(request: Any) -> Any:
        plants = "Plant" in request.first_text and request.turn <= len(steps)
        return steps[request.turn - 1] if plants else Say("done")

    rig = make_agent(script)
    rig.start()
    rig.drop("task-20260207-000001-plant", "# Plant\n\nPlant it.\n")
    rig.drop("task-20260207-000002-next", "# Next\n\nGo on.\n")
    rig.result("task-20260207-000001-plant", timeout=60)
    following = rig.result("task-20260207-000002-next", timeout=60)
    doctor = rig.cli("doctor").stdout

    assert ".claude/settings.json was added" in " ".join(following["notes"])
    assert not rig.side_effects("hooked")
    assert ".claude/settings.json was added" in doctor
    assert "+++ now/.claude/settings.json" in doctor
    assert "echo ran >> hooked" in doctor
    assert "accepted in" in rig.cli("doctor", "--accept-settings").stderr
    rig.drop("task-20260207-000003-last", "# Last\n\nGo on.\n")
    last = rig.result("task-20260207-000003-last", timeout=60)
    eventually(lambda: rig.side_effects("hooked"), what="the accepted hook runs")
    assert "settings" not in " ".join(last["notes"])
