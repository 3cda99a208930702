"""The owner's layers: which of them wins, what they reject, and what is left of broken ones."""

from __future__ import annotations

import pytest

from task_queue.domain.document.layers import Layers, layers_of, naming_the_line, task_under, usable_layers
from task_queue.domain.errors import NotConfiguredError, TaskFileError
from task_queue.domain.task import Task, TaskId


def test_the_document_wins_over_the_source_and_that_over_the_configuration() -> None:
    layers = layers_of({"priority": 2, "max_attempts": 7}, {"priority": 3}, executors=())

    assert layers.settings_of({}).priority == 3
    assert layers.settings_of({"priority": 9}).priority == 9
    assert layers.settings_of({}).max_attempts == 7


def test_a_task_cannot_ask_for_more_than_its_owner_allows() -> None:
    with pytest.raises(NotConfiguredError, match="more than the owner's configuration allows"):
        Layers().settings_of({"permissions": "bypass"})
    assert layers_of({"permissions": "bypass"}, executors=()).settings_of({}).permissions == "bypass"


def test_an_executor_must_be_configured() -> None:
    """Told before a claim, with the line, and the name that was perhaps meant."""
    layers = layers_of({}, executors=("make",))
    task = Task(TaskId("task-a"), "A", "a", {"executor": "mkae"}, "0" * 64, {"executor": 4})

    assert layers.settings_of({"executor": "make"}).executor == "make"
    with pytest.raises(NotConfiguredError, match="'mkae' is not configured") as caught, naming_the_line(task):
        layers.settings_of(task.given)
    assert (caught.value.line, caught.value.hint) == (4, "did you mean 'make'?")


def test_a_task_that_no_configuration_fits_is_told_from_one_that_another_would() -> None:
    """The budget beside the command is the document's own mistake, or that of the defaults."""
    layers = layers_of({"executor": "make", "priority": 8}, executors=("make",))

    with pytest.raises(NotConfiguredError, match="max_budget_usd"):
        layers.settings_of({"max_budget_usd": 1.0})
    with pytest.raises(TaskFileError, match="max_budget_usd") as caught:
        layers.settings_of({"max_budget_usd": 1.0, "executor": "make"})
    assert not isinstance(caught.value, NotConfiguredError)


def test_what_applies_is_known_of_a_task_whose_executor_is_gone() -> None:
    """A command that runs is still judged as one."""
    layers = layers_of({"priority": 8}, executors=())

    known = layers.known_settings_of({"executor": "make", "max_attempts": 2})

    assert (known.executor, known.priority, known.max_attempts) == ("make", 8, 2)
    assert layers.known_settings_of({"permissions": "bypass"}).priority == 8


def test_what_the_owner_forbids_is_named_beside_what_is_misspelled() -> None:
    """Each with its line."""
    layers = layers_of({"model": "opus"}, executors=("make",))
    document = b"""---
executor: mkae
max_budget_usd: 3
priority: 11
permissions: bypass
fallback_model: opus
---
# Do it
"""

    with pytest.raises(TaskFileError) as caught:
        task_under(layers, document, TaskId("task-a"))

    assert [fault.line for fault in caught.value.faults] == [2, 3, 4, 5, 6]
    assert all(fault.hint for fault in caught.value.faults if fault.line in {2, 3, 5})


def test_every_rule_that_is_too_wide_is_named() -> None:
    document = b"---\nallow: [Docker, Read, mcp__x__y]\n---\nx"

    with pytest.raises(TaskFileError) as caught:
        task_under(layers_of({}, executors=()), document, TaskId("task-a"))

    assert [str(fault).split()[3] for fault in caught.value.faults] == ["Docker", "mcp__x__y"]


def test_what_is_broken_is_left_out_and_named() -> None:
    layers, faults = usable_layers({"priority": 9, "timeout": "soon"}, ["x"], None, executors=("make",))

    assert layers == Layers(({"priority": 9},), ("make",), capabilities=())
    assert [fault.partition(":")[0] for fault in faults] == ["timeout", "must be an object"]


def test_equal_layers_are_equal() -> None:
    """So that a configuration that changed elsewhere has no task looked at again."""
    assert layers_of({"priority": 2}, executors=["make"]) == layers_of(
        {"priority": 2}, {}, executors=["make"]
    )


def test_a_task_waits_for_the_capabilities_that_this_machine_lacks() -> None:
    """They come from the document or from defaults; the reason names those that are missing."""
    layers = layers_of({"capabilities": ["gpu", "docker"]}, executors=(), capabilities=("docker",))

    with pytest.raises(NotConfiguredError, match="this machine does not have 'gpu'"):
        layers.settings_of({})
    assert layers.settings_of({"capabilities": ("docker",)}).capabilities == ("docker",)
    assert layers.known_settings_of({}).capabilities == ("gpu", "docker")
    assert Layers().settings_of({"capabilities": ("anything",)})


@pytest.mark.parametrize(
    ("hosts", "needed", "why"),
    [
        ((("gpu", "docker"), ()), ("gpu", "docker"), None),
        ((("gpu",), ("docker",)), ("gpu", "docker"), "no host of the fleet has 'gpu', 'docker' together"),
        ((("gpu",), ("docker",)), ("gpu", "tpu"), "no host of the fleet has 'tpu';"),
        ((), ("here", "tpu"), "no host of the fleet has 'tpu';"),
        ((), ("here",), None),
    ],
)
def test_in_a_fleet_one_host_must_have_all(
    hosts: tuple[tuple[str, ...], ...], needed: tuple[str, ...], why: str | None
) -> None:
    """The reason names what none has; where each is somewhere, all of it."""
    layers = layers_of(executors=(), capabilities=("here",)).in_fleet(hosts)
    said = ""
    try:
        layers.settings_of({"capabilities": needed})
    except NotConfiguredError as error:
        said = error.in_full

    assert said.startswith(why) if why is not None else not said
