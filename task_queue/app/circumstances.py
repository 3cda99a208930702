"""Everything on disk that one answer starts from: the sources, what waits in them, the daemon, the account.

``status``, ``tasks list`` and ``tasks show`` ask here and nowhere else what comes next, so that they agree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from task_queue.app.account import AccountFiles, account_from
from task_queue.app.answers import AccountView, DaemonView, ListedSource
from task_queue.app.broken_bases import why_held
from task_queue.app.daemon_state import daemon_from
from task_queue.app.dispatch_state import said_of_workers
from task_queue.app.files import Record, records_in, text_in
from task_queue.config import document
from task_queue.config.document import SourceEntry
from task_queue.config.locations import Locations
from task_queue.domain.source_pause import SourcePause
from task_queue.domain.task import TaskId
from task_queue.platform.json_files import texts_in
from task_queue.platform.trust import JudgedWays
from task_queue.store.folder.layout import Layout
from task_queue.store.pauses import Pauses
from task_queue.store.snapshot import READ_LIMIT, ReadSource, Snapshots

if TYPE_CHECKING:
    from task_queue.domain.document.layers import Layers
    from task_queue.domain.holds import Hold, Holds
    from task_queue.domain.together import Caps, Neighbour


_PLACES = 4
"""Of a configuration that does not say it; ``config.schema`` has the same."""


class Circumstances:
    """At one moment: *now* is the time of the whole answer."""

    def __init__(
        self,
        sources: Iterable[ListedSource],
        *,
        locations: Locations,
        content: Mapping[str, Any],
        now: datetime,
        read_limit: int | None = READ_LIMIT,
    ) -> None:
        """*sources* are all that the configuration, whose JSON is *content*, lists.

        *read_limit* as in ``Snapshots``.
        """
        self.now = now
        self.sources = tuple(sources)
        self.judged: JudgedWays = {}
        """Whom the folders that were looked at can be trusted with."""
        self.snapshots = Snapshots(
            (ReadSource(source.id, source.folders, source.layers) for source in self.sources),
            read_limit=read_limit,
        )
        self.daemon: DaemonView
        self.said: Mapping[str, Record]
        """What the daemon says of each source, and the API of those that workers serve; nothing of who does not run."""
        self.daemon, own = daemon_from(locations.daemon_state)
        has_remote = any(source.is_remote for source in self.sources)
        self.said = {**own, **said_of_workers(locations)} if has_remote else own
        files = AccountFiles(locations.accounts, locations.ledger, locations.stopped)
        self._limits = _section(content, "limits")
        running = self._limits.get("running")
        self.places = running if isinstance(running, int) and running > 0 else _PLACES
        """For agents, of all sources together."""
        self._reviews: dict[str, str | None] = {}
        """Why sources wait for a person to look at results, of those asked about."""
        self._spent = account_from(
            files,
            expected=_section(content, "agent").get("account"),
            budget_usd=_number(self._limits.get("daily_budget_usd")),
            now=now,
        )
        self.account: AccountView = self._spent.view
        self.broken_bases: Mapping[str, str] = {
            source.id: why
            for source in self.sources
            if (why := why_held(locations.broken_bases, source.id)) is not None
        }
        """Why sources wait for their target to be mended, by source."""
        pauses = Pauses(locations.pauses)
        self.pauses: Mapping[str, SourcePause] = {
            source.id: pause for source in self.sources if (pause := pauses.of(source.id)) is not None
        }
        """What people paused or drained, by source; without what the configuration pauses."""

    def holds(
        self, source: ListedSource, *, at: datetime | None = None, spent: Mapping[str, float] | None = None
    ) -> Holds:
        """What is known to keep tasks of *source* from starting, most of it while the daemon is down, too.

        *at*: what of it will still do so then, if *spent* is what each source spends besides on that day.
        """
        from task_queue.domain.holds import (
            STOPPED,
            AgentHold,
            Held,
            Holds,
            outside_hours,
            paused_by_configuration,
            source_drains,
            source_held,
            source_paused,
        )  # where a task waits

        said = self.said.get(source.id, {})
        why = text_in(said, "why")
        paused = source_held(source.id, self.pauses.get(source.id), by_configuration=source.paused)
        everything = STOPPED if self.account.stopped else paused
        broken = self.broken_bases.get(source.id)
        outside = outside_hours(source.hours, at or self.now)
        hours = None if outside is None else outside.why
        pauses = (source_paused(source.id), source_drains(source.id), paused_by_configuration(source.id))
        reviews = self._held_for_reviews(source)
        if why in {STOPPED, *pauses, broken, hours, reviews}:
            why = None  # the files say it, and sooner
        if everything is None:
            everything = (
                source.trouble
                or broken
                or reviews
                or hours
                or (why if said.get("holds") == "everything" else None)
            )
        agents = self._agents_held(source, at or self.now, spent or {})
        if at is None:
            from task_queue.domain.holds import any_of

            agents = any_of(agents, self._held_by_neighbours(source))
        if at is None and agents is None and why is not None and said.get("holds") == "agents":
            agents = AgentHold(Held(why))
        return Holds(everything, agents)

    def _held_for_reviews(self, source: ListedSource) -> str | None:
        most = _whole(self._limits.get("unreviewed"))
        if most is None or most < 1:
            return None
        if source.id in self._reviews:
            return self._reviews[source.id]
        from task_queue.domain.holds import unreviewed
        from task_queue.git.merged_branches import MergedBranches
        from task_queue.store.folder.unreviewed import has_unreviewed

        too_many = has_unreviewed(source.folders, most, MergedBranches().has_settled)
        self._reviews[source.id] = unreviewed(most) if too_many else None
        return self._reviews[source.id]

    @property
    def caps(self) -> Caps:
        from task_queue.domain.together import Caps

        limits = self._limits
        return Caps(_whole(limits.get("per_workspace")), _whole(limits.get("per_repository")))

    @property
    def start_gap(self) -> timedelta | None:
        """How far apart attempts start."""
        given = self._limits.get("start_gap")
        if not isinstance(given, str):
            return None
        from task_queue.domain.document.readers import PERIOD

        try:
            return PERIOD(given)
        except ValueError:
            return None

    def neighbours(self) -> Mapping[str, tuple[Neighbour, ...]]:
        """What runs in each source, as the daemon says, and the API of those that workers serve."""
        runs = {name: list(records_in(words, "runs")) for name, words in self.said.items()}
        if not any(runs.values()):
            return {}
        from task_queue.domain.together import Neighbour, Workplace

        return {
            name: tuple(
                Neighbour(
                    name,
                    TaskId(text_in(each, "task_id") or ""),
                    Workplace(
                        text_in(each, "repository") or "",
                        text_in(each, "directory") or "",
                        each.get("in_place") is True,
                        texts_in(each, "touches"),
                    ),
                )
                for each in running
            )
            for name, running in runs.items()
            if running
        }

    def _held_by_neighbours(self, source: ListedSource) -> Hold | None:
        """By what runs in other sources; and in its own, where workers carry out several of its tasks at once."""
        neighbours = tuple(
            each
            for name, running in self.neighbours().items()
            for each in running
            if name != source.id or source.is_remote
        )
        if not neighbours:
            return None
        from task_queue.domain.together import Caps, TogetherHold
        from task_queue.git.location import workplace_of

        caps = self.caps
        if caps == Caps() and not any(each.at.touches for each in neighbours):
            return None
        place_of = partial(workplace_of, base=source.layers().workspace)
        return TogetherHold(neighbours, caps, place_of)

    def _agents_held(self, source: ListedSource, now: datetime, also: Mapping[str, float]) -> Hold | None:
        from task_queue.domain.holds import account_paused, any_of, budget_spent, models_held, near_the_limit

        account = self._spent.state
        is_today = now.astimezone().date() == self.now.astimezone().date()
        before: Mapping[str, float] = self._spent.by_source if is_today else {}
        spent = sum(before.values()) + sum(also.values())
        budgets = (
            (self.account.daily_budget_usd, spent),
            (source.daily_budget_usd, before.get(source.id, 0.0) + also.get(source.id, 0.0)),
        )
        paused = None if account is None else account_paused(account, now)
        if paused is not None:
            return paused
        if any(budget is not None and used >= budget for budget, used in budgets):
            return budget_spent(spent, now=now)
        below = self._limits.get("hold_below_priority")
        if account is None:
            return None
        near = near_the_limit(
            account,
            above=_number(self._limits.get("hold_above_utilization")),
            below=below if isinstance(below, int) else None,
            now=now,
        )
        return any_of(models_held(account, now, source=source.id), near)


def listed(
    content: dict[str, Any],
    entry: SourceEntry,
    *,
    roots: tuple[str, ...] | None = None,
    hosts: Callable[[], tuple[tuple[str, ...], ...] | None] = lambda: None,
) -> ListedSource:
    """The source *entry* of the configuration whose JSON is *content*; *roots* as in ``document.layers_of``.

    *hosts*: what each host of the fleet has, None outside of one, or where that is not known.
    """
    lacking = document.lacks_workspace(content, entry)
    is_shared = entry.repository is not None and not entry.is_remote

    def layers() -> Layers:
        own = document.layers_of(content, entry, roots=roots)
        known = hosts() if is_shared else None
        return own if known is None else own.in_fleet(known)

    return ListedSource(
        entry.id,
        Layout(entry.path),
        layers=layers,
        description=entry.description,
        paused=entry.paused,
        trouble=f"it has no workspace; {document.WORKSPACE_HINT}" if lacking else None,
        daily_budget_usd=entry.daily_budget_usd,
        max_pending=document.max_pending_of(content, entry),
        hours=document.hours_of_source(entry),
        is_remote=entry.is_remote,
        slots=entry.slots or 1,
    )


def _section(content: Mapping[str, Any], name: str) -> Mapping[str, object]:
    section: object = content.get(name)
    return cast("dict[str, object]", section) if isinstance(section, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
