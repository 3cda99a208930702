"""The read-me and each page of the guide, typed as printed: in an empty home, with a scripted model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import claude_agent_sdk
import pytest

from task_queue.demo.scripted_model import (
    Reply,
    Request,
    Say,
    Script,
    ScriptedModel,
    UseTool,
    by_task,
    child_environment,
    in_turn,
)
from tests.house.printed import PAGES, blocks_of, missing, said_by, session_of
from tests.house.tables import ROOT

_SHOP = '''\
"""Orders of a shop."""


def total(prices: list[int]) -> int:
    return sum(prices[1:])
'''
_TEST = """\
from shop import total


def test_the_total_of_nothing_is_zero() -> None:
    assert total([]) == 0
"""
_COLUMNS = "120"
_QUICK = ("README", "tasks", "faq")
"""The others are typed by ``make test`` only."""
TYPED = [
    pytest.param(page, id=page.stem, marks=[] if page.stem in _QUICK else pytest.mark.long)
    for page in (ROOT / "README.md", *PAGES)
    if any(block.is_typed for block in blocks_of(page))
]


def bash(command: str) -> UseTool:
    return UseTool("Bash", {"command": command, "description": "Work"})


def _auditor(request: Request) -> Reply:
    """Finds nothing."""
    verdict = {"verdict": "pass", "summary": "As asked.", "findings": [], "checks_run": [], "criteria": []}
    return Say("Judged.") if request.turn > 1 else UseTool("StructuredOutput", verdict)


_implementer = by_task(
    {
        "leaves out": in_turn(
            bash("sed -i 's/prices\\[1:\\]/prices/' shop.py && pytest -q"),
            Say("total() adds every price now; the tests pass."),
        ),
        "Publish": in_turn(bash("git push origin main"), Say("Published.")),
        "sells on Sundays": in_turn(Say("Nothing in the project says so.")),
    }
)


def _model(request: Request) -> Reply:
    if "StructuredOutput" in request.tool_names:
        return _auditor(request)
    script: Script = _implementer if any(text in request.first_text for text in _KNOWN) else _note
    return script(request)


_KNOWN = ("leaves out", "Publish", "sells on Sundays")
_note = in_turn(bash("echo 'As asked.' >> NOTES.md"), Say("It is in NOTES.md."))


def a_home(home: Path) -> Path:
    """With a git project in ``~/shop``, and the programs that the guide names; returns their folder."""
    programs, shop = home / "bin", home / "shop"
    for folder in (programs, shop):
        folder.mkdir()
    for name, module in (("task-queue", "task_queue.cli"), ("pytest", "pytest -p no:cacheprovider")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {module} "$@"\n')
        (programs / name).chmod(0o700)
    (programs / "claude").symlink_to(Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude")
    (home / ".gitconfig").write_text(
        "[user]\nname = A\nemail = a@example.org\n[init]\ndefaultBranch = main\n[advice]\ndetachedHead = false\n"
    )
    (shop / "shop.py").write_text(_SHOP)
    (shop / "test_shop.py").write_text(_TEST)
    (shop / ".gitignore").write_text("__pycache__/\ntasks/\n")
    return programs


def typed(home: Path, page: Path) -> subprocess.CompletedProcess[str]:
    """The blocks of *page*, typed in ``~/shop``; a page that does not make the queues finds them made."""
    script, _ = session_of(page)
    made = "" if "task-queue init" in script else "task-queue init > /dev/null"
    programs = a_home(home)
    config = home / ".config" / "task-queue" / "config.json"
    config.parent.mkdir(parents=True, mode=0o700)
    with ScriptedModel(_model) as model:
        path = f"{programs}:/usr/local/bin:/usr/bin:/bin"
        agent = {"env": child_environment(home / "agent", model, path=path)}
        config.write_text(json.dumps({"version": "2.1", "task_source_directories": [], "agent": agent}))
        config.chmod(0o600)
        return subprocess.run(
            ["sh", "-e", "-c", f"cd shop\ngit init -q\ngit add .\ngit commit -qm Start\n{made}\n{script}"],
            cwd=home,
            env={
                **child_environment(home, model),
                "PATH": f"{programs}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COLUMNS": _COLUMNS,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=380,
            check=False,
        )


@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", TYPED)
def test_a_page_works_as_printed(tmp_path: Path, page: Path) -> None:
    """Every command ends as the page says, and prints what the page shows."""
    done = typed(tmp_path, page)
    said = said_by(done.stdout)
    _, expected = session_of(page)

    assert done.returncode == 0, done.stdout
    assert {n: gone for n, text in expected.items() if (gone := missing(text, said[n]))} == {}, done.stdout
