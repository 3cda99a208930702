"""The report says what happened, and no text of others becomes structure of the page."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from markdown_it import MarkdownIt

from task_queue.domain.audit import Criterion, Decision, Finding, Verdict, Void
from task_queue.domain.report import (
    ChangedFile,
    CommitLine,
    Facts,
    PhaseCost,
    Round,
    Work,
    code,
    escaped,
    report,
)
from task_queue.domain.verification import ChangedJudge, Check

STARTED = datetime(2026, 2, 7, 12, 0, tzinfo=UTC)
HOSTILE = (
    "# Fake heading\n\n```\n</details><script>x</script>\n[link](http://evil.example) ![i](http://e.example/i.png)\n"
    "- item | cell | `code` ~~~ www.evil.example <b>\n\n---\n> quote\x1b[31m\u202e ```` end"
)
STRUCTURE = {"heading_open", "link_open", "image", "html_block", "html_inline", "hr", "blockquote_open"}


def facts(text: str = "Plain words", name: str = "src/a.py") -> Facts:
    """Every field that holds foreign text filled with *text*, every name with *name*."""
    finding = Finding("major", text, text, name, 3)
    failed = Verdict(
        Decision.FAIL, text, (finding,), (), (Criterion(text, met=False, evidence=text),), overruled=text
    )
    return Facts(
        task_id="task-a",
        title=text,
        asked=text,
        succeeded=False,
        outcome="verify_failed",
        reason=text,
        source=name,
        attempt=2,
        started_at=STARTED,
        ended_at=STARTED + timedelta(minutes=75),
        work=Work(
            workspace=name,
            branch=name,
            base="0123456789abcdef",
            summary=text,
            files=(ChangedFile(name, 1, 2), ChangedFile(name, None, None)),
            commits=(CommitLine("abcdef0123456789", text), CommitLine("1" * 40, text, by_agent=True)),
            see=(name,),
            undo=(name,),
            landing=text,
            overlap=(name,),
            taken_along=(name,),
            leftovers=text,
        ),
        rounds=(Round(1, failed), Round(2, Void(text))),
        checks=(Check(name, 0, 1500), Check(name, 1, 65_000, text)),
        verified_in=text,
        changed_judges=(ChangedJudge(name, "changed"),),
        phases=(
            PhaseCost("implement", timedelta(minutes=3), 0.5, 12),
            PhaseCost("verify", timedelta(seconds=2)),
        ),
        cost_usd=0.75,
        cost_note=text,
        denials=(name,),
        warnings=(text,),
        prompts=(("implementer", name, "a" * 64),),
        agent_summary=text,
    )


def skeleton(page: str) -> list[tuple[str, str]]:
    """The structure of a page: every block and inline mark but the text itself."""
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    marks = [token for outer in tokens for token in (outer, *(outer.children or ()))]
    return [(token.type, token.tag) for token in marks if token.type not in {"text", "softbreak", "inline"}]


def test_it_tells_what_happened() -> None:
    page = report(facts())

    for told in (
        "# Plain words",
        "**Not done** (verify\\_failed): Plain words",
        "attempt 2, 2026-02-07 12:00 to 2026-02-07 13:15 +0000.",
        "- `src/a.py` +1 -2",
        "- `src/a.py` binary or very large",
        "- `111111111111` Plain words (by the agent itself)",
        "- passed: `src/a.py` (1.5 s)",
        "- FAILED, failed with exit code 1: `src/a.py` (1 min 5 s)",
        "### Round 1: fail",
        "- major `src/a.py:3`: Plain words Suggested: Plain words",
        "- NOT met: Plain words (Plain words)",
        "### Round 2: no verdict",
        "| implement | 3 min 0 s | $0.50 | 12 |",
        "| verify | 2.0 s | cost not known | - |",
        "In all 1 h 15 min, $0.75 (Plain words).",
        "In its words; nobody has checked them.",
    ):
        assert told in page


def test_foreign_text_is_never_structure() -> None:
    """Whatever the task, the agent, a check or a name says, the page keeps its skeleton."""
    plain, hostile = skeleton(report(facts())), skeleton(report(facts(HOSTILE, HOSTILE)))

    assert hostile == plain
    assert not any(kind in STRUCTURE - {"heading_open"} for kind, _ in hostile)


def test_controls_are_made_visible() -> None:
    page = report(facts(HOSTILE, HOSTILE))

    assert not set(page) & {"\x1b", "\u202e"}
    assert "\\x1b" in page


@pytest.mark.parametrize(
    "text",
    [
        "- item",
        "+ item",
        "1. item",
        "12) item",
        "=== x",
        "* a",
        "<!-- x",
        "&amp;",
        "a_b_c",
        "$x$",
        "| a | b |",
    ],
)
def test_escaped_text_renders_as_itself(text: str) -> None:
    """At the start of a line, too."""
    html = MarkdownIt("commonmark").enable("table").render(f"- {escaped(text)}\n")
    shown = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    assert html == f"<ul>\n<li>{shown}</li>\n</ul>\n"


@pytest.mark.parametrize("text", ["a`b", "``", "`", " a ", "", "a\nb", "```x"])
def test_a_code_span_ends_where_it_should(text: str) -> None:
    html = MarkdownIt("commonmark").render(f"x {code(text)} y\n")

    assert html.count("<code>") == 1
    assert html.endswith("</code> y</p>\n")


def test_without_checks_and_audit_it_says_so() -> None:
    """An unproven result must not look like a proven one."""
    bare = Facts(
        **{
            **{
                name: getattr(facts(), name)
                for name in ("task_id", "title", "asked", "outcome", "reason", "source")
            },
            "succeeded": True,
            "attempt": 1,
            "started_at": STARTED,
            "ended_at": STARTED,
            "work": Work("/w", is_git=False),
        }
    )
    page = report(bare)

    assert "No commands were given that would prove the work." in page
    assert "Nobody but its author has looked at the work." in page
    assert "This is no git repository" in page
    assert "own summary" not in page


def test_long_lists_and_long_texts_are_cut_and_say_so() -> None:
    many = tuple(ChangedFile(f"f{number}", 1, 0) for number in range(150))
    page = report(replace(facts(), asked="x" * 30_000, work=replace(facts().work, files=many)))

    assert "- and 50 more" in page
    assert "[cut here]" in page
