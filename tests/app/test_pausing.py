"""Pause, drain and resume: what the verbs answer, and that the configuration stays as it is."""

from __future__ import annotations

import json

import pytest

from task_queue.app import pausing
from task_queue.app.pausing import Draining, Resumed
from task_queue.app.sources import list_sources, remove_source
from task_queue.app.status import status
from task_queue.domain.errors import TaskQueueError
from task_queue.store.pauses import Pauses
from tests.app.bench import Bench


def test_the_configuration_is_never_changed(bench: Bench) -> None:
    """Neither is the pause that it has: resume says that, and how to end it."""
    content = json.loads(bench.config.read_text())
    content["task_source_directories"][0]["paused"] = True
    bench.write(bench.config, content)
    before = bench.config.read_bytes()
    everything = pausing.sources_named(bench.anew(), None)
    pausing.pause(bench.anew(), everything)
    states = [(line.id, line.state, line.paused_by) for line in list_sources(bench.anew()).sources]
    answers = pausing.resume(bench.anew(), everything)
    after = [(line.id, line.state, line.paused_by) for line in list_sources(bench.anew()).sources]

    assert states == [("ad-hoc", "paused", "command"), ("planned", "paused", "command")]
    assert answers == [
        Resumed("ad-hoc", "task-queue config set sources.ad-hoc.paused false"),
        Resumed("planned"),
    ]
    assert after == [("ad-hoc", "paused", "configuration"), ("planned", "open", None)]
    assert bench.config.read_bytes() == before


def test_the_status_says_who_pauses_and_how_to_go_on(bench: Bench) -> None:
    """With a task that waits it needs a person."""
    bench.place("pending")
    pausing.drain(bench.anew(), pausing.sources_named(bench.anew(), "ad-hoc"))
    view = status(bench.anew(), now=bench.clock.now(), waiting_shown=9)
    source = view.sources[0]
    needs = [each for each in view.attention if each.source == "ad-hoc"]

    assert (source.state, source.paused_by) == ("draining", "command")
    assert source.waiting[0].why.startswith("the source is drained")
    assert [(each.sentence, each.command) for each in needs] == [
        (
            "source 'ad-hoc' is draining, and 1 task wait in it",
            "task-queue sources resume ad-hoc",
        )
    ]


def test_draining_is_waited_for(bench: Bench) -> None:
    """Until the daemon has noted that nothing runs."""
    bench.daemon_runs()
    entries = pausing.sources_named(bench.anew(), "ad-hoc")
    pausing.drain(bench.anew(), entries)
    pauses = Pauses(bench.installation.locations.pauses)
    too_short = pausing.wait_until_drained(bench.anew(), entries, timeout_s=5)
    asked = pauses.of("ad-hoc")
    assert asked is not None
    bench.meanwhile = lambda: pauses.note_drained("ad-hoc", asked)

    assert too_short == {"ad-hoc": Draining.STILL_RUNNING}
    assert pausing.wait_until_drained(bench.anew(), entries) == {"ad-hoc": Draining.DRAINED}


@pytest.mark.parametrize(("claimed", "how"), [(True, Draining.NO_DAEMON), (False, Draining.DRAINED)])
def test_without_a_daemon_the_claims_say_whether_anything_runs(
    bench: Bench, claimed: bool, how: Draining
) -> None:
    entries = pausing.sources_named(bench.anew(), "ad-hoc")
    bench.place("pending")
    if claimed:
        bench.claim()
    pausing.drain(bench.anew(), entries)

    assert pausing.wait_until_drained(bench.anew(), entries) == {"ad-hoc": how}


def test_who_waits_for_the_end_hears_of_a_resume(bench: Bench) -> None:
    bench.daemon_runs()
    entries = pausing.sources_named(bench.anew(), "ad-hoc")
    pausing.drain(bench.anew(), entries)

    def resumes() -> None:
        pausing.resume(bench.anew(), entries)

    bench.meanwhile = resumes
    with pytest.raises(TaskQueueError, match="was resumed meanwhile"):
        pausing.wait_until_drained(bench.anew(), entries)


def test_another_source_of_the_same_name_is_not_paused(bench: Bench) -> None:
    pausing.pause(bench.anew(), pausing.sources_named(bench.anew(), "planned"))
    remove_source(bench.anew(), "planned")

    assert Pauses(bench.installation.locations.pauses).of("planned") is None
