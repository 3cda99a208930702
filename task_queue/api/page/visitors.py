"""Who looks at the page: the session of a browser, or the owner over the socket; and the token of its forms."""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request
from starlette.concurrency import run_in_threadpool

from task_queue.api.callers import served
from task_queue.api.problems import ProblemError
from task_queue.api.settings import PEER
from task_queue.app.signing_in import signed_in
from task_queue.domain.policy import EVERYTHING_ALLOWED, OWNER, AccessRole, Caller, NotAllowedError

FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field


class SignInNeededError(Exception):
    """The browser has no session: it is led to where one begins."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """``form_token`` must come with every form: a page of another site cannot know it."""

    caller: Caller
    form_token: str

    @property
    def operates(self) -> bool:
        return self.caller.policy.has(AccessRole.OPERATE)

    @property
    def submits(self) -> bool:
        return self.caller.policy.has(AccessRole.SUBMIT)

    def demand_whole_sources(self) -> None:
        """For what is over all tasks of a source. Raises NotAllowedError."""
        if not self.caller.policy.sees_whole_sources:
            raise NotAllowedError(
                "this page is over whole sources, and your policy does not allow all of their tasks",
                code="outside_policy",
            )

    def demand_everything(self) -> None:
        """For pages that are over all tasks. Raises NotAllowedError."""
        if not self.caller.policy.is_unlimited:
            raise NotAllowedError(
                "this page is over all tasks, and your policy does not allow all of them",
                code="outside_policy",
            )


def cookie_name(request: Request) -> str:
    """Over TLS with a prefix for which browsers demand that it came from this very host, encrypted."""
    return "__Host-task_queue" if is_secure(request) else "task_queue"


def is_secure(request: Request) -> bool:
    settings = served(request).settings
    return settings.tls is not None or settings.behind_proxy


async def visitor(request: Request) -> Visitor:
    """Raises SignInNeededError."""
    if request.scope.get(PEER) == os.geteuid():
        return Visitor(Caller(OWNER, EVERYTHING_ALLOWED), "")
    secret = request.cookies.get(cookie_name(request), "")
    installation = served(request).installation.again()
    caller = await run_in_threadpool(signed_in, installation, secret) if secret else None
    if caller is None:
        raise SignInNeededError
    return Visitor(caller, form_token_of(secret))


def form_token_of(secret: str) -> str:
    return hmac.digest(secret.encode(), b"form", "sha256").hex()


async def changing_visitor(
    seen: Annotated[Visitor, Depends(visitor)], form_token: Annotated[str, Form(max_length=100)] = ""
) -> Visitor:
    """Who sends a form of the page itself. Raises ProblemError."""
    if not hmac.compare_digest(form_token.encode(), seen.form_token.encode()):
        raise ProblemError(403, "cross_site", "the form does not come from this page; load it again")
    return seen


VisitorNow = Annotated[Visitor, Depends(visitor)]
ChangingVisitorNow = Annotated[Visitor, Depends(changing_visitor)]
