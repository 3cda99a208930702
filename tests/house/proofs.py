"""Which tests show each row of the tables in docs/outcomes.md; ``tables`` writes them to docs/contributing/tests.md.

A row of the verdict comes first with a test through the real SDK and the real CLI, where the CLI can be made to
behave so with a scripted model; else with raw frames that are replayed. That the tests exist is tested.
"""

from __future__ import annotations

from task_queue.domain.model import OutcomeKind

AGENT = "tests/agents/test_claude.py::"
ROW = "tests/agents/test_outcome_rows.py::"
QUEUE = "tests/acceptance/test_agent.py::"
FLOW = "tests/acceptance/test_workflow.py::"
NIGHT = "tests/acceptance/test_night.py::NIGHT"
FRAMES = "tests/domain/test_verdict.py::CASES"
LIES = "tests/domain/test_known_lies.py::LIES"

K = OutcomeKind
VERDICT: tuple[tuple[OutcomeKind, tuple[str, ...]], ...] = (
    # In the order of the rows.
    (K.UNAVAILABLE, (f"{ROW}test_a_skill_that_did_not_load_is_never_success",)),
    (K.CRASHED, (f"{FRAMES}[of another session]",)),
    (K.CRASHED, (f"{ROW}test_a_process_that_fails_after_its_result_is_no_success",)),
    (
        K.DENIED,
        (f"{AGENT}test_a_denied_tool_is_not_success", f"{LIES}[#76867: the same, forgotten in the result]"),
    ),
    (K.FAILED, (f"{ROW}test_prose_in_place_of_a_structure_is_no_answer",)),
    (K.FAILED, (f"{ROW}test_an_end_without_a_deed_or_a_word_is_no_success",)),
    (K.FAILED, (f"{ROW}test_an_end_without_a_final_answer_is_no_success",)),
    (K.SUCCEEDED, (f"{AGENT}test_work_that_is_done_succeeds",)),
    (K.ACCOUNT, (f"{AGENT}test_an_unexpected_payer_ends_the_attempt",)),
    (K.CANCELLED, (f"{AGENT}test_cancel_ends_a_running_tool",)),
    (K.INTERRUPTED, (f"{AGENT}test_suspend_leaves_the_session_to_be_continued",)),
    (K.CRASHED, (f"{AGENT}test_an_unknown_session_is_begun_anew_under_its_id", f"{FRAMES}[unknown session]")),
    (K.CRASHED, (f"{AGENT}test_a_used_session_is_never_begun_again",)),
    (K.FAILED, (f"{ROW}test_bypass_as_root_does_not_start", f"{FRAMES}[bypass as root]")),
    (K.ACCOUNT, (f"{ROW}test_a_refused_model_is_not_a_refused_login", f"{FRAMES}[model refused]")),
    (
        K.ACCOUNT,
        (
            f"{AGENT}test_a_refused_login_ends_at_the_first_sign",
            f"{ROW}test_billing_and_rights_are_the_accounts",
        ),
    ),
    (
        K.LIMITED,
        (
            f"{AGENT}test_a_usage_limit_tells_its_reset",
            f"{LIES}[#79500: a run that hit the usage limit is reported as success]",
        ),
    ),
    (K.LIMITED, (f"{FRAMES}[usage limit without event]",)),
    (K.MAX_TURNS, (f"{AGENT}test_turns_are_counted_over_all_attempts",)),
    (K.BUDGET, (f"{AGENT}test_the_budget_ends_the_run",)),
    (K.REFUSED, (f"{AGENT}test_a_refusal_is_told",)),
    (K.FAILED, (f"{ROW}test_a_structure_that_never_fits_is_no_answer",)),
    (K.UNAVAILABLE, (f"{ROW}test_no_endpoint_is_not_the_tasks_trouble", f"{FRAMES}[no endpoint, given up]")),
    (K.TIMED_OUT, (f"{AGENT}test_the_wall_clock_ends_a_busy_agent",)),
    (K.UNAVAILABLE, (f"{ROW}test_a_model_that_fails_and_then_falls_silent_is_unavailable",)),
    (K.STALLED, (f"{ROW}test_a_cli_that_never_answers_is_stalled",)),
    (K.STALLED, (f"{AGENT}test_silence_is_stalled",)),
    (K.UNAVAILABLE, (f"{ROW}test_no_endpoint_is_not_the_tasks_trouble", f"{FRAMES}[connection dropped]")),
    (K.UNAVAILABLE, (f"{AGENT}test_an_overloaded_model_is_unavailable",)),
    (
        K.CRASHED,
        (f"{AGENT}test_a_killed_agent_is_crashed", f"{LIES}[#74761: exit 0 in the middle of the task]"),
    ),
    (K.CRASHED, (f"{LIES}[an aborted turn called success]",)),
    (K.FAILED, (f"{LIES}[#87159: success after 0 turns]",)),
    (K.FAILED, (f"{QUEUE}test_an_agent_that_fails_is_tried_again_and_then_given_up",)),
    (
        K.CRASHED,
        (f"{ROW}test_only_a_finished_answer_is_a_success", f"{ROW}test_a_stream_that_was_cut_is_no_success"),
    ),
    (K.FAILED, (f"{LIES}[a reason to end that no release had]", f"{LIES}[a subtype that no release had]")),
)

FOLLOWS: dict[OutcomeKind, tuple[str, ...]] = {
    K.SUCCEEDED: (f"{QUEUE}test_a_dropped_file_becomes_work",),
    K.FAILED: (f"{QUEUE}test_an_agent_that_fails_is_tried_again_and_then_given_up",),
    K.DENIED: (f"{QUEUE}test_a_denied_tool_is_not_success",),
    K.AUDIT_REJECTED: (f"{FLOW}test_three_rejections_fail_with_everything_kept",),
    K.VERIFY_FAILED: (f"{FLOW}test_verification_decides_whatever_the_agent_says",),
    K.BUDGET: ("tests/acceptance/test_spending.py::test_attempts_that_never_end_cannot_spend_past_the_cap",),
    K.MAX_TURNS: (f"{NIGHT}[never-ends]",),
    K.REFUSED: (f"{NIGHT}[refused]",),
    K.TIMED_OUT: (f"{NIGHT}[sleeps]",),
    K.STALLED: (f"{NIGHT}[hangs]",),
    K.CRASHED: (f"{QUEUE}test_a_killed_cli_is_a_crash_that_goes_on", f"{NIGHT}[runner-killed]"),
    K.CANCELLED: (f"{QUEUE}test_a_cancel_ends_the_agents_whole_tree",),
    K.LIMITED: (
        f"{QUEUE}test_a_usage_limit_pauses_and_counts_nothing",
        "tests/acceptance/test_account.py::test_a_limit_stops_every_source_and_each_goes_on_in_its_own_session",
        f"{NIGHT}[limited]",
    ),
    K.UNAVAILABLE: (f"{NIGHT}[exit-75]",),
    K.ACCOUNT: (f"{QUEUE}test_a_refused_login_pauses_the_account", f"{NIGHT}[logged-out]"),
    K.REJECTED: ("tests/acceptance/test_bad_input.py::test_many_bad_files_at_once",),
    K.INTERRUPTED: (f"{QUEUE}test_a_stopped_agent_goes_on_in_its_session",),
}

FALSE_SUCCESSES: dict[str, tuple[str, ...]] = {
    # What users of other tools reported, by the number of the public report.
    "claude-code #79500: rate-limited, and reported as success": (
        f"{LIES}[#79500: a run that hit the usage limit is reported as success]",
        f"{LIES}[#79500: the same without a status in the result]",
        f"{LIES}[#79500: the same with not a single sign but the model's last error]",
    ),
    "claude-code #76867: a denied tool, and reported as success": (
        f"{LIES}[#76867: a tool was denied and the run is called a success]",
        f"{LIES}[#76867: the same, forgotten in the result]",
    ),
    "claude-code #87159: success after 0 turns": (
        f"{LIES}[#87159: success after 0 turns]",
        f"{LIES}[#87159: success that counts no turns at all]",
    ),
    "claude-code #74761: exit 0 in the middle of a task": (
        f"{LIES}[#74761: exit 0 in the middle of the task]",
        f"{LIES}[#74761: exit 0 before the first word]",
    ),
    "ralph-claude-code #183: a text that mentions a limit": (
        "tests/domain/test_known_lies.py::test_a_limit_in_the_text_is_no_limit",
        f"{NIGHT}[quotes-a-limit]",
    ),
    "claude-code #86723: billed to a stray key": (
        "tests/acceptance/test_agent_hygiene.py::test_secrets_stay_where_they_are",
        f"{AGENT}test_an_unexpected_payer_ends_the_attempt",
    ),
    "paperclip #11276: a cap that was overspent tenfold": (
        "tests/acceptance/test_spending.py::test_attempts_that_never_end_cannot_spend_past_the_cap",
    ),
    "JCSnap #3, #27: every task burns its attempts at the limit": (
        f"{QUEUE}test_a_usage_limit_pauses_and_counts_nothing",
    ),
    "avibe #2147: a cancelled agent goes on editing": (f"{QUEUE}test_a_cancel_ends_the_agents_whole_tree",),
}


def all_named() -> set[str]:
    """Every test that is named above."""
    rows = (tests for _, tests in VERDICT)
    return {test for tests in (*rows, *FOLLOWS.values(), *FALSE_SUCCESSES.values()) for test in tests}
