"""What is in the paths of operations."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

TaskPath = Annotated[
    str, Path(description="The id of the task.", examples=["task-20260207-120000-fix-login"])
]
SourcePath = Annotated[str, Path(description="The id of the source.", examples=["ad-hoc"])]
TokenPath = Annotated[str, Path(description="The id of the token, or its name.", examples=["0c1f3d52"])]
ArtifactPath = Annotated[str, Path(description="The name of the artifact.", examples=["log.txt"])]
ClaimPath = Annotated[str, Path(description="The id of the claim.", examples=["c-8kq2x7"])]
