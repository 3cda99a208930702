"""Finds waiting tasks that depend on themselves, through others of any source, and which of them closed the cycle.

Pure. A task costs what its own dependencies cost, not what the graph costs: from a task that came or changed the graph
is followed in both directions at once, and the shorter way decides.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from task_queue.domain.task import TaskId, TaskState

PlaceOf = Callable[[TaskId], tuple[str, TaskState] | None]
"""The first source that knows a task, and its state there; None for a task that is nowhere."""
_SHOWN = 6


class CyclesOfSource(Protocol):
    """The cycles that the tasks of one source are part of."""

    def put(self, task_id: TaskId, depends_on: tuple[TaskId, ...], changed_ns: int) -> None:
        """The task waits in this source; *changed_ns* is when its document was changed last."""
        ...

    def discard(self, task_id: TaskId) -> None:
        """It does not wait here (any more)."""
        ...

    def closing(self) -> Mapping[TaskId, str]:
        """Tasks of the source that closed a cycle, with the reason to reject them."""
        ...


class _Node(NamedTuple):
    source: str
    task_id: TaskId


class _Arrival(NamedTuple):
    depends_on: tuple[TaskId, ...]
    changed_ns: int


class Cycles:
    """All waiting tasks that depend on others.

    Of the tasks of a cycle the one closed it whose document was changed last; without it the others are in none. So
    the answer depends on nothing but what is there, whenever and by whom it is asked.
    """

    def __init__(self, place_of: PlaceOf) -> None:
        self._place_of = place_of
        self._arrivals: dict[_Node, _Arrival] = {}
        self._sources: dict[TaskId, set[str]] = {}
        """Where a task of that id waits that depends on others."""
        self._dependants: dict[TaskId, set[_Node]] = {}
        self._edges = 0
        self._fresh: set[_Node] = set()
        self._remnants: set[_Node] = set()
        """What is left of tangles; where a part is gone, less may be left."""
        self._tangles: dict[_Node, frozenset[_Node]] = {}
        """For each task that is in a cycle all that are in cycles with it."""
        self._closing: dict[str, dict[TaskId, str]] = {}

    def put(self, source: str, task_id: TaskId, depends_on: tuple[TaskId, ...], changed_ns: int) -> None:
        node, arrival = _Node(source, task_id), _Arrival(depends_on, changed_ns)
        if self._arrivals.get(node) == arrival:
            return
        self.discard(source, task_id)
        self._look_again_at(task_id)
        self._arrivals[node] = arrival
        self._sources.setdefault(task_id, set()).add(source)
        for dependency in depends_on:
            self._dependants.setdefault(dependency, set()).add(node)
        self._edges += len(depends_on)
        self._fresh.add(node)

    def discard(self, source: str, task_id: TaskId) -> None:
        node = _Node(source, task_id)
        arrival = self._arrivals.pop(node, None)
        if arrival is None:
            return
        self._remnants |= self._forget_tangle_of(node)
        self._fresh.discard(node)
        self._remnants.discard(node)
        self._edges -= len(arrival.depends_on)
        self._sources[task_id].discard(source)
        if not self._sources[task_id]:
            del self._sources[task_id]
        for dependency in arrival.depends_on:
            self._dependants[dependency].discard(node)
            if not self._dependants[dependency]:
                del self._dependants[dependency]

    def _look_again_at(self, task_id: TaskId) -> None:
        """Of tasks with one id in several sources only that of the first counts."""
        for source in self._sources.get(task_id, ()):
            self._remnants |= self._forget_tangle_of(_Node(source, task_id))

    def discard_all(self, source: str) -> None:
        for node in [node for node in self._arrivals if node.source == source]:
            self.discard(source, node.task_id)

    def closing(self) -> Mapping[str, Mapping[TaskId, str]]:
        """Tasks that closed a cycle, by source, with the reason to reject them."""
        self._doubt_those_that_count_no_more()
        if self._fresh or self._remnants:
            self._look_at_changes()
        return {source: dict(found) for source, found in self._closing.items() if found}

    def _doubt_those_that_count_no_more(self) -> None:
        """A task of one's id that depends on nothing may have come in a source before."""
        for source, found in list(self._closing.items()):
            for task_id in list(found):
                tangle = self._tangles.get(_Node(source, task_id), frozenset())
                if any(self._place_of(each.task_id) != (each.source, TaskState.PENDING) for each in tangle):
                    self._remnants |= self._forget_tangle_of(_Node(source, task_id))

    def _look_at_changes(self) -> None:
        fresh, self._fresh = self._fresh, set()
        remnants, self._remnants = self._remnants, set()
        tangles = self._components(self._suspects_among(fresh))
        rest = remnants.difference(*tangles)
        for tangle in (*tangles, *self._components(rest, within=rest)):
            self._decide(tangle)

    def _suspects_among(self, fresh: Collection[_Node]) -> Collection[_Node]:
        """Those that are in a cycle; all of them where to look at each would cost more than to look at everything."""
        left = len(self._arrivals) + self._edges
        found: list[_Node] = []
        for node in fresh:
            loop, steps = self._loop_through(node)
            if loop:
                found.append(node)
            left -= steps
            if left < 0:
                return fresh
        return found

    def _decide(self, tangle: Collection[_Node]) -> None:
        """Which tasks of *tangle* closed a cycle: as if the documents had come one by one, the oldest first."""
        for node in tangle:
            self._forget_tangle_of(node)
        real = {node for node in tangle if self._place_of(node.task_id) == (node.source, TaskState.PENDING)}
        if len(real) < len(tangle):
            self._remnants |= set(tangle)  # a task of that id elsewhere counts; once it is gone, these may
        for part in self._components(real, within=real):
            self._tangles |= dict.fromkeys(part, frozenset(part))
            accepted: set[_Node] = set()
            for node in sorted(part, key=lambda node: (self._arrivals[node].changed_ns, node)):
                loop, _ = self._loop_through(node, within=accepted)
                if loop:
                    why = _reason([each.task_id for each in loop])
                    self._closing.setdefault(node.source, {})[node.task_id] = why
                else:
                    accepted.add(node)

    def _forget_tangle_of(self, node: _Node) -> frozenset[_Node]:
        tangle = self._tangles.get(node, frozenset())
        for member in tangle:
            del self._tangles[member]
            self._closing.get(member.source, {}).pop(member.task_id, None)
        return tangle

    def _after(self, node: _Node) -> Iterator[_Node]:
        for dependency in self._arrivals[node].depends_on:
            for source in sorted(self._sources.get(dependency, ())):
                yield _Node(source, dependency)

    def _before(self, node: _Node) -> Iterable[_Node]:
        return self._dependants.get(node.task_id, ())

    def _loop_through(
        self, start: _Node, *, within: Collection[_Node] | None = None
    ) -> tuple[tuple[_Node, ...], int]:
        """A cycle that begins with *start*, its others among *within*; and how many steps the search took."""
        ahead: dict[_Node, _Node | None] = {start: None}
        behind: dict[_Node, _Node | None] = {start: None}
        forwards, backwards = deque([start]), deque([start])
        steps = 0
        while forwards and backwards:
            for queue, neighbours, known, others in (
                (forwards, self._after, ahead, behind),
                (backwards, self._before, behind, ahead),
            ):
                node = queue.popleft()
                for found in neighbours(node):
                    steps += 1
                    if found in others:
                        ends = (node, found) if known is ahead else (found, node)
                        return _joined(ahead, behind, *ends), steps
                    if found not in known and (within is None or found in within):
                        known[found] = node
                        queue.append(found)
        return (), steps

    def _components(
        self, starts: Iterable[_Node], *, within: Collection[_Node] | None = None
    ) -> list[list[_Node]]:
        """The sets of tasks that are in cycles with each other, of all that *starts* lead to (Tarjan, 1972)."""
        found: list[list[_Node]] = []
        number: dict[_Node, int] = {}
        lowest: dict[_Node, int] = {}
        open_nodes: dict[_Node, None] = {}
        for start in starts:
            if start in number:
                continue
            path = [(start, self._after(start))]
            number[start] = lowest[start] = len(number)
            open_nodes[start] = None
            while path:
                node, dependencies = path[-1]
                following = next(dependencies, None)
                if following is None:
                    path.pop()
                    if path:
                        above = path[-1][0]
                        lowest[above] = min(lowest[above], lowest[node])
                    if lowest[node] == number[node]:
                        component = [open_nodes.popitem()[0]]
                        while component[-1] != node:
                            component.append(open_nodes.popitem()[0])
                        if len(component) > 1 or node.task_id in self._arrivals[node].depends_on:
                            found.append(component)
                elif within is not None and following not in within:
                    continue
                elif following not in number:
                    path.append((following, self._after(following)))
                    number[following] = lowest[following] = len(number)
                    open_nodes[following] = None
                elif following in open_nodes:
                    lowest[node] = min(lowest[node], number[following])
        return found


def _joined(
    ahead: Mapping[_Node, _Node | None], behind: Mapping[_Node, _Node | None], last: _Node, first: _Node
) -> tuple[_Node, ...]:
    """The cycle whose way from its start ends with *last*, on which *first* follows, which leads back to the start."""
    way: list[_Node] = []
    node: _Node | None = last
    while node is not None:
        way.append(node)
        node = ahead[node]
    way.reverse()
    node = first
    while node is not None and node != way[0]:
        way.append(node)
        node = behind[node]
    return tuple(way)


def _reason(loop: list[TaskId]) -> str:
    shown = [*loop[:_SHOWN], f"{len(loop) - _SHOWN} more"] if len(loop) > _SHOWN + 1 else loop
    way = " -> ".join([*shown, loop[0]])
    return f"depends_on closes a cycle: {way}; correct one of these, then: task-queue tasks retry {loop[0]}"
