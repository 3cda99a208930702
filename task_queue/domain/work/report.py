"""From a task's result to its report for people, as Markdown. Pure.

Nothing in it that is not evidence; the agent's own words are quoted as such. Foreign text is escaped or
fenced, so that no name, output or finding can become structure of the page, a link or an image.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from task_queue.domain.attention import AttentionKind
from task_queue.domain.document.choices import Isolation
from task_queue.domain.markdown import code, escaped, fenced
from task_queue.domain.model import Attempt, OutcomeKind, Result, WorkProduct
from task_queue.domain.permission.profiles import DeniedBy
from task_queue.domain.permission.rules import call_of
from task_queue.domain.work.audit import CheckRun, Finding, Verdict, Void, read_verdict
from task_queue.domain.work.verification import check_of
from task_queue.domain.work.whereabouts import where_work_is

_MOST_LISTED = 100
_MAX_QUOTED_CHARS = 20_000
_MOST_EVIDENCE_CHARS = 2000
_MOST_LINE_CHARS = 160
_MOST_OTHERS = 10
_ABOUT_A_CALL = frozenset({"description", "timeout", "run_in_background"})
"""What a call of a tool says besides what it would do."""
_LEAST_TOLD_USD = 0.005
"""Less than a cent would be shown as none."""
_JUDGES = "Files that judge the work, changed by it"


def report_of(result: Result, *, title: str, asked: str) -> str:
    """The page ``reports/<id>.md``; ends with a newline."""
    product = result.product
    sections = (
        _head(result, title),
        _section("Look at this first", _bullets((*_needs(result), *_warnings(result)))),
        _section("What was asked", _quoted(asked)),
        _section("What changed", "\n\n".join(_changes(product, asked)) if _has_begun(result) else ""),
        _section("Verification", _verification(result)),
        _section(_JUDGES, _bullets(map(code, product.changed_judges), total=len(product.changed_judges))),
        _section("Audit", _audit(product.audit or {})),
        _section("Time and cost", _costs(result)),
        _section("Denied to the agent", "\n".join(map(_denied_call, result.permission_denials))),
        _section("The agent's own summary", _summary(result.output)),
        _section("Prompts", _bullets(_prompt(name, ran) for name, ran in product.prompts.items())),
        _section("Evidence", _bullets(escaped(each[:_MOST_EVIDENCE_CHARS]) for each in result.evidence)),
        _section("Attempts", _bullets(_attempts(result))),
        _section("What to do next", _bullets(_next_steps(result))),
    )
    return "\n\n".join(section for section in sections if section) + "\n"


def _head(result: Result, title: str) -> str:
    last = result.attempts[-1] if result.attempts else None
    reason = result.error or (last.reason if last else "")
    when = f"{result.started_at:%Y-%m-%d %H:%M} to {result.completed_at:%Y-%m-%d %H:%M %z}"
    about = (
        f"Task {code(result.task_id)} of source {code(result.source)}, attempt {last.number if last else 0}",
        *_workflow(result),
        when,
    )
    work = ", ".join(filter(None, ("Done" if result.success else "Not done", escaped(where_work_is(result)))))
    return (
        f"# {escaped(title) or escaped(result.task_id)}\n\n"
        f"**{work}** ({escaped(result.outcome)}): {escaped(reason)}\n\n"
        f"{', '.join(about)}."
    )


def _workflow(result: Result) -> Iterator[str]:
    """Nothing where the task ended before that could be seen: an auditor comes last."""
    product = result.product
    if product.audit is not None:
        yield "workflow audited"
    elif "task-worker" in product.prompts:
        yield "workflow skill"
    elif result.success:
        yield "workflow without an audit" if product.prompts else "workflow without an agent's prompts"


def _needs(result: Result) -> Iterator[str]:
    """What needs a person, and the command that settles it."""
    for need in result.attention:
        yield f"Needs attention: {escaped(need.sentence)}. Next: {code(need.command)}"


def _warnings(result: Result) -> Iterator[str]:
    """What is to be known besides, and was not said yet."""
    product, said = result.product, {need.kind for need in result.attention}
    yield from map(escaped, product.notes)
    if product.landed and product.keep and AttentionKind.NOT_LANDED not in said:
        yield "The branch was not merged, see Landing below; how to merge it is under Keep it."
    if product.changed_judges and AttentionKind.CHANGED_JUDGES not in said:
        yield f"Changed files that judge the work: {len(product.changed_judges)}, see below."


def _has_begun(result: Result) -> bool:
    """A document that was rejected never came to an agent."""
    return result.outcome is not OutcomeKind.REJECTED or result.product.workspace is not None


def _changes(product: WorkProduct, asked: str) -> Iterator[str]:
    own = " (own working tree)" if product.isolation is Isolation.WORKTREE else ""
    where = f"In {code(product.workspace)}{own}." if product.workspace else "Where it worked is not recorded."
    lines = [where]
    if product.branch:
        since = f", from {code(product.base_commit[:12])}" if product.base_commit else ""
        lines.append(f"Branch {code(product.branch)}{since}.")
    if product.landed:
        lines.append(f"Landing: {escaped(product.landed)}.")
    yield "\n".join(lines)
    if product.stat:
        yield f"{escaped(product.stat)}{_against(asked, product)}"
    if product.files or product.file_count:
        yield _bullets(map(_file, product.files), total=max(product.file_count, len(product.files)))
    if product.commits:
        yield "Commits:\n\n" + _bullets(_commits(product), total=len(product.commits))
    else:
        yield "No commits."
    for what, commands in (("See it", product.see), ("Keep it", product.keep), ("Undo it", product.undo)):
        if commands:
            yield f"{what}:\n\n" + _quoted("\n".join(commands), "sh")


def _against(asked: str, product: WorkProduct) -> str:
    """How the change compares with the text of the task: a small wish with a large change deserves a look."""
    words = len(asked.split())
    named = [str(each.get("path") or "") for each in product.files]
    others = [path for path in named if path.rpartition("/")[2] not in asked]
    text = f"; asked for in {words} word{'' if words == 1 else 's'}"
    if not named or len(others) == len(named):
        return f"{text}."
    is_all = product.file_count <= len(named)
    if not others:
        return f"{text}; the text names every file." if is_all else f"{text}."
    more = "" if is_all and len(others) <= _MOST_OTHERS else " and more"
    return f"{text}; the text does not name {', '.join(map(code, others[:_MOST_OTHERS]))}{more}."


def _file(record: Mapping[str, Any]) -> str:
    """Without figures where lines make no sense."""
    if record.get("change"):  # of a folder without git
        return f"{code(record.get('path') or '')} {escaped(str(record['change']))}"
    added, deleted = record.get("added"), record.get("deleted")
    figures = "binary or very large" if added is None else f"+{added} -{deleted or 0}"
    return f"{code(record.get('path') or '')} {figures}"


def _commits(product: WorkProduct) -> Iterator[str]:
    for number, commit in enumerate(product.commits):
        subject = product.subjects[number] if number < len(product.subjects) else ""
        by = "(by the agent itself)" if subject and commit not in product.by_queue else ""
        yield " ".join(part for part in (code(commit[:12]), escaped(subject), by) if part)


def _verification(result: Result) -> str:
    """What succeeded without a check had none; what failed may have ended before its checks."""
    product = result.product
    if not product.verification:
        if result.success:
            return "No commands were given that would prove the work."
        return "No command was run that would prove the work." if _has_begun(result) else ""
    blocks: list[str] = [*_baseline(product.baseline or {}), *_failed_before(product)]
    for check in map(check_of, product.verification):
        mark = "passed" if check.passed else f"FAILED, {escaped(check.verdict)}"
        took = _span(timedelta(milliseconds=check.duration_ms))
        said = _last_line(check.tail) if check.passed else ""
        blocks.append(f"- {mark}: {code(check.command)} ({took}){f': {code(said)}' if said else ''}")
        if not check.passed and check.tail.strip():
            blocks.append(_quoted(check.tail))
    return "\n\n".join(blocks)


def _failed_before(product: WorkProduct) -> Iterator[str]:
    """Rounds that were sent back to the implementer, before the one whose checks follow."""
    for each in product.failed_rounds:
        for check in map(check_of, each.get("checks", ())):
            said = _last_line(check.tail)
            line = f"- in round {int(each.get('round', 0))}: FAILED, {escaped(check.verdict)}: {code(check.command)}"
            yield f"{line}: {code(said)}" if said else line


def _last_line(tail: str) -> str:
    """Where most programs say how many checks there were."""
    line = next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")
    return line if len(line) <= _MOST_LINE_CHARS else f"{line[:_MOST_LINE_CHARS]}…"


def _baseline(found: Mapping[str, Any]) -> Iterator[str]:
    """Which of the commands failed before the work began."""
    if not found.get("failed"):
        return
    where = f"{code(str(found.get('commit'))[:12])} of {code(found.get('target'))}"
    yield f"Failed already on {where}, before the work began: {', '.join(map(code, found['failed']))}."


def _audit(audit: Mapping[str, Any]) -> str:
    rounds = [_round(each) for each in audit.get("rounds", ())]
    return "\n\n".join(rounds) or "No auditor has looked at the work."


def _round(record: Mapping[str, Any]) -> str:
    head = f"### Round {int(record.get('round', 0))}: "
    seen = {str(run.get("command")) for run in record.get("runs") or ()}
    ran = (_bullets((*_runs_of_auditor(record), *_refused(record))),)
    void = record.get("verdict") == "void"
    verdict = Void(str(record.get("summary") or "no verdict")) if void else read_verdict(record)
    match verdict:
        case Void(why=why):
            return "\n\n".join(filter(None, (f"{head}no verdict", escaped(why), *ran)))
        case Verdict():
            if record.get("overruled"):
                verdict = replace(verdict, overruled=str(record["overruled"]))
            overruled = (
                f"\n\nCounted as a failure: {escaped(verdict.overruled)}." if verdict.overruled else ""
            )
            blocks = (
                f"{head}{verdict.decision}",
                f"The auditor: {escaped(verdict.summary)}{overruled}",
                _bullets(map(_finding, verdict.findings)),
                *ran,
                _bullets(_unseen(run) for run in verdict.checks_run if run.command not in seen),
                _bullets(
                    f"{'met' if each.met else 'NOT met'}: {escaped(each.text)}"
                    + (f" ({escaped(each.evidence)})" if each.evidence.strip() else "")
                    for each in verdict.criteria
                ),
            )
            return "\n\n".join(block for block in blocks if block)


def _runs_of_auditor(record: Mapping[str, Any]) -> Iterator[str]:
    """What the queue ran for it; where that could be nothing, why."""
    if record.get("could_run", ()) is None:
        yield "it could only read: there was no checkout for it"
    for check in map(check_of, record.get("runs") or ()):
        said = _last_line(check.tail)
        took = _span(timedelta(milliseconds=check.duration_ms))
        last = f": {code(said)}" if said else ""
        yield f"ran {code(check.command)}: {escaped(check.verdict)} ({took}){last}"


def _refused(record: Mapping[str, Any]) -> Iterator[str]:
    for denial in record.get("denials") or ():
        yield f"was denied {code(_denial(denial))}"


def _unseen(run: CheckRun) -> str:
    """What it says, and the queue did not see."""
    ended = f", exit code {run.exit_code}" if run.exit_code is not None else ""
    note = f": {escaped(run.note)}" if run.note.strip() else ""
    return f"says it ran {code(run.command)}{ended}{note}"


def _finding(finding: Finding) -> str:
    place = f" {code(finding.place)}" if finding.place else ""
    fix = f" Suggested: {escaped(finding.fix)}" if finding.fix.strip() else ""
    return f"{escaped(finding.severity)}{place}: {escaped(finding.issue)}{fix}"


def _costs(result: Result) -> str:
    """Over all attempts; the cost of those that ended before they could report their phases has a row of its own."""
    costs, seconds = result.product.cost_by_phase, result.product.seconds_by_phase
    rows = [
        (
            phase,
            _span(timedelta(seconds=seconds[phase])) if phase in seconds else "-",
            _money(costs[phase]) if phase in costs else "-",
        )
        for phase in {**seconds, **costs}
    ]
    untold = (result.total_cost_usd or 0.0) - sum(costs.values())
    if costs and untold >= _LEAST_TOLD_USD:
        rows.append(("attempts that were cut off", "-", _money(untold)))
    note = "; ".join(_cost_notes(result))
    took = _span(result.completed_at - result.started_at)
    total = f"In all {took}, {_money(result.total_cost_usd)}{f' ({escaped(note)})' if note else ''}."
    if not rows:
        return total
    table = (f"| {escaped(phase)} | {span} | {usd} |" for phase, span, usd in rows)
    return "\n".join(["| phase | time | cost |", "|---|---|---|", *table, "", total])


def _cost_notes(result: Result) -> Iterator[str]:
    if result.billed_to == "subscription":
        yield "what the API would have charged"
    if result.estimated_cost_usd:
        yield f"{_money(result.estimated_cost_usd)} of it estimated: the agent ended before it could report"
    elif result.cost_incomplete:
        yield "the agent did not report all of it"


def _denial(denial: Mapping[str, Any]) -> str:
    """The call, who denied it, and what would have let it pass (``advice.explained``)."""
    call = call_of(denial)
    if denial.get("rule"):
        return f"{call}; would pass with allow: {denial['rule']}"
    return f"{call}; {denial.get('why_no_rule') or 'no rule would let it pass'}"


def _denied_call(denial: Mapping[str, Any]) -> str:
    """With all that was asked for, where the line leaves something out."""
    line = f"- {code(_denial(denial))}"
    given: Mapping[str, Any] = denial.get("tool_input") or {}
    values = [value for name, value in given.items() if name not in _ABOUT_A_CALL]
    exact = str(values[0]) if len(values) == 1 else json.dumps(dict(given), ensure_ascii=False, indent=1)
    is_all_said = not values or call_of(denial) == f"{denial.get('tool_name')} {exact}"
    return line if is_all_said else f"{line}\n\n{_quoted(exact)}\n"


def _summary(text: str) -> str:
    return f"In the agent's words; they were not checked.\n\n{_quoted(text)}" if text.strip() else ""


def _prompt(name: str, ran: str) -> str:
    """*ran* is ``sha256:<hash> <where from>``, as ``agents.prompts`` has it."""
    hashed, _, origin = ran.removeprefix("sha256:").partition(" ")
    return f"{escaped(name)}: {code(origin)}, sha256 {code(hashed[:12])}"


def _attempts(result: Result) -> Iterator[str]:
    if len(result.attempts) < 2:
        return
    for attempt in result.attempts:
        took = _span(attempt.ended_at - attempt.started_at)
        nothing = attempt.num_turns == 0 and not attempt.total_cost_usd
        cost = "nothing spent" if nothing else _money(attempt.total_cost_usd)
        counted = "" if attempt.counted else ", not counted"
        yield (
            f"attempt {attempt.number}: {escaped(attempt.outcome)}{counted}, {took}, {attempt.num_turns} turns,"
            f" {cost}{' estimated' if attempt.estimated_cost_usd else ''}:"
            f" {escaped(attempt.reason)}{_asked_with(attempt)}"
        )


def _asked_with(attempt: Attempt) -> str:
    """What the person wanted who had the task tried again."""
    note = f"; a person says: {escaped(attempt.note)}" if attempt.note else ""
    return f"{note}; model {escaped(attempt.model)}" if attempt.model else note


def _next_steps(result: Result) -> Iterator[str]:
    if result.success:
        return
    product = result.product
    if product.base_commit and not product.commits:
        status = code(f"git -C {shlex.quote(str(product.workspace))} status")
        yield f"see what it left where it worked: {status}"
    retry = code(f"task-queue tasks retry {shlex.quote(result.task_id)}")
    if result.outcome is OutcomeKind.REJECTED:
        yield f"correct the document in {code('failed/')}, then: {retry}"
    else:
        yield f"try again, with the document as it is or as you edit it in {code('failed/')}: {retry}"
    for whose in dict.fromkeys(
        "the document" if denial.get("denied_by") == DeniedBy.TASK else "the owner's configuration"
        for denial in result.permission_denials
        if denial.get("rule")
    ):
        yield f"to allow what was denied, add its rule to {code('allow')} in {whose} first"
    yield f"see what happened: {code(f'task-queue tasks show {shlex.quote(result.task_id)}')}"


def _section(title: str, content: str) -> str:
    return f"## {title}\n\n{content}" if content else ""


def _bullets(items: Iterable[str], *, total: int = 0) -> str:
    """A list of *items*; with *total*, of the first of so many."""
    lines = [f"- {item}" for item in items]
    if not total:
        return "\n".join(lines)
    shown = lines[:_MOST_LISTED]
    return "\n".join(shown if total <= len(shown) else [*shown, f"- and {total - len(shown)} more"])


def _quoted(text: str, language: str = "text") -> str:
    return fenced(text, language, at_most=_MAX_QUOTED_CHARS)


def _span(duration: timedelta) -> str:
    """As a person says it: seconds below a minute, hours beyond sixty."""
    seconds = duration.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60)} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _money(usd: float | None) -> str:
    return "cost not known" if usd is None else f"${usd:.2f}"
