"""The tools, as clients see them: names, schemas of arguments and answers, and hints on what each does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from mcp.types import Tool, ToolAnnotations
from pydantic import TypeAdapter

from task_queue.app.statistics import StatsView
from task_queue.domain.policy import AccessPolicy, AccessRole
from task_queue.mcp.answers import AddedAnswer, ChangedAnswer, EventsAnswer, ListAnswer, TaskAnswer
from task_queue.mcp.arguments import (
    AddArguments,
    EventArguments,
    ListArguments,
    OneTask,
    RetryArguments,
    StatsArguments,
    ToolArguments,
)
from task_queue.mcp.desk import Desk


@dataclass(frozen=True)
class QueueTool:
    """``role``: who has none that holds it is not shown the tool."""

    title: str
    description: str
    role: AccessRole
    arguments: type[ToolArguments]
    answer: type[Any]
    call: Callable[[Desk, Any], Any]
    destructive: bool = False
    idempotent: bool = False
    needs_everything: bool = False

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Writes ``answer``."""
        return TypeAdapter(self.answer)

    @property
    def changes(self) -> bool:
        return self.role is not AccessRole.READ

    def is_for(self, policy: AccessPolicy) -> bool:
        return policy.has(self.role) and (policy.is_unlimited or not self.needs_everything)


TOOLS = {
    "add": QueueTool(
        "Add a task",
        "Hand a task to the queue; returns at once with its id. Another agent carries it out later, in a session of "
        "its own. A task that is there already is returned with deduplicated: true; do not add it again.",
        AccessRole.SUBMIT,
        AddArguments,
        AddedAnswer,
        Desk.add,
    ),
    "list": QueueTool(
        "List tasks",
        "Tasks that match, with how many there are of each status. Go on with cursor.",
        AccessRole.READ,
        ListArguments,
        ListAnswer,
        Desk.list,
    ),
    "get": QueueTool(
        "Look at a task",
        "Status, outcome, cost and what needs a person, of one task. files names resources with its document, report, "
        "result and transcript. To wait for its end, ask again after a while, or read events.",
        AccessRole.READ,
        OneTask,
        TaskAnswer,
        Desk.get,
    ),
    "cancel": QueueTool(
        "Cancel a task",
        "End a task that waits or runs, for good, with all its processes.",
        AccessRole.SUBMIT,
        OneTask,
        ChangedAnswer,
        Desk.cancel,
        destructive=True,
        idempotent=True,
    ),
    "retry": QueueTool(
        "Retry a task",
        "Try a failed task again.",
        AccessRole.SUBMIT,
        RetryArguments,
        ChangedAnswer,
        Desk.retry,
    ),
    "events": QueueTool(
        "Read events",
        "What happened, in order, of all tasks or of one. Go on after cursor.",
        AccessRole.READ,
        EventArguments,
        EventsAnswer,
        Desk.events,
    ),
    "stats": QueueTool(
        "Statistics",
        "Counts, times, costs and success of what ended.",
        AccessRole.READ,
        StatsArguments,
        StatsView,
        Desk.stats,
        needs_everything=True,
    ),
}


@cache
def described(name: str) -> Tool:
    tool = TOOLS[name]
    return Tool(
        name=name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.arguments.model_json_schema(),
        output_schema=tool.adapter.json_schema(mode="serialization"),
        annotations=ToolAnnotations(
            title=tool.title,
            read_only_hint=not tool.changes,
            destructive_hint=tool.destructive,
            idempotent_hint=tool.idempotent or not tool.changes,
            open_world_hint=False,
        ),
    )
