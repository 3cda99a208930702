"""What every section of the configuration is built on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from task_queue.domain.document.readers import PERIOD


class Section(BaseModel):
    """Exact JSON types, immutable, keys that we do not know kept."""

    model_config = ConfigDict(strict=True, frozen=True, extra="allow", allow_inf_nan=False)


def absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return path


def _period(text: str) -> str:
    PERIOD(text)
    return text


AbsolutePath = Annotated[Path, AfterValidator(absolute)]
Period = Annotated[str, AfterValidator(_period)]
"""A duration as documents spell it."""
MOST_MB = 2**24
"""16 TiB."""
