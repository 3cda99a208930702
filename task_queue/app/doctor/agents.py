"""What ``doctor`` looks at around the agents: who might pay, what they would load, what they were denied."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from task_queue.agents.project_settings import SettingsTrust
from task_queue.app.daemon_state import daemon_from
from task_queue.app.doctor.check import DoctorCheck
from task_queue.app.files import Record, names_in, record, records_in, texts_in
from task_queue.config.credentials import CREDENTIALS, credentials
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.domain.document.settings import parse_defaults
from task_queue.domain.errors import ExecutorError
from task_queue.domain.permission.profiles import DeniedBy
from task_queue.domain.permission.rules import call_of, covers
from task_queue.domain.secrets import says_secret
from task_queue.store.folder.layout import Layout

_LAST_RESULTS = 20
_MOST_NAMES = 10_000


def stray_credentials(config: Config, locations: Locations) -> Iterator[DoctorCheck]:
    """By name only: a value is never shown, and a stray one never pays."""
    for name in sorted(_daemons_variables(locations).intersection(CREDENTIALS)):
        if name in config.agent.pass_env:
            yield DoctorCheck("ok", f"{name} is passed on to the agents, as agent.pass_env says")
        elif name not in config.agent.env:
            yield DoctorCheck(
                "warning",
                f"{name} is set in the daemon's environment, and is not passed on to the agents",
                f'remove it, or let it pay: "agent": {{"pass_env": ["{name}"]}} in the configuration',
            )


def keys(config: Config, environ: Mapping[str, str]) -> Iterator[DoctorCheck]:
    """Whether a key is where others may find it, and whether those outside the configuration can be used."""
    env = config.agent.env
    for name in sorted(filter(says_secret, env)):
        yield DoctorCheck(
            "warning",
            f"{name} is in the configuration",
            "move it to a file that agent.env_file names, or to agent.key_command or a systemd credential:"
            " docs/configuration.md, 'Who pays'",
        )
    try:
        found = credentials(config.agent, environ)
    except ExecutorError as error:
        yield DoctorCheck("problem", str(error), error.hint)
        return
    if found:
        yield DoctorCheck("ok", f"from outside the configuration the agent gets {', '.join(sorted(found))}")


def project_settings(locations: Locations) -> Iterator[DoctorCheck]:
    """Settings that changed since their owner accepted them."""
    trust = SettingsTrust(locations.trusted_settings)
    try:
        changed = {workspace: trust.pending(workspace) for workspace in trust.workspaces()}
    except (OSError, ValueError) as error:
        yield DoctorCheck("problem", f"which project settings were accepted cannot be read: {error}")
        return
    for workspace, changes in changed.items():
        if changes:
            yield DoctorCheck(
                "problem",
                f"tasks in {workspace} run without its settings: {'; '.join(map(str, changes))}",
                "look at them, then: task-queue doctor --accept-settings",
                tuple(line for change in changes for line in trust.shown(workspace, change)),
            )


def denials(config: Config) -> Iterator[DoctorCheck]:
    """What the last results were denied, once for each rule that would have let it pass."""
    reported: set[str] = set()
    for source in config.sources:
        allowed = _allowed(config, source)
        for result in _last_results(source):
            for denial in records_in(result, "permission_denials"):
                by_task = denial.get("denied_by") == DeniedBy.TASK
                missing = [
                    rule
                    for rule in texts_in(denial, "rules")
                    if rule not in reported and (by_task or not any(covers(wider, rule) for wider in allowed))
                ]
                reported.update(missing)
                if missing:
                    rules = ", ".join(f'"{rule}"' for rule in missing)
                    where = "of the task's document" if by_task else "in defaults of the configuration"
                    yield DoctorCheck(
                        "warning",
                        f"{result.get('task_id')} was denied: {call_of(denial)}",
                        f'to allow it, add to "allow" {where}: {rules}',
                    )


def _allowed(config: Config, source: Source) -> Iterable[str]:
    layers = (parse_defaults(config.defaults), parse_defaults(source.defaults))
    return [rule for layer in layers for rule in layer.get("allow", ())]


def _last_results(source: Source) -> Iterator[Record]:
    folder = Layout(source.path).results
    names = names_in(folder)
    if isinstance(names, str):
        return
    paths = [folder / name for name in names[:_MOST_NAMES] if name.endswith(".json")]
    for path in heapq.nlargest(_LAST_RESULTS, paths, key=_changed_at):
        found = record(path)
        if found is not None and not isinstance(found, str):
            yield found


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0


def _daemons_variables(locations: Locations) -> set[str]:
    """Names in the environment of the daemon, or in ours while none runs."""
    daemon, _ = daemon_from(locations.daemon_state)
    if daemon.running:
        try:
            block = Path(f"/proc/{daemon.pid}/environ").read_bytes()
        except OSError:
            return set()
        return {line.partition(b"=")[0].decode(errors="replace") for line in block.split(b"\0") if line}
    return set(os.environ)
