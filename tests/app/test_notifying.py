"""``notify test`` names the targets; ``doctor`` says which of them cannot work, and where metrics cannot be written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from task_queue.app.doctor.checks import examine
from task_queue.app.installation import Installation
from task_queue.app.notifying import send_test
from task_queue.domain.errors import TaskQueueError
from tests.app.bench import Bench


def configured(bench: Bench, **keys: Any) -> Installation:
    bench.config.write_text(json.dumps({**json.loads(bench.config.read_text()), **keys}))
    return bench.anew()


def test_without_a_target_the_answer_says_what_to_write(bench: Bench) -> None:
    with pytest.raises(TaskQueueError, match="no target is configured") as refused:
        send_test(bench.installation, None)

    assert "docs/notifications.md" in (refused.value.hint or "")


def test_an_unknown_target_is_refused_with_the_known_ones(bench: Bench) -> None:
    installation = configured(bench, notifications={"phone": {"command": ["/bin/true"]}})

    with pytest.raises(TaskQueueError, match="there is no target 'fone'") as refused:
        send_test(installation, "fone")

    assert refused.value.hint == "targets: phone"


def test_doctor_says_what_cannot_work(bench: Bench) -> None:
    """A file of metrics in a folder that is missing, a program that is missing, a state that cannot be read."""
    missing = bench.home / "missing"
    targets = {"phone": {"command": [f"{missing}/notify"]}, "log": {"command": ["/bin/true"]}}
    installation = configured(bench, notifications=targets, metrics={"file": f"{missing}/task-queue.prom"})
    state = installation.locations.notifications
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("{")

    found = {check.what: check.level for check in examine(installation).checks}

    cannot = f"notifications to 'phone' cannot be sent: {missing}/notify is missing or may not be executed"
    assert found[cannot] == "problem"
    assert found["notifications go to 'log'"] == "ok"
    assert found[f"metrics cannot be written: {missing} is missing, or you may not write there"] == "problem"
    assert any(what.startswith("the state of the notifications cannot be read") for what in found)
