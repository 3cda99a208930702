"""Rows of the outcome table that need an odd model or an odd machine, through the real SDK and the real CLI."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import claude_agent_sdk
import pytest

from task_queue.agents.claude.options import SessionRequest
from task_queue.agents.claude.session import ClaudeExecutor
from task_queue.agents.claude.watch import Timers
from task_queue.demo.scripted_model import (
    Drop,
    Hang,
    ModelError,
    Reply,
    Request,
    Say,
    UseTool,
    in_turn,
)
from task_queue.domain.document.choices import Profile
from task_queue.domain.model import OutcomeKind
from task_queue.domain.work.audit import VERDICT_SCHEMA
from tests.agents.bench import MakeBench
from tests.limits import usage_limit
from tests.sampling import short_and_long

STRUCTURED = SessionRequest(resume=False, schema=VERDICT_SCHEMA)


@pytest.mark.parametrize("text", short_and_long(["  "], [""]), ids=["blanks", "nothing"])
def test_an_end_without_a_deed_or_a_word_is_no_success(bench: MakeBench, text: str) -> None:
    """The CLI calls it a success, whatever the model left out."""
    run = bench(in_turn(Say(text)))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.FAILED, outcome
    assert outcome.reason == "the agent ended without having done or said anything"


@pytest.mark.parametrize("stop_reason", short_and_long(["unheard_of"], [None, "pause_turn"]))
def test_only_a_finished_answer_is_a_success(bench: MakeBench, stop_reason: str | None) -> None:
    """The CLI calls each of these completed."""
    run = bench(in_turn(Say("done", stop_reason=stop_reason)))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.CRASHED, outcome
    assert "terminal_reason=completed" in outcome.evidence


@pytest.mark.parametrize(
    ("missing", "kind"),
    [
        (("message_delta",), OutcomeKind.CRASHED),
        (("message_delta", "message_stop"), OutcomeKind.UNAVAILABLE),
    ],
    ids=["without its end", "cut"],
)
def test_a_stream_that_was_cut_is_no_success(
    bench: MakeBench, missing: tuple[str, ...], kind: OutcomeKind
) -> None:
    run = bench(in_turn(Say("done", leave_out=missing)))

    outcome, _ = run.run()

    assert outcome.kind is kind, outcome


def test_an_end_without_a_final_answer_is_no_success(bench: MakeBench) -> None:
    """After a tool the CLI asks once more; a second empty answer it calls a success."""
    run = bench(in_turn(UseTool("Bash", {"command": "echo hi"}), Say("")))

    outcome, _ = run.run()

    assert (outcome.kind, len(run.model.requests)) == (OutcomeKind.FAILED, 3), outcome
    assert outcome.reason == "the agent ended without a final answer"


@pytest.mark.parametrize(
    ("tool", "kind"),
    [("WebFetch", OutcomeKind.DENIED), ("Unheard", OutcomeKind.SUCCEEDED)],
    ids=["removed by a rule", "made up by the model"],
)
def test_a_tool_that_a_rule_removed_is_denied(bench: MakeBench, tool: str, kind: OutcomeKind) -> None:
    """The CLI reports such a call as an unknown tool, and not among its denials."""
    run = bench(in_turn(UseTool(tool, {"url": "http://127.0.0.1:1/", "prompt": "read"}), Say("done")))
    run.given(deny=("WebFetch",))

    outcome, work = run.run()

    assert outcome.kind is kind, outcome
    denied = [(denial["tool_name"], denial["rule"]) for denial in work.permission_denials]
    assert denied == ([("WebFetch", None)] if kind is OutcomeKind.DENIED else [])


def test_prose_in_place_of_a_structure_is_no_answer(bench: MakeBench) -> None:
    """An auditor that only talks has given no verdict."""
    run = bench(in_turn(Say("All is well, trust me.")))

    said = run.executor.run_session(run.order, run.transcript, STRUCTURED)

    assert (said.outcome.kind, said.structure) == (OutcomeKind.FAILED, None), said.outcome
    assert "subtype=success" in said.outcome.evidence


def test_a_structure_that_never_fits_is_no_answer(bench: MakeBench) -> None:
    """The CLI gives up after its own tries."""
    run = bench(in_turn(UseTool("StructuredOutput", {"verdict": 5})))

    said = run.executor.run_session(run.order, run.transcript, STRUCTURED)

    assert (said.outcome.kind, said.structure) == (OutcomeKind.FAILED, None), said.outcome
    assert "subtype=error_max_structured_output_retries" in said.outcome.evidence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused")
def test_bypass_as_root_does_not_start(bench: MakeBench) -> None:
    """The CLI's refusal of what the task chose is the task's failure."""
    run = bench(in_turn(Say("done")))
    run.given(permissions=Profile.BYPASS)

    outcome, _ = run.run()

    assert (outcome.kind, outcome.reason) == (OutcomeKind.FAILED, "the agent refused to start"), outcome
    assert not run.model.requests


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(ModelError(400, "invalid_request_error", "Your credit balance is too low"), id="credit"),
        pytest.param(ModelError(403, "permission_error", "not for you"), id="forbidden"),
    ],
)
def test_billing_and_rights_are_the_accounts(bench: MakeBench, failure: ModelError) -> None:
    """The CLI ends with subtype success; no task is to blame."""
    run = bench(in_turn(failure))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.ACCOUNT, outcome
    assert "subtype=success" in outcome.evidence


@pytest.mark.parametrize("model", ["claude-opus-4-1", None], ids=["named", "not named"])
def test_a_refused_model_is_not_a_refused_login(bench: MakeBench, model: str | None) -> None:
    """The CLI reports the same failed authentication for both; only a task that names a model has it refused."""
    run = bench(in_turn(ModelError(403, "permission_error", "not for you")))
    run.given(model=model)

    outcome, work = run.run()

    assert (outcome.kind, outcome.model) == (OutcomeKind.ACCOUNT, model), outcome
    assert work.num_turns == 0, "the CLI counts the refused request as a turn"


@pytest.mark.parametrize("kind", ["seven_day_opus", "five_hour"])
def test_a_limit_tells_which_models_it_is_for(bench: MakeBench, kind: str) -> None:
    """As the CLI's event has it, and for the class that runs."""
    run = bench(in_turn(usage_limit(of=kind, resets_at=4102444800)))
    env = {**run.order.env, "CLAUDE_CODE_OAUTH_TOKEN": run.order.env["ANTHROPIC_API_KEY"]}
    run.order = replace(run.order, env={k: v for k, v in env.items() if k != "ANTHROPIC_API_KEY"})
    run.given(model="opus")

    outcome, _ = run.run()

    model = "opus" if kind == "seven_day_opus" else None
    assert (outcome.kind, outcome.model) == (OutcomeKind.LIMITED, model), outcome


def test_no_endpoint_is_not_the_tasks_trouble(bench: MakeBench) -> None:
    """The CLI retries for minutes; a time-out of ours in between is neither the task's."""
    run = bench(in_turn(Drop()))
    run.given(timeout=timedelta(seconds=5))

    outcome, _ = run.run()

    assert (outcome.kind, outcome.unreachable) == (OutcomeKind.UNAVAILABLE, True), outcome


def test_a_model_that_fails_and_then_falls_silent_is_unavailable(bench: MakeBench) -> None:
    """The silence comes after an announced retry: it is not the agent's own."""

    def script(request: Request) -> Reply:
        return ModelError(529, "overloaded_error", "Overloaded") if request.tries == 1 else Hang()

    run = bench(script)
    run.given(idle_timeout=timedelta(seconds=2))

    outcome, _ = run.run()

    assert outcome.kind is OutcomeKind.UNAVAILABLE, outcome
    assert "timer: idle" in outcome.evidence


@pytest.mark.parametrize(
    "connect_s", [1, pytest.param(65, marks=pytest.mark.long, id="longer than the SDK would wait")]
)
def test_a_cli_that_never_answers_is_stalled(bench: MakeBench, connect_s: float) -> None:
    """It exists, and says nothing: given up after the time to connect, and ended."""
    run = bench(in_turn(Say("never")))
    cli = run.root / "cli"
    cli.write_text("#!/bin/sh\nexec sleep 600\n")
    cli.chmod(0o700)
    run.set_up(cli_path=cli)
    run.executor = ClaudeExecutor(timers=Timers(connect_s=connect_s))

    outcome, _ = run.run()

    assert (outcome.kind, outcome.reason) == (OutcomeKind.STALLED, "the agent did not get going"), outcome
    assert not run.processes()


def test_a_process_that_fails_after_its_result_is_no_success(bench: MakeBench) -> None:
    """The real CLI, within a script that says what no CLI of a finished turn says."""
    run = bench(in_turn(Say("done")))
    cli = run.root / "cli"
    bundled = Path(claude_agent_sdk.__file__).with_name("_bundled") / "claude"
    cli.write_text(f'#!/bin/sh\n{shlex.quote(str(bundled))} "$@"\nexit 3\n')
    cli.chmod(0o700)
    run.set_up(cli_path=cli)

    outcome, _ = run.run()

    assert outcome.reason == "the agent's process failed after its result", outcome
    assert "exit code 3" in outcome.evidence


@pytest.mark.parametrize(
    "manifest", short_and_long(["{"], [None, '{"name": 5}']), ids=["torn", "missing", "of another shape"]
)
def test_a_skill_that_did_not_load_is_never_success(bench: MakeBench, manifest: str | None) -> None:
    """Even if the agent ends cleanly before anybody could end it: this was not the work that was ordered."""
    run = bench(in_turn(Say("done")))
    plugin = run.root / "plugin"
    if manifest is not None:
        (plugin / ".claude-plugin").mkdir(parents=True)
        (plugin / ".claude-plugin" / "plugin.json").write_text(manifest)

    said = run.executor.run_session(run.order, run.transcript, SessionRequest(resume=False, plugin=plugin))

    assert said.outcome.kind is OutcomeKind.UNAVAILABLE, said.outcome
    assert said.outcome.reason == "the packaged skill did not load"
