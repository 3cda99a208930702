"""From an answer to HTML. Every text is escaped, and no control character of a file reaches the page."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import cache
from typing import Any, cast

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from task_queue import __version__
from task_queue.api.page.assets import asset_url
from task_queue.api.page.visitors import Visitor
from task_queue.app.answers import MeasureView
from task_queue.app.fleet_sight import hosts_line, standing
from task_queue.app.spelling import clock, money, span
from task_queue.domain.policy import AccessRole
from task_queue.domain.text import printable

_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none';"
    " require-trusted-types-for 'script'; trusted-types htmx"
)


def page(
    request: Request, name: str, visitor: Visitor | None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """The template *name* as a whole page."""
    nonce = secrets.token_urlsafe(16)
    text = fragment(
        name,
        nonce=nonce,
        visitor=visitor,
        here=request.url.path,
        version=__version__,
        pages=_pages(visitor),
        **values,
    )
    # Without a referrer browsers send forms with the origin "null", as if they came from another site.
    headers = {"content-security-policy": _POLICY.format(nonce=nonce), "referrer-policy": "same-origin"}
    return HTMLResponse(text, status, headers=headers)


def _pages(visitor: Visitor | None) -> list[tuple[str, str]]:
    """What there is for *visitor* to look at: addresses and names."""
    if visitor is None:
        return []
    sees_all, is_admin = visitor.caller.policy.is_unlimited, visitor.caller.policy.has(AccessRole.ADMIN)
    known = (
        (True, "/", "Board"),
        (visitor.submits, "/add", "Add"),
        (True, "/history", "History"),
        (sees_all, "/report", "Report"),
        (visitor.caller.policy.sees_whole_sources, "/schedules", "Schedules"),
        (sees_all, "/workers", "Workers"),
        (is_admin, "/settings", "Settings"),
    )
    return [(path, name) for is_there, path, name in known if is_there]


def fragment(name: str, **values: Any) -> str:
    """The template *name* as a part of a page, which is swapped into one that is open."""
    return _environment().get_template(name).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("task_queue.api.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_harmless,
    )
    known = cast("Any", environment)  # its types do not say what filters and globals are
    known.filters |= {
        "money": money,
        "span": span,
        "moment": _moment,
        "about": _about,
        "markdown": _markdown,
        "measured": _measured,
        "unnamed": _unnamed,
        "standing": standing,
        "hosts_line": hosts_line,
    }
    known.globals["asset"] = asset_url
    return environment


def _harmless(value: object) -> object:
    """Of text that is not markup: without control characters."""
    if value is None:
        return ""
    return (
        printable(value, keep_lines=True)
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _measured(measure: MeasureView) -> str:
    match measure.name:
        case "time":
            return f"{span(measure.used)} of {span(measure.limit)}"
        case "cost":
            return f"{money(measure.used)} of {money(measure.limit)}"
        case _:
            return f"{measure.used:.0f} of {measure.limit:.0f}"


def _unnamed(sentence: str, task_id: str) -> str:
    """A sentence about the task *task_id*, where it is clear which one is meant."""
    rest = sentence.removeprefix(f"task {task_id}").removeprefix(":").lstrip()
    return rest[:1].upper() + rest[1:]


def _markdown(text: str) -> Markup:
    """Without HTML of its own, images, or links that run something."""
    return Markup(_reader().render(printable(text, keep_lines=True)))  # noqa: S704 - the reader escapes


@cache
def _reader() -> MarkdownIt:
    return (
        MarkdownIt("commonmark", {"html": False})
        .enable("table")
        .disable(["image", "html_block", "html_inline"])
    )


def _moment(at: datetime | None, now: datetime) -> Markup:
    """As the server's clock says it; a script says it in the browser's time zone."""
    if at is None:
        return Markup()
    exact = at.isoformat(timespec="seconds")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, exact, clock(at, now))


def _about(at: datetime, now: datetime) -> Markup:
    """A moment that is estimated: to the minute, so that a page is not another one each second."""
    return _moment(at.replace(second=0, microsecond=0), now)
