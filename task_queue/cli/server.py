"""Which queue a command speaks to: the one of this machine, or that of a server."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from task_queue import __version__
from task_queue.domain.errors import TaskQueueError

if TYPE_CHECKING:
    from task_queue.client import Client
    from task_queue.client.operation import Operation
    from task_queue.client.problems import ApiError

T = TypeVar("T")
_PATIENCE_S = 2.0
"""A person at a terminal rather reads why there is no answer."""
_ANOTHER_RELEASE = frozenset({"unexpected_answer", "not_found", "http_404", "method_not_allowed"})


@dataclass(slots=True)
class QueueServer:
    address: str
    token_file: Path | None
    _client: Client | None = field(default=None, init=False)

    @property
    def client(self) -> Client:
        if self._client is None:
            from task_queue.client import Client

            self._client = Client(self.address, token_file=self.token_file, patience_s=_PATIENCE_S)
            click.get_current_context().call_on_close(self._client.close)
        return self._client

    def ask(self, operation: Operation[T]) -> T:
        """Raises TaskQueueError, which says what to do."""
        with self.guarding():
            return self.client.carry_out(operation)

    @contextmanager
    def guarding(self) -> Generator[None]:
        """Around uses of the client. Raises as ``ask``."""
        from task_queue.client import ApiError, Unreachable

        try:
            yield
        except ApiError as error:
            raise TaskQueueError(f"{self.address}: {error}", hint=self._advice(error)) from error
        except Unreachable as error:
            raise TaskQueueError(str(error), hint=_what_is_in_the_way(str(error))) from error

    def task_id(self, text: str) -> str:
        """The id of the one task that *text* is the id or a part of. Raises TaskQueueError."""
        from task_queue.client import task_operations

        page = self.ask(task_operations.tasks(text=text, limit=100))
        ids = [task.id for task in page.tasks]
        exact = [task_id for task_id in ids if text in (task_id, f"task-{task_id}", task_id[len("task-") :])]
        parts = exact or [task_id for task_id in ids if text in task_id]
        if len(parts) == 1:
            return parts[0]
        if not parts:
            self._demand_not_elsewhere(text)
            raise TaskQueueError(
                f"{self.address} has no task '{text}' that this credential sees",
                hint="see what there is with: task-queue jobs",
            )
        raise TaskQueueError(f"'{text}' is part of several tasks", hint=f"name one: {', '.join(parts[:5])}")

    def _demand_not_elsewhere(self, text: str) -> None:
        """Raises TaskQueueError where the server knows the task *text* as one of another host of its fleet."""
        from task_queue.client import ApiError, task_operations

        with self.guarding():
            try:
                self.client.carry_out(task_operations.task(text))
            except ApiError as error:
                if error.code == "task_elsewhere":
                    raise

    def _advice(self, error: ApiError) -> str | None:
        if error.code == "unauthorized":
            what = (
                "a token is needed" if self.token_file is None else f"{self.token_file} holds no good token"
            )
            return f"{what}; there, make one with: task-queue tokens create; then name its file with --token-file"
        if error.code in {"role_missing", "outside_policy"}:
            return (
                "the credential does not allow that; there, see what it allows with: task-queue tokens list"
            )
        if error.code in _ANOTHER_RELEASE:
            return self._release()
        return None

    def _release(self) -> str:
        """What is there at all, in one sentence."""
        try:
            version = self.client.health().version
        except TaskQueueError:
            return "is that the address of a task-queue API? try it with: curl URL/v1/health"
        if version == __version__:
            return f"the server is of this release ({version}), but was built differently"
        return f"the server is of release {version}, this is {__version__}: use the same on both"


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives *command* an argument ``server``, which is None where the queue of this machine is meant."""

    def run(*args: Any, server: str | None, token_file: Path | None, **others: Any) -> Any:
        typed = click.get_current_context().get_parameter_source("token_file")
        if server is None and typed is ParameterSource.COMMANDLINE:
            raise click.UsageError("--token-file goes with --server")
        there = None if server is None else QueueServer(server, token_file)
        return command(*args, server=there, **others)

    with_file = click.option(
        "--token-file",
        metavar="FILE",
        envvar="TASK_QUEUE_TOKEN_FILE",
        type=click.Path(path_type=Path),
        help="Holds the token for it (else TASK_QUEUE_TOKEN_FILE).",
    )(update_wrapper(run, command))
    return click.option(
        "--server",
        metavar="URL",
        envvar="TASK_QUEUE_SERVER",
        help="The API of another machine, or unix:PATH (else TASK_QUEUE_SERVER, else the queue here).",
    )(with_file)


def only_here(server: QueueServer | None, **given: object) -> None:
    """Raises UsageError where one of the options *given* is set, which a server does not offer."""
    named = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if server is not None and named:
        raise click.UsageError(f"{named[0]} works on the machine of the queue only, not with --server")


def _what_is_in_the_way(said: str) -> str:
    if "WRONG_VERSION_NUMBER" in said or "record layer" in said.lower():
        return "it does not speak TLS there: use http:// (on this machine only), or set api.tls on the server"
    if "CERTIFICATE" in said.upper():
        return "its certificate is not one that this machine trusts"
    return "does the API run there? see with: task-queue status; start it with: task-queue api"
