"""What may become of a task in a random life: the model that the real daemon is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.proof.bench import ACT
from tests.proof.checker import Dropped, Expected

PLACES = ("pending", "completed", "failed")
FOREVER = "setsid sleep 1000 > /dev/null 2>&1 &"
"""What a task leaves running, in a session of its own: the runner has to end it, or the checker finds it."""
_TASK = "---\nexecutor: sh\nretry_delay: 1s\n{keys}---\n{script}\n"


@dataclass(frozen=True)
class Kind:
    """What a task does. Each attempt of each acts once, so that none succeeds without having worked."""

    script: str
    keys: str = ""
    outcome: str = "succeeded"
    """How it ends while nobody disturbs it."""
    acts: int = 1
    """How often it acts until it ends so."""
    starts: int = 1
    """Attempts that may act each time it is handed in or retried."""
    waits: bool = False
    """It runs until it is told to end."""

    @property
    def text(self) -> str:
        return _TASK.format(keys=self.keys, script=self.script)


KINDS = (
    Kind(f"{FOREVER}\n{ACT}"),
    Kind(f"{ACT}\nexit 1", "max_attempts: 1\n", outcome="failed"),
    Kind(f'{ACT}\n[ $(grep -c ":$TASK_QUEUE_TASK_ID:" effects) -ge 2 ]', acts=2, starts=3),
    Kind(f'{FOREVER}\n{ACT}\nwhile [ ! -e "go-$TASK_QUEUE_TASK_ID" ]; do sleep 0.02; done', waits=True),
)
WAITS = next(number for number, kind in enumerate(KINDS) if kind.waits)


@dataclass
class Handed:
    """One task that was handed in, and what happened to it since."""

    kind: Kind
    texts: list[str] = field(default_factory=list[str])
    """All that were ever put into pending/ under its name."""
    kept: set[str] = field(default_factory=set[str])
    """Those that nobody took away again: each has to lie somewhere at the end."""
    may_end: set[str] = field(default_factory=set[str])
    """Outcomes besides its own that its life explains."""
    deleted: bool = False
    retries: int = 0
    told: bool = False
    must_not_succeed: bool = False
    """It was cancelled while it could not have ended."""

    def put(self, text: str) -> None:
        self.texts.append(text)
        self.kept.add(text)

    def taken(self, text: str) -> None:
        self.kept.discard(text)

    @property
    def expected(self) -> Expected:
        outcomes = self.may_end | (set() if self.must_not_succeed else {self.kind.outcome})
        states = ["completed"] * ("succeeded" in outcomes) + ["failed"] * bool(outcomes - {"succeeded"})
        undisturbed = not (self.may_end or self.retries)
        acts = (self.kind.acts, self.kind.acts) if undisturbed else (0, self.kind.starts * (1 + self.retries))
        return Expected(tuple(states), tuple(outcomes), acts)


def problems_of(name: str, task: Handed, queue: Path, effects: list[str]) -> list[str]:
    """What the checker cannot know: is every text that was handed in still there, did a deleted task act unseen."""
    found: list[str] = []
    places = [path for place in PLACES if (path := queue / place / f"{name}.md").exists()]
    beside = list((queue / "pending").glob(f"edited-{name}.*"))
    there = {path.read_text() for path in (*places, *beside)}
    found += [f"LOST: {name}: a text that nobody took away: {text!r}" for text in task.kept - there]
    found += [f"{name}: damaged: {text!r}" for text in there - set(task.texts)]
    acted = any(f":{name}:" in line for line in effects)
    if not places and acted and not task.retries and task.kind.starts == 1:
        found.append(f"LOST: {name} acted and left no record")
    return found


def dropped(task: Handed) -> Dropped:
    """For the checker, which compares no text: which one was filed depends on the moment."""
    return Dropped(None, task.expected)
