"""The claude executor with the real SDK and the real CLI; only the model behind HTTP is scripted."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.agents.claude.options import SessionRequest, launch_of, options_for
from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.agents.claude.watch import Timers
from task_queue.demo.scripted_model import (
    Hang,
    ModelError,
    Refuse,
    Reply,
    Say,
    UseTool,
    in_turn,
)
from task_queue.domain.attempt.prices import estimated_usd, price_of
from task_queue.domain.attempt.spending import meter_after
from task_queue.domain.document.choices import Profile
from task_queue.domain.errors import ExecutorError
from task_queue.domain.model import OutcomeKind
from task_queue.ports.executor import Stop
from tests import processes
from tests.acceptance.audits import git
from tests.agents.bench import Bench, MakeBench
from tests.limits import in_an_hour, usage_limit
from tests.sampling import short_and_long
from tests.waiting import eventually

SLEEP = UseTool("Bash", {"command": "echo $$ > pid; sleep 60; echo late > late.txt", "timeout": 120000})


def test_work_that_is_done_succeeds(bench: MakeBench) -> None:
    """The file lies on disk, the text, the turns and the cost are the attempt's own."""
    run = bench(in_turn(UseTool("Write", {"file_path": "hello.txt", "content": "hi"}), Say("written")))

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    assert (run.workspace / "hello.txt").read_text() == "hi"
    assert work.output == "written"
    assert work.num_turns == 2
    assert work.total_cost_usd == work.session_cost_usd
    assert work.total_cost_usd is not None
    assert work.total_cost_usd > 0
    assert work.billed_to == "api_key"
    assert "Do it." in run.model.requests[0].first_text
    assert "unattended" in run.model.requests[0].system_text
    assert eventually(lambda: not run.processes())
    assert sorted(path.name for path in run.order.scratch.iterdir()) == ["task.md"]


def test_a_script_sees_the_task_without_what_the_cli_adds(bench: MakeBench) -> None:
    """The CLI names the last commits: a script that looks for the word "bad" would find it in a hash now and then."""
    run = bench(in_turn(Say("done")))
    git(run.workspace, "init", "-q")
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    git(run.workspace, *author, "commit", "--allow-empty", "-qm", "Work of another task")

    run.run()

    request = run.model.requests[0]
    for added in (git(run.workspace, "rev-parse", "--short", "HEAD"), "Work of another task"):
        assert added in request.user_texts[0]
        assert added not in request.first_text
    assert "Do it." in request.first_text


def test_the_environment_is_the_orders(bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of our own environment reaches the agent's tools; the marker does."""
    monkeypatch.setenv("PLANTED_SECRET", "do-not-pass-on")
    run = bench(in_turn(UseTool("Bash", {"command": "env"}), Say("done")))

    run.run()

    environment = run.model.requests[-1].tool_results[0]
    assert "PLANTED_SECRET" not in environment
    assert f"TASK_QUEUE_ATTEMPT={run.order.marker}" in environment


LOGINS = {"ANTHROPIC_API_KEY": "api_key", "CLAUDE_CODE_OAUTH_TOKEN": "subscription"}
LOOK_AROUND = (
    "env; for each in /proc/[0-9]*/environ; do tr '\\0' '\\n' < $each; done 2> /dev/null; cat /dev/fd/3"
)


@pytest.mark.parametrize("login", LOGINS)
def test_the_login_is_not_in_a_tools_environment(bench: MakeBench, login: str) -> None:
    """Nor in that of any process of the attempt; the agent has it all the same, and is billed as before."""
    run = bench(in_turn(UseTool("Bash", {"command": LOOK_AROUND}), Say("done")))
    del run.order.env["ANTHROPIC_API_KEY"]  # type: ignore[attr-defined]
    run.order.env[login] = "a-login-out-of-sight"  # type: ignore[index]

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    assert work.billed_to == LOGINS[login]
    (seen,) = run.model.requests[-1].tool_results
    assert run.order.marker in seen
    assert "a-login-out-of-sight" not in seen


def test_the_login_is_in_no_environment_while_the_agent_starts(bench: MakeBench, tmp_path: Path) -> None:
    """Nor in an argument: a process that an earlier agent left behind may look at any moment."""
    run = bench(in_turn(Say("done")))
    run.order.env["ANTHROPIC_API_KEY"] = "a-login-out-of-sight"  # type: ignore[index]
    launch = launch_of(run.order)
    options = options_for(run.order, SessionRequest(resume=False), stderr=print, servers={})
    cli = tmp_path / "cli"
    cli.write_text("#!/bin/sh\ncat <&$CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR\necho\nenv\ncat\n")
    cli.chmod(0o700)
    with subprocess.Popen(
        [*launch.words, str(cli)], env=options.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        eventually(lambda: b"launcher.py" in processes.look(process.pid, "cmdline"))
        seen = processes.look(process.pid, "environ") + processes.look(process.pid, "cmdline")
        out, _ = process.communicate(f"{launch.handed_over}for the agent".encode())

    assert run.order.marker.encode() in seen
    assert b"a-login-out-of-sight" not in seen
    first, *variables, last = out.decode().splitlines()
    assert (first, last) == ("a-login-out-of-sight", "for the agent")
    assert not [line for line in variables if "a-login-out-of-sight" in line]


def test_a_link_that_an_earlier_agent_planted_is_not_written_through(
    bench: MakeBench, tmp_path: Path
) -> None:
    """Nothing is written to start the agent, wherever a link leads."""
    run = bench(in_turn(Say("done")))
    precious = tmp_path / "precious"
    precious.write_text("as it was")
    for name in ("claude", "launcher", "launcher.py"):
        (run.order.scratch / name).symlink_to(precious)

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    assert precious.read_text() == "as it was"
    assert (run.order.scratch / "claude").is_symlink()


def test_the_login_can_be_left_in_the_environment(bench: MakeBench) -> None:
    """For a program around the CLI that passes no open files on."""
    run = bench(in_turn(UseTool("Bash", {"command": "env"}), Say("done")))
    run.set_up(hide_login=False)

    run.run()

    assert f"ANTHROPIC_API_KEY={run.order.env['ANTHROPIC_API_KEY']}" in run.model.requests[-1].tool_results[0]


def test_a_denied_tool_is_not_success(bench: MakeBench) -> None:
    """The agent says that all is well, but the tool it needed was denied."""
    run = bench(in_turn(UseTool("Bash", {"command": "git push origin main"}), Say("all done")))

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.DENIED, outcome
    assert any("git push origin main" in fact for fact in outcome.evidence)
    assert work.permission_denials


@pytest.mark.parametrize("tool", ["Read", "Write"])
def test_the_queues_own_files_are_closed(bench: MakeBench, tool: str) -> None:
    """The file tools cannot touch what waits, but the text of the task that runs can be read."""
    inputs = {"Read": {}, "Write": {"content": "forged"}}
    replies: list[Reply] = []
    run = bench(lambda request: replies[min(request.turn, 3) - 1])
    waiting = run.queue / "pending" / "task-b.md"
    waiting.write_text("other people's task")
    replies += [
        UseTool(tool, {"file_path": str(waiting), **inputs[tool]}),
        UseTool("Read", {"file_path": str(run.order.agent_copy)}),
        Say("done"),
    ]

    run.run()

    closed, open_ = run.model.requests[-1].tool_results
    assert "denied" in closed
    assert "Do it." in open_
    assert waiting.read_text() == "other people's task"


def test_a_refused_login_ends_at_the_first_sign(bench: MakeBench) -> None:
    """The CLI would retry for three minutes; the account is paused within seconds instead."""
    run = bench(in_turn(ModelError(401, "authentication_error", "invalid x-api-key")))
    started = time.monotonic()

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.ACCOUNT, outcome
    assert time.monotonic() - started < 10


def test_an_unexpected_payer_ends_the_attempt(bench: MakeBench) -> None:
    """A key in the environment is not used where a subscription was to pay."""
    run = bench(in_turn(Hang()))
    run.set_up(account="subscription")

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.ACCOUNT, outcome
    assert work.billed_to == "api_key"


def test_a_usage_limit_tells_its_reset(bench: MakeBench) -> None:
    """A rejected limit of the account is LIMITED, with the time at which it may be used again."""
    reset = in_an_hour()
    run = bench(in_turn(usage_limit(resets_at=reset)))
    environment = dict(run.order.env)
    environment["CLAUDE_CODE_OAUTH_TOKEN"] = environment.pop("ANTHROPIC_API_KEY")
    run.order = replace(run.order, env=environment)

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.LIMITED, outcome
    assert outcome.resets_at is not None
    assert outcome.resets_at.timestamp() == reset


def test_an_overloaded_model_is_unavailable(bench: MakeBench) -> None:
    """After the CLI gave up its retries, the task is not to blame."""
    run = bench(in_turn(ModelError(529, "overloaded_error", "Overloaded")))
    run.order.env["CLAUDE_CODE_MAX_RETRIES"] = "1"  # type: ignore[index]

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.UNAVAILABLE, outcome


def test_silence_is_stalled(bench: MakeBench) -> None:
    """A model that never answers costs the idle time and no more."""
    run = bench(in_turn(Hang()))
    run.given(idle_timeout=_seconds(2))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.STALLED, outcome
    assert eventually(lambda: not run.processes())


def test_a_running_tool_is_not_silence(bench: MakeBench) -> None:
    """A Bash command may be quiet for longer than the idle time."""
    run = bench(in_turn(UseTool("Bash", {"command": "sleep 7"}), Say("done")))
    run.given(idle_timeout=_seconds(5))
    run.executor = ClaudeExecutor(timers=Timers(tool_s=30))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome


@pytest.mark.long
def test_a_hook_at_the_start_may_take_longer_than_the_cli_itself(bench: MakeBench) -> None:
    """The time-out to connect does not run while a hook of the project does."""
    run = bench(in_turn(Say("done")))
    run.set_up(setting_sources=("project",))
    _project_settings(
        run, {"hooks": {"SessionStart": [{"hooks": [{"type": "command", "command": "sleep 35"}]}]}}
    )
    run.executor = ClaudeExecutor(timers=Timers(connect_s=30))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome


def test_a_project_does_not_change_the_switches_of_the_queue(bench: MakeBench) -> None:
    """``env`` of a project's settings wins over the environment of the CLI; --settings wins over both."""
    run = bench(in_turn(UseTool("Bash", {"command": "echo marker=$TASK_QUEUE_ATTEMPT"}), Say("done")))
    run.set_up(setting_sources=("project",))
    off = {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0", "TASK_QUEUE_ATTEMPT": "other", "OF_THE_PROJECT": "1"}
    _project_settings(run, {"env": off})

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    (bash,) = (tool for tool in run.model.requests[0].body["tools"] if tool["name"] == "Bash")
    assert "run_in_background" not in bash["input_schema"]["properties"]
    assert f"marker={run.order.marker}" in run.model.requests[-1].tool_results[-1]


def test_the_wall_clock_ends_a_busy_agent(bench: MakeBench) -> None:
    """A tool in flight does not protect from the time allowed for the attempt."""
    run = bench(in_turn(SLEEP))
    run.given(timeout=_seconds(2))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.TIMED_OUT, outcome


def test_turns_are_counted_over_all_attempts(bench: MakeBench) -> None:
    """Of three turns two are used: the next one is the last."""
    run = bench(in_turn(UseTool("Bash", {"command": "true"})))
    run.given(max_turns=3)
    object.__setattr__(run.order, "turns_used", 2)

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.MAX_TURNS, outcome
    assert work.num_turns <= 2


def test_a_spent_budget_starts_nothing(bench: MakeBench) -> None:
    """What earlier attempts cost is taken from the cap before the agent is started."""
    run = bench(in_turn(Say("x")))
    run.given(max_budget_usd=1.0)
    object.__setattr__(run.order, "spent_usd", 1.0)

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.BUDGET, outcome
    assert not run.model.requests


def test_the_budget_ends_the_run(bench: MakeBench) -> None:
    """The remaining budget is enforced by the CLI, after the response that crosses it."""
    run = bench(in_turn(UseTool("Bash", {"command": "true"}, input_tokens=100_000)))
    run.given(max_budget_usd=0.05)

    outcome, work = run.run()

    assert outcome.kind is OutcomeKind.BUDGET, outcome
    assert work.total_cost_usd is not None
    assert work.total_cost_usd > 0.05


def test_a_refusal_is_told(bench: MakeBench) -> None:
    """A model that declines is REFUSED and not failed."""
    run = bench(in_turn(Refuse()))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.REFUSED, outcome


def test_cancel_ends_a_running_tool(bench: MakeBench) -> None:
    """A cancel during a long command ends within seconds and leaves nothing behind."""
    run = bench(in_turn(SLEEP, Say("done")))

    outcome, work = run.run_and(run.stop(Stop.CANCEL), when=(run.workspace / "pid").exists)

    assert outcome.kind is OutcomeKind.CANCELLED, outcome
    assert work.total_cost_usd
    assert eventually(lambda: not run.processes())
    assert not (run.workspace / "late.txt").exists()


def test_suspend_leaves_the_session_to_be_continued(bench: MakeBench) -> None:
    """A stop of ours is INTERRUPTED; the next attempt goes on in the same session and pays once."""
    run = bench(in_turn(SLEEP, Say("continued")))

    first, stopped = run.run_and(run.stop(Stop.SUSPEND), when=(run.workspace / "pid").exists)
    assert eventually(lambda: not run.processes())
    run.resuming("the queue was stopped")
    second, work = run.run()

    assert first.kind is OutcomeKind.INTERRUPTED, first
    assert stopped.cost_incomplete
    assert stopped.total_cost_usd == stopped.estimated_cost_usd > 0
    assert second.kind is OutcomeKind.SUCCEEDED, second
    assert "the queue was stopped" in run.model.requests[-1].last_text
    assert run.model.requests[-1].turn == 2
    assert work.session_id == stopped.session_id


@pytest.mark.parametrize(
    "how", short_and_long([signal.SIGKILL], [signal.SIGTERM]), ids=["never told", "told late"]
)
def test_what_an_ended_agent_spent_is_charged_once(bench: MakeBench, how: signal.Signals) -> None:
    """After a SIGTERM the next one's total holds it, after a kill it does not; both ways the sum is right."""
    run = bench(in_turn(replace(SLEEP, input_tokens=100_000), Say("continued", input_tokens=50_000)))

    _, ended = run.run_and(lambda: os.kill(_cli(run), how), when=lambda: _acts_on_record(run))
    for pid in run.processes():
        processes.kill(pid)
    run.resuming("the agent died")
    run.order = replace(run.order, meter=meter_after(ended))
    _, work = run.run()

    assert ended.total_cost_usd is not None
    assert work.total_cost_usd is not None
    per_token = price_of(next(iter(work.model_usage))).input / 1e6
    assert ended.total_cost_usd == pytest.approx(100_000 * per_token, rel=0.05)
    assert ended.total_cost_usd + work.total_cost_usd == pytest.approx(150_000 * per_token, rel=0.05)


@pytest.mark.parametrize(
    "model",
    short_and_long(
        ["haiku", "a-model-of-tomorrow"], ["sonnet", "opus", "claude-opus-4-1", "claude-fable-5-1"]
    ),
)
def test_our_prices_are_those_of_the_cli(bench: MakeBench, model: str) -> None:
    """Where the CLI has a list price, an estimate by ours is the same; of an unknown model it is no less."""
    run = bench(in_turn(Say("done", input_tokens=200_000, output_tokens=1000)))
    run.given(model=model)

    _, work = run.run()

    ((name, told),) = work.model_usage.items()
    usage = {"input_tokens": told["inputTokens"], "output_tokens": told["outputTokens"]}
    ours = estimated_usd(name, usage, 0)
    if told["costBasis"] == "list":
        assert ours == pytest.approx(told["costUSD"])
    else:
        assert ours >= told["costUSD"]


def test_a_stop_may_come_from_a_signal_handler(bench: MakeBench) -> None:
    """The runner's own SIGTERM handler calls ``stop`` in the middle of a wait."""
    run = bench(in_turn(Hang()))
    before = signal.signal(signal.SIGUSR1, lambda *_: run.executor.stop(Stop.SUSPEND))
    try:
        outcome, _ = run.run_and(
            lambda: os.kill(os.getpid(), signal.SIGUSR1), when=lambda: run.model.requests
        )
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert outcome.kind is OutcomeKind.INTERRUPTED, outcome


def test_a_missing_sandbox_is_told(bench: MakeBench) -> None:
    """Without bubblewrap a sandboxed task does not run unconfined; elsewhere it runs."""
    run = bench(in_turn(Say("done")))
    run.given(permissions=Profile.SANDBOXED)

    outcome, _ = run.run()

    if shutil.which("bwrap") and shutil.which("socat"):
        assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    else:
        assert outcome.kind is OutcomeKind.FAILED, outcome
        assert any("bubblewrap" in fact for fact in outcome.evidence)
        assert not run.model.requests


def test_a_stop_before_the_start_is_heeded(bench: MakeBench) -> None:
    """A signal that comes before the loop runs is not lost."""
    run = bench(in_turn(Say("x")))
    run.executor.stop(Stop.SUSPEND)

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.INTERRUPTED, outcome
    assert not run.model.requests


def test_a_stop_while_it_starts_is_heeded(bench: MakeBench) -> None:
    """The CLI exists, but has not answered yet."""
    run = bench(in_turn(Say("x")))

    outcome, _ = run.run_and(run.stop(Stop.SUSPEND), when=run.processes)

    assert outcome.kind is OutcomeKind.INTERRUPTED, outcome


def test_a_killed_agent_is_crashed(bench: MakeBench) -> None:
    """The CLI dies by kill -9: crashed, with the signal as evidence."""
    run = bench(in_turn(SLEEP))

    def kill() -> None:
        os.kill(_cli(run), signal.SIGKILL)

    outcome, work = run.run_and(kill, when=(run.workspace / "pid").exists)

    assert outcome.kind is OutcomeKind.CRASHED, outcome
    assert "exit code -9" in outcome.evidence
    assert work.cost_incomplete
    for pid in run.processes():
        processes.kill(pid)


def test_the_agent_dies_with_its_runner(bench: MakeBench) -> None:
    """A runner that is killed takes the CLI with it; only the tool's own session is left to the sweep."""
    run = bench(in_turn(SLEEP))
    runner = multiprocessing.get_context("fork").Process(target=run.run)
    runner.start()
    eventually((run.workspace / "pid").exists)
    cli = _cli(run)

    runner.kill()
    runner.join()

    eventually(lambda: cli not in run.processes())
    for pid in run.processes():
        processes.kill(pid)


def test_an_unknown_session_is_begun_anew_under_its_id(bench: MakeBench) -> None:
    """Nothing is lost if the earlier runner died before the agent knew the session."""
    run = bench(in_turn(Say("done")))
    run.resuming("the runner died")

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.SUCCEEDED, outcome
    assert "its conversation is lost" in run.model.requests[0].first_text


def test_a_used_session_is_never_begun_again(bench: MakeBench) -> None:
    """A session id that the CLI knows is refused: the attempt may have acted already."""
    run = bench(in_turn(Say("done")))
    run.run()

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.CRASHED, outcome
    assert outcome.lost_session


def test_a_missing_cli_is_an_error_of_the_queue(bench: MakeBench) -> None:
    """No program to start: the task is not to blame and the hint says what to set."""
    run = bench(in_turn(Say("x")))
    run.set_up(cli_path=Path("/nowhere/claude"))

    with pytest.raises(ExecutorError, match="/nowhere/claude") as caught:
        run.run()
    assert caught.value.hint


def test_an_agent_that_refuses_its_setup_is_an_error_of_the_queue(bench: MakeBench, tmp_path: Path) -> None:
    """The CLI's own words are in the message."""
    cli = tmp_path / "cli"
    cli.write_text("#!/bin/sh\necho 'wrong libc' >&2\nexit 1\n")
    cli.chmod(0o700)
    run = bench(in_turn(Say("x")))
    run.set_up(cli_path=cli)

    with pytest.raises(ExecutorError, match="wrong libc"):
        run.run()


def _seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def _acts_on_record(run: Bench) -> bool:
    """Whether the tool runs, and the CLI has both sent the answer that calls it and kept it in its session.

    It does the two after it has started the tool: a kill in between loses the answer, and the session begins anew.
    """
    sent = any("tool_use" in str(frame) for _, frame in run.transcript.lines)
    sessions = (run.root / "home").rglob("*.jsonl")
    return (
        (run.workspace / "pid").exists() and sent and any("tool_use" in each.read_text() for each in sessions)
    )


def _cli(run: Bench) -> int:
    """The CLI is the oldest process of the attempt."""
    return min(run.processes(), key=processes.age_order)


def _project_settings(run: Bench, settings: dict[str, Any]) -> None:
    folder = run.workspace / ".claude"
    folder.mkdir()
    (folder / "settings.json").write_text(json.dumps(settings))
