"""What ``make bench`` finds is held against its goals, written, read again, and put into the documentation."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import docs, figures, goals, peers
from benchmarks.figures import Findings, Size
from benchmarks.parts import PARTS
from benchmarks.peers.job import Pipe
from benchmarks.peers.kinds import Peer
from benchmarks.peers.ours import Ours
from benchmarks.peers.spoolers import Nq
from benchmarks.plot import drawn
from tests.house.tables import ROOT


@pytest.fixture
def found() -> Findings:
    findings = Findings("peers", Size.SHORT)
    for name, rate in ((peers.LIMIT, 800.0), (goals.ONE_SOURCE, 90.0), ("nq <1>", 400.0)):
        findings.add(peers.JOBS, name, [rate, rate + 20, rate - 20])
        findings.add(peers.OF_LIMIT, name, [rate / 800] * 3, "x")
        findings.promises[name] = "nothing"
    findings.skip("rq", "it is not installed")
    return findings


@pytest.mark.parametrize(("rate", "met"), [(99.0, False), (100.0, True)])
def test_a_goal_is_met_by_the_median(rate: float, met: bool) -> None:
    found = Findings("peers", Size.SHORT)
    found.add(peers.JOBS, goals.ONE_SOURCE, [1.0, rate, 1000.0])

    assert found.figures[0].is_met is met


def test_what_was_found_is_read_as_it_was_written(found: Findings, tmp_path: Path) -> None:
    assert figures.read(found.write(tmp_path)) == found


def test_the_picture_is_an_image_with_a_bar_for_each_subject(found: Findings) -> None:
    picture = drawn(found)

    assert picture is not None
    bars = [each for each in ElementTree.fromstring(picture).iter() if each.get("class") in {"bar", "ours"}]
    assert len(bars) == 3


def test_the_documentation_has_a_place_for_each_part() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()

    for part in PARTS:
        assert "| NEW |" in docs.with_figures(page, part, "| NEW |\n"), part


def test_the_table_names_goals_promises_and_what_was_left_out(found: Findings) -> None:
    table = docs.table_of(found)

    assert "90.0 (70.0 to 110); goal >= 100: NO" in table
    assert "Not measured: rq: it is not installed." in table


@pytest.mark.parametrize(
    "peer",
    [Ours(1), pytest.param(Nq(), marks=pytest.mark.skipif(Nq().why_not() is not None, reason="no nq"))],
)
def test_a_job_of_a_peer_is_seen(peer: Peer, tmp_path: Path) -> None:
    pipe = Pipe(tmp_path)
    with peer.opened(tmp_path, pipe.job) as queue:
        queue.enqueue(2)
        queue.work()
        pipe.wait(2)
    pipe.close()
