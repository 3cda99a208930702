"""The keys of the front matter: what they accept, and how layers give one answer."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document import settings
from task_queue.domain.document.frontmatter import Field, Given
from task_queue.domain.document.readers import Choice
from task_queue.domain.document.settings import (
    KEYS,
    Key,
    Settings,
    parse_defaults,
    parse_given,
    resolve,
)
from task_queue.domain.errors import TaskFileError


def value_of(key: str, value: Given) -> Any:
    return given_by(Field(key, value, 7))[key]


def given_by(*entries: Field) -> dict[str, Any]:
    values, faults = parse_given(entries)
    if faults:
        raise TaskFileError.of(faults)
    return values


def refusal(key: str, value: Given) -> str:
    with pytest.raises(TaskFileError) as caught:
        value_of(key, value)
    assert caught.value.line == 7
    return str(caught.value)


def test_every_setting_has_a_key_and_every_key_a_setting() -> None:
    """The table is complete, in the order of the settings, and says something of each."""
    assert [key.name for key in KEYS] == [field.name for field in fields(Settings)]
    assert all(key.help and key.default and key.read.form for key in KEYS)


@pytest.mark.parametrize("key", [key for key in KEYS if key.default[0].isalnum()], ids=lambda key: key.name)
def test_the_default_that_people_read_is_the_one_that_applies(key: settings.Key) -> None:
    if key.default in {"none", "now", "first heading", "the agent's", "the project's"}:
        assert getattr(Settings(), key.name) in {None, (), "none"}
    else:
        assert key.read(key.default) == getattr(Settings(), key.name)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("1h30m", timedelta(minutes=90)),
        ("1h 30m", timedelta(minutes=90)),
        ("1d", timedelta(days=1)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("90", timedelta(seconds=90)),
        ("1.5", timedelta(seconds=1.5)),
        ("0.5s", timedelta(seconds=0.5)),
    ],
)
def test_durations(text: str, span: timedelta) -> None:
    assert value_of("timeout", text) == span


@pytest.mark.parametrize(
    "text", ["1:30", "2 hours", "h", "-5m", "30m1h", "1m1m", "٣m", "1e3", "inf", "nan", "5M"]
)
def test_what_is_no_duration_is_told_what_one_is(text: str) -> None:
    assert (
        f"timeout: must be a duration such as 90s, 15m, 1h30m, 1d; a bare number is seconds, not {text!r}"
        in (refusal("timeout", text))
    )


@pytest.mark.parametrize("text", ["0", "0s", "31d", "999999999d", "999999999h"])
def test_durations_have_a_range(text: str) -> None:
    assert "timeout: must be from 0.1s to 30d" in refusal("timeout", text)


def test_the_first_delay_may_be_nothing_but_not_above_the_cap() -> None:
    assert value_of("retry_delay", "0") == timedelta()
    assert "must be from 0s to 1h" in refusal("retry_delay", "2h")


def test_a_time_without_offset_is_local() -> None:
    noon = datetime(2026, 2, 7, 12).astimezone()

    assert value_of("not_before", "2026-02-07T12:00") == noon
    assert value_of("not_before", "2026-02-07 12:00:00") == noon
    assert value_of("not_before", "2026-02-07") == noon - timedelta(hours=12)
    assert value_of("not_before", "2026-02-07T12:00+05:00") == datetime(2026, 2, 7, 7, tzinfo=UTC)
    assert value_of("not_before", "2026-02-07T12:00Z") == datetime(2026, 2, 7, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["tomorrow", "12:00", "07.02.2026", "1770465600", "2026-02-30", "0001-01-01", "9999-12-31"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    assert "not_before: " in refusal("not_before", text)


@pytest.mark.parametrize("text", ["0", "11", "-1", "5.0", "05", "1_0", "high", "\u0665", "9" * 5000, "0x5"])
def test_whole_numbers_have_a_range_and_one_spelling(text: str) -> None:
    assert "priority: must be a whole number from 1 to 10, not " in refusal("priority", text)


def test_money_is_more_than_nothing() -> None:
    assert value_of("max_budget_usd", "2.50") == value_of("max_budget_usd", "$2.50") == 2.5
    assert value_of("max_budget_usd", "none") is None
    for text in ("0", "0.00", "-1", "1e9", "inf", "nan", "5 EUR", "1,000"):
        assert "max_budget_usd: must be an amount above 0" in refusal("max_budget_usd", text)


@pytest.mark.parametrize("key", [key for key in KEYS if isinstance(key.read, Choice)], ids=attrgetter("name"))
def test_a_choice_is_read_as_a_member_of_its_set(key: Key) -> None:
    """From a document and from the configuration, so that it can be compared with the set's own names."""
    assert isinstance(key.read, Choice)
    for member in key.read.of:
        assert value_of(key.name, member.value) is member
        assert parse_defaults({key.name: member.value})[key.name] is member


@pytest.mark.parametrize(
    ("key", "typo", "meant"),
    [
        ("permissions", "sandbox", "sandboxed"),
        ("permissions", "Guarded", "guarded"),
        ("type", "reserch", "research"),
        ("effort", "hihg", "high"),
        ("workflow", "audit", "audited"),
        ("isolation", "work-tree", "worktree"),
    ],
)
def test_choices_guess_what_was_meant(key: str, typo: str, meant: str) -> None:
    assert refusal(key, typo).endswith(f"did you mean {meant!r}?")


def test_a_choice_far_from_any_lists_them() -> None:
    said = refusal("on_dependency_failure", "no")

    assert said == "line 7: on_dependency_failure: must be one of block, fail, run, not 'no'"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("priorty", "priority"), ("depends-on", "depends_on"), ("Title", "title"), ("timeot", "timeout")],
)
def test_unknown_keys_guess_what_was_meant(typo: str, meant: str) -> None:
    assert refusal(typo, "x") == f"line 7: unknown key {typo!r}; did you mean {meant!r}?"


def test_an_unknown_key_far_from_any_lists_them() -> None:
    assert "unknown key 'zzz'; known are: title, priority," in refusal("zzz", "x")


def test_dependencies_are_a_list_or_a_line_with_commas() -> None:
    assert value_of("depends_on", ("task-a", "task-b")) == ("task-a", "task-b")
    assert value_of("depends_on", "task-a, task-b,task-a") == ("task-a", "task-b")
    assert value_of("depends_on", "none") == value_of("depends_on", ()) == ()


@pytest.mark.parametrize("text", ["a", "../task-a", "task-a/../b", "task-", "task-a,", "", "task-\x07"])
def test_a_dependency_is_a_task_id(text: str) -> None:
    assert "depends_on: " in refusal("depends_on", text)


def test_a_dependency_named_like_its_file_is_corrected() -> None:
    assert "did you mean 'task-a'?" in refusal("depends_on", "task-a.md")


def test_one_text_is_one_command_and_one_rule() -> None:
    """Commas belong to commands and rules; only a YAML list makes several."""
    assert value_of("verify", "make test A=1,2") == ("make test A=1,2",)
    assert value_of("verify", ("make lint", "make test")) == ("make lint", "make test")
    assert value_of("allow", "Bash(git log *, git diff *)") == ("Bash(git log *, git diff *)",)
    assert value_of("deny", ("WebFetch", "mcp__github__*")) == ("WebFetch", "mcp__github__*")
    assert "write several rules as a list" in refusal("allow", "Read, Edit")
    assert "not a permission rule" in refusal("deny", "--dangerously-skip-permissions")


@pytest.mark.parametrize("key", [key.name for key in KEYS])
def test_a_key_without_value_is_refused(key: str) -> None:
    assert "has no value" in refusal(key, "")
    assert "has no value" in refusal(key, " \n")


@pytest.mark.parametrize(
    "key", ["title", "priority", "timeout", "model", "permissions", "workspace", "not_before"]
)
def test_one_value_is_not_a_list(key: str) -> None:
    assert "must be one value, not a list" in refusal(key, ("a", "b"))


def _nested(depth: int) -> str:
    return '{"a": ' + "[" * depth + "]" * depth + "}"


@pytest.mark.parametrize(
    "text", ["[]", "5", "{", '{"a": NaN}', r'{"a": "\ud800"}', _nested(20), _nested(2000)]
)
def test_labels_that_could_not_be_shown_are_refused(text: str) -> None:
    """JSON of them is made again for answers, and one bad task must not spoil a list of all."""
    assert "labels: must be a JSON object" in refusal("labels", text)
    assert parse_given([Field("labels", _nested(19), 1)])[1] == ()


@pytest.mark.parametrize("text", ["--model", "-p", "a b", "a\nb", "x" * 201])
def test_a_word_that_is_handed_on_never_looks_like_an_option(text: str) -> None:
    for key in ("model", "fallback_model", "executor"):
        assert f"{key}: " in refusal(key, text)


@pytest.mark.parametrize(
    "text", ["opus", "claude-opus-4-1-20250805", "sonnet[1m]", "arn:aws:bedrock:x/y", "a@b"]
)
def test_model_names_of_all_vendors(text: str) -> None:
    assert value_of("model", text) == text


def test_a_title_is_one_line() -> None:
    assert value_of("title", "a\n  b\n") == "a b"
    assert "more than 200" in refusal("title", "x" * 201)


@given(
    key=st.sampled_from([key.name for key in KEYS]),
    value=st.one_of(
        st.text(),
        st.from_regex(r"\A[0-9dhms.:TZ+-]{1,30}\Z"),
        st.lists(st.text(max_size=9), max_size=4).map(tuple),
    ),
)
def test_readers_raise_nothing_but_a_task_file_error(key: str, value: Given) -> None:
    try:
        resolve(given_by(Field(key, value, 2)))
    except TaskFileError as error:
        assert len(str(error)) < 1000  # noqa: PT017 - either way of ending is right


def test_defaults_come_as_json() -> None:
    parsed = parse_defaults(
        {
            "priority": 7,
            "timeout": 90,
            "idle_timeout": "5m",
            "max_budget_usd": 2.5,
            "max_turns": 50.0,
            "allow": ["Read"],
            "verify": "make test",
            "model": None,
            "capabilities": [],
        }
    )

    assert parsed == {
        "priority": 7,
        "timeout": timedelta(seconds=90),
        "idle_timeout": timedelta(minutes=5),
        "max_budget_usd": 2.5,
        "max_turns": 50,
        "allow": ("Read",),
        "verify": ("make test",),
        "model": None,
        "capabilities": (),
    }


@pytest.mark.parametrize(
    ("defaults", "said"),
    [
        ({"title": "x"}, "title: belongs to one task"),
        ({"depends_on": ["task-a"]}, "depends_on: belongs to one task"),
        ({"not_before": "2026-02-07"}, "not_before: belongs to one task"),
        ({"dedupe_key": "x"}, "dedupe_key: belongs to one task"),
        ({"priorty": 1}, "unknown key 'priorty'; did you mean 'priority'"),
        ({"priority": True}, "priority: must be a text, a number or a list of them, not bool"),
        ({"priority": None}, "priority: must be a whole number"),
        ({"priority": 5.5}, "priority: must be a whole number"),
        ({"priority": {"high": 1}}, "priority: must be a text, a number or a list of them, not dict"),
        ({"allow": [["Read"]]}, "allow: must be a text"),
        ({"max_budget_usd": float("nan")}, "max_budget_usd: must be an amount"),
        ({"max_budget_usd": float("inf")}, "max_budget_usd: must be an amount"),
        ({"timeout": -1}, "timeout: must be a duration"),
    ],
)
def test_a_bad_default_names_key_and_reason(defaults: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="^" + said.split("'", maxsplit=1)[0]) as caught:
        parse_defaults(defaults)

    assert said in str(caught.value)


def test_later_layers_win() -> None:
    resolved = resolve({"priority": 3, "max_turns": 10}, {"priority": 8}, {"allow": ("Read",)})

    assert (resolved.priority, resolved.max_turns, resolved.allow) == (8, 10, ("Read",))
    assert resolve() == Settings()


def test_none_takes_back_what_a_lower_layer_sets() -> None:
    resolved = resolve(
        parse_defaults({"max_budget_usd": 5, "model": "opus"}), {"max_budget_usd": None, "model": None}
    )

    assert (resolved.max_budget_usd, resolved.model) == (None, None)


def test_a_command_is_a_single_workflow() -> None:
    assert resolve({"workflow": "audited"}, {"executor": "make"}).workflow == "single"
    assert resolve({"executor": "make"}, {"executor": "claude"}).workflow == "audited"


def test_a_command_cannot_keep_a_budget() -> None:
    with pytest.raises(TaskFileError, match="max_budget_usd cannot be kept with executor make") as caught:
        resolve({"max_budget_usd": 1.0}, {"executor": "make"})

    assert caught.value.hint


def test_a_fallback_differs_from_the_model() -> None:
    with pytest.raises(TaskFileError, match="fallback_model is the same as model"):
        resolve({"model": "opus"}, {"fallback_model": "opus"})
