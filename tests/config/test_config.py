"""The configuration: found, read leniently, checked strictly, changed without losing anything."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from task_queue.config import document, edit, schema
from task_queue.config.locations import locate
from task_queue.domain.errors import ConfigError
from task_queue.domain.notification import Rhythm
from task_queue.store.folder.layout import Layout

DATA = Path(__file__).parents[1] / "data"
NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)


def add_source(config: Path, path: Path, *, source_id: str, now: datetime) -> document.SourceEntry:
    return edit.add_source(
        config,
        path,
        source_id=source_id,
        now=now,
        create_folders=lambda pending: Layout(pending).create(),
        project_workspace=Path("/"),
    )


def a_config(tmp_path: Path, **content: Any) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"version": "2.1", "task_source_directories": [], **content}, indent=2))
    return path


def test_the_option_wins_over_the_variable_and_that_over_the_folder(tmp_path: Path) -> None:
    """--config, then TASK_QUEUE_CONFIG, then XDG_CONFIG_HOME, then ~/.config."""
    environ = {"HOME": "/h", "XDG_CONFIG_HOME": "/x", "TASK_QUEUE_CONFIG": "/v.json"}

    assert locate("/o.json", environ=environ).config == Path("/o.json")
    assert locate(environ=environ).config == Path("/v.json")
    del environ["TASK_QUEUE_CONFIG"]
    assert locate(environ=environ).config == Path("/x/task-queue/config.json")
    del environ["XDG_CONFIG_HOME"]
    assert locate(environ=environ).config == Path("/h/.config/task-queue/config.json")


def test_state_belongs_to_the_real_file(tmp_path: Path) -> None:
    """A link to a configuration means the same daemon; another configuration means another."""
    real = a_config(tmp_path)
    (tmp_path / "link.json").symlink_to(real)
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/1"}

    here, linked = locate(real, environ=environ), locate(tmp_path / "link.json", environ=environ)

    assert here.daemon_lock == linked.daemon_lock
    assert here.daemon_lock.parent == Path("/run/user/1/task-queue")
    assert here.daemon_lock != locate(tmp_path / "other.json", environ=environ).daemon_lock


def test_a_relative_xdg_variable_is_ignored() -> None:
    """The XDG specification says so."""
    found = locate(environ={"HOME": "/h", "XDG_STATE_HOME": "state"})

    assert found.state_dir.is_relative_to("/h/.local/state/task-queue")


def test_a_2_1_document_loads_unchanged() -> None:
    """Configurations of the original system keep working."""
    config = schema.load(DATA / "2.1" / "config.json")

    assert [source.id for source in config.sources] == ["ad-hoc", "planned"]
    assert config.unknown_keys() == ()
    assert config.workspace_roots() == (Path("/home/admin/workspaces/datachat"),)


def test_a_syntax_error_names_line_and_column(tmp_path: Path) -> None:
    """A person is sent to the place."""
    path = tmp_path / "config.json"
    path.write_text('{\n  "version": 2.1,\n  oops\n}')

    with pytest.raises(ConfigError, match="line 3, column 3"):
        document.read(path)


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    """Python's JSON would silently take the last one."""
    path = tmp_path / "config.json"
    path.write_text('{"version": "2.1", "version": "2.0"}')

    with pytest.raises(ConfigError, match="'version' is given twice"):
        document.read(path)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]", b"", b"[" * 100_000, b'{"a": NaN}'])
def test_what_is_no_document_is_a_config_error(tmp_path: Path, content: bytes) -> None:
    """Whatever lies there, the answer is one sentence."""
    path = tmp_path / "config.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError):
        document.read(path)


@pytest.mark.parametrize(
    ("content", "place"),
    [
        pytest.param(b"", "line 1, column 1: the file is empty", id="empty"),
        pytest.param(b" \n\n", "line 1, column 1: the file is empty", id="blank"),
        pytest.param(b'{\n "version": "2.1\xff"', "line 2, column 17: byte 0xff is not UTF-8", id="latin-1"),
        pytest.param(b"\xff\xfe", "line 1, column 1: byte 0xff is not UTF-8", id="utf-16"),
        pytest.param(b'{"version": "2.1",\r\n "x"', "line 2, column 5", id="torn"),
    ],
)
def test_what_cannot_be_read_is_placed(tmp_path: Path, content: bytes, place: str) -> None:
    """Line and column, whatever is wrong with the bytes."""
    path = tmp_path / "config.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as raised:
        document.read(path)

    assert place in str(raised.value)
    assert raised.value.hint


@pytest.mark.parametrize("what", ["fifo", "directory", "link to a fifo"])
def test_something_else_in_the_place_of_the_configuration_is_told(tmp_path: Path, what: str) -> None:
    """Nothing waits for a writer that never comes, and it stays where it is."""
    path = tmp_path / "config.json"
    match what:
        case "fifo":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(tmp_path / "fifo")
            path.symlink_to("fifo")
    before = path.lstat().st_ino

    with pytest.raises(ConfigError, match="cannot be read") as raised:
        add_source(path, tmp_path / "web", source_id="web", now=NOW)

    assert "ls -ld" in str(raised.value.hint)
    assert path.lstat().st_ino == before


def test_a_configuration_larger_than_any_is_not_read_on_and_on(tmp_path: Path) -> None:
    """/dev/zero, a log by mistake: refused by its size."""
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(2**30)

    with pytest.raises(ConfigError, match="larger than"):
        document.read(path)


def test_listing_survives_values_that_are_wrong(tmp_path: Path) -> None:
    """Reading commands go on while an unrelated value is invalid, and name what they left out."""
    path = a_config(
        tmp_path,
        limits="many",
        task_source_directories=[{"id": "a", "path": "/q/pending", "paused": True}, {"id": 3}, "x"],
    )

    content = document.read(path)

    assert document.sources_of(content) == (document.SourceEntry("a", Path("/q/pending"), paused=True),)
    assert len(document.unusable_in(content)) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({"limits": {"running": "4"}}, r"limits\.running: must be a whole number", id="text"),
        pytest.param({"limits": {"running": 0}}, r"limits\.running", id="none running"),
        pytest.param({"project_workspace": "here"}, "project_workspace: must be an absolute", id="relative"),
        pytest.param({"version": "3.0"}, r"version: must be a version 2\.x", id="newer major"),
        pytest.param({"agent": {"account": "mine"}}, r"agent\.account", id="closed set"),
        pytest.param({"executors": {"claude": {"kind": "command", "argv": ["x"]}}}, "built in", id="claude"),
        pytest.param({"audit": {"allow": ["Edit"]}}, "'Edit' is not a rule for commands", id="audit"),
        pytest.param({"sweep_seconds": True}, "sweep_seconds: must be a number", id="bool is no number"),
        pytest.param({"stop_grace_seconds": 1e300}, "stop_grace_seconds: .* 86400", id="longer than a day"),
        pytest.param(
            {
                "task_source_directories": [
                    {"id": "a", "path": "/q/pending"},
                    {"id": "a", "path": "/r/pending"},
                ]
            },
            "'a' is given twice",
            id="same id",
        ),
        pytest.param(
            {
                "task_source_directories": [
                    {"id": "a", "path": "/q/pending"},
                    {"id": "b", "path": "/q/./pending"},
                ]
            },
            "'a' and 'b' have the same folder",
            id="same folder",
        ),
        pytest.param(
            {"task_source_directories": [{"id": "a", "path": "/q/pending", "windows": ["22-06"]}]},
            r"task_source_directories\[0\]\.windows\[0\]: must be hours such as 22:00-06:00",
            id="hours",
        ),
        pytest.param(
            {
                "task_source_directories": [
                    {"id": "a", "path": "/q/pending", "windows": "22:00-06:00", "quiet": "20:00-08:00"}
                ]
            },
            "'quiet' covers all of 'windows': no task would ever start",
            id="no hours",
        ),
        pytest.param({"defaults": {"priority": 99}}, r"^\S+: defaults: ", id="defaults"),
    ],
)
def test_a_wrong_value_is_named_by_its_key(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    """File, key path, and what is expected."""
    path = a_config(tmp_path, **content)

    with pytest.raises(ConfigError, match=message) as raised:
        schema.load(path)

    assert str(path) in str(raised.value)


def test_unknown_keys_are_kept_and_reported(tmp_path: Path) -> None:
    """At every depth, with the key that was perhaps meant."""
    config = schema.load(a_config(tmp_path, limits={"runing": 3}, agent={"zzz": 1}, sweep_secnds=3))

    assert {str(key) for key in config.unknown_keys()} == {
        "unknown key 'limits.runing' (did you mean 'running'?)",
        "unknown key 'agent.zzz'",
        "unknown key 'sweep_secnds' (did you mean 'sweep_seconds'?)",
    }


def test_adding_a_source_creates_its_folders_for_us_alone(tmp_path: Path) -> None:
    """The queue folder or its pending/ may be named; pending/ is stored."""
    config = tmp_path / "conf" / "config.json"

    entry = add_source(config, tmp_path / "tasks" / "web", source_id="web", now=NOW)

    assert entry.path == tmp_path / "tasks" / "web" / "pending"
    for folder in Layout(entry.path).folders():
        assert folder.stat().st_mode & 0o777 == 0o700
    assert config.stat().st_mode & 0o777 == 0o600
    schema.load(config)


@pytest.mark.parametrize(
    ("source_id", "folder"),
    [
        ("web", "other"),
        ("other", "web"),
        ("other", "web/pending"),
        ("other", "web/../web/pending"),
        ("other", "link-to-web"),
        ("other", "link-to-pending"),
        ("a:b", "x"),
    ],
)
def test_a_source_is_added_once(tmp_path: Path, source_id: str, folder: str) -> None:
    """The same id, or the same folder by whatever name, is refused and nothing is written."""
    config = tmp_path / "config.json"
    add_source(config, tmp_path / "web", source_id="web", now=NOW)
    (tmp_path / "link-to-web").symlink_to("web")
    (tmp_path / "link-to-pending").symlink_to("web/pending")
    before = config.read_bytes()

    with pytest.raises(ConfigError):
        add_source(config, tmp_path / folder, source_id=source_id, now=NOW)

    assert config.read_bytes() == before


def test_a_change_keeps_all_else(tmp_path: Path) -> None:
    """Unknown keys, their order, the indent and the missing final newline stay."""
    config = tmp_path / "config.json"
    shutil.copy(DATA / "2.1" / "config.json", config)
    content = json.loads(config.read_text())
    content["later"] = {"release": [1, "ü"]}
    config.write_text(json.dumps(content, indent=2, ensure_ascii=False))

    edit.remove_source(config, "planned", now=NOW)

    del content["task_source_directories"][1]
    content["updated_at"] = NOW.isoformat()
    assert config.read_text() == json.dumps(content, indent=2, ensure_ascii=False)


def test_removing_a_source_leaves_its_folders(tmp_path: Path) -> None:
    """Only the entry goes."""
    config = tmp_path / "config.json"
    add_source(config, tmp_path / "web", source_id="web", now=NOW)

    entry = edit.remove_source(config, "web", now=NOW)

    assert document.sources_of(document.read(config)) == ()
    assert entry.path.is_dir()


def test_an_unknown_source_is_named_with_the_known_ones(tmp_path: Path) -> None:
    """The hint lists what there is."""
    config = tmp_path / "config.json"
    add_source(config, tmp_path / "web", source_id="web", now=NOW)

    with pytest.raises(ConfigError, match="no source 'wob'") as raised:
        edit.remove_source(config, "wob", now=NOW)

    assert raised.value.hint == "known sources: web"


def test_an_unreadable_configuration_is_never_overwritten(tmp_path: Path) -> None:
    """Whatever the change, the broken text stays for its owner."""
    config = tmp_path / "config.json"
    config.write_text('{"version": "2.1",')

    with pytest.raises(ConfigError):
        add_source(config, tmp_path / "web", source_id="web", now=NOW)

    assert config.read_text() == '{"version": "2.1",'


def test_a_linked_configuration_is_changed_where_it_lies(tmp_path: Path) -> None:
    """The link stays a link (people keep their configuration in a repository of dotfiles)."""
    (tmp_path / "dotfiles").mkdir()
    real = a_config(tmp_path / "dotfiles")
    link = tmp_path / "config.json"
    link.symlink_to(real)

    add_source(link, tmp_path / "web", source_id="web", now=NOW)

    assert link.is_symlink()
    assert [entry.id for entry in document.sources_of(document.read(real))] == ["web"]


def test_fifty_processes_add_fifty_sources(tmp_path: Path) -> None:
    """Read, change and replace are one step for everybody."""
    config = tmp_path / "config.json"
    program = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC;"
        "from task_queue.config.edit import add_source;"
        "add_source(Path(sys.argv[1]), Path(sys.argv[2]), source_id=sys.argv[3], now=datetime.now(UTC),"
        "create_folders=lambda pending: None, project_workspace=Path('/'))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(config), str(tmp_path / f"q{n}"), f"q{n}"],
            env={"PYTHONPATH": str(Path(__file__).parents[2])},
        )
        for n in range(50)
    ]
    codes = [process.wait(timeout=60) for process in processes]

    assert codes == [0] * 50
    assert len(document.sources_of(document.read(config))) == 50


def test_every_number_has_a_least_and_a_most() -> None:
    """A value beyond what any clock, disk or machine can mean is a mistake, and no process is to find out."""
    definitions = {"Config": schema.Config.model_json_schema(), **schema.Config.model_json_schema()["$defs"]}
    numbers = {
        f"{name}.{key}": kind
        for name, definition in definitions.items()
        for key, field in definition.get("properties", {}).items()
        for kind in (field, *field.get("anyOf", ()))
        if kind.get("type") in {"integer", "number"}
    }

    assert len(numbers) >= 15
    assert not [
        name
        for name, kind in numbers.items()
        if not ({"minimum", "exclusiveMinimum"} & set(kind) and "maximum" in kind)
    ]


_WAY = {"command": ["/bin/true"]}


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ({}, "needs either 'command' or 'url'"),
        ({**_WAY, "url": "json://x"}, "needs either 'command' or 'url'"),
        ({"command": ["true"]}, "must begin with the absolute path of a program"),
        ({**_WAY, "on": ["faild"]}, "did you mean 'failed'?"),
        ({**_WAY, "on": ["daemon"]}, "'daemon' is neither an event nor a kind of attention that events name"),
        ({**_WAY, "quiet": "22:00"}, "must be two local times such as 22:00-07:00"),
        ({**_WAY, "quiet": "22:00-22:00"}, "must be two local times such as 22:00-07:00"),
        ({**_WAY, "report_at": "7:30"}, "must be a local time such as 07:30"),
        ({**_WAY, "report_at": "24:00"}, "must be a local time such as 07:30"),
        ({**_WAY, "window": "soon"}, "must be a duration"),
    ],
)
def test_a_target_of_notifications_that_cannot_work_is_refused(
    tmp_path: Path, target: dict[str, Any], said: str
) -> None:
    config = a_config(tmp_path, notifications={"phone": target})

    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        schema.load(config)

    assert "notifications.phone" in str(refused.value)


def test_a_target_of_notifications_needs_no_more_than_a_way(tmp_path: Path) -> None:
    config = schema.load(a_config(tmp_path, notifications={"phone": {"url": "json://x", "sound": "loud"}}))

    assert config.notifications is not None
    assert config.notifications["phone"].rhythm == Rhythm(timedelta(minutes=10))
    assert [str(key) for key in config.unknown_keys()] == ["unknown key 'notifications.phone.sound'"]
