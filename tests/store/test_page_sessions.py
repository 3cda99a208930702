"""Sessions and links of the page: once, in time, and never to be read from the file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from task_queue.store.page_sessions import PageSessions

NOW = datetime(2026, 2, 7, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_a_link_works_once_and_in_time(tmp_path: Path) -> None:
    sessions = PageSessions(tmp_path / "state" / "page-sessions.json")
    used, late = sessions.make_link(now=NOW, lasts=HOUR), sessions.make_link(now=NOW, lasts=HOUR)
    uses = [sessions.use_link(used, now=NOW), sessions.use_link(used, now=NOW)]

    assert uses == [True, False]
    assert sessions.use_link(late, now=NOW + HOUR) is False
    assert sessions.use_link("", now=NOW) is False


def test_a_session_ends_by_time_or_by_its_owner(tmp_path: Path) -> None:
    sessions = PageSessions(tmp_path / "page-sessions.json")
    one = sessions.begin("", now=NOW, lasts=HOUR)
    other = sessions.begin("1f2e", now=NOW, lasts=HOUR)
    found = [sessions.behind(secret, now=NOW) for secret in (one, other, "x")]
    sessions.end(one, now=NOW)

    assert [each and each.credential for each in found] == ["", "1f2e", None]
    assert sessions.behind(one, now=NOW) is None
    assert sessions.behind(other, now=NOW) is not None
    assert sessions.behind(other, now=NOW + HOUR) is None


def test_a_link_is_no_session(tmp_path: Path) -> None:
    sessions = PageSessions(tmp_path / "page-sessions.json")
    link, session = sessions.make_link(now=NOW, lasts=HOUR), sessions.begin("", now=NOW, lasts=HOUR)

    assert sessions.behind(link, now=NOW) is None
    assert sessions.use_link(session, now=NOW) is False


def test_the_file_is_private_and_has_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "page-sessions.json"
    secret = PageSessions(path).begin("", now=NOW, lasts=HOUR)

    assert secret not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_over_is_forgotten_and_there_are_never_too_many(tmp_path: Path) -> None:
    path = tmp_path / "page-sessions.json"
    sessions = PageSessions(path)
    first = sessions.begin("", now=NOW, lasts=HOUR)
    for _ in range(500):
        sessions.begin("", now=NOW, lasts=2 * HOUR)
    kept = len(json.loads(path.read_text())["sessions"])
    sessions.begin("", now=NOW + 2 * HOUR, lasts=HOUR)

    assert kept == 500
    assert sessions.behind(first, now=NOW) is None
    assert len(json.loads(path.read_text())["sessions"]) == 1


def test_rubbish_in_its_place_signs_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "page-sessions.json"
    path.write_text('{"sessions": [{"sha256": 1}, 5, null], "links": "x"}')
    sessions = PageSessions(path)

    assert sessions.behind("x", now=NOW) is None
    assert sessions.use_link("x", now=NOW) is False
    assert sessions.behind(sessions.begin("", now=NOW, lasts=HOUR), now=NOW) is not None
