"""Repositories and tasks that are out of the ordinary, with the real daemon, SDK, CLI and git."""

from __future__ import annotations

import os

from tests.acceptance.audits import SLOW, TwoAgents, a_repository, audited, git, verdict
from tests.acceptance.conftest import MakeAgentRig


def test_names_and_contents_that_are_no_text(make_agent_rig: MakeAgentRig) -> None:
    """A person's file that the task changed, a test that it added, and a diff: none of them valid UTF-8."""
    work = r"""printf 'more \351\n' >> caf*; mkdir tests; printf 'x \351\n' > "$(printf 'tests/t\351')" """
    script = TwoAgents(verdict("pass"), work=work)
    rig = make_agent_rig(script, **audited())
    repository = a_repository(rig)
    (repository / os.fsdecode(b"caf\xe9")).write_bytes(b"mine \xe9\n")
    rig.start()
    rig.ask("task-a", "# Write odd names")

    result = rig.result("task-a", timeout=SLOW)
    assert result["outcome"] == "succeeded"
    assert any("caf\\udce9" in note for note in result["notes"])
    assert result["changed_judges"] == ["tests/t\\udce9 (added)"]
    assert "mine \ufffd" in script.audits[0]
    assert git(repository, "status", "--porcelain") == r'?? "caf\351"'
