"""``run`` ends where nothing can start before a person acts, and says so."""

from __future__ import annotations

import json

from tests.acceptance.conftest import MakeRig


def test_run_ends_and_says_what_to_do(make_rig: MakeRig) -> None:
    """Exit code 3, the task waits as before, and no folder of an attempt was made for it."""
    rig = make_rig(project_workspace=None)
    rig.drop_command("task-a", "true")

    done = rig.cli("run", "--cycles", "1")

    assert done.returncode == 3, done.stderr
    assert "source 'a' waits for a person: source 'a' has no workspace" in done.stderr
    assert "task-queue init" in done.stderr
    assert (rig.pending() / "task-a.md").exists()
    assert not (rig.queue() / "logs" / "task-a").exists()


def test_run_works_through_the_other_sources_first(make_rig: MakeRig) -> None:
    """Their tasks are done; the exit code still says that something waits for a person."""
    rig = make_rig(sources=("a", "b"), project_workspace=None)
    content = json.loads(rig.config.read_text())
    content["task_source_directories"][1]["project_workspace"] = str(rig.workspace)
    rig.config.write_text(json.dumps(content))
    rig.drop_command("task-a", "true")
    rig.drop_command("task-b", "true", source="b")

    done = rig.cli("run", "--drain")

    assert done.returncode == 3, done.stderr
    assert (rig.queue("b") / "completed" / "task-b.md").exists()


def test_a_task_that_names_its_own_workspace_runs(make_rig: MakeRig) -> None:
    rig = make_rig(project_workspace=None, roots=["/"])
    rig.drop_command("task-a", "pwd", workspace=str(rig.workspace))

    done = rig.cli("run", "--drain")

    assert done.returncode == 0, done.stderr
    assert rig.result("task-a")["workspace"] == str(rig.workspace)


def test_a_served_source_goes_on_once_a_workspace_is_named(make_rig: MakeRig) -> None:
    """By a change of the configuration, without a restart, in its first attempt."""
    rig = make_rig(project_workspace=None)
    rig.start()
    rig.drop_command("task-a", "true")

    content = json.loads(rig.config.read_text())
    rig.config.write_text(json.dumps(content | {"project_workspace": str(rig.workspace)}))

    assert [attempt["number"] for attempt in rig.result("task-a")["attempts"]] == [1]


def test_run_ends_where_the_breaker_holds_the_rest(make_rig: MakeRig) -> None:
    """Too many starts in ten minutes: a person must look before anything more starts."""
    rig = make_rig(limits={"starts_per_10min": 1})
    rig.drop_command("task-a", "false", max_attempts=1)
    rig.drop_command("task-b", "true")

    done = rig.cli("run", "--drain")

    assert done.returncode == 1, done.stderr  # task-a failed, which says more than 3
    assert "source 'a' waits for a person: stopped by the breaker" in done.stderr
    assert (rig.pending() / "task-b.md").exists()


def test_a_failed_task_needs_a_person_until_it_is_retried(make_rig: MakeRig) -> None:
    """Status and list name the command; once the task has succeeded, nothing is left to do."""
    rig = make_rig()
    rig.start()
    rig.drop_command("task-a", "test -e repaired", max_attempts=1)
    rig.result("task-a")
    retry = "task-queue tasks retry task-a"

    for command in (("status",), ("tasks", "list")):
        told = rig.cli(*command)
        assert told.returncode == 3
        assert retry in told.stdout
        (need,) = rig.json(*command)["attention"]
        assert (need["kind"], need["task_id"], need["command"]) == ("dead_letter", "task-a", retry)
    assert retry in rig.cli("tasks", "show", "task-a").stdout

    (rig.workspace / "repaired").touch()
    rig.cli("tasks", "retry", "task-a", check=True)
    assert rig.result("task-a")["success"] is True
    for command in (("status",), ("tasks", "list")):
        told = rig.cli(*command)
        assert (told.returncode, "needs attention" in told.stdout) == (0, False)
