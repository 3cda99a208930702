"""Each row of the table of operations in docs/api.md: its operations are there, and a test shows its answers."""

from __future__ import annotations

import asyncio
import importlib
import re
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from task_queue.api.application import application
from task_queue.api.settings import ServedApi
from task_queue.app.claiming import WorkerDesk
from task_queue.app.installation import Installation
from task_queue.config.api_settings import ApiSettings

_ROOT = Path(__file__).parents[2]
_ROWS = re.compile(r"^\| (?P<row>[a-z, ]+) \| (?P<operation>`[^|]*) \| (?P<answers>[^|]*) \|$", re.MULTILINE)
_CLAIMS = "tests.dispatch.test_http_claims::TestHttpClaims"
SHOWN_BY: dict[str, tuple[str, ...]] = {
    "submit": (
        "test_tasks::test_a_task_is_accepted_while_no_daemon_runs",
        "test_tasks::test_what_could_not_run_is_refused",
        "test_tasks::test_a_second_task_with_the_same_dedupe_key_is_a_duplicate",
        "test_tasks::test_a_full_queue_says_when_to_try_again",
        "test_bad_input::test_a_body_of_100_mb_costs_no_memory",
    ),
    "get": ("test_tasks::test_what_ended_can_be_read", "test_operations::test_estimates_come_with_one_task"),
    "list": ("test_tasks::test_lists_are_filtered_sorted_and_paged",),
    "cancel": ("test_tasks::test_a_life_of_a_task",),
    "stop a running one": ("test_tasks::test_a_life_of_a_task",),
    "change while it waits": (
        "test_tasks::test_what_waits_can_be_changed",
        "test_operations::test_a_change_is_made_as_a_whole_or_not_at_all",
    ),
    "retry": ("test_tasks::test_a_life_of_a_task", "test_kills::test_each_answer_stands_after_a_kill"),
    "acknowledge": ("test_tasks::test_a_life_of_a_task", "test_tasks::test_what_ended_can_be_read"),
    "land": ("test_operations::test_a_branch_is_landed_undone_and_a_result_acknowledged_once",),
    "undo": ("test_operations::test_a_branch_is_landed_undone_and_a_result_acknowledged_once",),
    "many at once": (
        "test_tasks::test_many_are_changed_at_once",
        "test_operations::test_bulk_changes_are_limited_as_lists_are",
    ),
    "read it": (
        "test_operations::test_a_file_that_is_not_there_says_why",
        "test_operations::test_a_transcript_is_followed_to_its_end",
        "test_operations::test_a_branch_is_landed_undone_and_a_result_acknowledged_once",
    ),
    "the screens of the commands": (
        "test_from_afar::test_what_is_read_from_afar_is_what_is_read_there",
        "test_from_afar::test_a_credential_that_does_not_see_everything_gets_jobs_only",
    ),
    "what the work begins on": ("test_hand_in::test_a_clone_gets_what_its_work_begins_on",),
    "files": ("test_artifacts::test_what_is_handed_in_is_given_back",),
    "tools for agents": ("tests.mcp.test_http::test_a_conversation_of_who_may_submit",),
    "append an event": (
        "test_appending::test_what_is_appended_is_shown_everywhere",
        "test_appending::test_a_flood_is_held_back",
    ),
    "claim": (
        f"{_CLAIMS}::test_order_is_by_priority_then_age_over_all_sources",
        f"{_CLAIMS}::test_a_worker_waits_for_a_task",
    ),
    "heartbeat": (
        f"{_CLAIMS}::test_a_sign_of_life_renews_the_lease",
        f"{_CLAIMS}::test_a_cancel_is_told_and_the_task_not_offered_before",
    ),
    "add to the transcript": (f"{_CLAIMS}::test_frames_are_added_once_and_without_gaps",),
    "complete, fail, release": (
        f"{_CLAIMS}::test_a_report_is_applied_once",
        f"{_CLAIMS}::test_another_epoch_is_fenced",
        f"{_CLAIMS}::test_a_release_costs_no_attempt",
    ),
    "events": (
        "test_events::test_a_page_follows_a_cursor",
        "test_events::test_a_stream_goes_on_and_is_taken_up_again",
    ),
    "statistics": ("test_tasks::test_what_ended_can_be_read",),
    "health": (
        "test_door::test_health_is_open_and_says_little",
        "test_door::test_without_a_usable_configuration_it_is_not_ready",
        "test_operations::test_health_names_what_a_reader_sees",
    ),
    "sources": ("test_tasks::test_sources_and_workers",),
    "workers": ("test_tasks::test_sources_and_workers",),
    "tokens": (
        "test_credentials::test_it_is_revoked_at_once",
        "test_credentials::test_a_new_one_is_shown_once",
    ),
}
"""Of each row, the tests in this folder that show its answers."""


def rows() -> dict[str, str]:
    text = (_ROOT / "docs/api.md").read_text()
    table = text[text.index("| job queue | operation | answers |") :].split("\n\n", 1)[0]
    return {match["row"]: match["operation"] for match in _ROWS.finditer(table)}


def operations_in(words: str) -> set[tuple[str, str]]:
    """Methods with paths; a short word after a path stands for the path with it in place of its last part."""
    found: set[tuple[str, str]] = set()
    methods: list[str] = []
    path = ""
    for piece in re.findall(r"`([^`]+)`", words):
        method, _, rest = piece.rpartition(" ")
        if rest.startswith("/"):
            path = rest
            found |= {(each, path) for each in (*methods, method)}
            methods = []
        elif rest.isupper():
            methods.append(rest)
        else:
            method = next(each for each, known in found if known == path)
            found.add((method, f"{path.rpartition('/')[0]}/{rest}"))
    return found


def served() -> set[tuple[str, str]]:
    app = application(ServedApi(Installation(), ApiSettings(), asyncio.Event(), Mock(WorkerDesk)))
    described: dict[str, dict[str, Any]] = app.openapi()["paths"]
    return {
        (method.upper(), re.sub(r"\{(task|source|token|claim)_id\}", "{id}", path))
        for path, methods in described.items()
        for method in methods
    }


def test_the_table_has_every_operation_and_no_other() -> None:
    told = set().union(*map(operations_in, rows().values()))
    there = served() | {("POST", "/mcp")}

    assert told - there == set()
    assert there - told <= {("POST", "/mcp")}


@pytest.mark.parametrize("row", rows())
def test_each_row_is_shown(row: str) -> None:
    """By tests that are there. A row of another part of the queue says so in its own tests."""
    named = SHOWN_BY.get(row)

    assert named, f"no test is named for the row '{row}' of docs/api.md"
    for each in named:
        module, _, names = each.partition("::")
        package = module if "." in module else f"tests.api.{module}"
        found: Any = importlib.import_module(package)
        for name in names.split("::"):
            found = getattr(found, name, None)
        assert callable(found), each


def test_no_test_is_named_for_a_row_that_is_not_there() -> None:
    assert SHOWN_BY.keys() <= rows().keys()
