"""Which of the tasks with one key stays, against a model that looks at all of them each time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from task_queue.domain.document.duplicates import Duplicates, Keyed, KeyedName, key_of, why_duplicate
from task_queue.domain.task import TaskId

NOON = datetime(2026, 2, 7, 12, tzinfo=UTC)


def keyed(name: str = "task-a", source: str = "a", key: str = "k", minute: int = 0, **more: bool) -> Keyed:
    return Keyed(source, TaskId(name), key, NOON + timedelta(minutes=minute), **more)


_TASKS = st.builds(
    keyed,
    st.sampled_from(["task-2", "task-10", "task-b"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["k", "l"]),
    st.integers(0, 2),
    runs=st.booleans(),
    begun=st.booleans(),
)


class Model:
    """Every task, and nothing that is kept up to date."""

    def __init__(self) -> None:
        self.tasks: dict[KeyedName, Keyed] = {}

    def first_before(self, name: KeyedName) -> Keyed | None:
        task = self.tasks.get(name)
        if task is None or task.runs or task.begun:
            return None
        earliest = min((each for each in self.tasks.values() if each.key == task.key), key=Keyed.place)
        return None if earliest is task else earliest


@given(st.lists(st.tuples(st.booleans(), _TASKS), max_size=25))
def test_it_answers_as_the_model_and_names_what_changed(steps: list[tuple[bool, Keyed]]) -> None:
    """Of each key at least one task stays, whatever comes and goes; and no change of an answer is missed."""
    duplicates, model = Duplicates(), Model()
    for puts, task in steps:
        before = {name: model.first_before(name) for name in model.tasks}
        if puts:
            changed = set(duplicates.put(task))
            model.tasks[task.name] = task
        else:
            changed = set(duplicates.discard(task.name))
            model.tasks.pop(task.name, None)
        after = {name: model.first_before(name) for name in model.tasks}

        assert {name: duplicates.first_before(name) for name in model.tasks} == after
        for name, answer in after.items():
            assert answer == before.get(name, answer) or name in changed
        for key in {each.key for each in model.tasks.values()}:
            assert any(after[each.name] is None for each in model.tasks.values() if each.key == key)
            first = duplicates.first_with(key)
            assert first is not None
            assert after[first.name] is None
        for source in ("a", "b"):
            assert set(duplicates.of(source)) == {
                each.id for each in model.tasks.values() if each.source == source
            }


def test_what_runs_stays_whatever_the_names_say() -> None:
    """Then what has begun, then the older, then by name, then by source."""
    order = [
        keyed("task-z", minute=9, runs=True),
        keyed("task-y", minute=8, begun=True),
        keyed("task-x", minute=1),
        keyed("task-2", minute=2),
        keyed("task-10", minute=2),
        keyed("task-10", "b", minute=2),
    ]

    turned = order[::-1]

    assert sorted(turned, key=Keyed.place) == order


def test_a_task_that_has_begun_is_never_a_duplicate() -> None:
    duplicates = Duplicates()
    for task in (keyed("task-a", runs=True), keyed("task-b", begun=True), keyed("task-c")):
        duplicates.put(task)

    found = [duplicates.first_before(("a", TaskId(name))) for name in ("task-a", "task-b", "task-c")]
    assert found == [None, None, keyed("task-a", runs=True)]


def test_ten_thousand_with_one_key_cost_no_walk_over_all_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by how often their places are compared."""
    compared = 0
    place = Keyed.place

    def counted(task: Keyed) -> tuple[object, ...]:
        nonlocal compared
        compared += 1
        return place(task)

    monkeypatch.setattr(Keyed, "place", counted)
    duplicates = Duplicates()
    changed = 0
    for number in range(10_000):
        changed += len(set(duplicates.put(keyed(f"task-{number}", minute=number))))
    for number in range(1, 10_000):
        changed += len(set(duplicates.discard(("a", TaskId(f"task-{number}")))))

    assert compared < 50_000
    assert changed < 50_000


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (("content", "# Do it\n"), ("content", "\n# Do it"), True),
        (("content", "# Do it"), ("content", "# Do that"), False),
        (("nightly", "# Do it"), ("nightly", "# Do that"), True),
        (("content", "nightly"), ("nightly", ""), False),
        ((None, "# Do it"), (None, "# Do that"), True),
    ],
)
def test_content_stands_for_the_text(
    first: tuple[str | None, str], second: tuple[str | None, str], same: bool
) -> None:
    """Below the front matter, without blank lines around it."""
    assert (key_of(*first) == key_of(*second)) is same
    assert key_of(None, "") is None


def test_the_reason_names_the_first() -> None:
    first = keyed("task-a")
    text = replace(first, key=key_of("content", "x") or "", runs=True)

    assert why_duplicate(first, source="a") == (
        "duplicate of task-a, which waits and has the same dedupe_key 'k'"
    )
    assert why_duplicate(text, source="b") == (
        "duplicate of task-a of source 'a', which runs and has the same text"
    )
