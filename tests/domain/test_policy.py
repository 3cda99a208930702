"""Who may do what: every list must allow a task, and an empty one allows none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from task_queue.domain.policy import (
    EVERYTHING_ALLOWED,
    AccessPolicy,
    AccessRole,
    Caller,
    NotAllowedError,
    TaskTraits,
    is_caller_name,
    repository_name,
)
from task_queue.domain.throttle import Failures

TASK = TaskTraits("shop", "coding", "claude", ("gpu",), "github.com/acme/shop", "ci")
ALL = ("*",)
OPEN = AccessPolicy((AccessRole.READ,), ALL, ALL, ALL, ALL, ALL)


@pytest.mark.parametrize(
    "changed",
    [
        {"sources": ()},
        {"repositories": ()},
        {"types": ()},
        {"capabilities": ()},
        {"executors": ()},
        {"sources": ("other",)},
        {"repositories": ("https://github.com/acme/other",)},
        {"types": ("review",)},
        {"capabilities": ("cpu",)},
        {"executors": ("sh",)},
        {"own": True},
        {"roles": ()},
    ],
    ids=str,
)
def test_each_list_must_allow_a_task(changed: dict[str, object]) -> None:
    assert Caller("me", OPEN).sees(TASK)
    assert not Caller("me", replace(OPEN, **changed)).sees(TASK)  # type: ignore[arg-type] # one field


def test_what_it_submitted_itself_is_its_own() -> None:
    own = replace(OPEN, own=True, roles=(AccessRole.SUBMIT,))
    other = replace(TASK, submitted_by="me2")

    Caller("ci", own).demand_change(TASK)
    assert Caller("ci", own).sees(TASK)
    assert not Caller("ci", own).sees(other)
    with pytest.raises(NotAllowedError, match="only change tasks that it submitted"):
        Caller("me2", own).demand_change(TASK)


def test_who_operates_changes_every_task_that_it_sees() -> None:
    Caller("me", replace(OPEN, roles=(AccessRole.OPERATE,))).demand_change(TASK)
    with pytest.raises(NotAllowedError):
        Caller("ci", OPEN).demand_change(TASK)


@pytest.mark.parametrize(
    ("role", "implied"),
    [
        (AccessRole.READ, {AccessRole.READ}),
        (AccessRole.SUBMIT, {AccessRole.SUBMIT, AccessRole.READ}),
        (AccessRole.WORK, {AccessRole.WORK, AccessRole.READ}),
        (AccessRole.OPERATE, {AccessRole.OPERATE, AccessRole.SUBMIT, AccessRole.READ}),
        (AccessRole.ADMIN, set(AccessRole)),
    ],
)
def test_what_a_role_includes(role: AccessRole, implied: set[AccessRole]) -> None:
    assert {each for each in AccessRole if AccessPolicy((role,)).has(each)} == implied


def test_a_task_without_a_repository_needs_all_of_them() -> None:
    without = replace(TASK, repository=None)

    assert OPEN.allows(without)
    assert not replace(OPEN, repositories=("github.com/acme/shop",)).allows(without)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/Acme/Shop.git",
        "https://user:secret@github.com/acme/shop/",
        "ssh://git@github.com:22/acme/shop",
        "git@github.com:acme/shop.git",
        "github.com/acme/shop",
    ],
)
def test_a_repository_has_one_name(url: str) -> None:
    assert repository_name(url) == "github.com/acme/shop"
    assert replace(OPEN, repositories=(url,)).allows(TASK)


def test_the_owner_is_not_limited() -> None:
    assert EVERYTHING_ALLOWED.is_unlimited
    assert not replace(EVERYTHING_ALLOWED, own=True).is_unlimited
    assert not replace(EVERYTHING_ALLOWED, types=("coding",)).is_unlimited
    assert AccessPolicy((AccessRole.READ,), sources=ALL).allows_nothing == (
        "repositories",
        "types",
        "executors",
    )


@pytest.mark.parametrize("name", ["", "owner", "Ci", "a b", "oidc:x", "-x", "x" * 65])
def test_names_that_no_token_can_have(name: str) -> None:
    assert not is_caller_name(name)
    assert is_caller_name("ci-2.nightly_x")


def test_failures_of_one_address_are_held_back_and_forgotten() -> None:
    failures = Failures()
    delays = [failures.delay_after("a", 1.0) for _ in range(9)]

    assert delays == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert failures.delay_after("b", 1.0) == 0.05
    assert failures.delay_after("a", 400.0) == 0.05
