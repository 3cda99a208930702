"""Verbs on sources, on everything at once, on the account, on accepted settings; and what is read beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app import pausing, prompts, sources, stopping, workers
from task_queue.app.daemon_log import log_file, log_lines
from task_queue.app.doctor.checks import examine
from task_queue.app.project_settings import AcceptedSettings, accept_settings
from task_queue.app.status import status
from task_queue.app.stopping import Stopping
from task_queue.app.transcript import lines_of, logs_of
from task_queue.domain.errors import TaskQueueError, UnknownTaskError
from tests.app.bench import A, Bench


def test_initialize_is_safe_to_repeat(bench: Bench) -> None:
    """The second time nothing is new; another project is told that the usual sources are not its own."""
    again = sources.initialize(bench.installation, bench.home)
    other = bench.home / "other"
    other.mkdir()
    elsewhere = sources.initialize(bench.anew(), other)

    assert [(source.id, source.is_new) for source in again.sources] == [("ad-hoc", False), ("planned", False)]
    assert (again.served, elsewhere.served) == (True, False)
    assert list(other.iterdir()) == []


def test_a_source_is_added_paused_resumed_and_removed(bench: Bench, tmp_path: Path) -> None:
    """Each time the list says so; its files stay."""
    here = bench.installation
    sources.add_source(here, tmp_path / "web", source_id="web", description="of the site")
    added = sources.list_sources(bench.anew()).sources[-1]
    pausing.pause(here, pausing.sources_named(bench.anew(), "web"))
    paused = sources.list_sources(bench.anew()).sources[-1].paused
    pausing.resume(here, pausing.sources_named(bench.anew(), "web"))
    resumed = sources.list_sources(bench.anew()).sources[-1].paused
    sources.remove_source(here, "web")

    assert (added.id, added.path, added.description) == ("web", tmp_path / "web" / "pending", "of the site")
    assert (paused, resumed) == (True, False)
    assert [source.id for source in sources.list_sources(bench.anew()).sources] == ["ad-hoc", "planned"]
    assert (tmp_path / "web" / "pending").is_dir()


@pytest.mark.parametrize(
    "verb", [sources.remove_source, pausing.sources_named], ids=["remove", "pause, drain and resume"]
)
def test_an_unknown_source_is_an_error(bench: Bench, verb: object) -> None:
    assert callable(verb)
    with pytest.raises(TaskQueueError, match="no source 'web'"):
        verb(bench.installation, "web")


@pytest.mark.parametrize(("at_once", "word"), [(False, "gently"), (True, "now")])
def test_a_stop_stands_where_no_daemon_runs(bench: Bench, at_once: bool, word: str) -> None:
    assert stopping.stop(bench.installation, at_once=at_once) is Stopping.NO_DAEMON

    assert bench.installation.locations.stopped.read_text() == f"{word} {bench.clock.now().isoformat()}\n"


def test_a_stop_waits_until_the_daemon_has_noticed_and_nothing_runs(bench: Bench) -> None:
    """First it has not noticed, then one task is only begun, then it still ends."""
    bench.daemon_runs(running=A)
    looks = 0

    def go_on() -> None:
        nonlocal looks
        looks += 1
        running = None if looks in {2, 4} else A
        bench.daemon_runs(stopped=looks >= 2, running=running, busy=looks == 2)

    bench.meanwhile = go_on

    assert stopping.stop(bench.installation) is Stopping.STOPPED
    assert looks == 4


def test_a_stop_that_takes_too_long_stands(bench: Bench) -> None:
    bench.daemon_runs(stopped=True, running=A)

    assert stopping.stop(bench.installation, timeout_s=10) is Stopping.STILL_RUNNING
    assert 10 <= bench.clock.seconds < 11
    assert bench.installation.locations.stopped.exists()


def test_resume_takes_back_a_stop_once(bench: Bench) -> None:
    stopping.stop(bench.installation)

    assert [stopping.resume(bench.installation) for _ in range(2)] == [True, False]


def test_a_paused_account_is_opened_once(bench: Bench) -> None:
    bench.write(bench.installation.locations.accounts, {"paused_until": "2099-01-01T00:00:00+00:00"})

    assert [stopping.resume_account(bench.installation) for _ in range(2)] == [True, False]


def test_changed_settings_are_accepted_once(bench: Bench) -> None:
    trust = SettingsTrust(bench.installation.locations.trusted_settings)
    settings = bench.home / ".claude" / "settings.json"
    bench.write(settings, {"a": 1})
    bench.installation.locations.state_dir.mkdir(parents=True, exist_ok=True)
    trust.changes(bench.home)
    bench.write(settings, {"a": 2})

    accepted = [accept_settings(bench.installation) for _ in range(2)]

    (first,), second = accepted
    assert isinstance(first, AcceptedSettings)
    assert (first.workspace, len(first.changes), second) == (bench.home, 1, ())


def test_settings_cannot_be_accepted_where_the_record_is_rubbish(bench: Bench) -> None:
    """It was reported as a defect of the program."""
    record = bench.installation.locations.trusted_settings
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text("{")

    with pytest.raises(TaskQueueError, match="cannot be read"):
        accept_settings(bench.installation)


def test_workers_are_what_status_says_of_their_sources(bench: Bench) -> None:
    bench.place("pending")
    down = status(bench.installation, now=bench.clock.now(), waiting_shown=1)
    bench.daemon_runs(running=A)
    up = status(bench.installation, now=bench.clock.now(), waiting_shown=1)

    first = workers.workers_of(up).workers[0]
    assert isinstance(first, workers.WorkerView)
    assert (first.source, first.state, first.thread_id, first.task_id) == ("ad-hoc", "serving", 1, A)
    assert first.next is not None
    assert first.next.task_id == A
    assert (workers.lines_of(down).daemon, workers.all_serve(down)) == (False, False)


def test_a_transcript_is_followed_until_the_attempt_has_ended(bench: Bench) -> None:
    """From before there is one; a line that is half written is waited for."""
    bench.place("pending")
    bench.claim()
    logs = logs_of(bench.installation, A)
    writes = iter(['{"n": 1}\n{"n"', ": 2}\n", None])

    def write() -> None:
        text = next(writes)
        if text is None:
            bench.write(logs.transcript.with_name("outcome.json"), {})
        else:
            with logs.transcript.open("a") as file:
                file.write(text)

    bench.meanwhile = write

    assert (logs.attempt, logs.transcript) == (1, bench.attempt() / "transcript.jsonl")
    assert list(lines_of(bench.installation, logs, follow=True)) == ['{"n": 1}', '{"n": 2}']
    assert list(lines_of(bench.installation, logs, follow=False)) == ['{"n": 1}', '{"n": 2}']


def test_a_transcript_that_never_comes_is_not_waited_for_once_the_task_has_ended(bench: Bench) -> None:
    bench.place("pending")
    bench.meanwhile = lambda: bench.move(A, "failed")

    assert list(lines_of(bench.installation, logs_of(bench.installation, A), follow=True)) == []
    with pytest.raises(UnknownTaskError):
        logs_of(bench.installation, A.replace("a", "x"))  # type: ignore[arg-type]  # any text will do


def test_the_daemons_log_is_where_it_wrote_it(bench: Bench) -> None:
    path = bench.installation.locations.log
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("one\ntwo\nthree\n")

    assert log_file(bench.installation) == path
    assert list(log_lines(bench.installation, lines=2)) == ["two", "three"]
    bench.write(bench.installation.locations.daemon_state, {"log": "journal"})
    assert log_file(bench.installation) is None


def test_prompts_are_copied_once_and_apply_then(bench: Bench) -> None:
    """Beside the configuration; what is there already is kept."""
    before = {text.origin for text in prompts.texts(bench.installation).texts}
    first = prompts.copy_packaged(bench.installation)
    second = prompts.copy_packaged(bench.installation)
    elsewhere = prompts.copy_packaged(bench.installation, bench.home / "copies")

    assert first.written
    assert (first.kept, first.applies, second.written) == ((), True, ())
    assert (elsewhere.applies, elsewhere.beside_configuration) == (False, bench.config.parent / "prompts")
    assert {text.origin for text in prompts.texts(bench.installation).texts} != before


def test_doctor_answers_without_a_terminal(bench: Bench) -> None:
    """The first check is the configuration's; a broken one leaves the others to be made."""
    content = json.loads(bench.config.read_text()) | {"agent": {"cli_path": "/bin/false"}}
    bench.write(bench.config, content)
    fine = examine(bench.anew())
    bench.write(bench.config, content | {"limits": {"running": "many"}})
    broken = examine(bench.anew())

    assert fine.checks[0].what == f"the configuration {bench.config} is valid"
    assert (broken.checks[0].level, broken.has_problem) == ("problem", True)
    assert len(broken.checks) > 3
