"""``config``: keys that are read and set, and the editor; nothing wrong is ever written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.bench import Bench, a_bench
from tests.cli.test_editing import an_editor, drafts

SECRET = "sesame-open-1234"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return a_bench(tmp_path)


def content(bench: Bench) -> Any:
    return json.loads(bench.config.read_text())


def change(bench: Bench, **more: Any) -> None:
    bench.config.write_text(json.dumps(content(bench) | more))


def test_the_path_is_printed(bench: Bench) -> None:
    """Also of one that does not exist."""
    assert bench.run("config", "path").out == f"{bench.config}\n"
    assert bench.run("--config", "/nowhere/c.json", "config", "path").out == "/nowhere/c.json\n"


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("limits.running", "2", 2),
        ("limits.daily_budget_usd", "12.5", 12.5),
        ("agent.pass_env", '["HTTPS_PROXY"]', ["HTTPS_PROXY"]),
        ("agent.env.PORT", "8080", "8080"),
        ("agent.account", "subscription", "subscription"),
        ("sources.ad-hoc.paused", "true", True),
        ("sources.ad-hoc.description", "small: things", "small: things"),
        ("sources.ad-hoc.description", "-5", "-5"),
        ("defaults.priority", "8", 8),
        ("git.keep_worktrees_mb", "null", None),
        ("executors.sh", '{"kind": "command", "argv": ["sh"]}', {"kind": "command", "argv": ["sh"]}),
    ],
)
def test_what_is_set_is_what_is_got(bench: Bench, key: str, given: str, value: object) -> None:
    """JSON where it is that, a text where one is wanted; all else stays as it was."""
    before = content(bench)

    answer = bench.run("config", "set", key, given)

    assert (answer.code, answer.err) == (0, "")
    got = bench.run("config", "get", key, "--reveal", "--json").json
    assert (got["value"], got["is_default"]) == (value, False)
    assert content(bench)["created_at"] == before["created_at"]
    assert len(content(bench)["task_source_directories"]) == 2


@pytest.mark.parametrize(
    ("key", "given", "says"),
    [
        ("limits.running", "many", "limits.running: must be a whole number"),
        ("limits.running", "0", "limits.running: "),
        ("limits.runing", "2", "there is no key 'limits.runing'\nhint:  did you mean 'limits.running'?"),
        (
            "sources.shop.paused",
            "true",
            "there is no source for 'sources.shop.paused'\nhint:  known sources: ad-hoc",
        ),
        ("sources.ad-hoc.path", "relative", "task_source_directories[0].path: must be an absolute path"),
        ("sources.ad-hoc.defaults.priority", "11", "task_source_directories[0].defaults: "),
        ("settle_seconds.x", "2", "there is no key 'settle_seconds.x'"),
        ("project_workspace.x", "2", "'project_workspace' is not an object"),
        ("task_source_directories.x", "2", "'task_source_directories' is not an object"),
        ("", "2", "'' is not a key"),
        (".", "2", "'.' is not a key"),
        ("limits.", "2", "'limits.' is not a key"),
    ],
)
def test_what_would_be_wrong_is_not_written(bench: Bench, key: str, given: str, says: str) -> None:
    """The error names the key and the reason; the file has the bytes that it had."""
    before = bench.config.read_bytes()

    answer = bench.run("config", "set", key, given)

    assert (answer.code, answer.out) == (1, "")
    assert says in answer.err
    assert bench.config.read_bytes() == before


@pytest.mark.parametrize(
    ("key", "is_there"),
    [("limits.running", True), ("limits", True), ("agent.env.PORT", True), ("limits.memory_mb", False)],
)
def test_what_is_removed_is_the_default_again(bench: Bench, key: str, is_there: bool) -> None:
    """Without an empty object left behind; all else stays as it was."""
    before = content(bench)
    bench.run("config", "set", "limits.running", "2")
    bench.run("config", "set", "agent.env.PORT", "8080")

    answer = bench.run("config", "unset", key)

    assert (answer.code, answer.err) == (0, "")
    assert answer.out == (f"{key} is not set any more\n" if is_there else f"{key} was not set\n")
    expected = before | {"limits": {"running": 2}, "agent": {"env": {"PORT": "8080"}}}
    for gone in [key.partition(".")[0]] if is_there else []:
        del expected[gone]
    assert content(bench) | {"updated_at": 0} == expected | {"updated_at": 0}


@pytest.mark.parametrize(
    "key", ["sources.ad-hoc.path", "version", "sources.nowhere.paused", "limits.runing", "a.", ""]
)
def test_what_has_to_be_there_is_not_removed(bench: Bench, key: str) -> None:
    before = bench.config.read_bytes()

    answer = bench.run("config", "unset", key)

    assert (answer.code, answer.out) == (2, "") or answer.code == 1, answer
    assert answer.err.startswith("error: ")
    assert bench.config.read_bytes() == before


def test_nothing_is_set_while_another_key_is_wrong(bench: Bench) -> None:
    """And each wrong key is named."""
    change(bench, limits={"running": "many", "max_pending": 0})

    answer = bench.run("config", "set", "settle_seconds", "2")

    assert answer.code == 1
    assert "limits.running: must be a whole number" in answer.err
    assert "limits.max_pending" in answer.err
    assert "settle_seconds" not in content(bench)


def test_a_missing_configuration_is_not_made(bench: Bench) -> None:
    """``init`` does that."""
    answer = bench.run("--config", "none.json", "config", "set", "limits.running", "2")

    assert answer.code == 1
    assert "task-queue init" in answer.err
    assert not (bench.project / "none.json").exists()


def test_a_default_is_said_to_be_one(bench: Bench) -> None:
    """The value on stdout, the rest on stderr."""
    answer = bench.run("config", "get", "limits.running")

    assert (answer.code, answer.out) == (0, "4\n")
    assert answer.err == "limits.running is not set; this is the default\n"


@pytest.mark.parametrize(
    "key", ["agent.env.TOKEN", "agent.env", "agent", "executors.x", "notifications", "agent.env.PROXY"]
)
def test_secrets_are_shown_on_request_only(bench: Bench, key: str) -> None:
    """As the value of a variable, within an object, in an argument, in an address."""
    change(
        bench,
        agent={"env": {"TOKEN": SECRET, "LANG": "C", "PROXY": f"http://me:{SECRET}@host"}},
        executors={"x": {"kind": "command", "argv": ["sh", "-c", SECRET]}},
        notifications={"urls": [f"tgram://{SECRET}/1"]},
    )

    for form in ((), ("--json",)):
        shown = bench.run("config", "get", key, *form)
        assert shown.code == 0
        assert SECRET not in shown.out + shown.err
        assert SECRET in bench.run("config", "get", key, "--reveal", *form).out
    assert bench.run("config", "get", "agent.env.LANG").out == "C\n"


def test_what_is_set_stands_in_no_event(bench: Bench) -> None:
    """Only which key it was; nor is a secret printed."""
    answer = bench.run("config", "set", "agent.env.TOKEN", SECRET)

    events = bench.run("events", "--json").out
    assert SECRET not in answer.out + events
    assert '"agent.env.TOKEN"' in events


def test_check_names_every_problem(bench: Bench) -> None:
    """With its key; unknown keys do not count."""
    assert bench.run("config", "check").out == f"in order: {bench.config}\n"
    change(bench, limit={})
    assert bench.run("config", "check").code == 0
    assert "did you mean 'limits'" in bench.run("config", "check").out
    change(bench, limits={"running": "many"}, agent={"account": "mine"}, defaults={"priority": 11})

    answer = bench.run("config", "check")
    keys = [each["key"] for each in bench.run("config", "check", "--json").json["problems"]]

    assert answer.code == 1
    assert sorted(keys) == ["agent.account", "defaults", "limits.running"]
    assert "limits.running: must be a whole number" in answer.out


def test_check_names_the_line_of_what_is_not_json(bench: Bench) -> None:
    """For an editor's jump."""
    bench.config.write_text('{\n  "version": "2.1"\n  "x": 1\n}')

    answer = bench.run("config", "check", "--json")

    (problem,) = answer.json["problems"]
    assert answer.code == 1
    assert (problem["line"], problem["column"], problem["key"]) == (3, 3, None)
    assert "line 3, column 3" in bench.run("config", "check").out


def test_what_is_edited_is_taken_as_typed(bench: Bench) -> None:
    """With its own layout; no draft is left."""
    editor = an_editor(bench, """sed -i 's/"version": *"2.1"/"version":   "2.2"/' "$1" """)

    answer = bench.run("config", "edit", EDITOR=str(editor))

    assert answer.code == 0, answer.err
    assert '"version":   "2.2"' in bench.config.read_text()
    assert drafts(bench) == []


def test_what_is_not_changed_is_left(bench: Bench) -> None:
    before = bench.config.read_bytes()

    answer = bench.run("config", "edit", EDITOR="true")

    assert (answer.code, answer.err) == (0, "nothing is changed\n")
    assert bench.config.read_bytes() == before
    assert drafts(bench) == []


def test_an_error_opens_the_editor_again(bench: Bench) -> None:
    """First it is no JSON, then a value is wrong, then it is in order."""
    script = """
        n=$(cat ~/n 2>/dev/null || echo 0); echo $((n + 1)) >~/n
        case $n in
        0) echo '{' >"$1" ;;
        1) echo '{"version": 3, "task_source_directories": []}' >"$1" ;;
        2) echo '{"version": "2.1", "task_source_directories": []}' >"$1" ;;
        esac
    """
    answer = bench.run("config", "edit", EDITOR=str(an_editor(bench, script)), given="y\ny\n")

    assert answer.code == 0, answer.err
    assert "line 2, column 1" in answer.err
    assert "version: must be text" in answer.err
    assert content(bench) == {"version": "2.1", "task_source_directories": []}


@pytest.mark.parametrize("given", ["n\n", ""], ids=["no", "no terminal"])
def test_a_draft_is_kept(bench: Bench, given: str) -> None:
    """And edited further by name; the configuration is as it was."""
    before = bench.config.read_bytes()
    editor = an_editor(bench, """echo '{"version": 3}' >"$1" """)

    answer = bench.run("config", "edit", EDITOR=str(editor), given=given)

    (draft,) = drafts(bench)
    assert answer.code != 0
    assert f"task-queue config edit --file {draft}" in answer.err
    assert bench.config.read_bytes() == before
    good = an_editor(bench, """echo '{"version": "2.1", "task_source_directories": []}' >"$1" """)
    assert bench.run("config", "edit", "--file", str(draft), EDITOR=str(good)).code == 0
    assert content(bench)["task_source_directories"] == []
    assert drafts(bench) == []


def test_what_another_one_changed_meanwhile_is_not_overwritten(bench: Bench) -> None:
    """The draft is kept."""
    other = f"""
        echo '{{"version": "2.1", "task_source_directories": []}}' >"$1"
        echo ' ' >>{bench.config}
    """

    answer = bench.run("config", "edit", EDITOR=str(an_editor(bench, other)))

    assert answer.code == 1
    assert "was changed meanwhile" in answer.err
    assert len(content(bench)["task_source_directories"]) == 2
    assert len(drafts(bench)) == 1
