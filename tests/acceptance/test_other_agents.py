"""Command lines of other agents, as the guide prints them; stand-ins take the arguments that are documented."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import dedent

from task_queue.agents.claude.checks_tool import CALLED
from task_queue.demo.scripted_model import Reply, Request, Say
from tests.acceptance.agents import AgentRig
from tests.acceptance.audits import SLOW, a_repository, audits, git, verdict
from tests.acceptance.conftest import MakeAgentRig
from tests.acceptance.test_auditors_runs import run_check
from tests.house.printed import GUIDE, blocks_of
from tests.waiting import eventually

PAGE = GUIDE / "other-agents.md"
CHECK = "cat deps work.txt"
WAIT = "sh wait.sh"
STAND_INS = {
    # developers.openai.com/codex/noninteractive
    "codex": """
        exec_ = commands.add_parser("exec")
        exec_.add_argument("--sandbox", choices=["read-only", "workspace-write", "danger-full-access"])
        exec_.add_argument("prompt", choices=["-"])
        given = parser.parse_args()
        task, may_write = sys.stdin.read(), given.sandbox == "workspace-write"
        """,
    # geminicli.com/docs/cli/headless, and gemini --help
    "gemini": """
        parser.add_argument("--approval-mode", choices=["default", "auto_edit", "yolo"])
        parser.add_argument("--skip-trust", action="store_true")
        parser.add_argument("-p", "--prompt", required=True)
        given = parser.parse_args()
        task, may_write = sys.stdin.read() + given.prompt, given.approval_mode == "yolo" and given.skip_trust
        """,
    # opencode.ai/docs/cli/commands
    "opencode": """
        run = commands.add_parser("run")
        run.add_argument("--standalone", action="store_true")
        run.add_argument("--auto", action="store_true")
        run.add_argument("--file", action="append", required=True)
        run.add_argument("message")
        given = parser.parse_args()
        task, may_write = open(*given.file).read() + given.message, given.auto
        """,
}
WORK = """
print("thinking", file=sys.stderr)
if not may_write:
    sys.exit("I may not write")
lines = open("deps").read() + "again\\n" * ("does not count as done yet" in task)
open("work.txt", "a").write(os.path.basename(__file__) + ": " + lines)
print("I wrote", "the key" if "AUDITORS_KEY" in os.environ else "a line", "for", "# Write a line" in task)
"""


class Auditor:
    """Has the check run, and is content with the second round."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, request: Request) -> Reply:
        assert audits(request), "no other agent of the built-in kind works"
        if request.turn == 1:
            self.seen.append(request.last_text)
            return run_check(CHECK)
        if request.turn > 2:
            return Say("done")
        return (
            verdict("pass")
            if request.tool_results[-1].strip().endswith("again")
            else verdict("fail", "write it again")
        )


def a_machine_with_all(make: MakeAgentRig, auditor: Auditor) -> AgentRig:
    """Their stand-ins are on the PATH, their command lines in the configuration."""
    rig = make(auditor)
    programs = rig.home / "bin"
    programs.mkdir()
    for name, arguments in STAND_INS.items():
        head = "import argparse, os, sys\nparser = argparse.ArgumentParser()\n"
        subcommands = "commands = parser.add_subparsers(required=True)\n" if "commands." in arguments else ""
        (programs / name).write_text(f"#!{sys.executable} -I\n{head}{subcommands}{dedent(arguments)}{WORK}")
        (programs / name).chmod(0o755)
    rig.environment["PATH"] = f"{programs}:{rig.environment['PATH']}"
    document = json.loads(rig.config.read_text())
    for block in blocks_of(PAGE):
        if block.kind == "json":
            document["executors"] |= json.loads(block.text)["executors"]
    document["task_source_directories"][0]["setup"] = ["echo made > deps"]
    rig.config.write_text(json.dumps(document))
    return rig


def test_other_agents_are_set_up_verified_audited_and_landed(make_agent_rig: MakeAgentRig) -> None:
    """Round by round as the built-in one, where the document asks for it; else once. Then seen, and taken back."""
    auditor = Auditor()
    rig = a_machine_with_all(make_agent_rig, auditor)
    repository = a_repository(rig)
    rig.start()
    common = {"isolation": "worktree", "landing": "merge", "verify": CHECK}
    rig.ask("task-codex", "# Write a line", executor="codex", workflow="audited", **common)
    codex = rig.result("task-codex", timeout=SLOW)
    rig.ask("task-gemini", "# Write a line", executor="gemini", **common)
    gemini = rig.result("task-gemini", timeout=SLOW)
    rig.ask("task-opencode", "# Write a line", executor="opencode", workflow="audited", **common)
    opencode = rig.result("task-opencode", timeout=SLOW)

    assert [each["landing"]["state"] for each in (codex, gemini, opencode)] == ["landed"] * 3, (
        codex,
        opencode,
    )
    assert git(repository, "show", "main:work.txt").splitlines() == [
        *("codex: made", "codex: made", "again"),
        "gemini: made",
        *("opencode: made", "opencode: made", "again"),
    ]
    for result in (codex, opencode):
        assert [each["verdict"] for each in result["audit"]["rounds"]] == ["fail", "pass"]
        assert [run["exit_code"] for each in result["audit"]["rounds"] for run in each["runs"]] == [0, 0]
        assert result["output"] == "I wrote a line for True\n"
        assert result["total_cost_usd"] > 0
        assert "audit 2" in result["seconds_by_phase"]
    assert (gemini["audit"], gemini["total_cost_usd"]) == (None, None)
    assert all("I wrote a line" in text and "codex: made" in text for text in auditor.seen[:2])
    report = (rig.queue() / "reports/task-codex.md").read_text()
    assert "ran `cat deps work.txt`: passed" in report
    assert "+codex: made" in rig.cli("tasks", "diff", "task-codex").stdout
    rig.cli("tasks", "undo", "task-opencode", "--yes", check=True)
    assert "opencode" not in Path(repository / "work.txt").read_text()


def test_an_audited_command_runs_once_whatever_becomes_of_its_audit(make_agent_rig: MakeAgentRig) -> None:
    """The daemon is stopped during the audit. A command that fails is not audited; in place, too, it is committed."""
    rig = make_agent_rig(
        lambda request: (
            run_check(WAIT) if may_run(request) and request.turn == 1 else verdict_or_end(request)
        ),
        audit={"allow": [f"Bash({WAIT})"]},
    )
    repository = a_repository(rig)
    daemon = rig.start()
    waits = f"echo > {rig.home}/waits; while [ ! -e {rig.home}/go ]; do sleep 0.05; done"
    work = f"echo ran >> {rig.home}/ran; echo '{waits}' > wait.sh"
    rig.drop_command("task-a", work, workflow="audited", isolation="worktree", landing="merge")
    eventually((rig.home / "waits").exists, what="the auditor's command runs", timeout=SLOW)
    rig.stop(daemon)
    assert not (rig.queue() / "results/task-a.json").exists()
    (rig.home / "go").touch()
    rig.start()
    rig.drop_command("task-bad", "echo no; exit 3", workflow="audited", max_attempts=1)
    rig.drop_command("task-place", "echo work > work.txt", workflow="audited")

    done, bad, in_place = (rig.result(name, timeout=SLOW) for name in ("task-a", "task-bad", "task-place"))

    assert (done["outcome"], done["landing"]["state"]) == ("succeeded", "landed"), done
    assert (rig.home / "ran").read_text() == "ran\n"
    assert (bad["outcome"], bad["audit"]) == ("failed", None)
    assert (in_place["outcome"], in_place["audit"]["rounds"][0]["could_run"]) == ("succeeded", None)
    assert git(repository, "show", "HEAD:work.txt") == "work"


def may_run(request: Request) -> bool:
    return CALLED in request.tool_names


def verdict_or_end(request: Request) -> Reply:
    return Say("done") if request.turn > 1 + may_run(request) else verdict("pass")
