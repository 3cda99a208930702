"""What ``doctor`` looks at. Each check says what it found and, unless all is well, how to fix it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from task_queue.app import service
from task_queue.app.api_process import api_of, settings_to_serve
from task_queue.app.daemon_state import daemon_from
from task_queue.app.doctor.agents import denials, keys, project_settings, stray_credentials
from task_queue.app.doctor.check import DoctorCheck, DoctorView
from task_queue.app.doctor.login import agent_cli
from task_queue.app.doctor.notifications import notifications
from task_queue.app.doctor.set_ups import set_ups
from task_queue.app.installation import Installation
from task_queue.app.schedules import schedules
from task_queue.config import document, schema
from task_queue.config.schema import Config
from task_queue.domain.errors import ConfigError
from task_queue.platform import trust
from task_queue.platform.disk import free_mb_at, trouble_at
from task_queue.store.folder.layout import Layout
from task_queue.store.folder.moves import names_of_moves

_FEW_WATCHES = 8192


def examine(installation: Installation) -> DoctorView:
    """Check everything; no file that is missing or wrong is an error, each becomes a check."""
    return DoctorView(tuple(_all_checks(installation)))


def _all_checks(installation: Installation) -> Iterator[DoctorCheck]:
    """The configuration's come first: without one there is little else to look at."""
    try:
        config = schema.load(installation.locations.config)
    except ConfigError as error:
        yield DoctorCheck("problem", str(error), error.hint)
        config = None
    else:
        yield DoctorCheck("ok", f"the configuration {installation.locations.config} is valid")
    yield from _trust("the configuration", installation.locations.config)
    yield from _trust("the queue's state", *installation.locations.folders)
    if config is not None:
        yield from _keys(config)
        yield from _sources(config)
        yield from _schedules(installation)
        yield from _workspaces(config)
        yield from _workspaces_in_queues(config)
        yield from _free_space(config)
        yield from stray_credentials(config, installation.locations)
        yield from keys(config, os.environ)
        yield from project_settings(installation.locations)
        yield from denials(config)
        yield from notifications(config, installation.locations)
        yield from set_ups(installation)
        yield from _metrics(config)
        yield from _api(installation, config)
        yield from _for_workers(config)
    yield from agent_cli(config)
    yield from _programs()
    yield from _inotify(len(config.sources) if config else 0)
    yield from _user()
    yield from _daemon(installation)


def _keys(config: Config) -> Iterator[DoctorCheck]:
    for unknown in config.unknown_keys():
        yield DoctorCheck("warning", str(unknown), "correct or remove it; it is kept, and has no effect")


def _sources(config: Config) -> Iterator[DoctorCheck]:
    if not config.sources:
        yield DoctorCheck("warning", "there is no source", "task-queue init")
    for source in config.sources:
        layout = Layout(source.path)
        missing = [folder for folder in layout.folders() if not folder.is_dir()]
        if missing:
            names = ", ".join(folder.name for folder in missing)
            yield DoctorCheck(
                "problem" if layout.pending in missing else "warning",
                f"source '{source.id}': missing in {layout.root}: {names}",
                f"mkdir -m 700 {' '.join(str(folder) for folder in missing)}",
            )
            continue
        devices = {folder.stat().st_dev for folder in layout.folders()}
        if len(devices) > 1:
            yield DoctorCheck(
                "problem",
                f"source '{source.id}': its folders are on several file systems",
                f"put all of {layout.root} on one file system",
            )
        moves = len(names_of_moves(layout))
        if moves:
            yield DoctorCheck(
                "warning",
                f"source '{source.id}': {moves} task{'' if moves == 1 else 's'} between {layout.moving} and a fleet",
                "unless a command moves them now, finish it: task-queue fleet import --db URL --source "
                + source.id,
            )
        troubles = list(_trust(f"source '{source.id}'", *layout.folders()))
        yield from troubles or [DoctorCheck("ok", f"source '{source.id}' in {layout.root}")]


def _schedules(installation: Installation) -> Iterator[DoctorCheck]:
    views = schedules(installation).schedules
    for view in views:
        if view.trouble is not None:
            what = f"schedule '{view.name}'" if view.name else "schedules"
            fix = f"correct it: {view.path}"
            yield DoctorCheck("problem", f"source '{view.source}': {what}: {view.trouble}", fix)
    usable = sum(view.trouble is None for view in views)
    if usable:
        yield DoctorCheck("ok", f"{usable} schedule{'' if usable == 1 else 's'} can be used")


def _trust(what: str, *paths: Path) -> Iterator[DoctorCheck]:
    found = {problem: None for path in paths for problem in trust.problems(path)}
    for problem in found:
        yield DoctorCheck("problem" if problem.grave else "warning", f"{what}: {problem.what}", problem.fix)


def _workspaces(config: Config) -> Iterator[DoctorCheck]:
    for source in config.sources:
        workspace = config.workspace_of(source)
        if workspace is None:
            yield DoctorCheck(
                "problem",
                f"source '{source.id}' has no workspace",
                "set project_workspace in the configuration",
            )
        elif not workspace.is_dir():
            yield DoctorCheck(
                "problem", f"the workspace {workspace} is not a directory", f"mkdir {workspace}"
            )


def _workspaces_in_queues(config: Config) -> Iterator[DoctorCheck]:
    queues = {source.queue.resolve(): source.id for source in config.sources}
    for workspace in dict.fromkeys(config.workspace_of(source) for source in config.sources):
        for queue in queues:
            if workspace is not None and workspace.resolve().is_relative_to(queue):
                where = f"the workspace {workspace} is inside the queue folder {queue}"
                yield DoctorCheck(
                    "problem", f"{where}, in which agents may not use files", document.QUEUE_HINT
                )


def _free_space(config: Config) -> Iterator[DoctorCheck]:
    for source in config.sources:
        free_mb = free_mb_at(source.queue)
        if free_mb is not None and free_mb < config.limits.min_free_mb:
            yield DoctorCheck(
                "problem",
                f"source '{source.id}': only {free_mb} MB free, below limits.min_free_mb",
                "free some space: nothing is claimed until then",
            )
        elif (why := trouble_at(source.queue, try_it=True)) is not None:
            yield DoctorCheck(
                "problem", f"source '{source.id}': {why}", "nothing is claimed until it is mended"
            )


def _metrics(config: Config) -> Iterator[DoctorCheck]:
    file = config.metrics.file
    if file is None:
        return
    if os.access(file.parent, os.W_OK | os.X_OK):
        yield DoctorCheck("ok", f"metrics are written to {file}")
    else:
        what = f"metrics cannot be written: {file.parent} is missing, or you may not write there"
        yield DoctorCheck("problem", what, "make the folder, or change 'metrics.file'")


def _api(installation: Installation, config: Config) -> Iterator[DoctorCheck]:
    if config.api is None:
        return
    try:
        settings_to_serve(installation)
    except ConfigError as error:
        yield DoctorCheck("problem", str(error), error.hint)
        return
    view = api_of(installation)
    if view is not None and view.running:
        yield DoctorCheck("ok", f"the API is served at {', '.join(view.listen)}")
    else:
        what = "the API is configured, and does not run"
        yield DoctorCheck(
            "warning", what, f"start the daemon; if it runs, see {installation.locations.api_log}"
        )


def _for_workers(config: Config) -> Iterator[DoctorCheck]:
    remote = [source for source in config.sources if source.is_remote]
    if remote and config.api is None:
        ids = ", ".join(source.id for source in remote)
        what = f"workers claim the tasks of {ids} through the API, which the configuration does not start"
        yield DoctorCheck("warning", what, "add a section api to the configuration, or run: task-queue api")
    for source in remote:
        if source.repository is None:
            what = f"source '{source.id}' names no repository that its workers could fetch"
            fix = f"task-queue config set sources.{source.id}.repository URL"
            yield DoctorCheck("warning", what, fix)


def _programs() -> Iterator[DoctorCheck]:
    if shutil.which("git"):
        yield DoctorCheck("ok", "git is there")
    else:
        yield DoctorCheck("warning", "git is not installed: changes by agents cannot be shown", "install git")


def _inotify(sources: int) -> Iterator[DoctorCheck]:
    needed: dict[str, Callable[[int], bool]] = {
        "max_user_watches": lambda limit: limit < max(_FEW_WATCHES, 4 * sources),
        "max_user_instances": lambda limit: limit < 2,
    }
    for name, is_low in needed.items():
        try:
            limit = int(Path(f"/proc/sys/fs/inotify/{name}").read_text())
        except (OSError, ValueError):
            continue
        if is_low(limit):
            yield DoctorCheck(
                "warning", f"fs.inotify.{name} is {limit}", f"sysctl fs.inotify.{name}={2 * _FEW_WATCHES}"
            )


def _user() -> Iterator[DoctorCheck]:
    if os.geteuid() == 0:
        yield DoctorCheck("warning", "this runs as root, and so do the agents", "use a user of its own")


def _daemon(installation: Installation) -> Iterator[DoctorCheck]:
    daemon, _ = daemon_from(installation.locations.daemon_state)
    if daemon.running:
        yield DoctorCheck("ok", f"the daemon runs, pid {daemon.pid}")
    else:
        yield DoctorCheck(
            "problem", "the daemon does not run", "task-queue daemon, or: task-queue service install"
        )
    if daemon.config_error:
        yield DoctorCheck(
            "problem", f"the changed configuration is not in force: {daemon.config_error}", "correct it"
        )
    for warning in daemon.warnings:
        yield DoctorCheck("warning", warning)
    unit = service.user_units() / service.UNIT
    if unit.exists():
        yield DoctorCheck("ok", f"the systemd unit is installed: {unit}")
    else:
        yield DoctorCheck("warning", "no systemd unit is installed", "task-queue service install")
