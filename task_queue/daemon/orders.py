"""From a claimed task and the configuration in force to the order that its runner carries out."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from task_queue.agents.mcp_servers import project_servers
from task_queue.agents.project_settings import SettingsTrust, loads_project, without_project
from task_queue.config.credentials import check_env_file, credentials, secret_places
from task_queue.config.document import QUEUE_HINT, WORKSPACE_HINT, why_not_closed
from task_queue.config.environment import agent_environment
from task_queue.config.locations import demand_trusted_folders
from task_queue.config.roots import demand_allowed, directory_named
from task_queue.config.schema import Config
from task_queue.config.source_settings import Source
from task_queue.domain.attempt.results import attempts_before
from task_queue.domain.attempt.spending import meter_of
from task_queue.domain.document.choices import CLAUDE, Isolation, Profile
from task_queue.domain.document.layers import Layers, layers_of, naming_the_line
from task_queue.domain.document.naming import copy_of, task_id_of
from task_queue.domain.document.ordering import Waiting
from task_queue.domain.document.readers import PERIOD
from task_queue.domain.document.settings import Settings
from task_queue.domain.errors import (
    ConfigError,
    ExecutorError,
    NeedsPersonError,
    TaskFileError,
    TaskQueueError,
)
from task_queue.domain.model import Claim, Journal, LandingState, Result, WorkProduct
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import Task, TaskId
from task_queue.git.guarding import guarded
from task_queue.git.owner_watch import OwnerWatch
from task_queue.git.program import Git
from task_queue.git.repository import root_of
from task_queue.platform.disk import starts_programs
from task_queue.ports.attempt_log import AttemptPlace
from task_queue.ports.executor import AgentSetup, Dependency, ExecutorKind, GitSetup, Order

_SANDBOX_PROGRAMS = {"bwrap": ("bubblewrap", "--version"), "socat": ("socat", "-V")}
"""Each with its package, and the option with which it does nothing but show that it runs."""
_PROGRAM_TIMEOUT_S = 10.0
_TAKEN_AWAY = (LandingState.GIVEN_UP, LandingState.UNDONE)


@dataclass(frozen=True, slots=True)
class ConfiguredOrders:
    """Implements ports.runner.Orders for one source under whichever configuration is in force."""

    in_force: Callable[[], Config]
    listed: Source
    """The source as it was when it was opened; it ends under this where the configuration has dropped it."""
    private: tuple[Path, ...]
    """What besides the sources' folders no agent may touch: configuration, state."""
    environ: Mapping[str, str]
    allowance: Callable[[str, TaskId, float | None], float | None]
    """Sets aside what an attempt of a task of the source may spend today; see ``admission``."""
    trust: SettingsTrust
    worktrees: Path
    """Where working trees of isolated tasks are made, a folder for each source."""
    temporary: Path
    """Where each attempt gets a folder for temporary files."""
    documents: Path
    """Where agents find the texts of their tasks, a folder for each source."""
    with_credentials: bool = True
    """Off for orders that no agent carries out."""
    events: Path | None = None
    """The folder of the event log, for the runner to write to; None: it writes none."""
    lease: Path | None = None
    """As in ``Order``."""
    result_of: Callable[[TaskId], Result | None] = lambda _: None
    """Of a task of any source, once it has ended."""
    _parsed: list[tuple[Config, Layers]] = field(default_factory=list[tuple[Config, Layers]])
    """The last configuration asked about, and its layers: they are asked for at every survey."""

    @property
    def config(self) -> Config:
        return self.in_force()

    @property
    def source(self) -> Source:
        return self.config.source(self.listed.id) or self.listed

    def layers(self) -> Layers:
        """The defaults in force for the source's tasks; the same object until they change."""
        config = self.config
        if not self._parsed or self._parsed[0][0] is not config:
            source = config.source(self.listed.id) or self.listed
            workspace = config.workspace_of(source)
            layers = layers_of(
                config.defaults,
                source.defaults,
                executors=config.executors,
                workspace=None if workspace is None else str(workspace),
                roots=map(str, config.workspace_roots()),
                ageing=PERIOD(config.limits.ageing) if config.limits.ageing else None,
                capabilities=config.capabilities,
            )
            self._parsed[:] = [(config, layers.of_workers() if source.is_remote else layers)]
        return self._parsed[0][1]

    def settings_of(self, task: Task) -> Settings:
        with naming_the_line(task):
            return self.layers().known_settings_of(task.given)

    def check(self, task: Waiting) -> None:
        """Whether tasks like *task* can be run now: asked before a claim, because each claim makes a folder.

        Raises ExecutorError.
        """
        try:  # as of the source's own folders: each may have changed since the daemon started
            demand_trusted_folders(*self.private[1:], self.worktrees, self.temporary, self.documents)
        except ConfigError as error:
            raise NeedsPersonError(str(error), hint=error.hint) from error
        default = self.config.workspace_of(self.source)
        if default is None and task.workspace is None:
            raise self._no_workspace()
        problem = None if default is None else _why_unusable(default)
        if problem is not None:
            raise ExecutorError(
                f"the workspace {default} {problem}", hint="the source goes on by itself once it is there"
            )
        if task.uses_agent:
            self._environment(uses_agent=True)
            check_env_file(self.config.agent)

    def problem_with(self, task: Task) -> str | None:
        """Why *task* could not be run now, as ``order_for`` would say it; None if nothing is known to be wrong."""
        try:
            with naming_the_line(task):
                settings = self.layers().settings_of(task.given)
                workspace = self._workspace(task, settings)
                env = self._environment(uses_agent=settings.uses_agent)
                if not settings.uses_agent:
                    return None
                if settings.permissions is Profile.SANDBOXED:
                    _check_sandbox(env, asked_by_task="permissions" in task.given)
                self._check_outside_of_queues(task, workspace, settings)
                check_env_file(self.config.agent)
        except TaskQueueError as error:
            return error.in_full
        return None

    def order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:
        with naming_the_line(task):
            return self._order_for(claim, task, journal, place)

    def _order_for(self, claim: Claim, task: Task, journal: Journal, place: AttemptPlace) -> Order:
        settings = self.layers().settings_of(task.given)
        if journal.model is not None:
            fallback = settings.fallback_model if settings.fallback_model != journal.model else None
            settings = replace(settings, model=journal.model, fallback_model=fallback)
        env = self._environment(uses_agent=settings.uses_agent)
        if settings.uses_agent and settings.permissions is Profile.SANDBOXED:
            _check_sandbox(env, asked_by_task="permissions" in task.given)
        earlier = attempts_before(journal, claim)
        continued = [attempt for attempt in earlier if attempt.session_id == claim.session_id]
        last = continued[-1] if claim.resumes and continued else None
        spent = sum(attempt.total_cost_usd or 0 for attempt in earlier)
        cap = settings.max_budget_usd
        executor = ExecutorKind.CLAUDE if settings.executor == CLAUDE else ExecutorKind.COMMAND
        workspace = self._workspace(task, settings)
        self._note_first_task(workspace)
        if settings.uses_agent:
            self._check_outside_of_queues(task, workspace, settings)
        needs_key = settings.uses_agent and self.with_credentials
        is_strict = settings.permissions is Profile.SANDBOXED
        agent, notes = (
            self._with_what_is_accepted(self._agent(task), workspace, strict=is_strict)
            if settings.uses_agent
            else (self._agent(task), ())
        )
        is_needed = needs_key or bool(self.config.checks.env)
        outside = credentials(self.config.agent, self.environ) if is_needed else {}
        return Order(
            claim=claim,
            source=self.source.id,
            title=task.title,
            body=task.body,
            document=place.document,
            agent_copy=self.documents / self.source.id / copy_of(claim.task_id, source=self.source.id),
            scratch=place.scratch,
            temporary=self.temporary,
            log=place.log,
            lease=self.lease,
            queue_dirs=self._closed,
            artifacts=place.artifacts,
            workspace=workspace,
            settings=settings,
            executor=executor,
            argv=self._argv(settings.executor),
            env={**env, **outside} if needs_key else env,
            secret_names=tuple(outside),
            checks_env=self._granted_to_checks({**env, **outside}),
            agent=agent,
            git=GitSetup(
                worktrees=self.worktrees / self.source.id,
                keep=self.config.git.keep,
                signature=self.config.git.signature,
                setup=self.source.setup,
                judges=self.config.git.judges,
                trusted=self._trusted_programs,
                rules=self.config.git.rules,
                set_up_reads=self.source.setup_reads,
                set_ups=self.private[-1] / "set-ups" / self.source.id,
                network_ports=self.private[-1].parent / "network-ports.json",
            ),
            steps={attempt.number: attempt.steps for attempt in earlier if attempt.steps},
            interruption=f"{last.outcome} at {last.ended_at:%Y-%m-%d %H:%M %z}: {last.reason}"
            if last
            else None,
            spent_usd=spent,
            meter=meter_of(earlier, claim.session_id),
            turns_used=sum(attempt.num_turns for attempt in earlier),
            allowance_usd=(
                self.allowance(
                    self.source.id,
                    task_id_of(claim.document),
                    None if cap is None else max(0.0, cap - spent),
                )
                if settings.uses_agent
                else None
            ),
            transcript_mb=self.config.limits.transcript_mb,
            memory_mb=self.config.limits.memory_mb,
            events=self.events,
            notes=notes,
            fresh=journal.fresh,
            person_note=journal.note,
            begin_at=journal.begin_at,
            dependencies=(
                *self.dependencies_of(settings),
                *(() if place.base_commit is None else (Dependency(claim.task_id, place.base_commit),)),
            ),
        )

    def dependencies_of(self, settings: Settings) -> tuple[Dependency, ...]:
        """What the tasks committed that it depends on; of what a person gave up or undid, nothing is asked."""
        found: list[Dependency] = []
        for task_id in settings.depends_on:
            result = self.result_of(task_id)
            if result is None or not result.success or not result.product.commits:
                continue
            if result.product.landing_state not in _TAKEN_AWAY:
                found.append(Dependency(task_id, result.product.commits[-1]))
        return tuple(found)

    def compared(self, claim: Claim, task: Task, product: WorkProduct) -> WorkProduct:
        watch = OwnerWatch()
        try:
            settings = self.settings_of(task)
            env = self._environment(uses_agent=settings.uses_agent)
            git_env = {**without_secrets(env), **self._granted_to_checks(env)}
            git = guarded(Git(self._workspace(task, settings), git_env), self._trusted_programs)
            root = root_of(git)
            if root is None:
                return product
            watch.open(
                git.at(root),
                claim.task_id,
                worktrees=self.worktrees / self.source.id,
                queue_dirs=self._closed,
                work_in_place=product.isolation is Isolation.NONE,
            )
            watch.look()
        except (TaskQueueError, OSError):
            return product  # the record stays, and is compared with at the task's next attempt
        watch.close(done=False)
        return watch.said_in(product)

    @property
    def _trusted_programs(self) -> Path:
        return self.private[-1] / "git"

    @property
    def _closed(self) -> tuple[Path, ...]:
        """All that no agent may read or write, by each path that was given and by the one that it leads to."""
        queues = (source.queue for source in self.config.sources)
        given = (*self.private, *queues, *secret_places(self.config.agent, self.environ))
        return tuple(dict.fromkeys(each for path in given for each in (path, path.resolve())))

    def workspace_of(self, task: Task) -> str | None:
        try:
            return str(self._workspace(task, self.settings_of(task)))
        except (TaskFileError, ExecutorError, OSError):
            return None

    def _agent(self, task: Task) -> AgentSetup:
        configured = self.config.agent
        return AgentSetup(
            cli_path=configured.cli_path,
            config_dir=configured.config_dir,
            account=configured.account,
            setting_sources=configured.setting_sources,
            mcp_servers=configured.mcp_servers,
            allow_only=bool(task.given.get("allow")),
            task_deny=tuple(task.given.get("deny") or ()),
            scrub_env=configured.scrub_env,
            hide_login=configured.hide_login,
            prewarm=configured.prewarm,
            audit_allow=self.config.audit.allow,
            prompts_dir=self.private[0] / "prompts" if self.private[0].is_dir() else None,
        )

    def _note_first_task(self, workspace: Path) -> None:
        """What is in the workspaces before any task ran is their owner's."""
        configured = filter(None, map(self.config.workspace_of, self.config.sources))
        with suppress(OSError, ValueError):  # said where it matters
            self.trust.begin((workspace, *configured))

    def _with_what_is_accepted(
        self, agent: AgentSetup, workspace: Path, *, strict: bool
    ) -> tuple[AgentSetup, tuple[str, ...]]:
        """*agent* with what it may load of the project, and what a person should know about that."""
        left_out: tuple[str, ...] = ()
        if agent.mcp_servers in {"none", "user"} and (servers := project_servers(workspace)):
            named = ", ".join(servers)
            left_out = (
                f"without the MCP servers of .mcp.json ({named}): agent.mcp_servers is {agent.mcp_servers}",
            )
        if not loads_project(agent):
            return agent, left_out
        try:
            changes = [str(change) for change in self.trust.changes(workspace, strict=strict)]
            accepted = self.trust.accepted_in(workspace)
        except (OSError, ValueError) as error:
            changes, accepted = [f"what was accepted cannot be read: {error}"], {}
        if not changes:
            return replace(agent, accepted_settings=accepted), left_out
        note = (
            f"ran without the project's settings, which are not as they were accepted: {'; '.join(changes)};"
            " look at them, then: task-queue doctor --accept-settings"
        )
        return without_project(agent), (note, *left_out)

    def _workspace(self, task: Task, settings: Settings) -> Path:
        """The directory the task works in, checked. A default that is missing is the source's trouble."""
        default = self.config.workspace_of(self.source)
        if settings.workspace is None:
            if default is None:
                raise self._no_workspace()
            problem = _why_unusable(default)
            if problem is not None:
                raise ExecutorError(
                    f"the workspace {default} {problem}", hint="the source goes on by itself once it is there"
                )
            return default
        workspace = directory_named(settings.workspace, base=default)
        if "workspace" in task.given:
            demand_allowed(workspace, self.config.workspace_roots())
        problem = _why_unusable(workspace)
        if problem is not None:
            raise TaskFileError(
                f"the workspace {workspace} {problem}",
                hint="correct workspace and retry the task",
                keys=("workspace",),
            )
        return workspace

    def _no_workspace(self) -> NeedsPersonError:
        return NeedsPersonError(f"source '{self.source.id}' has no workspace", hint=WORKSPACE_HINT)

    def _check_outside_of_queues(self, task: Task, workspace: Path, settings: Settings) -> None:
        """Every profile denies the queue's folders to the agent: in one of them it could do nothing."""
        if settings.isolation is Isolation.WORKTREE:
            return
        inside = Path(os.path.realpath(workspace))
        queues = [Path(os.path.realpath(source.queue)) for source in self.config.sources]
        queue = next((queue for queue in queues if inside.is_relative_to(queue)), None)
        if queue is None:
            return
        problem = (
            f"the workspace {workspace} is inside the queue folder {queue}, in which agents may not use files"
        )
        if "workspace" in task.given:
            raise TaskFileError(problem, hint="name another workspace", keys=("workspace",))
        raise NeedsPersonError(problem, hint=QUEUE_HINT)

    def _environment(self, *, uses_agent: bool) -> dict[str, str]:
        agent = self.config.agent
        env = agent_environment(agent, self.environ)
        missing = agent.cli_path is not None and shutil.which(agent.cli_path, path=env.get("PATH")) is None
        if uses_agent and missing:
            able = agent.cli_path is None or starts_programs(agent.cli_path)
            why = "is not there or cannot be executed" if able else "is on a disk that is mounted noexec"
            raise ExecutorError(
                f"the agent's program {agent.cli_path} {why}",
                hint="correct agent.cli_path in the configuration, or remove it to use the bundled one",
            )
        # The other queues were looked at with the configuration.
        closed = (*self.private, self.source.queue, *secret_places(agent, self.environ))
        problem = next(filter(None, map(why_not_closed, closed)), None)
        if uses_agent and problem:
            raise NeedsPersonError(problem, hint="keep it in a folder with another name")
        return env

    def _granted_to_checks(self, env: Mapping[str, str]) -> dict[str, str]:
        """What ``checks.env`` names: as the agent has it in *env*, else as we do."""
        everything = {**self.environ, **env}
        return {name: everything[name] for name in self.config.checks.env if name in everything}

    def _argv(self, executor: str) -> tuple[str, ...]:
        if executor == CLAUDE:
            return ()
        return self.config.executors[executor].argv


def _check_sandbox(env: Mapping[str, str], *, asked_by_task: bool) -> None:
    """The sandbox needs two programs that work: with a socat that does not, the CLI itself fails open."""
    for program, (package, option) in _SANDBOX_PROGRAMS.items():
        problem = _why_not_working(program, option, env)
        if problem is not None:
            kind = TaskFileError if asked_by_task else ExecutorError
            raise kind(
                f"permissions: sandboxed needs {package}, but {program} {problem}",
                hint=f"install it, for example with: apt-get install {package}",
            )


def _why_not_working(program: str, option: str, env: Mapping[str, str]) -> str | None:
    """As the agent would find it: on the PATH that it will have."""
    found = shutil.which(program, path=env.get("PATH", ""))
    if found is None:
        return "is not there"
    try:
        done = subprocess.run(
            [found, option], env=dict(env), capture_output=True, timeout=_PROGRAM_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not run: {error}"
    return f"ends with exit code {done.returncode}" if done.returncode else None


def _why_unusable(workspace: Path) -> str | None:
    if not workspace.exists():
        return "does not exist"
    if not workspace.is_dir():
        return "is not a directory"
    if not os.access(workspace, os.W_OK | os.X_OK):
        return "is not writable"
    return None
