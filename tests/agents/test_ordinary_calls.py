"""What becomes of ordinary calls in each profile, and whether the advice on each denial is true.

The whole table compares with the answers of the CLI that the golden file names. With another CLI only what must always
hold is asserted. ``WRITE_GOLDEN=1`` writes the file anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import pytest

from task_queue.domain.document.choices import Profile
from tests.agents.bench import MakeBench
from tests.agents.tried_calls import GOLDEN, Call, Table, Tried, key_of, ordinary_calls, tried

SHORT: Sequence[str] = (
    "pytest -q",
    "npm run build && npm test",
    "cargo test -- --nocapture",
    "GOFLAGS=-mod=mod go generate ./...",
    "git add -A && git commit -m 'x'",
    "git -C . status",
    "git push",
    "git -C . push",
    "git -c user.name=x push",
    "FOO=1 git push",
    "sh -c 'git push'",
    "/usr/bin/git push",
    "git reset -q --hard",
    "git reset --soft HEAD~1",
    "sudo make install",
    "find . -name '*.py' -exec sed -i 's/x/y/' {} +",
    "cat .env",
    "cat .env.example",
    "cp .env.example .env.sample",
    "echo '{}' > .vscode/settings.json",
    "echo x > .gitignore",
    "cat ~/.ssh/id_rsa",
    "rm -rf *",
    "rm -rf build",
    "@workspace/.claude/settings.json",
    "@workspace/.env.sample",
    "@workspace/.env",
    "@queue/pending/task-x.md",
)
NARROW = ("Read", "Bash(git status:*)", "Edit(/@workspace/src/**)")
"""A task's own list."""
CAN_SANDBOX = shutil.which("bwrap") and shutil.which("socat")


def short_calls() -> list[Call]:
    return [call for call in ordinary_calls() if key_of(call).partition(" ")[2] in SHORT]


@cache
def golden() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return content


def check_told(rows: Iterable[Tried]) -> None:
    """Each denial has either rules or the sentence why there are none; and says who denied it, if it was no rule."""
    for each in rows:
        if each.denial is not None:
            assert bool(each.rules) is not bool(each.why_none), each
            assert each.denial["denied_by"] or "deny" in each.why_none, each


def denied_with_its_rules(
    make: MakeBench, table: Table, profile: Profile, *, own_list: bool, allow: Sequence[str]
) -> dict[str, str]:
    """Calls that are denied to who took the rules that were advised for them.

    Calls that need all of Bash are tried apart, because that rule would also let the others pass.
    """
    denied: dict[str, str] = {}
    for whole in (False, True):
        advised = [each for each in table.rows if each.rules and ("Bash" in each.rules) is whole]
        rules = tuple(dict.fromkeys(rule for each in advised for rule in each.rules))
        denied |= denied_again(make, advised, profile, allow=(*allow, *rules), own_list=own_list)
    return denied


def denied_in_its_profile(make: MakeBench, table: Table) -> dict[str, str]:
    """Calls that a wider profile, which the advice names, does not let pass."""
    denied: dict[str, str] = {}
    for profile in (Profile.TRUSTED, Profile.BYPASS):
        advised = [each for each in table.rows if f"permissions: {profile}" in each.why_none]
        if profile is Profile.TRUSTED:
            advised = [each for each in advised if in_one_place_of_the_workspace(each.call)]
        denied |= denied_again(make, advised, profile)
    return denied


def denied_again(make: MakeBench, rows: Sequence[Tried], profile: Profile, **rules: Any) -> dict[str, str]:
    if not rows:
        return {}
    calls = {key_of(call): call for call in ordinary_calls()}
    again = tried(make, [calls[each.call] for each in rows], profile, **rules)
    return {each.call: each.told() for each in again.rows if each.denial}


def in_one_place_of_the_workspace(call: str) -> bool:
    return not any(each in call for each in ("~", "@home", ";"))


def check_golden(name: str, table: Table) -> None:
    if os.environ.get("WRITE_GOLDEN"):
        content = golden() if GOLDEN.exists() else {}
        content["cli"] = table.cli
        content.setdefault("profiles", {})[name] = table.answers()
        GOLDEN.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    elif golden()["cli"] == table.cli:
        assert table.answers() == golden()["profiles"][name]


def test_advice_on_a_few_calls_is_true(bench: MakeBench) -> None:
    """The short form: guarded, what it advises, and the same calls under a task's own list."""
    calls = short_calls()
    assert len(calls) >= len(SHORT)

    guarded = tried(bench, calls, Profile.GUARDED)
    listed = tried(bench, calls, Profile.GUARDED, allow=NARROW, own_list=True)

    answers = guarded.answers()
    assert answers["Bash git -C . push"].startswith("denied by profile"), answers
    assert answers["Bash cat .env.example"] == "allowed"
    for table in (guarded, listed):
        check_told(table.rows)
    assert denied_in_its_profile(bench, guarded) == {}
    assert denied_with_its_rules(bench, listed, Profile.GUARDED, own_list=True, allow=NARROW) == {}


def test_a_rule_of_the_owner_and_one_of_the_task_are_told_apart(bench: MakeBench) -> None:
    calls: list[Call] = [{"Bash": {"command": each}} for each in ("make a", "ls src", "env npm test")]

    table = tried(
        bench, calls, Profile.BYPASS, deny=["Bash(make:*)", "Bash(npm test:*)"], task_deny=["Bash(ls:*)"]
    )

    assert [each.denial and each.denial["denied_by"] for each in table.rows] == ["owner", "task", "owner"]
    assert "Bash(ls:*)" in table.rows[1].why_none


@pytest.mark.long
@pytest.mark.parametrize("profile", Profile)
def test_every_ordinary_call(bench: MakeBench, profile: Profile) -> None:
    """In each profile: as the golden file has it, and with advice that is true."""
    if profile is Profile.SANDBOXED and not CAN_SANDBOX:
        pytest.skip("no bubblewrap or socat")
    table = tried(bench, ordinary_calls(), profile)

    assert len(table.rows) > 400
    check_golden(profile, table)
    check_told(table.rows)
    assert denied_with_its_rules(bench, table, profile, own_list=False, allow=()) == {}
    if profile is Profile.GUARDED:
        assert denied_in_its_profile(bench, table) == {}


@pytest.mark.long
def test_every_ordinary_call_under_a_tasks_own_list(bench: MakeBench) -> None:
    """Which allows little by itself, so most advice is a rule."""
    table = tried(bench, ordinary_calls(), Profile.GUARDED, allow=NARROW, own_list=True)

    check_golden("own list", table)
    check_told(table.rows)
    assert denied_with_its_rules(bench, table, Profile.GUARDED, own_list=True, allow=NARROW) == {}
