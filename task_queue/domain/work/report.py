"""The report of a task for people, as Markdown. Pure: facts in, text out.

Nothing in it that is not evidence; the agent's own words are quoted as such. Foreign text is escaped or
fenced, so that no name, output or finding can become structure of the page, a link or an image.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from task_queue.domain.document.choices import Isolation
from task_queue.domain.work.audit import Finding, Verdict, Void
from task_queue.domain.work.verification import Check

_MOST_LISTED = 100
_JUDGES = "Files that judge the work, changed by it"
_MAX_QUOTED_CHARS = 20_000
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&$@!])")
_LINK = re.compile(r":(?=//)|(?<=\bwww)\.", re.IGNORECASE)  # what GitHub makes links of by itself
_BLOCK_STARTS = (("-", "+", "="), (".", ")"))
"""First characters that make a list or a heading of a line; the second after digits."""
_BACKTICKS = re.compile(r"`+")
_DANGEROUS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Round:
    """One look of an auditor."""

    number: int
    verdict: Verdict | Void


@dataclass(frozen=True, slots=True)
class PhaseCost:
    """What one phase took: None where it is not known, or no agent worked in it."""

    phase: str
    duration: timedelta | None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """Lines are None where they make no sense (binary, very large)."""

    path: str
    added: int | None
    deleted: int | None


@dataclass(frozen=True, slots=True)
class CommitLine:
    sha: str
    subject: str
    by_agent: bool = False


@dataclass(frozen=True, slots=True)
class Work:
    """What the task did to its workspace, and how a person sees, keeps or undoes it."""

    workspace: str
    isolation: Isolation = Isolation.NONE
    is_git: bool = True
    branch: str | None = None
    base: str | None = None
    summary: str = ""
    """One line of figures."""
    files: tuple[ChangedFile, ...] = ()
    """The first of them."""
    file_count: int = 0
    commits: tuple[CommitLine, ...] = ()
    see: tuple[str, ...] = ()
    """Commands, ready to be pasted."""
    keep: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    landing: str | None = None
    """Where the branch went, or why it did not."""
    overlap: tuple[str, ...] = ()
    """Uncommitted before the task and changed since."""
    taken_along: tuple[str, ...] = ()
    """Uncommitted before the task and in the agent's own commits."""
    leftovers: str | None = None
    """What a task that did not succeed left behind, and where it is kept."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report says."""

    task_id: str
    title: str
    asked: str
    succeeded: bool
    outcome: str
    reason: str
    source: str
    attempt: int
    started_at: datetime
    ended_at: datetime
    work: Work
    workflow: str = "audited"
    rounds: tuple[Round, ...] = ()
    checks: tuple[Check, ...] = ()
    verified_in: str | None = None
    """Where the checks ran: ``a fresh checkout of ...`` or the workspace."""
    changed_judges: tuple[str, ...] = ()
    phases: tuple[PhaseCost, ...] = ()
    cost_usd: float | None = None
    cost_note: str | None = None
    """API-equivalent, or incomplete."""
    denials: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    prompts: tuple[tuple[str, str, str], ...] = ()
    """Which ran: name, where from, sha256."""
    agent_summary: str = ""


def report(facts: Facts) -> str:
    """The whole page; ends with a newline."""
    sections = (
        _head(facts),
        _warnings(facts),
        _section("What was asked", _fenced(facts.asked)),
        _changes(facts.work),
        _section("Verification", _verification(facts)),
        _section(_JUDGES, _bullets(map(code, facts.changed_judges), more=len(facts.changed_judges))),
        _section("Audit", _audit(facts)),
        _section("Time and cost", _costs(facts)),
        _section("Denied to the agent", _bullets(map(code, facts.denials))),
        _section("The agent's own summary", _quoted_summary(facts.agent_summary)),
        _section("Prompts", _bullets(_prompt(*prompt) for prompt in facts.prompts)),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def escaped(text: str) -> str:
    """Foreign text on one line of prose, meaning nothing but itself."""
    line = " ".join(_visible(text).split())
    line = _LINK.sub(r"\\\g<0>", _MARKUP.sub(r"\\\1", line))
    number = len(line) - len(line.lstrip("0123456789"))
    return (
        line[:number] + "\\" + line[number:]
        if line[number : number + 1] in _BLOCK_STARTS[number > 0]
        else line
    )


def code(text: str) -> str:
    """Foreign text as a code span on one line: names, commands."""
    line = _visible(text, keep="").replace("\n", "\\x0a")
    fence = "`" * (max(map(len, _BACKTICKS.findall(line)), default=0) + 1)
    padded = f" {line} " if not line.strip() or line[0] in "` " or line[-1] in "` " else line
    return f"{fence}{padded}{fence}"


def span(duration: timedelta) -> str:
    """As a person says it: seconds below a minute, hours beyond sixty."""
    seconds = duration.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _head(facts: Facts) -> str:
    verdict = "Done" if facts.succeeded else "Not done"
    when = f"{facts.started_at:%Y-%m-%d %H:%M} to {facts.ended_at:%Y-%m-%d %H:%M %z}"
    return "\n\n".join(
        [
            f"# {escaped(facts.title) or escaped(facts.task_id)}",
            f"**{verdict}** ({escaped(facts.outcome)}): {escaped(facts.reason)}",
            (
                f"Task {code(facts.task_id)} of source {code(facts.source)}, attempt {facts.attempt},"
                f" workflow {escaped(facts.workflow)}, {when}."
            ),
        ]
    )


def _warnings(facts: Facts) -> str:
    found = [escaped(warning) for warning in facts.warnings]
    if facts.work.landing and facts.work.keep:
        found.append("The branch was not merged, see Landing below; how to merge it is under Keep it.")
    if facts.changed_judges:
        found.append(f"Changed files that judge the work: {len(facts.changed_judges)}, see below.")
    if facts.work.overlap:
        found.append(
            "Uncommitted before the task and changed since, so left uncommitted; whose change is whose cannot be told: "
            + _listed(facts.work.overlap)
        )
    if facts.work.taken_along:
        found.append(
            "Uncommitted before the task, and now in the agent's own commits: "
            + _listed(facts.work.taken_along)
        )
    return _section("Look at this first", _bullets(found))


def _changes(work: Work) -> str:
    lines = [
        f"In {code(work.workspace)}"
        + (" (own working tree)" if work.isolation is Isolation.WORKTREE else "")
        + "."
    ]
    if not work.is_git:
        lines.append("This is no git repository: nothing was kept before, and nothing was committed.")
    if work.branch:
        lines.append(
            f"Branch {code(work.branch)}" + (f", from {code(work.base[:12])}." if work.base else ".")
        )
    if work.landing:
        lines.append(f"Landing: {escaped(work.landing)}.")
    blocks = ["\n".join(lines)]
    if work.summary:
        blocks.append(escaped(work.summary))
    blocks.append(
        _bullets(
            (f"{code(file.path)} {_lines(file)}" for file in work.files),
            more=max(work.file_count, len(work.files)),
        )
    )
    if work.commits:
        blocks.append("Commits:\n\n" + _bullets(map(_commit, work.commits), more=len(work.commits)))
    elif work.is_git:
        blocks.append("No commits.")
    if work.leftovers:
        blocks.append(f"Left behind: {escaped(work.leftovers)}")
    for what, commands in (("See it", work.see), ("Keep it", work.keep), ("Undo it", work.undo)):
        if commands:
            blocks.append(f"{what}:\n\n" + _fenced("\n".join(commands), "sh"))
    return _section("What changed", "\n\n".join(block for block in blocks if block))


def _verification(facts: Facts) -> str:
    if not facts.checks:
        return "No commands were given that would prove the work."
    blocks = [f"Run in {escaped(facts.verified_in)}."] if facts.verified_in else []
    for check in facts.checks:
        mark = "passed" if check.passed else "FAILED"
        told = "" if check.passed else f", {escaped(check.verdict)}"
        blocks.append(
            f"- {mark}{told}: {code(check.command)} ({span(timedelta(milliseconds=check.duration_ms))})"
        )
        if not check.passed and check.tail.strip():
            blocks.append(_fenced(check.tail))
    return "\n\n".join(blocks)


def _audit(facts: Facts) -> str:
    if not facts.rounds:
        return "Nobody but its author has looked at the work."
    return "\n\n".join(_round(each) for each in facts.rounds)


def _round(each: Round) -> str:
    head = f"### Round {each.number}: "
    match each.verdict:
        case Void(why=why):
            return f"{head}no verdict\n\n{escaped(why)}"
        case Verdict() as verdict:
            overruled = (
                f"\n\nCounted as a failure: {escaped(verdict.overruled)}." if verdict.overruled else ""
            )
            criteria = _bullets(
                f"{'met' if each.met else 'NOT met'}: {escaped(each.text)}"
                + (f" ({escaped(each.evidence)})" if each.evidence.strip() else "")
                for each in verdict.criteria
            )
            blocks = (
                f"{head}{verdict.decision}",
                f"The auditor: {escaped(verdict.summary)}{overruled}",
                _bullets(map(_finding, verdict.findings)),
                criteria,
            )
            return "\n\n".join(block for block in blocks if block)


def _costs(facts: Facts) -> str:
    rows = ["| phase | time | cost |", "|---|---|---|"]
    rows += [
        f"| {escaped(phase.phase)} | {'-' if phase.duration is None else span(phase.duration)}"
        f" | {'-' if phase.usd is None else _money(phase.usd)} |"
        for phase in facts.phases
    ]
    note = f" ({escaped(facts.cost_note)})" if facts.cost_note else ""
    total = f"In all {span(facts.ended_at - facts.started_at)}, {_money(facts.cost_usd)}{note}."
    return "\n".join([*rows, "", total]) if facts.phases else total


def _quoted_summary(text: str) -> str:
    return f"In its words; nobody has checked them.\n\n{_fenced(text)}" if text.strip() else ""


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _bullets(items: Iterable[str], *, more: int = 0) -> str:
    lines = list(_capped(items, more))
    return "\n".join(lines)


def _capped(items: Iterable[str], total: int) -> Iterator[str]:
    listed = 0
    for item in items:
        if total and listed == _MOST_LISTED:
            break
        listed += 1
        yield f"- {item}"
    if total > listed:
        yield f"- and {total - listed} more"


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST_LISTED} more" if len(paths) > _MOST_LISTED else ""
    return ", ".join(map(code, paths[:_MOST_LISTED])) + more


def _fenced(text: str, language: str = "text") -> str:
    """Foreign text over several lines, exactly as it is but for controls and what is beyond the limit."""
    shown = _visible(text[:_MAX_QUOTED_CHARS]).rstrip()
    if len(text) > _MAX_QUOTED_CHARS:
        shown += "\n[cut here]"
    fence = "`" * max(3, max(map(len, _BACKTICKS.findall(shown)), default=0) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def _finding(finding: Finding) -> str:
    place = f" {code(finding.place)}" if finding.place else ""
    fix = f" Suggested: {escaped(finding.fix)}" if finding.fix.strip() else ""
    return f"{escaped(finding.severity)}{place}: {escaped(finding.issue)}{fix}"


def _commit(commit: CommitLine) -> str:
    by = "(by the agent itself)" if commit.by_agent else ""
    return " ".join(part for part in (code(commit.sha[:12]), escaped(commit.subject), by) if part)


def _prompt(name: str, origin: str, sha256: str) -> str:
    return f"{escaped(name)}: {code(origin)}, sha256 {code(sha256[:12])}"


def _lines(file: ChangedFile) -> str:
    return "binary or very large" if file.added is None else f"+{file.added} -{file.deleted or 0}"


def _money(usd: float | None) -> str:
    return "cost not known" if usd is None else f"${usd:.2f}"


def _visible(text: str, *, keep: str = "\n\t") -> str:
    """Controls, bidi overrides and undecodable bytes made visible."""
    text = text.replace("\r\n", "\n")
    return "".join(
        char if char in keep or unicodedata.category(char) not in _DANGEROUS else _spelled(char)
        for char in text
    )


def _spelled(char: str) -> str:
    number = ord(char)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
