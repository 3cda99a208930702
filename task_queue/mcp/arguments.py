"""What each tool takes. Anything else is refused: a word that is not known would have been meant as something."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

_TaskIdText = Annotated[str, Field(min_length=1, max_length=250)]
_ShortText = Annotated[str, Field(min_length=1, max_length=300)]
_DocumentText = Annotated[str, Field(max_length=1_100_000)]
StatusWord = Literal["queued", "running", "completed", "failed", "cancelled", "dead_letter"]
MOST_TASKS = 100
MOST_EVENTS = 200


class ToolArguments(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, strict=True, allow_inf_nan=False)


class AddArguments(ToolArguments):
    """A title and instructions, or a whole document."""

    title: Annotated[str, Field(max_length=1000)] | None = None
    """One line that says what is to be done."""
    instructions: _DocumentText | None = None
    """All that the agent needs to know: it sees nothing of this conversation."""
    document: _DocumentText | None = None
    """Markdown, with any key of a task document in its front matter; in the place of title and instructions."""
    source: _ShortText | None = None
    """The queue that gets it; needed where there are several and none is the usual one here."""
    priority: Annotated[int, Field(ge=1, le=10)] | None = None
    """Higher goes first; 5 where it is not given."""
    type: _ShortText | None = None
    """The kind of work, such as bugfix."""
    verify: Annotated[list[Annotated[str, Field(max_length=10_000)]], Field(max_length=50)] | None = None
    """Commands that must exit 0 before the task counts as done."""
    depends_on: Annotated[list[_TaskIdText], Field(max_length=100)] | None = None
    """Ids of tasks that must be completed before."""
    not_before: AwareDatetime | None = None
    """It starts at this time or later."""
    max_budget_usd: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """The most that it may cost, in US dollars."""
    labels: dict[str, Any] | None = None
    """At most 4 KiB of JSON, never interpreted."""
    dedupe_key: _ShortText | None = None
    """At most one task with this key waits or runs. Not given: the same instructions are not queued twice."""
    idempotency_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """The same key leads to the same task for 7 days, also after it has ended."""


class ListArguments(ToolArguments):
    status: Annotated[list[StatusWord], Field(max_length=6)] | None = None
    source: Annotated[list[_ShortText], Field(max_length=50)] | None = None
    type: Annotated[list[_ShortText], Field(max_length=50)] | None = None
    submitted_by: _ShortText | None = None
    attention: bool | None = None
    """True: only those that need a person."""
    text: _ShortText | None = None
    """Part of a title or an id."""
    sort: Literal["-created_at", "created_at", "-updated_at", "updated_at", "-priority", "priority"] = (
        "-created_at"
    )
    """With - before it the greatest first."""
    limit: Annotated[int, Field(ge=1, le=MOST_TASKS)] = 20
    cursor: Annotated[str, Field(max_length=2000)] | None = None
    """From the answer before, with the same sort."""


class OneTask(ToolArguments):
    id: _TaskIdText
    """As add and list give it."""


class RetryArguments(OneTask):
    fresh: bool = False
    """In a new session and a new checkout."""


class EventArguments(ToolArguments):
    id: _TaskIdText | None = None
    """Only of this task."""
    types: Annotated[list[_ShortText], Field(max_length=50)] | None = None
    after: Annotated[str, Field(max_length=200)] | None = None
    """The cursor of the answer before, or end: only what happens from now on. Not given: from the beginning."""
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS)] = 50


class StatsArguments(ToolArguments):
    since: AwareDatetime | None = None
    by: Literal["source", "type", "model", "outcome", "day"] | None = None
