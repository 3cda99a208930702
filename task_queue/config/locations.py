"""Where configuration, state and lock are, and what the service manager said: our environment is read here."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from task_queue.config import document
from task_queue.domain.errors import ConfigError
from task_queue.platform import trust

_PROGRAM = "task-queue"
_ELSEWHERE = "let XDG_STATE_HOME, XDG_RUNTIME_DIR and XDG_DATA_HOME name folders that only you can write"


@dataclass(frozen=True, slots=True)
class Locations:
    """Every path outside the sources. State and lock belong to one configuration, by the hash of its real path."""

    config: Path
    state_dir: Path
    runtime_dir: Path
    daemon_lock: Path
    worktrees: Path
    """Working trees of isolated tasks: not part of the state, because the agent works there."""
    temporary: Path
    """Where each attempt gets a folder for its agent's temporary files: not part of the state, either."""
    documents: Path
    """Copies of task documents, for agents to read."""

    @property
    def daemon_state(self) -> Path:
        return self.state_dir / "daemon.json"

    @property
    def state_lock(self) -> Path:
        return state_lock_of(self.daemon_state)

    @property
    def in_force(self) -> Path:
        """The configuration that the daemon last took over, as it was."""
        return self.state_dir / "config-in-force.json"

    @property
    def log(self) -> Path:
        return self.state_dir / "daemon.log"

    @property
    def stopped(self) -> Path:
        """Exists while a person has stopped everything."""
        return self.state_dir / "stopped"

    @property
    def trusted_settings(self) -> Path:
        """Project settings that the owner accepted."""
        return self.state_dir / "trusted-settings.json"

    @property
    def trusted_programs(self) -> Path:
        """What git may start in each repository (``git.guarding``)."""
        return self.state_dir / "git"

    @property
    def set_ups(self) -> Path:
        """What set-up made, a folder for each source (``git.kept_set_ups``); may be deleted."""
        return self.state_dir / "set-ups"

    @property
    def private(self) -> tuple[Path, ...]:
        """What no agent may touch. The configuration's folder only if it is ours: ``--config`` may name any file."""
        folder = self.config.parent
        return (folder if folder.name == _PROGRAM else self.config, self.runtime_dir, self.state_dir)

    @property
    def own_folder(self) -> Path | None:
        """The configuration's folder; None where it is not ours, because agents may write there."""
        folder = self.private[0]
        return None if folder == self.config else folder

    @property
    def drafts(self) -> Path:
        """Documents that a person writes and has not added yet."""
        return self.state_dir / "drafts"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder of the queue outside the sources and the configuration."""
        return (self.state_dir, self.runtime_dir, self.worktrees, self.temporary, self.documents)

    @property
    def accounts(self) -> Path:
        return self.state_dir / "accounts.json"

    @property
    def ledger(self) -> Path:
        return self.state_dir / "ledger.jsonl"

    @property
    def claims(self) -> Path:
        return self.state_dir / "claims.jsonl"

    @property
    def leased_claims(self) -> Path:
        """The same of the claims that workers hold, whom the API's process serves."""
        return self.state_dir / "leased-claims.jsonl"

    @property
    def running(self) -> Path:
        """What the daemon has running, for the API's process to agree with."""
        return self.state_dir / "running.json"

    @property
    def leased_running(self) -> Path:
        """What workers have running, for the daemon to agree with."""
        return self.state_dir / "leased-running.json"

    @property
    def running_lock(self) -> Path:
        """Locked by whichever of the two decides what starts."""
        return self.state_dir / "running.lock"

    @property
    def leased_drops(self) -> Path:
        """As ``drops``, of the sources that workers serve."""
        return self.state_dir / "leased-dropped.json"

    @property
    def dispatch_state(self) -> Path:
        """What the API's process says of the sources that workers serve, and of the workers."""
        return self.state_dir / "dispatch.json"

    @property
    def events(self) -> Path:
        """The folder of the event log."""
        return self.state_dir / "events"

    @property
    def summaries(self) -> Path:
        """The folder with what statistics need of the event log, made from it; may be deleted."""
        return self.state_dir / "summaries"

    @property
    def broken_bases(self) -> Path:
        """The folder with a file for each source whose target is broken."""
        return self.state_dir / "broken-bases"

    @property
    def pauses(self) -> Path:
        """The folder with what people asked of sources: to pause, to drain, to resume."""
        return self.state_dir / "pauses"

    @property
    def notifications(self) -> Path:
        """What the targets of notifications still get, and up to which event they were looked through."""
        return self.state_dir / "notifications.json"

    @property
    def drops(self) -> Path:
        return self.state_dir / "dropped.json"

    @property
    def api_socket(self) -> Path:
        return self.runtime_dir / f"api-{self.state_dir.name}.sock"

    @property
    def api_lock(self) -> Path:
        """Locked by the API's process for as long as it lives."""
        return self.state_dir / "api.lock"

    @property
    def api_state(self) -> Path:
        """What the API's process says of itself."""
        return self.state_dir / "api.json"

    @property
    def api_log(self) -> Path:
        """What the API's process says, where the daemon has started it."""
        return self.state_dir / "api.log"

    @property
    def tokens(self) -> Path:
        """Hashes of the tokens for the API."""
        return self.state_dir / "tokens.json"

    @property
    def page_sessions(self) -> Path:
        """Hashes of what signs browsers in to the page."""
        return self.state_dir / "page-sessions.json"

    @property
    def submissions(self) -> Path:
        """The folder with what was submitted under an idempotency key."""
        return self.state_dir / "submissions"

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the queue outside the sources and the configuration."""
        return (
            self.daemon_lock,
            self.state_lock,
            self.daemon_state,
            self.in_force,
            self.log,
            self.accounts,
            self.ledger,
            self.claims,
            self.drops,
            self.notifications,
            self.stopped,
            self.trusted_settings,
            self.api_lock,
            self.api_state,
            self.api_log,
            self.tokens,
            self.page_sessions,
            self.leased_claims,
            self.leased_drops,
            self.dispatch_state,
            self.running,
            self.leased_running,
            self.running_lock,
        )


def state_lock_of(daemon_state: Path) -> Path:
    """What the daemon that writes the state file *daemon_state* keeps locked for as long as it lives."""
    return daemon_state.with_name("daemon.lock")


def locate(config: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> Locations:
    """The locations for ``--config`` *config* (it wins over TASK_QUEUE_CONFIG) in *environ* (default: ours)."""
    environ = os.environ if environ is None else environ
    named = config or environ.get("TASK_QUEUE_CONFIG")
    # Not Path.absolute, which keeps "..", nor resolve, which follows links.
    path = Path(os.path.abspath(named) if named else config_home(environ) / _PROGRAM / "config.json")  # noqa: PTH100
    key = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:8]
    state_dir = state_home(environ) / _PROGRAM / key
    runtime = _base(environ, "XDG_RUNTIME_DIR")
    runtime_dir = state_dir if runtime is None else runtime / _PROGRAM
    data = data_home(environ) / _PROGRAM
    lock = runtime_dir / f"daemon-{key}.lock"
    return Locations(
        path,
        state_dir,
        runtime_dir,
        lock,
        data / "worktrees" / key,
        data / "tmp" / key,
        data / "documents" / key,
    )


def demand_trust(locations: Locations) -> None:
    """Raise ConfigError if another user could have written the configuration, or change what is kept beside it.

    For code that acts on them; reading commands show them and say what is wrong.
    """
    document.demand_trust(locations.config)
    demand_trusted_folders(*locations.folders)


def demand_trusted_folders(*folders: Path) -> None:
    """Raises ConfigError that names the folder and the fix."""
    for folder in folders:
        problem = trust.grave_problem(folder)
        if problem is not None:
            raise ConfigError(
                f"{folder} is not trusted, and task-queue keeps its state there: {problem.what}",
                hint=f"fix it with: {problem.fix}; or {_ELSEWHERE}",
            )


def config_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs keep their configuration (XDG); systemd's user units are there, too."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    return _base(environ, "XDG_CONFIG_HOME") or home / ".config"


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs keep their state (XDG)."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    return _base(environ, "XDG_STATE_HOME") or home / ".local" / "state"


def data_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs keep what belongs to their user (XDG); shells look for completions there, too."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    return _base(environ, "XDG_DATA_HOME") or home / ".local" / "share"


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """What systemd passed to the process that it started; all None otherwise."""

    notify_socket: str | None
    journal_stream: str | None


def service_manager(environ: Mapping[str, str] | None = None) -> ServiceManager:
    environ = os.environ if environ is None else environ
    return ServiceManager(environ.get("NOTIFY_SOCKET"), environ.get("JOURNAL_STREAM"))


def _base(environ: Mapping[str, str], name: str) -> Path | None:
    # The XDG specification: a relative path in these variables is invalid and to be ignored.
    value = Path(environ.get(name, ""))
    return value if value.is_absolute() else None
