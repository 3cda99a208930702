"""The texts that agents are given: packaged with us, each to be overridden by the project or by the user.

``which`` says what applies and where it is, for the command line and for the attempt alike; what ran is
in the result with its hash. A text that is there and cannot be used keeps the attempt from starting.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from task_queue.agents.attached import attached
from task_queue.domain.document.choices import Workflow
from task_queue.domain.document.title import with_title, without_title
from task_queue.domain.errors import ExecutorError
from task_queue.domain.markdown import code, fenced
from task_queue.domain.work.workflow import Audited, Implemented, SentBack, Step, Verified, denials_in
from task_queue.platform import durable
from task_queue.ports.executor import ExecutorKind, Order

PLUGIN = Path(__file__).parents[1] / "plugin"
SKILL = "task-worker"
PROMPTS: Mapping[str, tuple[str, ...]] = {
    "implementer": (),
    "auditor": (),
    "task": ("body",),
    "findings": ("findings",),
    "audit": ("task", "changes", "verification"),
}
"""Names of the prompts, each with the placeholders that it makes no sense without."""
NAMES = (SKILL, *PROMPTS)

_SKILL_FILE = Path("skills") / SKILL / "SKILL.md"
_RUNNING = {
    Workflow.AUDITED: ("implementer", "auditor", "task", "findings", "audit"),
    Workflow.SINGLE: ("implementer", "task", "findings"),
    Workflow.SKILL: (SKILL, "findings"),
}
_FOR_COMMANDS = ("auditor", "findings", "audit")
"""What a command works by is up to its configuration."""
_LIMIT = 2**18
_TAIL = 4000
_MOST_NAMED = 50
_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")


class Diff(Protocol):
    """What the work changed, as git or a comparison of files reports it."""

    @property
    def summary(self) -> str: ...
    @property
    def patch(self) -> str: ...
    @property
    def cut(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class PromptFolders:
    """Where texts are looked for; None where a file that is there does not count."""

    project: Path | None = None
    """``.claude`` of the workspace."""
    user: Path | None = None
    """Claude's own folder: ``~/.claude`` or CLAUDE_CONFIG_DIR."""
    prompts: Path | None = None
    """``prompts`` beside the configuration."""


@dataclass(frozen=True, slots=True)
class Text:
    """One text that applies."""

    name: str
    origin: str
    """``project``, ``user`` or ``packaged``."""
    path: Path
    content: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Prompts:
    """All that the agents of one attempt are asked."""

    implementer: str
    """For the implementer's system prompt; empty where the skill says it all."""
    auditor: str
    plugin: Path
    hashes: dict[str, str]
    """Each text that may run: its sha256, and where it is."""
    texts: Mapping[str, str]

    def task(self, order: Order, resumes: bool, left: Sequence[str] = ()) -> str | None:
        """The implementer's first message; None where a session goes on, which knows the task.

        *left*: files that an earlier attempt at the task changed, and that are not committed.
        """
        if resumes:
            return None
        if order.settings.workflow is Workflow.SKILL:
            return f"/{SKILL} {order.agent_copy}"
        template = self.texts["task"]
        placed = without_title if "{title}" in template else with_title
        body = placed(order.title, order.body)
        values = {"title": order.title, "body": body, "document": str(order.agent_copy)}
        return filled(template, values) + attached(order) + _left(left)

    def system(self, order: Order, left: Sequence[str] = ()) -> str:
        """For the implementer's system prompt; *left* too where the first message is no more than the skill's name."""
        told = attached(order) + _left(left) if order.settings.workflow is Workflow.SKILL else ""
        return self.implementer + told

    def findings(self, text: str, round: int) -> str:  # noqa: A002 - the word for it
        """What goes back to the implementer, for its *round*."""
        return filled(self.texts["findings"], {"findings": text.strip(), "round": str(round)})

    def audit(
        self,
        order: Order,
        changes: Diff | None,
        steps: Sequence[Step],
        *,
        beside: Sequence[str] = (),
        commands: Sequence[str] | None = None,
    ) -> str:
        """What the auditor is to judge, all of it as material; *beside* is what changed in the owner's repository.

        *commands*: what it may have run; None where it can only read.
        """
        rounds = [step for step in steps if isinstance(step, Implemented)]
        verified = next((step for step in reversed(steps) if isinstance(step, Verified)), None)
        changed = verified.changed_judges if verified else ()
        values = {
            "round": str(rounds[-1].round if rounds else 1),
            "document": code(order.agent_copy),
            "title": order.title,
            "task": fenced(with_title(order.title, order.body), "markdown"),
            "changes": _changes(changes) + _beside(beside),
            "verification": _verification(verified),
            "commands": _commands(commands),
            "judges": "\n".join(
                [
                    "Changed by the work; each change needs a reason in the task:",
                    "",
                    *(f"- {code(path)}" for path in changed),
                ]
            )
            if changed
            else "None was seen to change.",
            "earlier": _earlier(steps),
            "claims": _claims(steps, rounds),
        }
        return filled(self.texts["audit"], values)


def prompts_for(order: Order) -> Prompts:
    """The texts for *order*'s workflow; raises ExecutorError if one is missing or cannot be used."""
    places = prompt_folders_of(order)
    workflow = order.settings.workflow
    names = _RUNNING[workflow] if order.executor is ExecutorKind.CLAUDE else _FOR_COMMANDS
    running = {name: which(name, places) for name in names}
    if not (PLUGIN / ".claude-plugin" / "plugin.json").is_file():
        raise _missing(PLUGIN / ".claude-plugin" / "plugin.json")
    texts = {name: text.content for name, text in running.items()}
    return Prompts(
        implementer=texts.get("implementer", ""),
        auditor=texts.get("auditor", ""),
        plugin=PLUGIN,
        hashes={name: f"sha256:{text.sha256} {_origin(text)}" for name, text in running.items()},
        texts=texts,
    )


def prompt_folders_of(order: Order) -> PromptFolders:
    """Only what the agent itself would load counts: an untrusted project cannot bring its own auditor."""
    sources = order.agent.setting_sources
    home = order.agent.config_dir or order.env.get("CLAUDE_CONFIG_DIR")
    user = Path(home) if home else Path(order.env["HOME"]) / ".claude" if order.env.get("HOME") else None
    return PromptFolders(
        project=order.workspace / ".claude" if "project" in sources else None,
        user=user if "user" in sources else None,
        prompts=order.agent.prompts_dir,
    )


def which(name: str, places: PromptFolders) -> Text:
    """The text *name* that applies; raises ExecutorError if it is unknown, missing or cannot be used."""
    if name not in NAMES:
        raise ExecutorError(f"there is no prompt '{name}'", hint=f"there are: {', '.join(NAMES)}")
    for origin, path in _candidates(name, places):
        if os.path.lexists(path):
            return _checked(Text(name, origin, path, _read(path)))
    raise _missing(packaged(name))


def packaged(name: str) -> Path:
    """Where the packaged text *name* is."""
    return PLUGIN / _SKILL_FILE if name == SKILL else PLUGIN / "prompts" / f"{name}.md"


def eject(directory: Path) -> tuple[list[Path], list[Path]]:
    """Copy our prompts into *directory*: which were written, and which were there and are left alone."""
    durable.make_directory(directory)
    written: list[Path] = []
    kept: list[Path] = []
    for name in PROMPTS:
        path = directory / f"{name}.md"
        try:
            durable.publish(path, _read(packaged(name)).encode())
            written.append(path)
        except FileExistsError:
            kept.append(path)
    return written, kept


def filled(template: str, values: Mapping[str, str]) -> str:
    """*template* with its placeholders replaced, in one pass: braces within a value mean themselves."""
    return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), template)


def _candidates(name: str, places: PromptFolders) -> list[tuple[str, Path]]:
    if name == SKILL:
        folders = [("user", places.user), ("project", places.project)]
        found = [(origin, folder / _SKILL_FILE) for origin, folder in folders if folder is not None]
    else:
        project = places.project / "task-queue" if places.project is not None else None
        folders = [("project", project), ("user", places.prompts)]
        found = [(origin, folder / f"{name}.md") for origin, folder in folders if folder is not None]
    return [*found, ("packaged", packaged(name))]


def _read(path: Path) -> str:
    try:
        # Through links: a user who keeps the settings elsewhere links them.
        data, _ = durable.read_regular(Path(os.path.realpath(path)), limit=_LIMIT)
        text = data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ExecutorError(f"{path} cannot be read: {error}", hint="correct or remove it") from error
    if len(data) > _LIMIT:
        raise ExecutorError(f"{path} is longer than {_LIMIT:,} bytes", hint="shorten or remove it")
    return text


def _checked(text: Text) -> Text:
    lacking = [name for name in PROMPTS.get(text.name, ()) if f"{{{name}}}" not in text.content]
    if lacking or not text.content.strip():
        what = f"lacks {{{lacking[0]}}}" if lacking else "is empty"
        raise ExecutorError(
            f"{text.path} {what}",
            hint=f"compare it with: task-queue skill show --packaged {text.name}; or remove it",
        )
    return text


def _missing(path: Path) -> ExecutorError:
    return ExecutorError(
        f"a part of the installation is missing: {path}", hint="install task-queue again, then try again"
    )


def _origin(text: Text) -> str:
    return text.origin if text.origin == "packaged" else f"{text.origin} {text.path}"


def _left(paths: Sequence[str]) -> str:
    if not paths:
        return ""
    named = ", ".join(code(path) for path in paths[:_MOST_NAMED])
    more = f" and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else ""
    return (
        "\n\nAn earlier attempt at this task failed and left these files changed. They are yours to use,"
        f" change or undo; other changes are not part of this task: {named}{more}\n"
    )


def _changes(changes: Diff | None) -> str:
    if changes is None:
        return "Nothing says what was here before the task: look at the files."
    cut = (
        "\n\nThe patch is cut: it is longer than can be shown. Look at the other files yourself."
        if changes.cut
        else ""
    )
    patch = f"\n\n{fenced(changes.patch, 'diff')}" if changes.patch.strip() else ""
    return f"{changes.summary}{patch}{cut}"


def _beside(sentences: Sequence[str]) -> str:
    if not sentences:
        return ""
    listed = "\n".join(f"- {code(sentence)}" for sentence in sentences)
    return f"\n\nThe queue saw these changes in the owner's repository, outside of the work:\n\n{listed}"


def _verification(verified: Verified | None) -> str:
    if verified is None or not verified.records:
        return "None: the task names no command that would check it."
    head = "All passed." if verified.passed else "Not all of them passed."
    return "\n\n".join([head, *(_record(record) for record in verified.records)])


def _record(record: Mapping[str, object]) -> str:
    """One command, as ``domain.work.verification.Check`` has it."""
    if record.get("timed_out"):
        how = "did not end in time"
    elif record.get("not_found"):
        how = "could not be started"
    else:
        how = f"exit code {record.get('exit_code')}"
    tail = str(record.get("tail") or "").strip()
    return f"{code(record.get('command'))}: {how}" + (f"\n\n{fenced(tail[-_TAIL:])}" if tail else "")


def _commands(commands: Sequence[str] | None) -> str:
    if commands is None:
        return "None: there is no checkout for you, so you can only read."
    if not commands:
        return "None: neither the task nor the owner names one."
    listed = "\n".join(f"- {code(each)}" for each in commands)
    return (
        "By the tool `run_check`, as they are written here; a rule stands for the commands that it covers:"
        f"\n\n{listed}"
    )


def _earlier(steps: Sequence[Step]) -> str:
    earlier = [
        f"Round {step.round}:\n\n{fenced(step.findings)}"
        for step in steps
        if isinstance(step, Audited | Verified | SentBack) and step.findings.strip()
    ]
    if not earlier:
        return "None."
    return "\n\n".join(["See for yourself whether they were fixed.", *earlier])


def _claims(steps: Sequence[Step], rounds: Sequence[Implemented]) -> str:
    said = rounds[-1].output.strip() if rounds else ""
    parts = [fenced(said) if said else "Nothing."]
    denied = dict.fromkeys(code(denial.get("tool_name")) for denial in denials_in(steps))
    if denied:
        parts.append(f"Tools that were denied while it worked: {', '.join(denied)}.")
    return "\n\n".join(parts)
