"""Templates for documents: the user's beside the configuration, and the packaged ones."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from task_queue.app.adding import read_document
from task_queue.app.installation import Installation
from task_queue.domain.document.remarks import described
from task_queue.domain.errors import TaskQueueError

PACKAGED = Path(__file__).parents[1] / "templates"


@dataclass(frozen=True, slots=True)
class TemplateView:
    name: str
    origin: str
    """``user`` or ``packaged``."""
    description: str
    path: Path
    """One of the user hides the packaged one of its name."""


def templates(installation: Installation) -> list[TemplateView]:
    """Every template that can be named, by name. One that cannot be read has that as its description."""
    found: dict[str, TemplateView] = {}
    for origin, path in template_files(installation):
        if path.stem not in found:
            found[path.stem] = TemplateView(path.stem, origin, _described(path), path)
    return [found[name] for name in sorted(found)]


def template(installation: Installation, name: str) -> str:
    """The text of the template *name*; raises TaskQueueError if there is none, or it cannot be read."""
    known = {path.stem: path for _, path in reversed(list(template_files(installation)))}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sorted(known))}"
        raise TaskQueueError(f"there is no template '{name}'", hint=hint)
    return read_document(known[name])


def template_files(installation: Installation) -> Iterator[tuple[str, Path]]:
    """Origin and path of each, the user's first."""
    for origin, folder in (("user", user_templates(installation)), ("packaged", PACKAGED)):
        if folder is not None:
            yield from (
                (origin, path) for path in sorted(folder.glob("*.md")) if not path.name.startswith(".")
            )


def user_templates(installation: Installation) -> Path | None:
    """The folder of the user's templates; None if there is no place for it (``Locations.own_folder``)."""
    folder = installation.locations.own_folder
    return None if folder is None else folder / "templates"


def _described(path: Path) -> str:
    try:
        return described(read_document(path))
    except TaskQueueError as error:
        return str(error)
