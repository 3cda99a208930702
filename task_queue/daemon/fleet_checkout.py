"""Commits between hosts of a fleet: out of the checkout in which a task worked, into the one of the host it came in by.

There they are on the task's branch, and land as a branch does whose task could not land it: checked, and tried again.
"""

from __future__ import annotations

import logging
import os
import shlex
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from task_queue.config.environment import agent_environment
from task_queue.config.locations import Locations
from task_queue.config.schema import Config
from task_queue.daemon.orders import ConfiguredOrders
from task_queue.domain.attempt.needs import attention_of
from task_queue.domain.document.choices import Isolation, Landing
from task_queue.domain.document.taskfile import parse
from task_queue.domain.document.writing import with_keys
from task_queue.domain.errors import GitError, TaskFileError
from task_queue.domain.model import LandingState, Result, WorkProduct
from task_queue.domain.secrets import without_secrets
from task_queue.domain.task import Task, TaskId
from task_queue.domain.together import NO_REPOSITORY
from task_queue.domain.work.elsewhere import taken_over
from task_queue.domain.work.report import report_of
from task_queue.git.bundles import bring_bundle
from task_queue.git.checkpoint import ref_of
from task_queue.git.guarding import guarded
from task_queue.git.location import repository_at
from task_queue.git.program import Git
from task_queue.git.repository import branch_at, commit_of, head_of, is_ancestor, root_of
from task_queue.platform import durable
from task_queue.ports.finishing import CommitBundle
from task_queue.ports.fleet import FleetSource, ShownResult, WorkBase
from task_queue.ports.store import Notes

log = logging.getLogger(__name__)
_TAKES_S = 600.0
_MOST_BYTES = 256 * 2**20
_BASE_REF, _RECEIVED_REF = "refs/task-queue-fleet/base", "refs/task-queue-fleet/received"
_AS_A_GUEST = {"isolation": Isolation.WORKTREE.value, "landing": Landing.BRANCH.value}


def place_in_fleet(
    locations: Locations, config_of: Callable[[], Config], orders: ConfiguredOrders, notes: Notes
) -> FleetSource:
    """The source of *orders*, as this host has it."""
    source = orders.listed
    return FleetSource(
        source.id,
        source.path,
        source.repository,
        orders.layers,
        lambda: config_of().settle_seconds,
        notes,
        SourceCheckout(locations, config_of, orders, os.environ),
    )


class SourceCheckout:
    """Implements ports.fleet.FleetCheckout: of one source."""

    def __init__(
        self,
        locations: Locations,
        config_of: Callable[[], Config],
        orders: ConfiguredOrders,
        environ: Mapping[str, str],
    ) -> None:
        self._locations, self._config_of, self._orders, self._environ = locations, config_of, orders, environ

    def base(self, before: WorkBase | None) -> WorkBase | None:
        git = self._git()
        head = None if git is None else head_of(git)
        if git is None or head is None:
            return None
        if before is not None and before.commit == head:
            return before
        if before is None or not is_ancestor(git, before.known, of=head):
            return WorkBase(head, head, None)
        bundle = self._bundled(git, head, before.known, _BASE_REF)
        return WorkBase(head, head, None) if bundle is None else WorkBase(head, before.known, bundle)

    def receive_base(self, base: WorkBase) -> None:
        git = self._git()
        if git is None:
            raise GitError("the source has no git repository on this host")
        if commit_of(git, base.commit) is None and base.bundle is not None:
            with tempfile.TemporaryDirectory(dir=self._folder()) as folder:
                file = Path(folder) / "base"
                file.write_bytes(base.bundle)
                git.within(_TAKES_S).change(
                    *("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"),
                    *("--no-auto-maintenance", str(file), f"+{_BASE_REF}:{_RECEIVED_REF}"),
                )
        if commit_of(git, base.commit) is None:
            raise GitError(f"{git.directory} does not have {base.known[:12]}")
        git.change("update-ref", "--no-deref", _RECEIVED_REF, base.commit)

    def received_base(self) -> str | None:
        git = self._git()
        return None if git is None else commit_of(git, _RECEIVED_REF)

    def for_a_guest(self, document: bytes) -> bytes:
        if self._git() is None:
            return document
        try:
            return with_keys(document.decode(), _AS_A_GUEST).encode()
        except (TaskFileError, UnicodeDecodeError):
            return document  # it is rejected when it begins

    def bundle_of(self, task_id: TaskId, product: WorkProduct) -> bytes | None:
        git, base = self._git(), product.base_commit
        if git is None or base is None or not product.commits:
            return None
        return self._bundled(git, product.commits[-1], base, ref_of(task_id, "handed-out"))

    def _bundled(self, git: Git, tip: str, base: str, ref: str) -> bytes | None:
        """What *tip* has after *base*, as *ref*; None where that is too much."""
        with tempfile.TemporaryDirectory(dir=self._folder()) as folder:
            file = Path(folder) / "commits"
            git.change("update-ref", "--no-deref", ref, tip)
            try:
                git.within(_TAKES_S).change("bundle", "create", "--quiet", str(file), ref, f"^{base}")
            finally:
                git.change("update-ref", "--no-deref", "-d", ref)
            return None if file.stat().st_size > _MOST_BYTES else file.read_bytes()

    def shown(self, result: Result, document: bytes, bundle: bytes | None) -> ShownResult:
        task = self._task(result.task_id, document)
        product = taken_over(result.product)
        if result.product.commits:
            product = self._brought(result, product, bundle, task)
        note = f"it was carried out on host {result.worker}"
        shown = replace(result, product=replace(product, notes=(*product.notes, note)))
        shown = replace(shown, attention=attention_of(shown))
        title, asked = (task.title, task.body) if task else (result.task_id, "")
        return ShownResult(shown, report_of(shown, title=title, asked=asked))

    def _brought(
        self, result: Result, product: WorkProduct, bundle: bytes | None, task: Task | None
    ) -> WorkProduct:
        """With its branch here; where that is not possible, with a note that says where its commits are."""
        there = result.product
        try:
            branch, git = self._bring(result.task_id, there, bundle)
        except (GitError, OSError) as error:
            why = f"its {len(there.commits)} commits stay on host {result.worker}, on {there.branch}: {error}"
            log.warning("commits not brought task=%s error=%s", result.task_id, error)
            return replace(product, notes=(*product.notes, why))
        target = branch_at(git)
        settings = None if task is None else self._orders.settings_of(task)
        lands = settings is not None and settings.landing is Landing.MERGE and result.success
        reason = "it was carried out on another host" if lands else "it is left for you to merge"
        root = shlex.quote(str(git.directory))
        return replace(
            product,
            isolation=Isolation.WORKTREE,
            base_commit=there.base_commit,
            branch=branch,
            commits=there.commits,
            subjects=there.subjects,
            by_queue=there.by_queue,
            stat=there.stat,
            files=there.files,
            file_count=there.file_count,
            landed=f"{branch}: {reason}",
            landing={
                "state": LandingState.WAITING if lands and target else LandingState.LEFT,
                "target": target,
                "reason": reason,
            },
            see=tuple(f"git -C {root} show {commit}" for commit in there.commits),
            keep=(f"git -C {root} merge {shlex.quote(branch)}",),
            undo=(f"git -C {root} branch -D {shlex.quote(branch)}",),
            unwanted=there.unwanted,
            too_many=there.too_many,
        )

    def _bring(self, task_id: TaskId, there: WorkProduct, bundle: bytes | None) -> tuple[str, Git]:
        git = self._git()
        if git is None:
            raise GitError("the source has no git repository on this host")
        if bundle is None or there.base_commit is None:
            raise GitError("they were not handed over, or are too much for that")
        with tempfile.TemporaryDirectory(dir=self._folder()) as folder:
            file = Path(folder) / "commits"
            file.write_bytes(bundle)
            arrived = CommitBundle(file, there.commits[-1], there.base_commit)
            return bring_bundle(git, arrived, task_id, beside=Path(folder) / "apart"), git

    def _folder(self) -> Path:
        durable.make_directory(self._locations.temporary)
        return self._locations.temporary

    def _git(self) -> Git | None:
        """In the root of the checkout."""
        config = self._config_of()
        workspace = config.workspace_of(self._orders.source)
        if workspace is None or not workspace.is_dir() or repository_at(workspace)[0] == NO_REPOSITORY:
            return None
        git = Git(workspace, without_secrets(agent_environment(config.agent, self._environ)))
        root = root_of(git)
        return None if root is None else guarded(git.at(root), self._locations.trusted_programs)

    @staticmethod
    def _task(task_id: TaskId, document: bytes) -> Task | None:
        try:
            return parse(document, task_id)
        except TaskFileError:
            return None
