"""What lists and bulk changes are limited to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from task_queue.app.tracked_task import TaskFilter

_FilterWord = Annotated[str, Field(max_length=300)]
_FilterWords = Annotated[list[_FilterWord], Field(max_length=100)]
_FilterStatus = Literal["queued", "running", "completed", "failed", "cancelled", "dead_letter"]


class FilterFields(BaseModel):
    """What is not given limits nothing. A task must match every field, and one value of each list."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)
    status: Annotated[
        list[_FilterStatus],
        Field(max_length=100, examples=[["queued"]]),
    ] = []
    """In one of these."""
    source: Annotated[_FilterWords, Field(examples=[["ad-hoc"]])] = []
    """Waits, runs or ended in one of these sources."""
    type: Annotated[_FilterWords, Field(examples=[["general"]])] = []
    """Of one of these types of work."""
    outcome: Annotated[_FilterWords, Field(examples=[["succeeded"]])] = []
    """Ended with one of these outcomes."""
    executor: Annotated[_FilterWords, Field(examples=[["claude"]])] = []
    """Carried out by one of these."""
    capability: _FilterWord | None = Field(None, examples=["gpu"])
    """Asks for this capability."""
    submitted_by: _FilterWord | None = Field(None, examples=["ci"])
    """Handed in with a credential of this name."""
    label: Annotated[_FilterWords, Field(examples=[["team=web"]])] = []
    """Has each of these: `key`, or `key=value`."""
    attention: bool | None = Field(None, examples=[True])
    """Whether it needs a person."""
    text: _FilterWord | None = Field(None, examples=["login"])
    """Has this in its id or title, in any case."""
    created_after: AwareDatetime | None = Field(None, examples=["2026-02-01T00:00:00Z"])
    """Created then or later."""
    created_before: AwareDatetime | None = Field(None, examples=["2026-03-01T00:00:00Z"])
    """Created before that."""

    @property
    def wanted(self) -> TaskFilter:
        return TaskFilter(
            tuple(self.status),
            tuple(self.source),
            tuple(self.type),
            tuple(self.outcome),
            tuple(self.executor),
            self.capability,
            self.submitted_by,
            tuple(self.label),
            self.attention,
            self.text,
            self.created_after,
            self.created_before,
        )


class ListQuery(FilterFields):
    """The parameters of the list."""

    sort: Literal[
        "created_at",
        "-created_at",
        "updated_at",
        "-updated_at",
        "priority",
        "-priority",
        "id",
        "-id",
    ] = Field("-created_at", examples=["-priority"])
    """With `-`, the greatest first."""
    cursor: Annotated[str, Field(max_length=2000)] | None = Field(None, examples=["WyJpZCIsICJhIl0"])
    """That of the page before."""
    limit: Annotated[int, Field(ge=1, le=500, examples=[50])] = 50
    """At most so many tasks."""


class BulkFilter(FilterFields):
    """As the parameters of the list, and `ids`."""

    ids: Annotated[list[_FilterWord], Field(max_length=1000)] = []
    """Only these tasks."""

    @property
    def limits(self) -> bool:
        """Whether there may be a task that it leaves out."""
        return bool(self.ids) or self.wanted != TaskFilter()
