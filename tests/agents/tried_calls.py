"""Ordinary calls of agents in projects, tried through the real SDK and CLI: what is denied, by whom, what would help.

One session makes all calls, because starting a CLI costs seconds. Programs that could do harm or use the network are
stubs, which come first on the agent's PATH.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from task_queue.domain.document.choices import Profile
from tests.agents.bench import Bench, MakeBench

DATA = Path(__file__).parents[1] / "data"
GOLDEN = DATA / "ordinary-calls-answers.json"
"""What the CLI that it names answered, by profile and call."""
_STUBS = (
    *("apt-get", "black", "cargo", "cmake", "coverage", "curl", "docker", "gh", "git", "go", "gofmt", "helm"),
    *("kubectl", "make", "mypy", "node", "npm", "npx", "pip", "pnpm", "poetry", "pre-commit", "pytest"),
    *("python", "python3", "rm", "rsync", "ruff", "rustc", "scp", "ssh", "sudo", "systemctl", "terraform"),
    *("tox", "tsc", "uv", "wget", "yarn"),
)
_FILES = (
    ".env",
    ".env.example",
    ".env.local",
    ".vscode/settings.json",
    ".claude/settings.json",
    ".git/config",
)
_FOLDERS = ("../outside", ".git/hooks", ".git/info", ".husky", ".idea", ".devcontainer", ".github/workflows")
_MOST_WORDS = 90

Call = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Tried:
    """One call, and what became of it; ``denial`` is what the result says of it."""

    call: str
    answer: str
    denial: Mapping[str, Any] | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple((self.denial or {}).get("rules") or ())

    @property
    def why_none(self) -> str:
        return str((self.denial or {}).get("why_no_rule") or "")

    def told(self) -> str:
        """One line for the golden file."""
        if self.denial is None:
            return "allowed"
        remedy = f"allow {', '.join(self.rules)}" if self.rules else self.why_none
        return f"denied by {self.denial.get('denied_by')}: {remedy} | {self.answer[:_MOST_WORDS]}"


@dataclass(frozen=True, slots=True)
class Table:
    """What one session answered."""

    cli: str
    rows: tuple[Tried, ...]

    def answers(self) -> dict[str, str]:
        return {each.call: each.told() for each in self.rows}


def ordinary_calls() -> list[Call]:
    calls: list[Call] = json.loads((DATA / "ordinary-calls.json").read_text(encoding="utf-8"))
    return calls


def key_of(call: Call) -> str:
    """How a table names *call*."""
    ((tool, given),) = call.items()
    return f"{tool} {next(iter(given.values()), '')}"


def tried(
    make: MakeBench,
    calls: Sequence[Call],
    profile: Profile,
    *,
    allow: Iterable[str] = (),
    own_list: bool = False,
    deny: Iterable[str] = (),
    task_deny: Iterable[str] = (),
) -> Table:
    """Each of *calls* under *profile*, in one session."""
    made: list[UseTool] = []

    def script(request: Request) -> Reply:
        return made[request.turn - 1] if request.turn <= len(made) else Say("done")

    run = make(script)
    places = {
        "@workspace": str(run.workspace),
        "@home": str(run.root / "home"),
        "@queue": str(run.queue),
        "@outside": str(run.root / "outside"),
    }
    for call in calls:
        ((tool, given),) = call.items()
        made.append(UseTool(tool, {key: _in_place(places, value) for key, value in given.items()}))
    _furnish(run)
    run.given(
        permissions=profile,
        allow=tuple(_with(places, rule) for rule in allow),
        deny=(*deny, *task_deny),
        max_turns=len(made) + 10,
    )
    run.set_up(allow_only=own_list, task_deny=tuple(task_deny))
    _, work = run.run()
    frames = [cast("Mapping[str, Any]", raw) for _, raw in run.transcript.lines if isinstance(raw, Mapping)]
    ids = [block["id"] for block in _blocks(frames, "assistant") if block.get("type") == "tool_use"]
    answers = run.model.requests[-1].tool_results
    assert len(ids) == len(answers) == len(made)
    denials = {denial["tool_use_id"]: denial for denial in work.permission_denials}
    rows = tuple(
        _row(call, answer, denials.get(id_), places)
        for call, id_, answer in zip(calls, ids, answers, strict=True)
    )
    return Table(_version(frames), rows)


def _row(call: Call, answer: str, denial: Mapping[str, Any] | None, places: Mapping[str, str]) -> Tried:
    if denial is not None:
        denial = cast("Mapping[str, Any]", json.loads(_without(places, json.dumps(denial))))
    return Tried(key_of(call), _without(places, " ".join(answer.split())), denial)


def _furnish(run: Bench) -> None:
    """A project with what the calls look for, and stubs."""
    programs = run.root / "bin"
    programs.mkdir()
    for name in _STUBS:
        (programs / name).write_text("#!/bin/sh\nexit 0\n")
        (programs / name).chmod(0o755)
    for folder in _FOLDERS:
        (run.workspace / folder).mkdir(parents=True)
    for name in (*_FILES, "a.py", "src/a.py", "README.md", "package.json"):
        path = run.workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n")
    env = {**run.order.env, "PATH": os.pathsep.join((str(programs), run.order.env["PATH"], *_extra_path()))}
    if run.order.settings.permissions is Profile.BYPASS or os.geteuid() == 0:
        env["IS_SANDBOX"] = "1"  # or the CLI refuses to bypass anything for root
    run.order = replace(run.order, env=env)


def _extra_path() -> list[str]:
    return [each for each in os.environ["PATH"].split(os.pathsep) if (Path(each) / "bwrap").exists()]


def _blocks(frames: Iterable[Mapping[str, Any]], kind: str) -> Iterable[Mapping[str, Any]]:
    for frame in frames:
        if frame.get("type") == kind:
            yield from frame["message"]["content"]


def _version(frames: Iterable[Mapping[str, Any]]) -> str:
    return next(str(frame["claude_code_version"]) for frame in frames if frame.get("subtype") == "init")


def _in_place(places: Mapping[str, str], value: object) -> object:
    return _with(places, value) if isinstance(value, str) else value


def _with(places: Mapping[str, str], text: str) -> str:
    for name, path in places.items():
        text = text.replace(name, path)
    return text


def _without(places: Mapping[str, str], text: str) -> str:
    for name, path in places.items():
        text = text.replace(path, name)
    return text
