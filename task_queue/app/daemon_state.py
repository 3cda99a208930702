"""Whether the daemon runs, and what it last said of itself (``daemon.json``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

from task_queue.app.answers import DaemonView
from task_queue.app.files import Record, record, text_in, time_in, whole_in
from task_queue.config.locations import state_lock_of
from task_queue.platform.identity import ProcessIdentity, is_held_still
from task_queue.platform.liveness import Life, life_of


def daemon_from(state_file: Path) -> tuple[DaemonView, Mapping[str, Record]]:
    """The daemon, and what it says of each source; nothing of a dead daemon's words on sources counts."""
    state = record(state_file)
    if state is None:
        return DaemonView(running=False), {}
    if isinstance(state, str):
        return DaemonView(running=False, why=f"{state_file} {state}"), {}
    pid, ticks, boot = whole_in(state, "pid"), whole_in(state, "pid_start_ticks"), text_in(state, "boot_id")
    namespace = text_in(state, "pid_namespace") or ""
    process = ProcessIdentity(pid or 0, ticks or 0, boot or "", namespace)
    known = None not in (pid, ticks, boot)
    alive = known and life_of(process, state_lock_of(state_file)) in {Life.ALIVE, Life.ELSEWHERE}
    held_still = alive and process.is_in_sight and is_held_still(process.pid)
    view = DaemonView(
        running=alive,
        pid=pid if alive else None,
        started_at=time_in(state, "started_at"),
        version=text_in(state, "version"),
        why=None if alive or text_in(state, "stopped_at") else f"its process {pid} is gone",
        config_error=text_in(state, "config_error") if alive else None,
        warnings=(*_does_nothing(pid, held_still=held_still), *_texts(state.get("warnings")))
        if alive
        else (),
        held_still=held_still,
        stopped=state.get("stopped") is True,
    )
    return view, _sources(state.get("sources")) if alive else {}


def _does_nothing(pid: int | None, *, held_still: bool) -> tuple[str, ...]:
    if not held_still:
        return ()
    way_on = f"after a signal it goes on with: kill -CONT {pid}"
    return (
        f"the daemon does nothing: a signal, a debugger or its cgroup holds process {pid} still; {way_on}",
    )


def logs_to_journal(state_file: Path) -> bool:
    """Whether the daemon that wrote *state_file* last wrote its log to the journal, and not to a file."""
    state = record(state_file)
    return isinstance(state, dict) and text_in(state, "log") == "journal"


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(item for item in cast("list[object]", value) if isinstance(item, str))


def _sources(value: object) -> Mapping[str, Record]:
    if not isinstance(value, dict):
        return {}
    said = cast("dict[str, object]", value)
    return {name: cast("Record", state) for name, state in said.items() if isinstance(state, dict)}
