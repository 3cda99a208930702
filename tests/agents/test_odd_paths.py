"""Characters in a queue's path, tried with the real CLI: where its deny rule would not hold, the path is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from task_queue.agents.claude.options import SessionRequest
from task_queue.config.document import why_not_closed
from task_queue.demo.scripted_model import Reply, Request, Say, UseTool
from tests.agents.bench import MakeBench

SECRET = "the-key-that-pays"
CLOSED = (
    *"()*[]{}!'\"$&;|<>~#%,:@=+^` \n\t\r\x01\x7f\x1b\u00a0\u2028\u200b",
    *("[a]", "(a)", "{a,b}", "**", "e\u0301", "日"),
)
OPEN = ("\\", "?")


def opened_in(bench: MakeBench, names: list[str]) -> set[str]:
    """The folders with those *names* into which a file tool got, although a rule closes each."""
    made: list[tuple[str, UseTool]] = []

    def script(request: Request) -> Reply:
        calls = [call for _, call in made]
        return replace(calls[0], more=calls[1:]) if request.turn == 1 else Say("done")

    run = bench(script)
    folders: list[Path] = []
    for number, name in enumerate(names):
        folder = run.root / f"{number}" / name / "queue"
        folder.mkdir(parents=True)
        (folder / "secret.md").write_text(SECRET)
        folders.append(folder)
        for call in (
            UseTool("Read", {"file_path": str(folder / "secret.md")}),
            UseTool("Grep", {"pattern": "pays", "path": str(folder), "output_mode": "content"}),
            UseTool("Write", {"file_path": str(folder / "planted.md"), "content": "planted"}),
        ):
            made.append((name, call))
    run.order = replace(run.order, queue_dirs=tuple(folders))
    run.executor.run_session(run.order, run.transcript, SessionRequest(resume=False))
    answers = run.model.requests[-1].tool_results
    assert len(answers) == len(made)
    leaked = {name for (name, _), answer in zip(made, answers, strict=True) if SECRET in answer}
    planted = {name for folder, name in zip(folders, names, strict=True) if (folder / "planted.md").exists()}
    return leaked | planted


def test_what_is_not_refused_is_closed(bench: MakeBench) -> None:
    """Alone, and before, behind and between others."""
    assert (
        opened_in(bench, [form for odd in CLOSED for form in (odd, f"x{odd}y", f"{odd}y", f"x{odd}")])
        == set()
    )
    assert [odd for odd in CLOSED if why_not_closed(Path(f"/a/x{odd}y"))] == []


@pytest.mark.parametrize("odd", OPEN)
def test_what_the_cli_lets_through_is_refused(bench: MakeBench, odd: str) -> None:
    """Once the CLI closes it, it need not be refused any more."""
    assert opened_in(bench, [f"x{odd}y"]), "the CLI closes it now"
    assert why_not_closed(Path(f"/a/x{odd}y/queue"))
