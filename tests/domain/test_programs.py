"""Which settings of git name a program: those of releases that are newer than the git at hand, too."""

from __future__ import annotations

import pytest

from task_queue.domain.work.programs import overriding, that_name_programs


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hook.planted.command", "true"),
        ("filter.a.b.clean", ""),
        ("protocol.ext.allow", "never"),
        ("core.fsmonitor", None),
        ("user.name", None),
    ],
)
def test_what_a_task_configured_is_disarmed(key: str, value: str | None) -> None:
    """``core.fsmonitor`` is off for every call; a name starts nothing."""
    found = that_name_programs([(key, "planted")])

    assert overriding(found, {}) == (() if value is None else ((key, value),))


def test_what_the_owner_configured_stays() -> None:
    owners = {"hook.own.command": ["./own"]}

    assert overriding(owners, owners) == ()
    assert overriding({"hook.own.command": ["./planted"]}, owners) == (("hook.own.command", "./own"),)
