"""What every Claims promises. A test class of each inherits ``ClaimsContract`` and gives a bench."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.rig import Rig, command_document
from tests.fakes import FakeClock

LEASE_S = 60.0


class Refused(Exception):  # noqa: N818 - an answer
    """A claim was spoken of that does not count. ``code`` is for programs, ``state`` is the task's."""

    def __init__(self, code: str, state: str) -> None:
        super().__init__(code)
        self.code, self.state = code, state


@dataclass(frozen=True)
class Got:
    """A claim as its worker has it."""

    id: str
    epoch: int
    task_id: str
    document: str
    order: Mapping[str, Any]


class ClaimsBench(ABC):
    """Sources ``a`` and ``b``, which workers serve with three slots each, and a clock that the test moves.

    A transcript is full at 1 MiB.
    """

    def __init__(self, home: Path, **keys: Any) -> None:
        self.clock = FakeClock()
        self.clock.time = datetime.now(UTC)
        sources = {
            name: {
                "id": name,
                "path": str(home / "tasks" / name / "pending"),
                "served_by": "workers",
                "slots": 3,
                **keys.pop(name, {}),
            }
            for name in ("a", "b")
        }
        self.rig = Rig(
            home,
            sources=("a", "b"),
            task_source_directories=list(sources.values()),
            settle_seconds=0,
            sweep_seconds=3600,
            limits={"transcript_mb": 1, **keys.pop("limits", {})},
            **keys,
        )

    def drop(self, name: str, *, source: str = "a", **keys: object) -> None:
        self.drop_text(name, command_document("true", **keys), source=source)

    def drop_text(self, name: str, text: str, *, source: str = "a") -> None:
        self.rig.drop(name, text, source=source)

    def cancel(self, name: str) -> None:
        assert self.rig.cli("tasks", "cancel", name).returncode == 0

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    def restart(self, *, outage_s: float = 0) -> None:
        """As after a kill of the process that serves the sources, and so long without it."""
        self.close()
        self.clock.advance(outage_s)
        self.start()

    @abstractmethod
    def claim(
        self,
        worker: str = "w1",
        *,
        lease_s: float = LEASE_S,
        sources: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        executors: Sequence[str] | None = None,
        capabilities: Sequence[str] = (),
        key: str | None = None,
    ) -> Got | None: ...

    @abstractmethod
    def heartbeat(self, got: Got, worker: str = "w1", *, epoch: int | None = None) -> str:
        """The directive. Raises Refused, as those that follow."""

    @abstractmethod
    def frames(self, got: Got, offset: int, *lines: str) -> int: ...

    @abstractmethod
    def report(
        self, got: Got, kind: str = "succeeded", worker: str = "w1", *, epoch: int | None = None
    ) -> str:
        """``applied`` or ``already_applied``."""

    def got(self, worker: str = "w1", **wish: Any) -> Got:
        got = self.claim(worker, **wish)
        assert got is not None
        return got

    def order_of_claims(self, **wish: Any) -> list[str]:
        """The tasks that are handed out, one after the other, each completed at once."""
        found: list[str] = []
        while (got := self.claim(**wish)) is not None:
            found.append(got.task_id)
            self.report(got)
        return found

    def result(self, task_id: str, source: str = "a") -> dict[str, Any]:
        found: dict[str, Any] = json.loads(
            (self.rig.queue(source) / "results" / f"{task_id}.json").read_text()
        )
        return found

    def has_ended(self, task_id: str, source: str = "a") -> bool:
        return (self.rig.queue(source) / "results" / f"{task_id}.json").exists()

    def locks(self, source: str = "a") -> list[str]:
        return sorted(path.name for path in self.rig.pending(source).glob(".task-*.lock"))

    def transcript(self, task_id: str) -> list[str]:
        """Of the first attempt."""
        written = self.rig.queue() / "logs" / task_id / "attempt-1" / "transcript.jsonl"
        return written.read_text().splitlines()


class ClaimsContract(ABC):
    @pytest.fixture
    @abstractmethod
    def bench(self, tmp_path: Path) -> Iterator[ClaimsBench]: ...

    def test_order_is_by_priority_then_age_over_all_sources(self, bench: ClaimsBench) -> None:
        bench.drop("task-20260103-000000-low", priority=2)
        bench.drop("task-20260102-000000-new", source="b", priority=5)
        bench.drop("task-20260101-000000-old", priority=5)
        bench.drop("task-20260104-000000-high", source="b", priority=9)

        assert bench.order_of_claims() == [
            "task-20260104-000000-high",
            "task-20260101-000000-old",
            "task-20260102-000000-new",
            "task-20260103-000000-low",
        ]
        assert bench.result("task-20260103-000000-low")["worker"] == "w1"

    def test_only_what_a_worker_asks_for_and_has(self, bench: ClaimsBench) -> None:
        """A task that names no capabilities goes to any worker, one that names some to one that has all."""
        bench.drop("task-gpu", capabilities="[gpu, big]", priority=9)
        bench.drop("task-doc", type="documentation", source="b")
        bench.drop("task-plain", priority=1)

        assert bench.got(capabilities=["gpu"], sources=["a"]).task_id == "task-plain"
        assert bench.claim(capabilities=["gpu"], sources=["a"]) is None
        assert bench.claim(types=["bugfix"], capabilities=["gpu", "big"]) is None
        assert bench.claim(executors=["claude"], capabilities=["gpu", "big"]) is None
        assert bench.got(types=["documentation"]).task_id == "task-doc"
        assert bench.got(executors=["sh"], capabilities=["big", "gpu", "x"]).task_id == "task-gpu"

    def test_the_order_says_all_that_a_worker_needs(self, bench: ClaimsBench) -> None:
        bench.drop("task-a", max_attempts=7)
        got = bench.got()

        assert got.epoch == 1
        assert "max_attempts: 7" in got.document
        assert "workflow: single" in got.document  # of the configuration's defaults
        assert got.order["branch"] == "task-queue/task-a"

    def test_a_task_waits_for_its_time(self, bench: ClaimsBench) -> None:
        later = datetime.fromtimestamp(bench.clock.time.timestamp() + 1000, UTC)
        bench.drop("task-a", not_before=later.isoformat())

        assert bench.claim() is None
        bench.clock.advance(1001)
        assert bench.got().task_id == "task-a"

    def test_a_task_waits_for_those_that_it_depends_on(self, bench: ClaimsBench) -> None:
        bench.drop("task-2", depends_on="task-1", priority=9)
        bench.drop("task-1", source="b")
        first = bench.got()

        assert (first.task_id, bench.claim()) == ("task-1", None)
        bench.report(first)
        assert bench.got().task_id == "task-2"

    def test_a_task_whose_dependency_failed_ends(self, bench: ClaimsBench) -> None:
        bench.drop("task-2", depends_on="task-1", on_dependency_failure="fail")
        bench.drop("task-1", max_attempts=1)
        bench.report(bench.got(), "failed")

        assert bench.claim() is None
        assert bench.result("task-2")["outcome"] == "cancelled"

    def test_at_most_as_many_claims_as_slots(self, bench: ClaimsBench) -> None:
        for number in range(4):
            bench.drop(f"task-{number}")
        held = [bench.got() for _ in range(3)]

        assert bench.claim() is None
        bench.report(held[1])
        assert bench.got().task_id == "task-3"

    def test_tasks_that_touch_the_same_files_are_never_out_together(self, bench: ClaimsBench) -> None:
        (bench.rig.workspace / ".git").mkdir()
        bench.drop("task-1", touches="src/*")
        bench.drop("task-2", touches="src/a.py", source="b")
        first = bench.got()

        assert bench.claim() is None
        bench.report(first)
        assert bench.got().task_id == "task-2"

    def test_nothing_of_a_paused_source(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        bench.rig.cli("sources", "pause", "a", check=True)

        assert bench.claim() is None
        bench.rig.cli("sources", "resume", "a", check=True)
        held = bench.got()
        bench.rig.cli("sources", "drain", "a", check=True)
        assert bench.heartbeat(held) == "drain"

    def test_a_claimed_task_is_given_once(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        bench.got()

        assert bench.claim("w2") is None

    def test_the_same_key_leads_to_the_same_claim(self, bench: ClaimsBench) -> None:
        """Whose answer was lost: id, epoch and order, also after a restart, and whatever else is asked for."""
        bench.drop("task-1", priority=9)
        bench.drop("task-2")
        got = bench.got(key="k")

        assert bench.got(key="k") == got
        bench.restart()
        assert bench.got(key="k", sources=["b"], lease_s=2 * LEASE_S) == got
        assert bench.locks() == [".task-1.lock"]
        assert bench.report(got) == "applied"
        assert len(bench.result("task-1")["attempts"]) == 1

    def test_asking_again_renews_the_lease(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got(key="k")
        for _ in range(3):
            bench.clock.advance(LEASE_S - 1)
            assert bench.got(key="k") == got

        assert bench.heartbeat(got) == "continue"

    def test_a_key_is_its_workers_alone(self, bench: ClaimsBench) -> None:
        """Nor does another key, or none, of the same worker lead to the claim."""
        for number in range(3):
            bench.drop(f"task-{number}", priority=9 - number)
        bench.got(key="k")

        assert bench.got("w2", key="k").task_id == "task-1"
        assert bench.got(key="other").task_id == "task-2"
        assert [bench.claim(), bench.claim(key="third"), bench.claim("w2", key="other")] == [None] * 3

    def test_the_key_of_a_claim_that_is_over_leads_to_a_new_one(self, bench: ClaimsBench) -> None:
        """Or to none: be it reported, given back, or the lease over."""
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s")
        ids = []
        for end in ("release", "lapse", "complete"):
            got = bench.got(key="k")
            ids.append((got.id, got.epoch))
            if end == "lapse":
                bench.clock.advance(LEASE_S)
            else:
                bench.report(got, "interrupted" if end == "release" else "succeeded")

        assert (len(set(ids)), [epoch for _, epoch in ids]) == (3, [1, 2, 3])
        assert bench.claim(key="k") is None
        bench.restart()
        assert bench.claim(key="k") is None

    def test_a_key_that_is_asked_with_many_times_at_once_leads_to_one_claim(self, bench: ClaimsBench) -> None:
        for number in range(3):
            bench.drop(f"task-{number}")
        got: list[Got | None] = []
        asking = [threading.Thread(target=lambda: got.append(bench.claim(key="k"))) for _ in range(8)]
        for each in asking:
            each.start()
        for each in asking:
            each.join(30)

        assert (len(got), len({each and each.id for each in got}), len(bench.locks())) == (8, 1, 1)

    def test_a_dropped_document_that_is_no_task_is_rejected(self, bench: ClaimsBench) -> None:
        bench.drop_text("task-bad", "---\npriority: huge\n---\n# no")

        assert bench.claim() is None
        assert bench.result("task-bad")["outcome"] == "rejected"

    def test_a_waiting_task_that_is_cancelled_ends(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        bench.cancel("task-1")

        assert bench.claim() is None
        assert bench.result("task-1")["outcome"] == "cancelled"

    def test_a_report_is_applied_once(self, bench: ClaimsBench) -> None:
        """A replay is answered so, at once and after a restart; another one changes nothing."""
        bench.drop("task-1")
        got = bench.got()

        assert bench.report(got) == "applied"
        assert (bench.report(got), bench.report(got, "failed")) == ("already_applied", "already_applied")
        bench.restart()
        assert bench.report(got) == "already_applied"
        result = bench.result("task-1")
        assert (result["success"], len(result["attempts"]), result["output"]) == (True, 1, "done by w1")

    def test_another_worker_cannot_speak_for_a_claim(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()

        for speak in (bench.heartbeat, lambda got, worker: bench.report(got, "succeeded", worker)):
            with pytest.raises(Refused) as refused:
                speak(got, "w2")
            assert (refused.value.code, refused.value.state) == ("not_owner", "running")
        assert bench.report(got) == "applied"

    def test_another_epoch_is_fenced(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()

        for epoch in (0, 2):
            with pytest.raises(Refused, match="fenced"):
                bench.report(got, epoch=epoch)
            with pytest.raises(Refused, match="fenced"):
                bench.heartbeat(got, epoch=epoch)

    def test_an_unknown_claim_is_none(self, bench: ClaimsBench) -> None:
        """Nor is one whose token was guessed."""
        bench.drop("task-1")
        got = bench.got()
        bench.report(got)
        for wrong in ("x", "W10", got.id[:-6] + "AAAAAA"):
            with pytest.raises(Refused, match="claim_not_found"):
                bench.heartbeat(Got(wrong, got.epoch, got.task_id, "", {}))

    def test_a_sign_of_life_renews_the_lease(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()
        for _ in range(4):
            bench.clock.advance(LEASE_S - 1)
            assert bench.heartbeat(got) == "continue"

        assert bench.report(got) == "applied"

    def test_a_lease_that_ends_leaves_the_task_to_a_person(self, bench: ClaimsBench) -> None:
        """By default: ``on_lost_session: review``. Acted on in the next claim."""
        bench.drop("task-1")
        got = bench.got()
        bench.clock.advance(LEASE_S)

        assert bench.claim("w2") is None
        result = bench.result("task-1")
        assert (result["outcome"], result["state"], result["dead_letter"]) == ("crashed", "failed", False)
        with pytest.raises(Refused) as refused:
            bench.report(got)
        assert (refused.value.code, refused.value.state) == ("expired", "failed")

    def test_a_lease_that_ends_gives_the_task_to_another(self, bench: ClaimsBench) -> None:
        """With ``on_lost_session: rerun``; what the first one says late does not count, whatever it says."""
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s")
        first = bench.got()
        bench.clock.advance(LEASE_S)
        second = bench.got("w2")

        assert (second.task_id, second.epoch) == ("task-1", 2)
        for late in (bench.report, bench.heartbeat):
            with pytest.raises(Refused) as refused:
                late(first)
            assert (refused.value.code, refused.value.state) == ("fenced", "running")
        assert bench.report(second, "succeeded", "w2") == "applied"
        attempts = bench.result("task-1")["attempts"]
        assert [(each["outcome"], each["counted"]) for each in attempts] == [
            ("crashed", True),
            ("succeeded", True),
        ]

    def test_a_task_that_loses_its_workers_is_a_dead_letter(self, bench: ClaimsBench) -> None:
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s", max_attempts=2)
        for _ in range(2):
            bench.got()
            bench.clock.advance(LEASE_S)

        assert bench.claim() is None
        assert bench.result("task-1")["dead_letter"] is True

    def test_the_wall_clock_ends_no_lease(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()
        for jump in (10**7, -2 * 10**7):
            bench.clock.time = datetime.fromtimestamp(bench.clock.time.timestamp() + jump, UTC)
            assert bench.claim("w2") is None
            assert bench.heartbeat(got) == "continue"

        assert bench.report(got) == "applied"

    def test_an_outage_ends_no_lease(self, bench: ClaimsBench) -> None:
        """It runs only while the worker could have been heard; then it is a whole one."""
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s")
        got = bench.got()
        bench.restart(outage_s=10 * LEASE_S)

        assert bench.claim("w2") is None
        bench.clock.advance(LEASE_S - 1)
        assert bench.heartbeat(got) == "continue"
        bench.restart()
        assert bench.claim("w2") is None
        bench.clock.advance(LEASE_S)
        assert bench.got("w2").epoch == 2

    def test_a_claim_is_there_after_a_restart(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()
        bench.restart()

        assert bench.claim("w2") is None
        assert bench.heartbeat(got) == "continue"
        assert bench.report(got) == "applied"
        assert bench.result("task-1")["success"] is True

    def test_a_cancel_is_told_and_the_task_not_offered_before(self, bench: ClaimsBench) -> None:
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s")
        got = bench.got()
        bench.cancel("task-1")

        assert (bench.heartbeat(got), bench.claim("w2")) == ("cancel", None)
        bench.restart()
        assert (bench.heartbeat(got), bench.claim("w2")) == ("cancel", None)
        bench.report(got, "cancelled")
        assert bench.result("task-1")["outcome"] == "cancelled"
        assert bench.claim("w2") is None

    def test_a_cancelled_task_whose_worker_is_gone_ends_with_its_lease(self, bench: ClaimsBench) -> None:
        bench.drop("task-1", on_lost_session="rerun", retry_delay="0s")
        bench.got()
        bench.cancel("task-1")
        bench.clock.advance(LEASE_S)

        assert bench.claim("w2") is None
        assert bench.result("task-1")["outcome"] == "cancelled"

    def test_a_failed_attempt_is_tried_again_as_the_task_says(self, bench: ClaimsBench) -> None:
        bench.drop("task-1", max_attempts=2, retry_delay="0s")
        bench.report(bench.got(), "failed")
        again = bench.got()

        assert again.epoch == 2
        bench.report(again, "failed")
        result = bench.result("task-1")
        assert (result["dead_letter"], result["error"]) == (True, "said by w1")

    def test_a_release_costs_no_attempt(self, bench: ClaimsBench) -> None:
        bench.drop("task-1", max_attempts=1)
        bench.report(bench.got(), "interrupted")
        again = bench.got()

        assert again.epoch == 2
        assert bench.report(again) == "applied"

    def test_a_worker_whose_account_is_limited_gets_no_agents_task(self, bench: ClaimsBench) -> None:
        """Others do: each has an account of its own."""
        bench.drop_text("task-1", "# Do it")
        bench.report(bench.got(), "limited")

        assert bench.claim() is None
        again = bench.got("w2")
        assert (again.task_id, again.epoch) == ("task-1", 2)

    def test_frames_are_added_once_and_without_gaps(self, bench: ClaimsBench) -> None:
        bench.drop("task-1")
        got = bench.got()
        lines = [json.dumps({"t": "x", "seq": number, "dir": "note", "raw": "é"}) for number in range(5)]

        assert bench.frames(got, 0, *lines[:2]) == 2
        assert bench.frames(got, 0, *lines[:3]) == 3
        bench.restart()
        assert bench.frames(got, 2, *lines[2:4]) == 4
        with pytest.raises(Refused) as gap:
            bench.frames(got, 5, lines[4])
        assert (gap.value.code, gap.value.state) == ("frames_missing", "4")
        assert bench.transcript("task-1") == lines[:4]

    def test_what_does_not_fit_into_a_transcript_is_said_in_it(self, bench: ClaimsBench) -> None:
        """Also after a restart; what the verdict needs is kept, and the worker goes on as if all were."""

        def frame(seq: int, raw: object) -> str:
            return json.dumps({"t": f"2026-01-01T00:00:{seq:02}+00:00", "seq": seq, "dir": "in", "raw": raw})

        bench.drop("task-1")
        got = bench.got()
        long = [frame(seq, {"type": "assistant", "text": "x" * 190_000}) for seq in range(6)]
        assert [bench.frames(got, at, *long[at : at + 2]) for at in (0, 2, 4)] == [2, 4, 6]
        assert bench.frames(got, 6, frame(6, {"type": "assistant", "text": "short"})) == 7
        assert bench.frames(got, 7, frame(7, {"type": "result", "subtype": "success"})) == 8
        bench.restart()
        assert bench.frames(got, 7, frame(7, {"type": "result"}), frame(8, {"type": "user"})) >= 8

        lines = [json.loads(line) for line in bench.transcript("task-1")]
        assert [line["seq"] for line in lines[:7]] == [0, 1, 2, 3, 4, 5, 7]
        assert [line["dir"] for line in lines[5:]][:2] == ["note", "in"]
        assert 8 not in [line["seq"] for line in lines]
        assert "transcript full" in lines[5]["raw"]

    def test_of_two_tasks_with_one_key_the_later_is_rejected(self, bench: ClaimsBench) -> None:
        """Over all sources."""
        bench.drop("task-1", dedupe_key="k")
        bench.drop("task-2", source="b", dedupe_key="k")
        got = bench.got()
        assert (got.task_id, bench.claim()) == ("task-1", None)
        assert "duplicate of task-1 of source 'a', which" in str(bench.result("task-2", "b"))
