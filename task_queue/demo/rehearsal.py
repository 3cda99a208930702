"""What waiting tasks would meet tonight: each is played on copies, by the real queue and agent, with a scripted model.

Played are the checkout, the set-up, one session that asks for each call that the task's rules name, and ``verify`` on
the files as they are. Nothing of the owner's queue or repositories is written to, and nothing is spent.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from task_queue.app.answers import SCHEMA_VERSION, ListedSource
from task_queue.app.finding import task_named
from task_queue.app.installation import Installation
from task_queue.app.planning import OnPart, orders_of
from task_queue.config.roots import directory_named
from task_queue.config.schema import Config
from task_queue.demo.rehearsal_stage import TASK, PlayedTask, RehearsalStage
from task_queue.demo.scratch_queue import ended_by_signals, queue_process, tail
from task_queue.demo.scripted_model import Reply, Request, Say, ScriptedModel, UseTool
from task_queue.demo.stage import find_git
from task_queue.domain.document import naming
from task_queue.domain.document.choices import CLAUDE
from task_queue.domain.document.taskfile import MAX_BYTES, parse, text_of
from task_queue.domain.errors import TaskFileError, TaskQueueError
from task_queue.domain.model import OutcomeKind
from task_queue.domain.permission.rules import call_of
from task_queue.domain.permission.tried_calls import UNDONE, TriedCall, tried_calls
from task_queue.domain.task import TaskId
from task_queue.platform import durable
from task_queue.platform.temporary import remove_tree

MOST = 200
"""Tasks of one rehearsal."""
_LOOK_EVERY_S = 0.2
_TAIL_LINES = 12


@dataclass(frozen=True, slots=True)
class RehearsalProblem:
    """What would fail tonight."""

    kind: str
    """``document``, ``start`` (it could not be started), ``setup``, ``verify``, ``denied`` or ``session``."""
    sentence: str
    detail: str = ""
    """The end of what a command said."""


@dataclass(frozen=True, slots=True)
class RehearsedTask:
    task_id: TaskId
    source: str
    title: str
    problems: tuple[RehearsalProblem, ...]
    calls: int = 0
    """How many calls the session asked for; 0 where it has none, or did not come to it."""
    checks: int = 0
    """How many commands of ``verify`` were run."""


@dataclass(frozen=True, slots=True)
class RehearsalView:
    tasks: tuple[RehearsedTask, ...]
    notes: tuple[str, ...] = ()
    """What differs from tonight and may explain a problem."""
    schema_version: int = SCHEMA_VERSION

    @property
    def finds_nothing(self) -> bool:
        return not any(task.problems for task in self.tasks)


@dataclass(slots=True)
class _Candidate:
    listed: ListedSource
    task_id: TaskId
    title: str = ""
    problems: list[RehearsalProblem] = field(default_factory=list[RehearsalProblem])
    part: PlayedTask | None = None
    calls: tuple[TriedCall, ...] = ()


def _unheard(_what: str, _done: int, _of: int) -> None:
    """No one watches."""


def rehearse(
    installation: Installation, named: Sequence[str] = (), *, step: OnPart = _unheard
) -> RehearsalView:
    """Rehearse every task that waits, or those *named*. The daemon may be at work meanwhile.

    Raises TaskQueueError where a name means no waiting task, or where nothing can be rehearsed.
    """
    find_git()
    config = installation.config
    candidates = list(_candidates(installation, named))
    if len(candidates) > MOST:
        raise TaskQueueError(
            f"{len(candidates):,} tasks wait, and a rehearsal takes at most {MOST}",
            hint="name some of them: task-queue plan --rehearse TASK ...",
        )
    for number, candidate in enumerate(candidates):
        step("looking at the tasks", number, len(candidates))
        _prepare(installation, config, candidate, number)
    played = [candidate for candidate in candidates if candidate.part is not None]
    with ended_by_signals():
        found: Mapping[int, RehearsedTask] = _play(config, played, step) if played else {}
    return RehearsalView(
        tuple(found.get(id(candidate)) or _as_found(candidate) for candidate in candidates),
        tuple(_notes(config)),
    )


def rehearse_source(installation: Installation, source_id: str, *, step: OnPart = _unheard) -> RehearsedTask:
    """What a task of the source that asks for nothing would meet: the set-up, and ``verify`` before any work.

    Raises TaskQueueError where nothing can be rehearsed.
    """
    find_git()
    config = installation.config
    (listed,) = installation.sources(source_id)
    candidate = _Candidate(listed, TASK, "Nothing is to be done")
    _prepare_text(installation, config, candidate, f"# {candidate.title}\n".encode(), number=0)
    with ended_by_signals():
        found: Mapping[int, RehearsedTask] = (
            _play(config, [candidate], step) if candidate.part is not None else {}
        )
    return found.get(id(candidate)) or _as_found(candidate)


def _candidates(installation: Installation, named: Sequence[str]) -> Iterator[_Candidate]:
    circumstances = installation.circumstances(read_all=True)
    wanted = {task_named(name, circumstances.sources) for name in named}
    waits: set[TaskId] = set()
    for listed in circumstances.sources:
        with suppress(OSError):  # the plan says it
            survey = circumstances.snapshots.survey(listed.id)
            rejected = dict(survey.rejected)
            ids = [*(task.id for task in survey.waiting), *rejected]
            for task_id in ids:
                if named and task_id not in wanted:
                    continue
                waits.add(task_id)
                candidate = _Candidate(listed, task_id)
                if task_id in rejected:
                    candidate.problems.append(
                        RehearsalProblem("document", f"will be rejected: {rejected[task_id]}")
                    )
                yield candidate
    for task_id in sorted(wanted - waits):
        raise TaskQueueError(
            f"{task_id} does not wait", hint="see what waits: task-queue tasks list --state pending"
        )


def _prepare(installation: Installation, config: Config, candidate: _Candidate, number: int) -> None:
    """What can be said of the task without playing it, and what is needed to play it."""
    source = config.source(candidate.listed.id)
    if candidate.problems or source is None:
        return
    try:
        path = candidate.listed.folders.pending / naming.document_of(candidate.task_id)
        data, _ = durable.read_regular(path, limit=MAX_BYTES)
    except OSError as error:
        candidate.problems.append(_unreadable(error))
        return
    _prepare_text(installation, config, candidate, data, number=number)


def _prepare_text(
    installation: Installation, config: Config, candidate: _Candidate, data: bytes, *, number: int
) -> None:
    source = config.source(candidate.listed.id)
    assert source is not None
    try:
        task = parse(data, candidate.task_id)
    except TaskFileError as error:
        candidate.problems.append(_unreadable(error))
        return
    candidate.title = task.title
    orders = orders_of(installation, config, source.id)
    problem = orders.problem_with(task)
    if problem is not None:
        candidate.problems.append(RehearsalProblem("start", problem))
        return
    settings = orders.settings_of(task)
    workspace = directory_named(settings.workspace or ".", base=config.workspace_of(source))
    marker = f"rehearsal-{number:06d}"
    candidate.part = PlayedTask(source, text_of(data), settings, workspace, marker)
    if settings.executor == CLAUDE:
        candidate.calls = tried_calls(settings.allow, settings.verify)


def _unreadable(error: Exception) -> RehearsalProblem:
    return RehearsalProblem("document", f"the document cannot be read: {error}")


def _play(config: Config, candidates: Sequence[_Candidate], step: OnPart) -> Mapping[int, RehearsedTask]:
    root = Path(tempfile.mkdtemp(prefix="task-queue-rehearsal-"))
    stage = RehearsalStage(root, config)
    try:
        scripts = {each.part.marker: each.calls for each in candidates if each.part is not None}
        with ScriptedModel(_script(scripts)) as model:
            ready = list(_with_workspace(stage, candidates, step))
            parts = [each.part for each in ready if each.part is not None]
            stage.build(parts, model)
            command = ("run", "--drain", "--patience", "1s", "--quiet")
            with queue_process(
                stage.config, *command, environment=stage.environment, errors=stage.errors
            ) as process:
                _watch(process, stage, parts, step)
            return {id(each): _rehearsed(stage, each) for each in ready}
    finally:
        remove_tree(root)


def _with_workspace(
    stage: RehearsalStage, candidates: Sequence[_Candidate], step: OnPart
) -> Iterator[_Candidate]:
    for number, candidate in enumerate(candidates):
        step("copying workspaces", number, len(candidates))
        assert candidate.part is not None
        try:
            stage.copy_of(candidate.part)
        except (TaskQueueError, OSError) as error:
            candidate.problems.append(RehearsalProblem("start", f"the workspace cannot be copied: {error}"))
        else:
            yield candidate


def _watch(
    process: subprocess.Popen[bytes], stage: RehearsalStage, parts: Sequence[PlayedTask], step: OnPart
) -> None:
    while process.poll() is None:
        done = sum(_outcome_file(stage, part).exists() for part in parts)
        step("rehearsing", done, len(parts))
        time.sleep(_LOOK_EVERY_S)


def _script(calls: Mapping[str, tuple[TriedCall, ...]]) -> Any:
    def answer(request: Request) -> Reply:
        for marker, tried in calls.items():
            if marker in request.first_text and request.turn <= len(tried):
                call = tried[request.turn - 1]
                return UseTool(call.tool, call.input)
        return Say("The rehearsal is over.")

    return answer


def _rehearsed(stage: RehearsalStage, candidate: _Candidate) -> RehearsedTask:
    assert candidate.part is not None
    part = candidate.part
    ended = _json(_outcome_file(stage, part))
    result = _json(stage.layout(part.marker).result(TASK))
    if ended is None:
        said = "the queue did not start it"
        problem = RehearsalProblem("session", said, tail(stage.errors))
        return _as_found(candidate, problem)
    outcome = cast("dict[str, Any]", ended["outcome"])
    denials = list(_denials((result or {}).get("permission_denials") or (), candidate.calls))
    checks = cast("list[dict[str, Any]]", (result or {}).get("verification") or [])
    failed = list(_failed_checks(checks))
    other = [] if denials or failed else list(_other_trouble(outcome))
    return _as_found(candidate, *other, *failed, *denials, calls=len(candidate.calls), checks=len(checks))


def _as_found(
    candidate: _Candidate, *problems: RehearsalProblem, calls: int = 0, checks: int = 0
) -> RehearsedTask:
    return RehearsedTask(
        candidate.task_id,
        candidate.listed.id,
        candidate.title,
        (*candidate.problems, *problems),
        calls,
        checks,
    )


def _other_trouble(outcome: Mapping[str, Any]) -> Iterator[RehearsalProblem]:
    if outcome["kind"] == OutcomeKind.SUCCEEDED:
        return
    reason, evidence = str(outcome["reason"]), [str(each) for each in outcome["evidence"]]
    if reason.startswith("set-up command"):
        yield RehearsalProblem("setup", reason, _end_of("\n".join(evidence[1:])))
    else:
        yield RehearsalProblem("session", f"{outcome['kind']}: {reason}", _end_of("\n".join(evidence)))


def _failed_checks(checks: Iterable[Mapping[str, Any]]) -> Iterator[RehearsalProblem]:
    for check in checks:
        if check.get("exit_code") == 0:
            continue
        verdict = (
            "did not end in time"
            if check.get("timed_out")
            else "could not be started: command not found"
            if check.get("not_found")
            else f"failed with exit code {check.get('exit_code')}"
        )
        sentence = f"verify {verdict} before any work: {check.get('command')}"
        yield RehearsalProblem("verify", sentence, _end_of(str(check.get("tail") or "")))


def _denials(denials: Iterable[Mapping[str, Any]], calls: Sequence[TriedCall]) -> Iterator[RehearsalProblem]:
    for denial in denials:
        given = cast("dict[str, Any]", denial.get("tool_input") or {})
        command = str(given.get("command") or "")
        named = next((call.named_by for call in calls if call.input.get("command") == command), "")
        asked = (
            {**denial, "tool_input": {**given, "command": command.removeprefix(UNDONE)}}
            if command
            else denial
        )
        rules = [rule for rule in denial.get("rules") or () if rule != "Bash(true:*)"]
        why = denial.get("why_no_rule") or (f"allow it with {', '.join(rules)}" if rules else "")
        about = f" ({named})" if named else ""
        yield RehearsalProblem("denied", f"the agent would be denied: {call_of(asked)}{about}", str(why))


def _notes(config: Config) -> Iterator[str]:
    if config.checks.env:
        yield f"set-up and verify ran without the secrets of checks.env: {', '.join(config.checks.env)}"
    if config.agent.setting_sources:
        yield "rules and hooks of projects' own settings (.claude/) had no part"


def _outcome_file(stage: RehearsalStage, part: PlayedTask) -> Path:
    return stage.layout(part.marker).logs / TASK / "attempt-1" / "outcome.json"


def _json(path: Path) -> dict[str, Any] | None:
    try:
        return cast("dict[str, Any]", json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return None


def _end_of(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
