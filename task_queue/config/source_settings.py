"""A source, as the configuration describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from task_queue.config import document
from task_queue.config.section import AbsolutePath, Section, absolute
from task_queue.domain.hours import Hours, hours_of, span_of


def _closable(path: Path) -> Path:
    problem = document.why_not_closed(absolute(path))
    if problem:
        raise ValueError(problem)
    return path


def _source_id(text: str) -> str:
    problem = document.why_not_an_id(text)
    if problem:
        raise ValueError(problem)
    return text


def _span(text: str) -> str:
    span_of(text)
    return text


def _several(given: object) -> object:
    if isinstance(given, str):
        return (given,)
    return tuple(cast("list[object]", given)) if isinstance(given, list) else given


SourceId = Annotated[str, AfterValidator(_source_id)]
AtLeastOne = Annotated[int, Field(ge=1, le=1_000_000)]
Amount = Annotated[float, Field(gt=0, le=1_000_000)]
Spans = Annotated[tuple[Annotated[str, AfterValidator(_span)], ...], BeforeValidator(_several)]
"""One text, or several."""


class Source(Section):
    id: SourceId
    path: Annotated[Path, AfterValidator(_closable)]
    """The ``pending/`` folder."""
    description: str = ""
    added_at: str | None = None
    project_workspace: AbsolutePath | None = None
    defaults: dict[str, Any] = Field(default={})
    daily_budget_usd: Amount | None = None
    max_pending: AtLeastOne | None = None
    """Instead of ``limits.max_pending``."""
    setup: tuple[str, ...] = ()
    """Commands that make a fresh working tree ready, e.g. install dependencies."""
    setup_reads: tuple[str, ...] | None = None
    """Patterns of all files that decide what ``setup`` makes; None: as far as the commands are known."""
    paused: bool = False
    windows: Spans = ()
    """Hours in which it starts tasks: see ``domain.hours``."""
    quiet: Spans = ()
    """Hours in which it starts none, within its windows too."""
    repository: str | None = None
    """URL of the repository that its tasks work on: workers fetch it, and tokens may be limited to it."""
    served_by: Literal["daemon", "workers"] = "daemon"
    """Who carries its tasks out: the daemon here, or workers that claim them through the API."""
    slots: AtLeastOne | None = None
    """How many of its tasks workers may hold at once; None: one."""

    @model_validator(mode="after")
    def _opens(self) -> Source:
        hours_of(self.windows, self.quiet)
        return self

    @model_validator(mode="after")
    def _slots_of_workers(self) -> Source:
        if self.slots is not None and not self.is_remote:
            raise ValueError("'slots' has a meaning only with served_by: workers")
        return self

    @property
    def is_remote(self) -> bool:
        """Whether workers claim its tasks through the API, and the daemon leaves it alone."""
        return self.served_by == "workers"

    @property
    def hours(self) -> Hours | None:
        """None if it starts tasks at every hour."""
        return hours_of(self.windows, self.quiet) if self.windows or self.quiet else None

    @property
    def queue(self) -> Path:
        """The folder that holds ``pending/`` and its siblings."""
        return self.path.parent
