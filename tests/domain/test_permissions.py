"""Profiles and rules become the CLI's options."""

from __future__ import annotations

import pytest

from task_queue.domain.document.choices import Profile, WorkType
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import TaskFileError
from task_queue.domain.permission.profiles import (
    PROFILES,
    DeniedBy,
    DenyRule,
    changes_expected,
    narrowed,
    permissions_for,
)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_queue_is_closed_in_every_profile(profile: Profile) -> None:
    """For reading and for writing, the folder itself and all that is in it."""
    rules = permissions_for(profile, queue_dirs=["/t/adhoc"]).settings["permissions"]["deny"]

    closed = {f"{verb}(//t/adhoc{what})" for verb in ("Read", "Edit") for what in ("", "/**")}
    assert closed <= set(rules)


@pytest.mark.parametrize("profile", PROFILES)
def test_of_the_copies_of_tasks_only_its_own_can_be_read(profile: Profile) -> None:
    """Names that begin with other characters are closed, in the folder of every source; none can be written."""
    permissions = permissions_for(profile, own_copies=["/c/web/0110100110010110-task-a.md"])

    rules = set(permissions.settings["permissions"]["deny"])
    assert {"Edit(//c/**)", "Read(//c/*/1*)", "Read(//c/*/00*)", "Read(//c/*/010*)"} <= rules
    assert sum(rule.startswith("Read(//c/") for rule in rules) == 16
    if permissions.sandbox is not None:
        own = {"denyRead": ["/c"], "allowRead": ["/c/web/0110100110010110-task-a.md"]}
        assert permissions.sandbox["filesystem"] == own


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_ever_asks(profile: Profile) -> None:
    """Neither the mode nor a tool can wait for a person; where the CLI asks, the queue answers."""
    permissions = permissions_for(profile)

    assert permissions.mode in {"dontAsk", "bypassPermissions"} or permissions.opens_guarded
    assert "AskUserQuestion" in permissions.disallowed_tools


def test_readonly_cannot_write() -> None:
    """The writing tools are gone, and the shell with them."""
    permissions = permissions_for(Profile.READONLY)

    assert {"Edit", "Write", "NotebookEdit", "Bash"} <= set(permissions.disallowed_tools)
    assert not any("Bash" in rule for rule in permissions.allowed_tools)


def test_an_owner_can_give_a_reader_a_shell() -> None:
    """For the commands that the rule names, and never a tool that writes."""
    permissions = permissions_for(Profile.READONLY, allow=["Bash(git log:*)"])

    assert "Bash" not in permissions.disallowed_tools
    assert "Edit" in permissions.disallowed_tools


@pytest.mark.parametrize("allow_only", [False, True])
@pytest.mark.parametrize("profile", PROFILES)
def test_an_auditor_is_confined_as_its_implementer_and_only_reads(profile: Profile, allow_only: bool) -> None:
    """No shell, nothing that loads hooks, no bypass; its implementer's denials and sandbox stay."""
    permissions = permissions_for(
        profile, allow=["Bash", "Write"], deny=["Read(secret/**)"], allow_only=allow_only, audits=True
    )

    assert permissions.mode == "dontAsk"
    assert {"Bash", "Edit", "Write", "NotebookEdit", "Agent", "Skill"} <= set(permissions.disallowed_tools)
    assert not {"Bash", "Write", "Agent", "Skill"} & set(permissions.allowed_tools)
    assert {"Read(secret/**)", "Read(~/.ssh/**)"} <= set(permissions.settings["permissions"]["deny"])
    assert (permissions.sandbox is not None) is (profile is Profile.SANDBOXED)
    assert ("WebFetch" in permissions.allowed_tools) is not allow_only


def test_sandboxed_fails_closed() -> None:
    """A missing sandbox is an error, not a licence."""
    sandbox = permissions_for(Profile.SANDBOXED).sandbox

    assert sandbox is not None
    assert sandbox["failIfUnavailable"] is True
    assert sandbox["allowUnsandboxedCommands"] is False


def test_a_tasks_rules_are_added() -> None:
    """Deny rules travel in the settings, which take any character."""
    permissions = permissions_for(Profile.GUARDED, allow=["Bash(make *)"], deny=["Bash(rm a, b)"])

    assert "Bash(make *)" in permissions.allowed_tools
    assert "Bash(rm a, b)" in permissions.settings["permissions"]["deny"]


def test_a_closed_folder_can_be_read() -> None:
    rules = permissions_for(Profile.BYPASS, closed_dirs=["/o"]).settings["permissions"]["deny"]

    assert rules == ["Edit(//o)", "Edit(//o/**)"]


def test_samples_of_env_files_are_ordinary_unless_a_given_rule_says_otherwise() -> None:
    """The CLI lets the last rule decide that matches a path."""
    rules = permissions_for(Profile.GUARDED, deny=["Read(**/.env.*)"]).settings["permissions"]["deny"]

    samples = [f"Read(!**/.env.{name})" for name in ("example", "sample", "template", "dist")]
    first, last = (i for i, rule in enumerate(rules) if rule == "Read(**/.env.*)")
    assert all(first < rules.index(sample) < last for sample in samples)


def test_trusted_is_guarded_that_pushes_and_writes_guarded_places() -> None:
    """And nothing else."""
    guarded, trusted = permissions_for(Profile.GUARDED), permissions_for(Profile.TRUSTED)

    assert set(guarded.denied) - set(trusted.denied) == {
        DenyRule(DeniedBy.PROFILE, "Bash(git push:*)"),
    }
    assert set(trusted.denied) <= set(guarded.denied)
    assert trusted.allowed_tools == guarded.allowed_tools
    assert trusted.disallowed_tools == guarded.disallowed_tools
    assert (trusted.opens_guarded, guarded.opens_guarded) == (True, False)


def test_a_trusted_tasks_own_list_and_its_auditor_are_not_trusted_with_more() -> None:
    for permissions in (
        permissions_for(Profile.TRUSTED, allow=["Edit"], allow_only=True),
        permissions_for(Profile.TRUSTED, audits=True),
    ):
        assert permissions.mode == "dontAsk"
        assert not permissions.opens_guarded


def test_each_deny_rule_says_whose_it_is() -> None:
    permissions = permissions_for(
        Profile.GUARDED, deny=["Bash(a:*)", "Bash(b:*)"], task_deny=["Bash(b:*)"], queue_dirs=["/q"]
    )

    by = {each.rule: each.by for each in permissions.denied}
    assert by["Bash(sudo:*)"] is DeniedBy.PROFILE
    assert by["Bash(a:*)"] is DeniedBy.OWNER
    assert by["Bash(b:*)"] is DeniedBy.TASK
    assert by["Read(//q/**)"] is DeniedBy.QUEUE


def test_glob_characters_of_a_path_are_literal() -> None:
    """A folder called a*b closes itself and not its neighbours."""
    rules = permissions_for(Profile.GUARDED, queue_dirs=["/t/a*[b]"]).settings["permissions"]["deny"]

    assert r"Edit(//t/a\*\[b\]/**)" in rules


@pytest.mark.parametrize("owners", PROFILES)
@pytest.mark.parametrize("wanted", PROFILES)
def test_a_task_chooses_no_more_than_its_owner(owners: str, wanted: str) -> None:
    """At or below the owner's profile it may choose; above it the message says what the owner would do."""
    layers = ({"permissions": owners},)
    if PROFILES.index(wanted) <= PROFILES.index(owners):
        assert narrowed(layers, {"permissions": wanted})["permissions"] == wanted
        return

    with pytest.raises(TaskFileError, match=wanted) as caught:
        narrowed(layers, {"permissions": wanted})
    assert caught.value.hint
    assert "defaults" in caught.value.hint


def test_without_a_configuration_bypass_is_refused() -> None:
    """The built-in profile is the ceiling where the owner says nothing."""
    with pytest.raises(TaskFileError, match="guarded"):
        narrowed((), {"permissions": Profile.BYPASS})


def test_deny_rules_of_all_layers_hold_together() -> None:
    """Nobody can take one back, not even with none."""
    layers = ({"deny": ("Bash(rm:*)",)}, {"deny": ("WebFetch",)})

    assert narrowed(layers, {"deny": ("Read(x)",)})["deny"] == ("Bash(rm:*)", "WebFetch", "Read(x)")
    assert narrowed(layers, {"deny": ()})["deny"] == ("Bash(rm:*)", "WebFetch")


def test_the_owners_allow_adds_and_the_tasks_replaces() -> None:
    """A task that lists what it needs has that and no more."""
    layers = ({"allow": ("mcp__github",)},)

    assert narrowed(layers, {})["allow"] == ("mcp__github",)
    assert narrowed(layers, {"allow": ()})["allow"] == ()
    own = ("Read", "Bash(git diff *)", "mcp__github__get_issue")
    assert narrowed(layers, {"allow": own})["allow"] == own


def test_a_rule_beyond_the_owners_is_named() -> None:
    """The message names the rule, the hint where to put it."""
    with pytest.raises(TaskFileError, match=r"Bash\(make \*\)") as caught:
        narrowed(({"permissions": Profile.READONLY},), {"allow": ("Read(src/**)", "Bash(make *)")})
    assert caught.value.hint
    assert "Bash(make *)" in caught.value.hint


def test_a_readonly_task_does_not_inherit_what_was_added_to_more() -> None:
    """The owner allowed it on top of guarded."""
    assert narrowed(({"allow": ("Bash(make:*)",)},), {"permissions": Profile.READONLY})["allow"] == ()


def test_a_tasks_own_list_is_all_there_is() -> None:
    """No profile's list, no automatic Bash in the sandbox, no bypass of the list."""
    for profile in PROFILES:
        permissions = permissions_for(profile, allow=["Bash(git diff *)"], allow_only=True)

        assert permissions.mode == "dontAsk"
        assert "Bash" not in permissions.allowed_tools
        assert "Edit" not in permissions.allowed_tools
        assert not (permissions.sandbox or {}).get("autoAllowBashIfSandboxed")


@pytest.mark.parametrize(
    ("settings", "allow_only", "expected"),
    [
        (Settings(), False, True),
        (Settings(type=WorkType.CODING), False, True),
        (Settings(type=WorkType.DOCUMENTATION), False, True),
        (Settings(type=WorkType.ANALYSIS), False, False),
        (Settings(type=WorkType.RESEARCH), False, False),
        (Settings(type=WorkType.REVIEW), False, False),
        (Settings(permissions=Profile.READONLY), False, False),
        (Settings(permissions=Profile.READONLY, allow=("Bash(make:*)",)), False, False),
        (Settings(permissions=Profile.BYPASS), False, True),
        (Settings(allow=("Read", "Grep", "Bash(git log:*)")), True, False),
        (Settings(allow=("Read", "Grep", "Bash(git log:*)")), False, True),
        (Settings(allow=("Read", "Edit(src/**)")), True, True),
        (Settings(allow=("Bash(make:*)",)), True, True),
        (Settings(allow=("Edit",), deny=("Edit",)), True, False),
        (Settings(deny=("Edit", "Write", "NotebookEdit", "Bash")), False, False),
        (Settings(deny=("Edit", "Write")), False, True),
        (Settings(deny=("Bash(rm:*)",)), False, True),
    ],
)
def test_who_may_only_read_or_answers_a_question_changes_nothing(
    settings: Settings, allow_only: bool, expected: bool
) -> None:
    """By what its document and its owner say."""
    assert changes_expected(settings, allow_only=allow_only) is expected
