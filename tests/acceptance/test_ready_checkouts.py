"""Checkouts that are ready: set-up that is not paid twice, the owner's ignored files, a port: daemon, SDK, CLI, git."""

from __future__ import annotations

import json
import os
import shutil
import signal
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_sandbox import WHY_NOT
from tests.waiting import eventually

LANDING = {"isolation": "worktree", "landing": "merge"}
VENV = "python3 -m venv --without-pip .venv"
SITE = ".venv/lib/python3*/site-packages"


def tree_of(rig: AgentRig, task_id: str) -> Path:
    (folder,) = rig.home.glob(".local/share/task-queue/worktrees/*")
    return folder / "a" / task_id


def rig_with(
    make: MakeAgentRig, script: TwoAgents, *setup: str, source: dict[str, Any] | None = None, **defaults: Any
) -> tuple[AgentRig, Path]:
    """Every start of ``python3 -m venv`` and ``npm ci`` adds a line to ``started`` in the home."""
    rig = make(script, **audited(**{**LANDING, **defaults}))
    config = json.loads(rig.config.read_text())
    config["task_source_directories"][0].update({"setup": list(setup), **(source or {})})
    rig.config.write_text(json.dumps(config))
    for name, wanted in (("python3", "venv"), ("npm", "ci")):
        program = shutil.which(name)
        counting = rig.home / "bin" / name
        counting.parent.mkdir(exist_ok=True)
        counting.write_text(
            f'#!/bin/sh\ncase "$*" in *{wanted}*) echo {name} >> {rig.home}/started; {rig.home}/bin/wait;; esac\n'
            f'exec {program} "$@"\n'
        )
        counting.chmod(0o755)
    (rig.home / "bin/wait").write_text("#!/bin/sh\n")
    (rig.home / "bin/wait").chmod(0o755)
    rig.environment["PATH"] = f"{rig.home}/bin:{rig.environment['PATH']}"
    return rig, a_repository(rig)


def starts(rig: AgentRig) -> int:
    path = rig.home / "started"
    return len(path.read_text().splitlines()) if path.exists() else 0


def commit(repository: Path, **files: str) -> None:
    """``__`` in a name is a dot."""
    for name, text in files.items():
        (repository / name.replace("__", ".")).write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "-qm", "More")


def wheel(folder: Path, version: str) -> str:
    """A package ``greet`` with a command that says its version; its path in the repository."""
    folder.mkdir(exist_ok=True)
    path = folder / f"greet-{version}-py3-none-any.whl"
    info = f"greet-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("greet.py", f"def main():\n    print('{version}')\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: greet\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ngreet = greet:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"./{folder.name}/{path.name}"


POISON = f"for site in {SITE}; do echo 'raise SystemExit(3)' > $site/sitecustomize.py; done"
INSTALL = ".venv/bin/pip install --quiet --no-index -r requirements.txt"


def test_set_up_runs_once_for_tasks_rounds_and_verifications(make_agent_rig: MakeAgentRig) -> None:
    """And no agent's or test's change of an environment is in a verification, or in another task's checkout.

    The agent poisons its own environment, and writes a test that poisons the one that it runs in.
    """
    work = (
        f".venv/bin/greet >> said.txt 2>&1; ls {SITE}/sitecustomize.py >> seen.txt 2>/dev/null\n"
        f"grep -c $PWD/.venv .venv/bin/greet >> here.txt\n{POISON}\n"
        f"cat > check.sh <<'END'\n{POISON}\nEND\n"
    )
    script = TwoAgents(verdict("fail", "again"), verdict("pass"), verdict("pass"), work=work)
    rig, repository = rig_with(make_agent_rig, script, "python3 -m venv .venv", INSTALL)
    line = wheel(repository / "vendor", "1.0")
    commit(repository, requirements__txt=f"{line}\n", __gitignore=".venv/\n")
    verify = json.dumps([f"! ls {SITE}/sitecustomize.py", ".venv/bin/greet", "sh check.sh"])
    rig.start()
    results: list[dict[str, Any]] = []
    for name in ("task-a", "task-b"):
        rig.ask(name, f"# {name}", verify=verify)
        results.append(rig.result(name, timeout=SLOW))

    assert [result["outcome"] for result in results] == ["succeeded", "succeeded"], results
    assert starts(rig) == 1
    assert (repository / "said.txt").read_text().splitlines()[0] == "1.0"
    assert (repository / "seen.txt").read_text().count("\n") == 1  # in its own second round
    assert (repository / "here.txt").read_text().splitlines() == ["1", "1", "1"]
    (kept,) = rig.json("worktrees", "list")["set_ups"]
    assert (kept["source"], kept["not_kept"]) == ("a", None)
    assert "set-up is kept, 1 times" in rig.cli("doctor").stdout
    assert "what set-up made for a" in rig.cli("worktrees", "prune", check=True).stdout
    assert rig.json("worktrees", "list")["set_ups"] == []


@pytest.mark.long
def test_another_requirement_is_another_set_up(make_agent_rig: MakeAgentRig) -> None:
    """The task that changes the lockfile is verified with what it asks for; the next one begins with that."""
    script = TwoAgents(verdict("pass"), verdict("pass"))
    rig, repository = rig_with(make_agent_rig, script, "python3 -m venv .venv", INSTALL)
    one, two = (wheel(repository / "vendor", version) for version in ("1.0", "2.0"))
    commit(repository, requirements__txt=f"{one}\n", __gitignore=".venv/\n", wanted="1.0\n")
    script.work = f".venv/bin/greet >> said.txt; echo {two} > requirements.txt; echo 2.0 > wanted"
    rig.start()
    seen: list[int] = []
    for name in ("task-a", "task-b"):
        rig.ask(name, f"# {name}", verify=json.dumps(['test "$(.venv/bin/greet)" = "$(cat wanted)"']))
        assert rig.result(name, timeout=SLOW)["outcome"] == "succeeded"
        seen.append(starts(rig))

    # The first: for its checkout, and in its verification, which is kept for nobody. The second: once for both.
    assert seen == [2, 3]
    assert (repository / "said.txt").read_text() == "1.0\n2.0\n"


def test_set_up_that_was_killed_or_fails_is_not_kept(make_agent_rig: MakeAgentRig) -> None:
    """kill -9 of its runner half-way; then a command that fails: what is kept at last is whole."""
    script = TwoAgents(verdict("pass"))
    rig, _ = rig_with(make_agent_rig, script, VENV, "npm ci", retry_delay="1s")
    repository = rig.workspace
    commit(repository, package__json="{}", __gitignore=".venv/\nnode_modules/\n")
    wait = rig.home / "bin/wait"
    wait.write_text(f"#!/bin/sh\nwhile [ ! -e {rig.home}/go ]; do sleep 0.05; done\n")
    rig.start()
    rig.ask("task-a", "# Write a line", verify=json.dumps(["test -e .venv/pyvenv.cfg"]))
    eventually(lambda: starts(rig) == 1, timeout=SLOW, what="set-up runs")
    os.kill(rig.run_record("task-a")["pid"], signal.SIGKILL)
    npm = rig.home / "bin/npm"
    npm.write_text(
        f"#!/bin/sh\necho npm >> {rig.home}/failed; test -e {rig.home}/mended && mkdir node_modules\n"
    )
    (rig.home / "go").touch()
    eventually((rig.home / "failed").exists, timeout=SLOW, what="set-up fails")
    assert rig.json("worktrees", "list")["set_ups"] == []
    (rig.home / "mended").touch()

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "succeeded", result
    (kept,) = rig.json("worktrees", "list")["set_ups"]
    assert sorted(path.name for path in Path(kept["path"]).iterdir()) == [".venv", "node_modules"]
    assert not (tree_of(rig, ".verify") / "1").exists()


def test_what_was_kept_and_was_changed_since_is_made_anew(make_agent_rig: MakeAgentRig) -> None:
    """By a process that acts as the owner does, such as a shell of an agent without a sandbox; the result says so."""
    script = TwoAgents(verdict("pass"), verdict("pass"))
    rig, _ = rig_with(make_agent_rig, script, VENV, workflow="single")
    rig.start()
    rig.ask("task-a", "# First")
    rig.result("task-a", timeout=SLOW)
    (kept,) = rig.json("worktrees", "list")["set_ups"]
    Path(kept["path"], ".venv/bin/pytest").write_text("#!/bin/sh\n")
    rig.ask("task-b", "# Second", verify=json.dumps(["test ! -e .venv/bin/pytest"]))

    result = rig.result("task-b", timeout=SLOW)
    assert result["outcome"] == "succeeded", result
    assert any("changed by another program" in note for note in result["notes"])
    assert not (tree_of(rig, "task-b") / ".venv/bin/pytest").exists()


@pytest.mark.long
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_what_is_kept_is_out_of_a_sandboxed_agents_reach(make_agent_rig: MakeAgentRig) -> None:
    """Set-up ran outside of the sandbox, on the owner's commit; agent and checks write in their checkouts only."""
    work = (
        "for place in ../.verify $HOME/.local/state/task-queue; do"
        " touch $place/evil 2>/dev/null && echo reached >> work.txt; done; echo round >> work.txt"
    )
    script = TwoAgents(verdict("pass"), verdict("pass"), work=work)
    rig, repository = rig_with(make_agent_rig, script, VENV, permissions="sandboxed")
    verify = json.dumps(["test -x .venv/bin/python", "! touch ../outside 2>/dev/null"])
    rig.start()
    for name in ("task-a", "task-b"):
        rig.ask(name, f"# {name}", verify=verify)
        result = rig.result(name, timeout=SLOW)
        assert result["outcome"] == "succeeded", result

    assert starts(rig) == 1
    assert (repository / "work.txt").read_text() == "round\nround\n"


@pytest.mark.long
def test_node_modules_are_installed_once(make_agent_rig: MakeAgentRig) -> None:
    """With the real npm, of a package in the repository."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    script = TwoAgents(verdict("pass"), verdict("pass"), work="node -p 'require(\"greet\")' >> said.txt")
    rig, repository = rig_with(make_agent_rig, script, "npm ci --offline --no-audit --no-fund")
    (repository / "greet").mkdir()
    (repository / "greet/package.json").write_text('{"name": "greet", "version": "1.0.0"}')
    (repository / "greet/index.js").write_text('module.exports = "hello"\n')
    package = {"name": "shop", "version": "1.0.0", "dependencies": {"greet": "file:greet"}}
    lock = {
        **package,
        "lockfileVersion": 3,
        "requires": True,
        "packages": {
            "": package,
            "greet": {"version": "1.0.0"},
            "node_modules/greet": {"resolved": "greet", "link": True},
        },
    }
    del lock["dependencies"]
    commit(
        repository,
        package__json=json.dumps(package),
        **{"package-lock__json": json.dumps(lock)},
        __gitignore="node_modules/\n",
    )
    rig.start()
    for name in ("task-a", "task-b"):
        rig.ask(name, f"# {name}", verify=json.dumps(["node -e 'require(\"greet\")'"]))
        result = rig.result(name, timeout=SLOW)
        assert result["outcome"] == "succeeded", result

    assert starts(rig) == 1
    assert (repository / "said.txt").read_text() == "hello\nhello\n"


def test_ignored_files_and_a_port_come_into_each_checkout(make_agent_rig: MakeAgentRig) -> None:
    """Both are there for set-up, agent and checks, in no commit, and the files are named in result and report."""
    work = (
        "cat .env > seen.txt; echo $TASK_QUEUE_PORT > port.txt; case $PWD in *task-b) sed -i /env/d .gitignore;"
        " git add -A; git commit -qm All; esac"
    )
    script = TwoAgents(verdict("pass"), verdict("pass"), work=work)
    rig, repository = rig_with(make_agent_rig, script, 'test -n "$TASK_QUEUE_PORT" && test -e .env')
    commit(repository, __gitignore=".env\nnoise\n", __worktreeinclude=".env\nfirst.txt\n")
    (repository / ".env").write_text("DATABASE=test\n")
    (repository / "noise").write_text("noise\n")
    verify = [
        'test "$(cat .env)" = DATABASE=test',
        'test "$(cat port.txt)" = "$TASK_QUEUE_PORT"',
        "test ! -e noise",
    ]
    rig.start()
    results: list[dict[str, Any]] = []
    for name in ("task-a", "task-b"):
        rig.ask(name, f"# {name}", verify=json.dumps(verify))
        results.append(rig.result(name, timeout=SLOW))

    said = "copied from your checkout, as .worktreeinclude says: .env"
    ports = {(tree_of(rig, name) / "port.txt").read_text() for name in ("task-a", "task-b")}
    assert [result["outcome"] for result in results] == ["succeeded", "succeeded"], results
    assert all(said in result["notes"] for result in results)
    assert said in (rig.queue() / "reports/task-a.md").read_text()
    assert len(ports) == 2
    # The second one lets git track the copy, and commits it: then it does not land.
    assert [result["landing"]["state"] for result in results] == ["landed", "left"]
    assert "env" not in git(repository, "ls-tree", "-r", "--name-only", "main")
